"""What the running agent says of its targets and devices: who only knocks does not see what happens after that."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from tidegate.doctor.finding import Finding, fault, ok, warning
from tidegate.publish.standing import State


@dataclass(frozen=True, slots=True)
class Told:
    """A target as the agent told of it: see publish.standing.TargetStatus."""

    name: str
    state: str
    why: str
    backlog: int


def examine_targets(targets: Sequence[Told]) -> Iterator[Finding]:
    """What is to be said of each. The agent's own words say what to do."""
    for target in targets:
        about = f"target {target.name}"
        waiting = f"frames that wait: {target.backlog}"
        if target.state == State.PARKED:
            how = "Put right what it says; the agent knocks again within minutes, or at once after a restart"
            yield fault(about, f"parked: {target.why} ({waiting})", how)
        elif target.state == State.CONNECTED:
            yield ok(about, f"connected ({waiting})")
        elif target.why:
            yield warning(about, f"{target.state}: {target.why} ({waiting})", "Put right what it says")


def examine_locks(devices: Mapping[str, tuple[str, str]]) -> Iterator[Finding]:
    """Devices that are others than before; by name why they are locked, and what to do."""
    for name, (why, offer) in devices.items():
        if why:
            yield warning(f"device {name}", f"locked, its readings are uncertain: {why}", offer)
