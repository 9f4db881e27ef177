"""What a subscriber can prove it received. Standard library only, nothing of the gateway: the folder may be copied."""

from tidegate.proof.message import ProofError, UnknownVersion
from tidegate.proof.proof import EpochReport, Proof, Report, Taken
from tidegate.proof.ranges import Ranges

__all__ = ["EpochReport", "Proof", "ProofError", "Ranges", "Report", "Taken", "UnknownVersion"]
