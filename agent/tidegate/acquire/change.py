"""Change: what another list of devices means for the buses of a poller. It changes nothing itself.

A bus stays when its devices do. A device that stays on a bus whose others change goes over to the bus's successor
with its history and its cycles.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from tidegate.acquire.bus import Bus
from tidegate.acquire.unit import Unit
from tidegate.model.device import Device


@dataclass(slots=True)
class Change:
    """All devices, the units of those that stay as they are, and the buses that stay, come and leave."""

    devices: Sequence[Device]
    kept: Mapping[str, Unit]
    staying: list[Bus] = field(default_factory=list)
    coming: list[Bus] = field(default_factory=list)
    leaving: list[Bus] = field(default_factory=list)


def alike(one: Device, other: Device) -> bool:
    """Whether two devices are polled alike; in which row of the list they stand does not matter."""
    return replace(one, row=None) == replace(other, row=None)
