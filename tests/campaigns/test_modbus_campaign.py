"""A small round of the Modbus campaign, and what its checker notices when a value is not the right one."""

from struct import Struct

import pytest

from tests.campaigns.modbus_checker import SLOTS, Judge
from tests.campaigns.modbus_replies import HEADER, Question
from tests.campaigns.modbus_virtual import play

REPLIES = 4000
SOURCE_US = Struct("<q").pack(1_500_000)
GOOD = bytes(4)


def test_no_wrong_reply_is_taken_and_an_honest_peer_is_read_again() -> None:
    done = play(7, 0, REPLIES)

    assert done.verdict.replies >= REPLIES
    assert (done.verdict.told, done.verdict.wrong_values, done.verdict.misjudged) == ([], 0, 0)
    assert (done.lively, done.left_over) == (True, "")


def test_a_round_follows_from_its_seed() -> None:
    first, second = play(3, 0, 500), play(3, 0, 500)

    assert first.verdict.classes == second.verdict.classes
    assert first.virtual_s == second.virtual_s
    assert first.verdict.classes != play(4, 0, 500).verdict.classes


def questions() -> list[Question]:
    """What reads all tags of unit 1, each rightly answered at 1.5 s."""
    spans = ((3, 0, 12), (3, 400, 12), (4, 0, 12), (1, 0, 58), (2, 0, 58))
    return [
        Question(n, n, 1, function, address, count, 1.4, kind="right", right_s=1.5)
        for n, (function, address, count) in enumerate(spans, 1)
    ]


def right_values() -> bytes:
    owners = {(3, 0): 1, (3, 400): 2, (4, 0): 3, (1, 0): 4, (2, 0): 5}
    return b"".join(slot.expected(1, owners[slot.function, slot.block // 400 * 400]) for slot in SLOTS)


def test_right_values_are_right() -> None:
    judge = Judge(0)
    judge.came(1, questions(), GOOD, SOURCE_US, right_values())

    assert judge.verdict.told == []
    assert judge.verdict.values == len(SLOTS)


@pytest.mark.parametrize("slot", [0, 4, 8, 9, len(SLOTS) - 1])
def test_one_wrong_bit_is_seen(slot: int) -> None:
    values = bytearray(right_values())
    values[8 * slot] ^= 1
    judge = Judge(0)
    judge.came(1, questions(), GOOD, SOURCE_US, bytes(values))

    assert judge.verdict.wrong_values == 1


def test_values_of_another_unit_question_or_time_are_seen() -> None:
    never, later = questions(), questions()
    never[0].right_s = None
    later[0].n += 1
    seen = []
    for unit, asked, source_us in ((2, questions(), SOURCE_US), (1, never, SOURCE_US), (1, later, SOURCE_US),
                                   (1, questions(), Struct("<q").pack(1_600_000))):  # fmt: skip
        judge = Judge(0)
        judge.came(unit, asked, GOOD, source_us, right_values())
        seen.append(judge.verdict.wrong_values > 0)

    assert all(seen)


def test_a_bad_tag_with_a_value_is_seen() -> None:
    judge = Judge(0)
    judge.came(1, questions(), Struct("<I").pack(0x800A0000), SOURCE_US, right_values())

    assert judge.verdict.wrong_values > 0


def test_a_wrong_reply_that_became_a_value_is_seen() -> None:
    asked = questions()
    asked[0].kind = "another unit"
    judge = Judge(0)
    judge.came(1, asked, GOOD, SOURCE_US, right_values())

    assert judge.verdict.misjudged == 1


def test_a_reply_of_the_peer_is_modbus() -> None:
    reply = Question(5, 0x1234, 3, 4, 8, 4, 0.0).reply()

    assert HEADER.unpack_from(reply) == (0x1234, 0, 11, 3, 4)
    assert reply[HEADER.size] == 8
    assert reply[HEADER.size + 1 :].hex() == "0304000800000005"
