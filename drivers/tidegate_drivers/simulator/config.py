"""Simulator configuration: texts of devices and tag tables into signals and faults, with all problems.

A signal is what a tag follows: a shape between two values, by time or by the count of reads.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from tidegate.errors import Problem
from tidegate.model.device import Device
from tidegate.model.option import Options
from tidegate.model.tag import Tag, Type

ADDRESS = re.compile(r"sim://([A-Za-z0-9_.-]+)/?")
PERIOD_S, PERIOD_S_MIN, PERIOD_S_MAX = 60.0, 0.01, 7 * 86_400.0
DELAY_S_MAX = 60.0
EVERY_MAX = 1_000_000_000
INTEGER_BITS = {
    Type.INT8: 8, Type.UINT8: 8, Type.INT16: 16, Type.UINT16: 16, Type.INT32: 32, Type.UINT32: 32, Type.INT64: 64,
    Type.UINT64: 64,
}  # fmt: skip
UNSIGNED = frozenset({Type.UINT8, Type.UINT16, Type.UINT32, Type.UINT64})
FLOAT32_MAX = 3.4028234663852886e38


class Shape(StrEnum):
    """What an address column says."""

    SINE = "sine"
    RAMP = "ramp"
    SQUARE = "square"
    COUNTER = "counter"
    CONSTANT = "constant"


@dataclass(frozen=True, slots=True)
class Signal:
    """What a tag follows. `low` and `high` are exact integers where the tag's type is one; `text` is a string's."""

    shape: Shape
    kind: Type
    low: int | float
    high: int | float
    period_s: float
    bad_every: int
    text: str = ""

    def at(self, time_s: float, count: int) -> bool | int | float | str:
        """The value at a time, for the read of this number (from 0)."""
        if self.kind == Type.STRING:
            return self.text
        value = self._number(time_s, count)
        if self.kind == Type.BOOL:
            return value != 0
        return round(value) if self.kind in INTEGER_BITS else float(value)

    def _number(self, time_s: float, count: int) -> int | float:
        if self.shape == Shape.CONSTANT:
            return self.low
        if self.shape == Shape.COUNTER:
            span = int(self.high) - int(self.low) + 1
            return int(self.low) + count % span
        phase = time_s / self.period_s % 1.0
        if self.shape == Shape.SQUARE:
            return self.low if phase < 0.5 else self.high
        part = phase if self.shape == Shape.RAMP else 0.5 + 0.5 * math.sin(2 * math.pi * phase)
        return self.low + (self.high - self.low) * part


@dataclass(frozen=True, slots=True)
class Settings:
    """How a device behaves: how long it takes to answer, and every how many reads it does what (0 = never)."""

    bus: str
    delay_s: float
    silent_every: int
    refuse_every: int
    disconnect_every: int


def parse_bus(address: str) -> str:
    """The name in `sim://name`. Raises ValueError that says what is wrong."""
    matched = ADDRESS.fullmatch(address.strip())
    if matched is None:
        raise ValueError(f"{address!r} is no address of a simulated device")
    return matched[1]


def parse_device(device: Device) -> tuple[Settings, list[Problem]]:
    """The settings of a device, and what is wrong with its address and options."""
    options = Options(device.options, device.name, device.row)
    bus = ""
    try:
        bus = parse_bus(device.address)
    except ValueError as wrong:
        options.wrong("address", str(wrong), "Write sim:// and any name, such as sim://hall1")
    settings = Settings(
        bus,
        options.duration_s("delay", 0.0, 0.0, DELAY_S_MAX),
        options.whole("silent_every", 0, 0, EVERY_MAX),
        options.whole("refuse_every", 0, 0, EVERY_MAX),
        options.whole("disconnect_every", 0, 0, EVERY_MAX),
    )
    options.refuse_unknown()
    return settings, options.problems


def parse_tag(tag: Tag) -> tuple[Signal, list[Problem]]:
    """What a tag follows, and what is wrong with its address and options."""
    options = Options(tag.options, tag.name, tag.row)
    shape = Shape.CONSTANT
    try:
        shape = Shape(tag.address.strip().lower())
    except ValueError:
        options.wrong("address", f"{tag.address!r} is no shape", f"Choose one of {', '.join(Shape)}")
    text = options.text("value")
    if tag.raw == Type.STRING:
        if shape != Shape.CONSTANT:
            options.wrong("address", f"a string can't follow a {shape}", "Write constant")
        low: int | float = 0
        high: int | float = 0
    elif shape == Shape.CONSTANT:
        low = high = _number(options, "value", tag.raw, 0)
    else:
        least, most = _bounds(tag.raw) if shape == Shape.COUNTER else (0, 1 if tag.raw == Type.BOOL else 100)
        low = _number(options, "from", tag.raw, least)
        high = _number(options, "to", tag.raw, most)
        if low > high:
            options.wrong("to", f"{high} is below {low}", "Write the larger number in to")
    period_s = options.duration_s("period", PERIOD_S, PERIOD_S_MIN, PERIOD_S_MAX)
    bad_every = options.whole("bad_every", 0, 0, EVERY_MAX)
    if shape == Shape.COUNTER and tag.raw not in INTEGER_BITS:
        options.wrong("type", f"a counter can't be {tag.raw.word}", "Write an integer type, such as uint32")
    for name in ("value", "from", "to"):
        options.text(name)
    options.refuse_unknown()
    return Signal(shape, tag.raw, low, high, period_s, bad_every, text), options.problems


def _bounds(kind: Type) -> tuple[int | float, int | float]:
    """The least and the greatest number of a type."""
    if kind == Type.BOOL:
        return 0, 1
    if kind == Type.FLOAT32:
        return -FLOAT32_MAX, FLOAT32_MAX
    if kind not in INTEGER_BITS:
        return -math.inf, math.inf
    bits = INTEGER_BITS[kind]
    return (0, 2**bits - 1) if kind in UNSIGNED else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)


def _number(options: Options, name: str, kind: Type, default: int | float) -> int | float:
    """A number that its type can hold; every integer is exact."""
    text = options.text(name)
    low, high = _bounds(kind)
    if not text:
        return default
    try:
        number: int | float = int(text) if kind in INTEGER_BITS or kind == Type.BOOL else float(text)
    except ValueError:
        options.wrong(name, f"{text!r} is no {kind.word}", "Write a number, as in 230 or 230.5")
        return default
    if number < low or number > high:
        options.wrong(name, f"{text} does not fit into {kind.word}", f"Write {low} to {high}, or choose a wider type")
        return default
    return number


def check(devices: Sequence[Device]) -> list[Problem]:
    """Everything that is wrong with these devices. Tables that devices share count once."""
    problems: list[Problem] = []
    seen: set[int] = set()
    for device in devices:
        problems += parse_device(device)[1]
        if id(device.table.tags) not in seen:
            seen.add(id(device.table.tags))
            for tag in device.table.tags:
                problems += parse_tag(tag)[1]
    return problems
