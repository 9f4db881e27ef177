"""What refusals mean, and how pauses grow."""

from random import Random

import pytest

from tidegate.errors import PublishError, TargetRefused
from tidegate.publish.faults import BackOff, SessionTaken, TooLarge, refusal


@pytest.mark.parametrize(
    ("code", "kind"),
    [(0x86, TargetRefused), (0x87, TargetRefused), (0x90, TargetRefused), (0x9B, TargetRefused), (0x8E, SessionTaken),
     (0x95, TooLarge), (0x80, PublishError), (0x88, PublishError), (0x97, PublishError), (0xEE, PublishError)],
)  # fmt: skip
def test_a_reason_code_has_a_meaning(code: int, kind: type[PublishError]) -> None:
    error = refusal("no", code)

    assert type(error) is kind
    assert f"0x{code:02X}" in str(error)


def test_only_a_refusal_is_not_worth_trying_again() -> None:
    assert refusal("no", 0x87).again is False
    assert refusal("no", 0x88).again is True


def test_pauses_grow_to_a_limit_and_begin_anew() -> None:
    back_off = BackOff(1, 60, Random(1))
    pauses = [back_off.pause_s() for _ in range(30)]
    back_off.reset()

    assert all(0.5 <= pause <= 60 for pause in pauses)
    assert pauses[0] <= 1 < min(pauses[5:])
    assert min(pauses[-5:]) >= 30
    assert back_off.pause_s() <= 1


def test_gateways_do_not_come_back_together() -> None:
    assert len({round(BackOff(1, 60, Random(seed)).pause_s(), 3) for seed in range(50)}) > 40


def test_a_pause_has_a_least_length() -> None:
    assert BackOff(1, 60, Random(1)).pause_s(10) >= 5
