"""Blocks, cursors, catalog and intake by themselves, against the simplest thing that can be right."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.buffer.world import World
from tidegate.buffer import block
from tidegate.buffer.block import NO_HASH, Codec, Encoded
from tidegate.buffer.catalog import Catalog, Entry, Numbering, file_parts
from tidegate.buffer.cursors import Cursors
from tidegate.buffer.intake import TOLD_MAX, Intake
from tidegate.buffer.settings import BufferSettings
from tidegate.errors import BufferDamaged
from tidegate.model.gap import Gap, Why
from tidegate.proof import Ranges


def encoded(world: World, count: int) -> list[Encoded]:
    frames = [world.frame(value) for value in range(count)]
    return [Encoded(frame, frame.encode()) for frame in frames]


def test_a_block_gives_back_its_frames_under_their_numbers(world: World) -> None:
    frames = encoded(world, 5)
    made = block.encode(7, frames, NO_HASH)
    block.prove(made)

    assert [(7 + i, f.data) for i, f in enumerate(frames)] == block.decode(made)
    assert (7, 11, 5, 100) == (made.first, made.last, made.frames, made.readings)


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_no_flipped_bit_of_a_block_goes_unseen(data: st.DataObject) -> None:
    world = World(None)  # type: ignore[arg-type]  # no folder is used
    made = block.encode(1, encoded(world, 4), NO_HASH)
    content = bytearray(made.data)
    content[data.draw(st.integers(0, len(content) - 1))] ^= 1 << data.draw(st.integers(0, 7))

    with pytest.raises(BufferDamaged):
        block.decode(replace(made, data=bytes(content)))


@pytest.mark.parametrize("field", ["first", "last", "frames", "readings", "t0", "t1", "codec", "crc32"])
def test_the_hash_covers_every_field(world: World, field: str) -> None:
    made = block.encode(1, encoded(world, 2), NO_HASH)

    assert made.hash != replace(made, **{field: getattr(made, field) + 1}).hash


@pytest.mark.parametrize("codec", Codec)
def test_data_that_is_not_of_its_codec_is_damage_and_no_crash(world: World, codec: Codec) -> None:
    made = block.encode(1, encoded(world, 2), NO_HASH)
    rubbish = b"\x28\xb5\x2f\xfd" + bytes(range(60))
    wrong = replace(made, codec=codec, data=rubbish, crc32=block.zlib.crc32(rubbish))

    with pytest.raises(BufferDamaged):
        block.decode(wrong)


def test_quota_of_too_few_segments_is_refused(world: World) -> None:
    with pytest.raises(ValueError, match="8 segments"):
        BufferSettings(world.folder, quota_bytes=7 << 20, segment_bytes=1 << 20)


@given(st.lists(st.tuples(st.integers(1, 200), st.integers(0, 30)), max_size=30), st.integers(1, 200))
def test_a_stored_cursor_is_the_same_cursor(acknowledged: list[tuple[int, int]], floor: int) -> None:
    cursors = Cursors(["cloud"], [])
    cursors.begin("cloud", "e", 1)
    expected = set(range(1, floor))
    for first, more in acknowledged:
        cursors.add("cloud", "e", [(first, first + more)], last=210)
        expected |= {n for n in range(first, first + more + 1) if n <= 210}
    marks = cursors.marks([("e", floor)])
    again = Cursors(["cloud"], marks)

    assert Ranges((n, n) for n in expected) == again.covered("cloud", "e")
    assert len(acknowledged) == cursors.unstored("cloud")
    cursors.stored(marks)
    assert 0 == cursors.unstored("cloud")


@given(st.sets(st.integers(1, 60), max_size=30), st.integers(1, 60))
def test_the_catalog_finds_the_segment_of_a_number_or_the_next(cuts: set[int], number: int) -> None:
    catalog = Catalog(None)  # type: ignore[arg-type]  # no folder is used
    catalog.number(Numbering(1, "e", 1, 60))
    bounds = sorted(cuts)
    held = [(a, b - 1) for a, b in zip(bounds[::2], bounds[1::2], strict=False)]
    for first, last in held[::-1]:
        catalog.seal(Entry("e", first, last, 1, 0, 0, 0, 0, NO_HASH))
    expected = next(((a, b) for a, b in held if b >= number), None)
    entry = catalog.at("e", number)

    assert expected == (None if entry is None else (entry.first, entry.last))


@pytest.mark.parametrize(
    "name", ["x-1.db", "0123456789abcdef-1.db-wal", "0123456789abcdef-x.db", "0123456789abcdef.db"]
)
def test_other_files_are_no_segments(name: str) -> None:
    assert file_parts(name) is None


def test_what_is_told_stays_bounded_and_keeps_its_count(world: World) -> None:
    intake = Intake(world.settings())
    for i in range(3 * TOLD_MAX):
        intake.tell(Gap(Why.POLL_OVERRUN, i, i + 1, 2, "exact", device=f"d{i}"))
    told = intake.take({}).batch.told

    assert TOLD_MAX == len(told)
    assert 6 * TOLD_MAX == sum(gap.n for gap in told)
    assert (0, 3 * TOLD_MAX) == (min(g.t0 for g in told), max(g.t1 for g in told))
