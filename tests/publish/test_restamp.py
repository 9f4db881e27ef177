"""Frames taken before the time was known get it when they are sent, and nothing else about them changes."""

import asyncio
import struct
from dataclasses import replace
from itertools import count

import pytest

from demo.broker import Mosquitto
from tests.fakes.buffer import MemoryBuffer
from tests.fakes.frames import T0_US, frame, gap_frame, table
from tests.fakes.mqtt_broker import until
from tests.fakes.subscriber import Subscriber
from tests.publish.conftest import Serving
from tests.schemas import check
from tidegate.clock import ClockState, Known
from tidegate.model.frame import Frame, Origin
from tidegate.model.gap import Gap, Why
from tidegate.proof import Proof
from tidegate.publish.feed import Feed
from tidegate.publish.formats.tidegate_json import Lane, TidegateJson
from tidegate.publish.restamp import restamp
from tidegate.publish.standing import State

METER = table(tags=3)
MINUTE_US = 60_000_000
# One minute after the frame (mono 12345) it was known to be T0.
KNOWN = Known(T0_US, 12_345 + MINUTE_US)
RIGHT_US = T0_US - MINUTE_US
EARLY = frame(METER, gateway_us=5_000_000, clock=ClockState.UNSET)


def known(boot: int) -> Known | None:
    return KNOWN if boot == 3 else None


def sources(of: Frame) -> list[int]:
    return [us for (us,) in struct.iter_unpack("<q", of.source_us)]


def test_an_early_frame_gets_its_right_times_and_keeps_the_rest() -> None:
    sent = restamp(EARLY, known)

    assert sources(sent) == [RIGHT_US - 1000]
    assert sent == replace(
        EARLY, clock=ClockState.CORRECTED, gateway_us=RIGHT_US, source_us=struct.pack("<q", RIGHT_US - 1000)
    )


def test_a_column_of_times_keeps_its_distances() -> None:
    listed = replace(EARLY, source_us=struct.pack("<3q", 4_000_000, 4_500_000, 4_999_000))

    assert sources(restamp(listed, known)) == [RIGHT_US - 1_000_000, RIGHT_US - 500_000, RIGHT_US - 1000]


def test_a_frame_of_a_start_whose_time_never_became_known_stays_unset() -> None:
    other = replace(EARLY, boot=2)

    assert restamp(other, known) is other


def test_a_frame_whose_clock_was_set_is_never_touched() -> None:
    right = frame(METER)

    assert restamp(right, known) is right


def test_times_of_a_machines_own_history_stay_what_the_machine_said() -> None:
    history = replace(EARLY, origin=Origin.BACKFILL)

    sent = restamp(history, known)

    assert (sent.source_us, sent.clock, sent.gateway_us) == (history.source_us, ClockState.CORRECTED, RIGHT_US)


def early_gap(why: Why, t0: int, t1: int) -> Frame:
    told = Gap(why, t0, t1, 7, "exact", device="meter1")
    return replace(gap_frame(told, gateway_us=5_000_000), clock=ClockState.UNSET)


@pytest.mark.parametrize(
    ("why", "t0", "t1", "right"),
    [
        (Why.DEVICE_DOWN, 2_000_000, 4_000_000, (RIGHT_US - 3_000_000, RIGHT_US - 1_000_000)),
        (Why.CRASH_WINDOW, RIGHT_US - 9_000_000, RIGHT_US - 9_000_000, (RIGHT_US - 9_000_000, RIGHT_US)),
        (Why.CRASH_WINDOW, 2_000_000, 4_000_000, (RIGHT_US - 3_000_000, RIGHT_US)),
        (Why.EVICTED, RIGHT_US - 9, RIGHT_US - 5, (RIGHT_US - 9, RIGHT_US - 5)),
    ],
)
def test_a_gap_gets_right_what_the_wrong_clock_said(why: Why, t0: int, t1: int, right: tuple[int, int]) -> None:
    gap = Gap.decode(restamp(early_gap(why, t0, t1), known).side)

    assert (gap.t0, gap.t1) == right


def test_a_gap_frame_that_holds_no_gap_is_left_to_whoever_encodes_it() -> None:
    broken = replace(early_gap(Why.SHED, 1, 2), side=b"{}")

    assert restamp(broken, known) is broken


@pytest.mark.parametrize("lane", [Lane.LIVE, Lane.BACKLOG, Lane.REPLAY])
def test_every_lane_sends_the_right_time_and_says_that_it_was_corrected(lane: Lane) -> None:
    tables = {METER.hash: METER}
    format = TidegateJson("g1", "cloud", "tidegate")
    feed = Feed(lane, format, tables, count(1).__next__, lambda *_: None, 100_000, known)
    feed.put("e" * 16, 7, EARLY, 1.0)
    batch = feed.take(100_000)
    assert batch is not None

    message = check(f"tidegate/g1/cloud/{lane}", format.data(lane, 1, "e" * 16, batch.pieces, 7, T0_US))

    said = message["frames"][0]
    assert (said["t"], said["clk"], said["boot"], said["mono"]) == (RIGHT_US - 1000, "corrected", 3, 12_345)


def test_a_subscriber_takes_the_same_number_with_the_corrected_time_for_a_duplicate() -> None:
    format, proof = TidegateJson("g1", "cloud", "tidegate"), Proof()
    for lane, sent in ((Lane.LIVE, EARLY), (Lane.REPLAY, restamp(EARLY, known))):
        pieces = format.pieces(1, "e" * 16, sent, METER, 100_000)
        proof.take(format.data(lane, 1, "e" * 16, pieces, 1, T0_US), 0.0)

    report = proof.report(100.0)

    assert (report.frames, report.readings, report.duplicates) == (1, 3, 1)


def test_what_was_sent_unset_is_corrected_when_it_is_asked_for_again(broker: Mosquitto, serving: Serving) -> None:
    async def main() -> None:
        buffer = MemoryBuffer.of(METER, 0)
        async with serving(broker.url, buffer) as target:
            await until(lambda: target.status().state == State.CONNECTED and target.drained)
            buffer.commit(EARLY)
            await until(lambda: target.status().acknowledged == 1)
            buffer.times[3] = KNOWN
            request = {"id": 1, "epoch": buffer.epoch, "want": [[1, 1]]}
            await asyncio.to_thread(received.publish, "tidegate/g1/cloud/request", request)
            await until(lambda: target.status().replayed == 1)

    with Subscriber(broker.port) as received:
        asyncio.run(main())
        received.settle()
        (first,), (again,) = received.of("live"), received.of("replay")
        first, again = first.said["frames"][0], again.said["frames"][0]

        assert (first["seq"], first["clk"], first["t"]) == (1, "unset", 4_999_000)
        assert (again["seq"], again["clk"], again["t"]) == (1, "corrected", RIGHT_US - 1000)
