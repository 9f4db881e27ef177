"""What a live run leaves to the backlog, and what becomes of a request: no broker, only lanes."""

import asyncio
from itertools import count

from hypothesis import given
from hypothesis import strategies as st

from tests.fakes.buffer import MemoryBuffer
from tests.fakes.frames import frame, table
from tidegate.buffer.buffer import Committed
from tidegate.model.gap import Why
from tidegate.proof import Ranges
from tidegate.publish.feed import Batch, Feed
from tidegate.publish.formats.tidegate_json import Answer, Lane, Request, TidegateJson
from tidegate.publish.lanes import Live, Paged, Tables
from tidegate.publish.orders import Orders
from tidegate.publish.replay import REQUESTS_MAX, Replay

METER = table()
FORMAT = TidegateJson("g1", "cloud", "tidegate")
E = "a" * 16


def lane_of(buffer: MemoryBuffer, lane: Lane) -> tuple[Feed, Tables]:
    tables = Tables(buffer)  # type: ignore[arg-type]
    tables.known[METER.hash] = METER
    return Feed(lane, FORMAT, tables.known, count(1).__next__, lambda *_: None, 100_000), tables


def live(last: int = 0) -> Live:
    return Live(*lane_of(MemoryBuffer(), Lane.LIVE), E, last)


def commit(first: int, last: int, epoch: str = E) -> Committed:
    return Committed(epoch, first, last, tuple(frame(METER) for _ in range(first, last + 1)))


def test_a_commit_is_live_from_the_first_number_after_the_start() -> None:
    lane = live(5)

    assert lane.committed(commit(4, 5), 0) == []
    assert lane.committed(commit(6, 8), 0) == []
    batch = lane.take(100_000)
    assert batch is not None
    assert (batch.first, batch.last) == (6, 8)
    assert lane.end() == []


def test_an_ended_run_owes_what_it_did_not_send() -> None:
    lane = live()
    lane.committed(commit(1, 3), 0)
    lane.take(100_000)
    lane.committed(commit(4, 9), 0)

    assert lane.end() == [(E, 4, 9)]
    assert lane.end() == []
    assert lane.committed(commit(10, 11), 0) == []
    batch = lane.take(100_000)
    assert batch is not None
    assert (batch.run, batch.first) == (2, 10)


def test_commits_that_nobody_told_of_are_owed() -> None:
    lane = live()
    lane.committed(commit(1, 3), 0)

    assert lane.committed(commit(7, 8), 0) == [(E, 1, 3), (E, 4, 6)]
    assert lane.end() == [(E, 7, 8)]


def test_a_new_epoch_ends_the_run() -> None:
    lane = live(2)
    lane.committed(commit(3, 4), 0)

    assert lane.committed(commit(1, 2, "b" * 16), 0) == [(E, 3, 4)]
    assert lane.end() == [("b" * 16, 1, 2)]


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(1, 4), st.sampled_from(["take", "end", "wait"]))))
def test_every_committed_number_is_either_taken_or_owed(steps: list[tuple[int, int, str]]) -> None:
    lane, last, seen = live(), 0, Ranges()
    total = 0

    def note(spans: list[tuple[str, int, int]]) -> int:
        return sum(seen.add(first, until) and until - first + 1 for _, first, until in spans)

    for missed, length, then in steps:
        total += note(lane.committed(commit(last + missed + 1, last + missed + length), 0))
        last += missed + length
        if then == "take":
            while (batch := lane.take(300)) is not None:
                total += note([(E, batch.first, batch.last)])
        elif then == "end":
            total += note(lane.end())
    total += note(lane.end())

    assert seen == (Ranges([[1, last]]) if last else Ranges())
    assert total == last


def replayed(buffer: MemoryBuffer, *requests: Request) -> tuple[list[Batch], list[Answer]]:
    """What a replay lane makes of requests."""

    async def main() -> tuple[list[Batch], list[Answer]]:
        feed, tables = lane_of(buffer, Lane.REPLAY)
        paged = Paged(feed, buffer, tables, lambda: None)  # type: ignore[arg-type]
        replay = Replay(paged, buffer, "cloud", lambda: None, Orders())  # type: ignore[arg-type]
        batches, answers = [], []
        for request in requests:
            refused = replay.ask(request)
            if refused is not None:
                answers.append(refused)
        async with asyncio.timeout(10):
            while len(answers) < len(requests) or not replay.idle:
                taken = replay.take(100_000)
                if isinstance(taken, Answer):
                    answers.append(taken)
                elif taken is not None:
                    batches.append(taken)
                else:
                    await asyncio.sleep(0)
        return batches, answers

    return asyncio.run(main())


def kept(frames: int) -> MemoryBuffer:
    buffer = MemoryBuffer()
    buffer.commit(*(frame(METER) for _ in range(frames)))
    buffer.acknowledge("cloud", E, (1, frames))
    return buffer


def test_a_request_for_an_unknown_epoch_is_answered_with_nothing() -> None:
    batches, (answer,) = replayed(kept(5), Request("q", "c" * 16, Ranges([[1, 5]])))

    assert batches == []
    assert (answer.sent, answer.gone, answer.pending) == (Ranges(), [], Ranges())


def test_a_request_for_everything_there_ever_could_be_costs_what_there_is() -> None:
    batches, (answer,) = replayed(kept(5), Request("q", E, Ranges([[1, 2**53 - 1]])))

    assert answer.sent.pairs == [[1, 5]]
    assert sum(batch.last - batch.first + 1 for batch in batches) == 5


def test_what_went_between_request_and_reading_is_said_to_be_gone() -> None:
    class Leaking(MemoryBuffer):
        async def read(self, epoch: str, first: int, last: int, bytes_max: int):  # type: ignore[no-untyped-def]
            if self.reads == 0:
                self.lose(2, 3, Why.CORRUPT)
            return await super().read(epoch, first, last, bytes_max)

    buffer = Leaking()
    buffer.frames, buffer.cursors = kept(5).frames, kept(5).cursors
    _, (answer,) = replayed(buffer, Request("q", E, Ranges([[1, 5]])))

    assert answer.sent.pairs == [[1, 1], [4, 5]]
    assert [(ranges.pairs, why) for ranges, why in answer.gone] == [([[2, 3]], "corrupt")]


def test_more_requests_than_may_wait_are_refused() -> None:
    asked = [Request(i, E, Ranges([[1, 1]])) for i in range(REQUESTS_MAX + 3)]
    _, answers = replayed(kept(1), *asked)

    assert [a.request.id for a in answers if a.refused] == [REQUESTS_MAX, REQUESTS_MAX + 1, REQUESTS_MAX + 2]
    assert [a.request.id for a in answers if not a.refused] == list(range(REQUESTS_MAX))
