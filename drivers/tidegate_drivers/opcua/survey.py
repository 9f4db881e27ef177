"""What OPC UA offers to whoever commissions a plant: scans for servers and what they offer, and browsing.

It imports no OPC UA library itself: what does the work is imported when it is asked for. See tidegate.acquire.survey.
"""

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar, cast

from tidegate.acquire.survey import SURVEY_CONTRACT, Browse, Listener, Scan
from tidegate.model.device import Device
from tidegate_drivers.opcua.settings import SCHEME


class OpcuaSurvey:
    """OPC UA over TCP."""

    contract: ClassVar[int] = SURVEY_CONTRACT
    schemes: ClassVar[tuple[str, ...]] = (SCHEME,)
    listens: ClassVar[bool] = False

    @classmethod
    def scan(cls, address: str, wishes: Mapping[str, str]) -> Scan:
        """A look at what a server offers; see scan.py."""
        return cast(Scan, _heavy("scan").scan(address, wishes))

    @classmethod
    def listen(cls, address: str, wishes: Mapping[str, str]) -> Listener:
        """There is nothing to listen to: connections are between two."""
        raise ValueError(f"{address}: an OPC UA server is no line that others can listen to")

    @classmethod
    def browse(cls, device: Device, node: str, wishes: Mapping[str, str], folder: Path | None) -> Browse:
        """What is below a node of a server; see browse.py."""
        return cast(Browse, _heavy("browse").browse(device, node, wishes, folder))


def _heavy(module: str) -> Any:
    try:
        return import_module(f"tidegate_drivers.opcua.{module}")
    except ImportError as missing:
        raise ValueError(
            f"OPC UA needs a library that is not installed ({missing.name}): install tidegate[opcua]"
        ) from None
