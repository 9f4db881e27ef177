"""Losses become few gaps that leave no time out."""

from hypothesis import given
from hypothesis import strategies as st

from tidegate.acquire.losses import TELL_S_MAX, TELL_S_MIN, Losses
from tidegate.model.gap import Gap, Why

SECOND_US = 1_000_000


def test_a_loss_is_told_soon_and_then_less_often_while_it_lasts() -> None:
    told: list[Gap] = []
    losses = Losses(told.append)
    for second in range(3600):
        losses.add("a", Why.DEVICE_DOWN, 5, second * SECOND_US, second * SECOND_US, second)
        losses.tell_due(second, second * SECOND_US)
    losses.tell_all(3600 * SECOND_US)

    assert told[0].t1 <= (TELL_S_MIN + 1) * SECOND_US
    assert 5 * 3600 == sum(gap.n for gap in told)
    assert max(gap.t1 - gap.t0 for gap in told) <= (TELL_S_MAX + 2) * SECOND_US
    assert len(told) < 3600 / TELL_S_MAX + 8


@given(st.lists(st.tuples(st.sampled_from("lgt"), st.integers(1, 5_000_000)), max_size=60))
def test_time_without_a_reading_is_covered_without_a_hole(steps: list[tuple[str, int]]) -> None:
    told: list[Gap] = []
    losses = Losses(told.append)
    now_us, last_good_us, spans = 0, 0, []
    lost_since: int | None = None
    for what, later_us in steps:
        now_us += later_us
        if what == "l":
            lost_since = now_us if lost_since is None else lost_since
            losses.add("a", Why.DEVICE_DOWN, 1, now_us, now_us, now_us / 1e6)
        elif what == "g":
            if lost_since is not None:
                spans.append((lost_since, now_us))
                losses.ended("a", now_us)
            lost_since, last_good_us = None, now_us
        else:
            losses.tell_due(now_us / 1e6, now_us)
    if lost_since is not None:
        spans.append((lost_since, now_us))
    losses.tell_all(now_us)

    assert last_good_us <= now_us
    assert sum(what == "l" for what, _ in steps) == sum(gap.n for gap in told)
    for begin, _ in spans:
        assert any(gap.t0 <= begin <= gap.t1 for gap in told)


def test_losses_of_devices_and_of_reasons_are_told_apart() -> None:
    told: list[Gap] = []
    losses = Losses(told.append)
    losses.add("a", Why.DEVICE_DOWN, 1, 0, 0, 0)
    losses.add("a", Why.POLL_OVERRUN, 2, 0, 0, 0)
    losses.add("b", Why.DEVICE_DOWN, 3, 0, 0, 0)
    losses.tell_all(9)

    assert {("a", "device_down", 1), ("a", "poll_overrun", 2), ("b", "device_down", 3)} == {
        (gap.device, gap.why.value, gap.n) for gap in told
    }


def test_tags_are_named_when_one_group_lost_and_not_when_several_did() -> None:
    told: list[Gap] = []
    losses = Losses(told.append)
    losses.add("one", Why.DEVICE_DOWN, 1, 0, 0, 0, ("x", "y"))
    losses.add("both", Why.DEVICE_DOWN, 1, 0, 0, 0, ("x", "y"))
    losses.add("both", Why.DEVICE_DOWN, 1, 0, 0, 0, ("z",))
    losses.tell_all(9)

    assert [("x", "y"), None] == [gap.tags for gap in told]


def test_a_reply_that_is_dropped_late_still_lies_within_the_gap() -> None:
    told: list[Gap] = []
    losses = Losses(told.append)
    losses.add("a", Why.DEVICE_DOWN, 1, 0, SECOND_US, 1.0)
    losses.ended("a", 4 * SECOND_US)
    losses.tell_due(4.5, 4_500_000)

    assert [(0, 4 * SECOND_US)] == [(gap.t0, gap.t1) for gap in told]


def test_a_wall_clock_that_steps_back_gives_no_gap_that_ends_before_it_begins() -> None:
    told: list[Gap] = []
    losses = Losses(told.append)
    losses.add("a", Why.DEVICE_DOWN, 1, 100 * SECOND_US, 101 * SECOND_US, 1.0)
    losses.tell_due(3.0, 102 * SECOND_US)
    losses.add("a", Why.DEVICE_DOWN, 1, 50 * SECOND_US, 51 * SECOND_US, 4.0)
    losses.tell_all(52 * SECOND_US)

    assert all(gap.t0 <= gap.t1 for gap in told)
    assert told[1].t0 <= 50 * SECOND_US
