"""What is in flight, when a number counts as delivered, and how fast backlog may go."""

from tidegate.publish.formats.tidegate_json import Lane
from tidegate.publish.window import PACE_BYTES_MIN, PACE_DELAY_S, Pace, Sent, Window


def sent(lane: Lane | None = Lane.BACKLOG, size: int = 100, at_s: float = 0, **more: object) -> Sent:
    return Sent("x", size, at_s, lane, **more)  # type: ignore[arg-type]


def test_a_window_counts_what_is_not_acknowledged() -> None:
    window = Window(2)
    window.add(1, sent(at_s=5))
    window.add(2, sent(None, at_s=6))

    assert (window.free, window.paged_bytes, window.oldest_s) == (0, 100, 5)
    assert window.acknowledged(1) == sent(at_s=5)
    assert (window.free, window.paged_bytes, window.oldest_s) == (1, 0, 6)


def test_an_acknowledgement_of_nothing_is_ignored() -> None:
    assert Window(2).acknowledged(7) is None


def test_a_number_in_parts_is_complete_with_all_parts_of_one_run() -> None:
    window = Window(9)
    parts = [sent(run=1, first=5, last=5, part=(i, 3)) for i in (1, 2, 3)]
    of_another_run = sent(run=2, first=5, last=5, part=(3, 3))

    assert [window.complete(s) for s in (*parts[:2], of_another_run, parts[2])] == [False, False, False, True]


def test_a_quick_line_is_filled() -> None:
    pace = Pace(4_000_000)
    for _ in range(40):
        pace.acknowledged(sent(size=262_144, at_s=0), 0.01)

    assert pace.limit == 4_000_000


def test_a_slow_line_is_not_stuffed() -> None:
    pace = Pace(4_000_000)
    now_s = 0.0
    for _ in range(20):
        handed_s, now_s = now_s, now_s + PACE_DELAY_S * 3
        pace.acknowledged(sent(size=262_144, at_s=handed_s), now_s)

    assert pace.limit == PACE_BYTES_MIN


def test_one_slow_flight_halves_the_pace_once() -> None:
    pace = Pace(4_000_000)
    before = pace.limit
    for _ in range(5):
        pace.acknowledged(sent(at_s=0), 10)

    assert pace.limit == before // 2


def test_a_line_that_was_once_too_slow_is_filled_with_care() -> None:
    pace = Pace(4_000_000)
    pace.acknowledged(sent(size=32_768, at_s=0), 10)
    after = pace.limit
    pace.acknowledged(sent(size=32_768, at_s=10), 10.01)

    assert after < pace.limit < after * 1.1
