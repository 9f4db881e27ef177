"""Frames into messages: runs, sizes, parts, and what can't be sent."""

import json
from collections.abc import Callable
from itertools import count

from hypothesis import given
from hypothesis import strategies as st

from tests.fakes.frames import frame, gap_frame, table
from tidegate.model.gap import Gap, Why
from tidegate.model.tag import TagTable, Type
from tidegate.publish.feed import Batch, Feed
from tidegate.publish.formats.tidegate_json import Lane, TidegateJson

FORMAT = TidegateJson("g1", "cloud", "tidegate")
METER = table()
WIDE = table("wide", tags=500)


def feed(
    *tables: TagTable, piece_bytes_max: int = 100_000, spoiled: Callable[[str, int, str], None] = lambda *_: None
) -> Feed:
    known = {t.hash: t for t in tables or (METER, WIDE)}
    return Feed(Lane.BACKLOG, FORMAT, known, count(1).__next__, spoiled, piece_bytes_max)


def all_of(made: Feed, bytes_max: int = 100_000) -> list[Batch]:
    batches = []
    while (batch := made.take(bytes_max)) is not None:
        batches.append(batch)
    return batches


def test_neighbours_share_a_message_and_a_run() -> None:
    made = feed()
    for number in (5, 6, 7):
        made.put("e", number, frame(METER), 1.0)

    assert [(b.run, b.first, b.last, b.readings) for b in all_of(made)] == [(1, 5, 7, 9)]


def test_a_jump_ends_the_message_and_the_run() -> None:
    made = feed()
    for number in (5, 6, 9):
        made.put("e", number, frame(METER), 1.0)

    assert [(b.run, b.first, b.last) for b in all_of(made)] == [(1, 5, 6), (2, 9, 9)]


def test_another_epoch_ends_the_message_and_the_run() -> None:
    made = feed()
    made.put("e", 5, frame(METER), 1.0)
    made.put("f", 6, frame(METER), 1.0)

    assert [(b.run, b.epoch, b.first) for b in all_of(made)] == [(1, "e", 5), (2, "f", 6)]


def test_a_run_goes_on_over_messages_and_pauses() -> None:
    made = feed()
    made.put("e", 5, frame(METER), 1.0)
    first = all_of(made)
    made.put("e", 6, frame(METER), 2.0)

    assert [b.run for b in first + all_of(made)] == [1, 1]


def test_an_ended_run_forgets_what_waits() -> None:
    made = feed()
    made.put("e", 5, frame(METER), 1.0)
    all_of(made)
    made.put("e", 6, frame(METER), 2.0)
    made.end_run()
    made.put("e", 7, frame(METER), 3.0)

    assert [(b.run, b.first) for b in all_of(made)] == [(2, 7)]


def test_parts_stand_alone_and_share_a_run() -> None:
    made = feed(piece_bytes_max=1500)
    for number, of in ((1, METER), (2, WIDE), (3, METER)):
        made.put("e", number, frame(of, 9), 1.0)
    batches = all_of(made, 1500)
    parts = [b for b in batches if b.part is not None]

    assert len(parts) == parts[0].part[1] > 2  # type: ignore[index]
    assert {(b.run, b.first, b.last, len(b.pieces)) for b in parts} == {(1, 2, 2, 1)}
    assert [(b.run, b.first) for b in batches if b.part is None] == [(1, 1), (1, 3)]


def test_a_frame_larger_than_a_message_should_be_still_goes_whole_when_it_fits_the_broker() -> None:
    made = feed(piece_bytes_max=100_000)
    made.put("e", 1, frame(WIDE), 1.0)
    made.put("e", 2, frame(WIDE), 1.0)

    assert [(b.first, b.last, b.part) for b in all_of(made, 100)] == [(1, 1, None), (2, 2, None)]


def test_what_can_not_be_sent_is_told_and_leaves_a_hole() -> None:
    told = []
    other = table("other", kind=Type.STRING)
    made = feed(METER, spoiled=lambda *what: told.append(what))
    made.put("e", 1, frame(METER), 1.0)
    made.put("e", 2, frame(other, "x"), 1.0)  # type: ignore[arg-type]
    made.put("e", 3, frame(METER), 1.0)

    assert [(b.run, b.first) for b in all_of(made)] == [(1, 1), (2, 3)]
    assert [(epoch, number) for epoch, number, _ in told] == [("e", 2)]


def test_gaps_need_no_table() -> None:
    made = feed()
    made.put("e", 1, gap_frame(Gap(Why.CRASH_WINDOW, 1, 2, id=4)), 1.0)
    (batch,) = all_of(made)

    assert json.loads(FORMAT.data(batch.lane, 1, "e", batch.pieces, 1, 0))["gaps"][0]["why"] == "crash_window"
    assert batch.tables == []


@given(
    st.lists(st.tuples(st.integers(1, 3), st.booleans()), max_size=30), st.integers(300, 3000), st.integers(600, 3000)
)
def test_every_number_is_in_exactly_one_place_and_no_message_is_too_long(
    steps: list[tuple[int, bool]], bytes_max: int, piece_bytes_max: int
) -> None:
    made = feed(piece_bytes_max=piece_bytes_max)
    number, put = 0, []
    for step, wide in steps:
        number += step
        put.append(number)
        made.put("e", number, frame(WIDE if wide else METER), 1.0)
    batches = all_of(made, bytes_max)
    ends: dict[int, int] = {}
    for batch in batches:
        size = sum(len(piece.data) + 1 for piece in batch.pieces)

        assert size <= max(bytes_max, piece_bytes_max) + 1
        assert [p.number for p in batch.pieces] == list(range(batch.first, batch.last + 1))
        assert batch.part is not None or batch.run not in ends or batch.first == ends[batch.run] + 1
        ends[batch.run] = batch.last

    assert [n for b in batches if b.part is None or b.part[0] == 1 for n in range(b.first, b.last + 1)] == put
