"""What the golden files hold: literal readings, and beside each what a decoder must find. The expectations are written
from these literals, never read back from what was encoded.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tidegate.clock import ClockState
from tidegate.model.frame import Frame, Kind, Origin, pack_value
from tidegate.model.gap import Gap, Why
from tidegate.model.status import BAD_NO_COMMUNICATION, BAD_OUT_OF_RANGE, UNCERTAIN_LAST_USABLE_VALUE
from tidegate.model.tag import Tag, TagTable, Type

EPOCH = "9f3a5c01d2e4b687"
T0_US = 1_798_761_600_000_000
BOOT = 3
MONO_US = 12_345_678
FLOAT_LAYOUTS = {Type.FLOAT32: "<f", Type.FLOAT64: "<d"}

METER = TagTable(
    "meter1",
    (
        Tag("running", Type.BOOL, Type.BOOL, description="主断路器 closed", label="public"),
        Tag("int8", Type.INT8, Type.INT8),
        Tag("uint8", Type.UINT8, Type.UINT8),
        Tag("int16", Type.INT16, Type.INT16),
        Tag("uint16", Type.UINT16, Type.UINT16),
        Tag("int32", Type.INT32, Type.INT32),
        Tag("uint32", Type.UINT32, Type.UINT32, access="write"),
        Tag("int64", Type.INT64, Type.INT64),
        Tag("energy", Type.UINT64, Type.UINT64, unit="Wh", identifier="88.118.1/meter1.energy", label="important"),
        Tag("电压 L1", Type.FLOAT32, Type.FLOAT32, unit="V", range=(0.0, 400.0)),
        Tag("power", Type.FLOAT64, Type.INT32, unit="kW", range=(-1e6, 1e6)),
        Tag("serial", Type.STRING, Type.STRING, label="core"),
    ),
)
TABLES = (METER,)

# Floats by their bits where a literal would not say which one is meant.
NAN_32 = struct.unpack("<f", bytes.fromhex("0100c07f"))[0]
INFINITE = float("inf")


@dataclass(frozen=True)
class Reading:
    """One literal."""

    tag: str
    value: bool | int | float | str
    status: int = 0
    source_us: int = T0_US
    server_us: int | None = None


@dataclass(frozen=True)
class Taken:
    """A frame to be: its readings and what its header says."""

    readings: tuple[Reading, ...]
    clock: ClockState = ClockState.SET
    origin: Origin = Origin.LIVE
    gateway_us: int = T0_US + 250


def low() -> tuple[Reading, ...]:
    """The least of every type."""
    values: tuple[bool | int | float | str, ...] = (
        False, -(2**7), 0, -(2**15), 0, -(2**31), 0, -(2**63), 0, -0.0, -5e-324, "",
    )  # fmt: skip
    return tuple(Reading(tag.name, value) for tag, value in zip(METER.tags, values, strict=True))


def high() -> tuple[Reading, ...]:
    """The most of every type."""
    values: tuple[bool | int | float | str, ...] = (
        True, 2**7 - 1, 2**8 - 1, 2**15 - 1, 2**16 - 1, 2**31 - 1, 2**32 - 1, 2**63 - 1, 2**64 - 1,
        3.4028234663852886e38, 1.7976931348623157e308, 'a"b\\c\n\t\x01\x7f/é 电表 😀\u2028',
    )  # fmt: skip
    return tuple(Reading(tag.name, value, source_us=T0_US + i) for i, (tag, value) in enumerate(
        zip(METER.tags, values, strict=True)
    ))  # fmt: skip


FRAMES = {
    "least-of-every-type": Taken(low()),
    "most-of-every-type": Taken(high()),
    "floats-that-are-no-numbers": Taken((
        Reading("电压 L1", NAN_32),
        Reading("电压 L1", -INFINITE, source_us=T0_US + 1),
        Reading("电压 L1", 1e-45, source_us=T0_US + 2),
        Reading("电压 L1", 0.10000000149011612, source_us=T0_US + 3),
        Reading("power", float("nan"), source_us=T0_US + 4),
        Reading("power", INFINITE, BAD_NO_COMMUNICATION, T0_US + 5),
        Reading("power", 0.1, source_us=T0_US + 6),
    )),
    "qualities": Taken((
        Reading("int32", 41),
        Reading("int32", 0, BAD_NO_COMMUNICATION, T0_US + 1_000),
        Reading("int32", 42, UNCERTAIN_LAST_USABLE_VALUE, T0_US + 2_000),
    )),
    "all-columns-constant": Taken(
        (Reading("uint8", 7, UNCERTAIN_LAST_USABLE_VALUE, server_us=T0_US + 9),) * 4
    ),
    "integers-at-the-edge-of-exact-json": Taken(tuple(
        Reading("int64", value) for value in (2**53 - 1, 2**53, -(2**53) + 1, -(2**53))
    )),
    "clock-not-set-and-backfill": Taken(
        (Reading("int16", 1, 0, 1_000_000, 2_000_000), Reading("int16", 2, 0, 1_000_001, 2_000_001)),
        ClockState.UNSET, Origin.BACKFILL, 3_000_000,
    ),
    "corrected-and-substituted": Taken((Reading("running", True),), ClockState.CORRECTED, Origin.SUBSTITUTED),
    "no-readings": Taken(()),
    "many-of-one-tag": Taken(tuple(Reading("int32", i * i, 0, T0_US + i * 1_000) for i in range(40))),
}  # fmt: skip

GAPS = {
    "gap-of-readings": Gap(
        Why.DEVICE_DOWN, T0_US, T0_US + 60_000_000, 720, "exact", "meter1", ("energy", "电压 L1"), id=1
    ),
    "gap-of-numbers": Gap(
        Why.EVICTED, T0_US, T0_US + 9_000_000, 4000, "least", frames=((20, 90), (95, 95)), epoch=EPOCH, id=2
    ),
    "gap-for-another-target": Gap(Why.CRASH_WINDOW, T0_US, T0_US + 1, targets=("plant",), id=3),
}


def packed(layout: str, items: Sequence[int]) -> bytes:
    """A column: one item when all are alike."""
    column = [struct.pack(layout, item) for item in items]
    return column[0] if len(set(column)) == 1 and len(column) > 1 else b"".join(column)


def frame(name: str) -> Frame:
    """The frame of FRAMES or GAPS by its name."""
    if name in GAPS:
        gap = GAPS[name]
        return Frame(
            gap.device or "", bytes(8), 0, BOOT, MONO_US, gap.t1, b"", b"", b"", b"", gap.encode(), kind=Kind.GAP
        )
    taken, side = FRAMES[name], bytearray()
    tags = [METER.index(reading.tag) for reading in taken.readings]
    slots = [slot(METER.tags[tag].type, reading.value, side) for tag, reading in zip(tags, taken.readings, strict=True)]
    servers = [reading.server_us for reading in taken.readings]
    return Frame(
        METER.device, METER.hash, len(tags), BOOT, MONO_US, taken.gateway_us,
        packed("<I", tags),
        packed("<q", [reading.source_us for reading in taken.readings]),
        packed("<I", [reading.status for reading in taken.readings]),
        slots[0] if len(set(slots)) == 1 and len(slots) > 1 else b"".join(slots),
        bytes(side),
        packed("<q", [server for server in servers if server is not None]),
        clock=taken.clock, origin=taken.origin,
    )  # fmt: skip


def slot(kind: Type, value: bool | int | float | str, side: bytearray) -> bytes:
    """As pack_value, but a NaN keeps its bits."""
    if kind == Type.FLOAT32 and value != value:
        return bytes.fromhex("0100c07f00000000")
    return pack_value(kind, value, side)


def value_found(kind: Type, value: bool | int | float | str) -> list[Any]:
    """How a decoder tells a value: [type, value], and the bits of floats."""
    if kind not in FLOAT_LAYOUTS:
        return [kind.word, value]
    raw = slot(kind, value, bytearray())[: struct.calcsize(FLOAT_LAYOUTS[kind])]
    return [kind.word, repr(struct.unpack(FLOAT_LAYOUTS[kind], raw)[0]), raw[::-1].hex()]


def frame_found(name: str) -> dict[str, Any]:
    """What a decoder must find in a frame."""
    header: dict[str, Any] = {"clock": "set", "origin": "live", "boot": BOOT, "mono_us": MONO_US}
    if name in GAPS:
        gap = GAPS[name]
        told = gap_found(gap) | {"epoch": gap.epoch, "targets": list(gap.targets)}
        header |= {"kind": "gap", "device": gap.device or "", "table": "0" * 16, "gateway_us": gap.t1}
        return header | {"gap": told}
    taken = FRAMES[name]
    header |= {
        "kind": "data", "device": METER.device, "table": METER.hash.hex(), "gateway_us": taken.gateway_us,
        "clock": taken.clock.name.lower(), "origin": taken.origin.name.lower(),
    }  # fmt: skip
    return header | {
        "readings": [
            [r.tag, r.source_us, r.server_us, r.status, value_found(METER.tags[METER.index(r.tag)].type, r.value)]
            for r in taken.readings
        ]
    }


def gap_found(gap: Gap) -> dict[str, Any]:
    """A gap as files and messages say it."""
    return {
        "id": gap.id, "why": gap.why.value, "frames": [list(pair) for pair in gap.frames], "dev": gap.device,
        "tags": None if gap.tags is None else list(gap.tags), "t0": gap.t0, "t1": gap.t1, "n": gap.n, "n_is": gap.n_is,
    }  # fmt: skip


def message_rows_found(name: str, number: int, parts: int = 1, per_part: Sequence[int] = ()) -> list[list[Any]]:
    """The rows that a subscriber gets of one frame; `per_part` readings are in each of its `parts`."""
    taken, rows = FRAMES[name], []
    part_of = [i + 1 for i, count in enumerate(per_part or [len(taken.readings)]) for _ in range(count)]
    for part, reading in zip(part_of, taken.readings, strict=True):
        kind = METER.tags[METER.index(reading.tag)].type
        value: list[Any] | None = value_found(kind, reading.value)
        status = reading.status
        if status >= 0x80000000:
            value = None
        elif isinstance(reading.value, float) and (reading.value != reading.value or abs(reading.value) == INFINITE):
            value, status = None, BAD_OUT_OF_RANGE
        rows.append([
            EPOCH, number, [part, parts], METER.device, reading.tag, reading.source_us, reading.server_us, status,
            taken.clock.name.lower(), taken.origin.name.lower(), value,
        ])  # fmt: skip
    return rows
