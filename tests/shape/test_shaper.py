"""The shaper's steps together, on whole frames."""

import struct
from dataclasses import replace

import pytest

from tidegate.model.frame import I64, U32, Frame, Kind, Origin, pack_value, readings
from tidegate.model.gap import Gap, Why
from tidegate.model.status import BAD_NO_COMMUNICATION
from tidegate.model.tag import Scale, Tag, TagTable, Type
from tidegate.shape.shaper import Shaper

TABLE = TagTable(
    "m",
    (
        Tag("temperature", Type.FLOAT64, Type.INT16, scale=Scale(1, 10), deadband=0.5),
        Tag("count", Type.UINT64, Type.UINT64, deadband=0.0),
        Tag("state", Type.STRING, Type.STRING, deadband=0.0),
    ),
)


def frame(temperature: int, count: int, state: str, table: TagTable = TABLE) -> Frame:
    side = bytearray()
    values = (
        pack_value(Type.INT16, temperature, side)
        + pack_value(Type.UINT64, count, side)
        + pack_value(Type.STRING, state, side)
    )
    tags = struct.pack("<3I", 0, 1, 2)
    return Frame("m", table.hash, 3, 1, 1, 1, tags, I64.pack(9), U32.pack(0), values, bytes(side))


def said(shaped: Frame | None) -> dict[str, object]:
    return {r.tag: r.value for r in readings(shaped, TABLE)} if shaped else {}


def test_only_what_moved_is_kept_of_a_frame() -> None:
    shaper = Shaper([TABLE])

    assert said(shaper.shape(frame(215, 2**64 - 1, "on"))) == {"temperature": 21.5, "count": 2**64 - 1, "state": "on"}
    assert said(shaper.shape(frame(216, 2**64 - 1, "on"))) == {}
    assert said(shaper.shape(frame(221, 2**64 - 1, "off"))) == {"temperature": 22.1, "state": "off"}


def test_strings_that_are_not_reported_do_not_travel_along() -> None:
    shaper = Shaper([TABLE])
    shaper.shape(frame(215, 1, "a secret"))
    kept = shaper.shape(frame(300, 1, "a secret"))
    changed = shaper.shape(frame(300, 1, "off"))

    assert kept is not None
    assert kept.side == b""
    assert {"state": "off"} == said(changed)
    assert changed is not None
    assert changed.side == b"off"


def test_history_is_scaled_and_kept_whole_and_changes_no_memory() -> None:
    shaper = Shaper([TABLE])
    shaper.shape(frame(215, 1, "on"))
    history = replace(frame(900, 1, "on"), origin=Origin.BACKFILL)

    assert {"temperature": 90.0, "count": 1, "state": "on"} == said(shaper.shape(history))
    assert {"temperature": 90.0, "count": 1, "state": "on"} == said(shaper.shape(history))
    assert shaper.shape(frame(215, 1, "on")) is None


def test_a_device_that_goes_out_is_reported_once_and_its_return_whole() -> None:
    shaper = Shaper([TABLE])
    shaper.shape(frame(215, 1, "on"))
    out = replace(frame(0, 0, ""), status=U32.pack(BAD_NO_COMMUNICATION), values=bytes(8), side=b"")
    reported = shaper.shape(out)

    assert reported is not None
    assert reported.count == 3
    assert shaper.shape(out) is None
    assert {"temperature": 21.5, "count": 1, "state": "on"} == said(shaper.shape(frame(215, 1, "on")))


def test_a_gap_passes_as_it_is() -> None:
    gap = Gap(Why.DEVICE_DOWN, 0, 1)
    told = Frame("m", bytes(8), 0, 1, 1, 1, b"", b"", b"", b"", gap.encode(), kind=Kind.GAP)

    assert Shaper([TABLE]).shape(told) is told


def test_after_forgetting_everything_is_reported_again() -> None:
    shaper = Shaper([TABLE])
    shaper.shape(frame(215, 1, "on"))
    shaper.forget("m")

    assert len(said(shaper.shape(frame(215, 1, "on")))) == 3


def test_forgetting_another_device_changes_nothing() -> None:
    shaper = Shaper([TABLE])
    shaper.shape(frame(215, 1, "on"))
    shaper.forget("other")

    assert shaper.shape(frame(215, 1, "on")) is None


def test_a_table_without_rules_passes_frames_as_they_are() -> None:
    plain = TagTable("m", tuple(Tag(t.name, t.raw, t.raw) for t in TABLE.tags))
    given = frame(1, 1, "on", plain)

    assert Shaper([plain]).shape(given) is given


def test_a_frame_of_an_unknown_table_is_an_error() -> None:
    with pytest.raises(KeyError):
        Shaper([]).shape(frame(1, 1, "on"))


def test_a_table_that_stays_keeps_its_memory_and_a_changed_one_begins_anew() -> None:
    changed = replace(TABLE, tags=(replace(TABLE.tags[0], deadband=5.0), *TABLE.tags[1:]))
    shaper = Shaper([TABLE])
    shaper.shape(frame(200, 7, "run"))
    shaper.change([TABLE])
    same = shaper.shape(frame(200, 7, "run"))
    shaper.change([changed])
    anew = shaper.shape(frame(200, 7, "run"))

    # How a value is thinned is no part of the hash: it must not keep the old shape.
    assert TABLE.hash == changed.hash
    assert same is None
    assert said(anew) == {"temperature": 20.0, "count": 7, "state": "run"}
