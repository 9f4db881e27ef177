"""Lock: whether a device is still the one whose readings were accepted. What it is asked is not known here."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from struct import Struct
from typing import Protocol

from tidegate.model.device import Device
from tidegate.model.frame import ALL_GOOD, U32, Frame
from tidegate.model.status import UNCERTAIN, UNCERTAIN_CONFIGURATION_ERROR

# So often in a row questions may come to nothing: some devices can't bear to be asked.
FAILED_MAX = 3
ALL_DOUBTED = U32.pack(UNCERTAIN_CONFIGURATION_ERROR)


@dataclass(slots=True)
class Lock:
    """The lock of one device. `why` it is locked, "" while it is not; `said`: who the device says it is, and
    `fits`: whether its registers are read as is right for that, as far as is known.

    While `why` is not empty its good readings are uncertain, and nothing may be written to it. `offer` says what to
    do. `due`: it is asked before its next frame goes on, but not before `again_us` (monotonic).
    """

    why: str = ""
    offer: str = ""
    said: str = ""
    fits: bool = True
    due: bool = True
    again_us: int = 0
    failed: int = 0
    asking: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def engaged(self) -> bool:
        """Whether its frames don't just go on."""
        return self.due or bool(self.why)

    def back(self) -> None:
        """The device, or its bus, was away: whoever comes back is asked who it is, at once."""
        self.missed()
        if not self.failed:
            self.again_us = 0

    def bars(self, now_us: int) -> str:
        """Why nothing may be written to it now. Before its next reading goes on it is asked, and it may be another."""
        if self.why or not self.due or now_us < self.again_us:
            return self.why
        return "it was away, and has not said yet who it is: try again once it is read"

    def missed(self) -> None:
        """A read failed: it may have started anew."""
        self.due = self.failed < FAILED_MAX


class Inspector(Protocol):
    """Who knows what to ask, and what the answers mean."""

    def lock(self, device: Device) -> Lock | None:
        """The lock of a device, the same one each time; None for one that has nothing to be asked."""
        ...

    async def inspect(self, device: Device, ask: Callable[[bytes], Awaitable[bytes]]) -> None:
        """Ask a device who it is, and lock it or unlock it. Raises what `ask` does: then nothing is known anew."""
        ...


def doubted(frame: Frame) -> Frame:
    """The frame with its good readings uncertain, for a device that may not be what it is read as."""
    if frame.status == ALL_GOOD:
        return replace(frame, status=ALL_DOUBTED)
    column = Struct(f"<{len(frame.status) // U32.size}I")
    codes = (code if code >= UNCERTAIN else UNCERTAIN_CONFIGURATION_ERROR for code in column.unpack(frame.status))
    return replace(frame, status=column.pack(*codes))
