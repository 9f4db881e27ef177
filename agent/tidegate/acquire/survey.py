"""The survey contract: what may stand beside a driver, for whoever commissions a plant. A running gateway needs none.

    scan(address, wishes)    asks a bus who is there       its `notice` is shown, and agreed to, before `run` touches it
    listen(address, wishes)  only listens to a line
    browse(device, wishes)   shows what a device has to be read, where it can tell that by itself: only Browsers have it

A survey is an entry point of the group `tidegate.surveys`. What it tells are frozen dataclasses: their text is for
people, their fields for machines.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Protocol, runtime_checkable

from tidegate.model.device import Device

SURVEY_CONTRACT = 1
SURVEYS = "tidegate.surveys"


@dataclass(frozen=True, slots=True)
class Found:
    """A machine that answered: its address, unit and options as a device list has them, and what it says of itself.

    `proof` is what it answered to; `next` what to type to learn more of it.
    """

    address: str
    unit: int | None
    options: dict[str, str]
    proof: str
    said: tuple[str, ...]
    next: str

    def __str__(self) -> str:
        unit = "" if self.unit is None else f"  unit {self.unit}"
        options = "".join(f"  {name} {text}" for name, text in self.options.items())
        said = f"  {'; '.join(self.said)}" if self.said else ""
        return f"found   {self.address}{unit}{options}  ({self.proof}){said}"


@dataclass(frozen=True, slots=True)
class Note:
    """Something that a person should know, and that is no machine."""

    text: str

    def __str__(self) -> str:
        return f"note    {self.text}"


@dataclass(frozen=True, slots=True)
class Progress:
    """How far it is: so many of at most so many questions, and where."""

    done: int
    most: int
    where: str

    def __str__(self) -> str:
        return f"{self.done} of at most {self.most}  {self.where}"


@dataclass(frozen=True, slots=True)
class Entry:
    """What a device shows of itself, in the words of its tag tables. `path` are the names from where it began.

    `kind` is the protocol's word for what it is, `made_of` for its type. `type` is that of a tag which reads it, ""
    where it can't be read; `value` is for people. `writable` says what the device would allow, not what may be done.
    """

    path: tuple[str, ...]
    kind: str
    address: str
    type: str = ""
    unit: str = ""
    range: tuple[float, float] | None = None
    description: str = ""
    writable: bool = False
    value: str = ""
    made_of: str = ""

    def __str__(self) -> str:
        within = "" if self.range is None else f"[{self.range[0]:g}, {self.range[1]:g}]"
        value = " ".join(part for part in (f"= {self.value}" if self.value else "", self.unit, within) if part)
        words = (self.made_of, self.type or self.kind, value, "writable" if self.writable else "", self.address)
        name = self.path[-1] if self.path else "."
        return "  ".join((f"{'  ' * len(self.path)}{name}", *(word for word in words if word)))


Tell = Callable[[object], None]


class Scan(Protocol):
    """One scan, which has touched nothing yet. `notice` says what it will send, to whom, and how long it takes."""

    notice: tuple[str, ...]

    async def run(self, tell: Tell) -> None:
        """Ask, and tell Found, Note and Progress. May be cancelled. Raises DriverError when nothing can be asked."""
        ...


class Listener(Protocol):
    """One listener, which has opened nothing yet."""

    async def run(self, tell: Tell) -> None:
        """Listen, and tell what is heard, until its time is over or it is cancelled. Raises NotConnected."""
        ...

    def summary(self) -> object | None:
        """What was heard so far; None when there was nothing to listen to."""
        ...


class Survey(Protocol):
    """What one protocol offers. `wishes` are texts by option; those that it does not know are a ValueError, too."""

    contract: ClassVar[int]
    schemes: ClassVar[tuple[str, ...]]
    listens: ClassVar[bool]

    @classmethod
    def scan(cls, address: str, wishes: Mapping[str, str]) -> Scan:
        """A scan of an address, or a range of them. Raises ValueError that says what is wrong."""
        ...

    @classmethod
    def listen(cls, address: str, wishes: Mapping[str, str]) -> Listener:
        """A listener on a line. Raises ValueError that says what is wrong."""
        ...


class Browse(Protocol):
    """One browse, which has opened nothing yet."""

    async def run(self, tell: Tell) -> None:
        """Tell Entry by Entry, each before what is below it, and Note and Progress. Raises DriverError."""
        ...


@runtime_checkable
class Browser(Protocol):
    """What a survey offers besides, whose devices can tell what they have."""

    def browse(self, device: Device, node: str, wishes: Mapping[str, str], folder: Path | None) -> Browse:
        """A browse of what is below an address of a device, of all of it where that is empty.

        `folder` is where its driver keeps things. Raises ValueError that says what is wrong.
        """
        ...
