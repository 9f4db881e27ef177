"""Small rounds of the RTU and ASCII campaign, and what its checker notices when a value is not the right one."""

from struct import Struct

import pytest

from tests.campaigns.modbus_checker import SLOTS
from tests.campaigns.rtu_checker import LineJudge
from tests.campaigns.rtu_frames import ASCII, RTU, Questions, framed, refusal, refused_in, replies_in
from tests.campaigns.rtu_replies import Asked
from tests.campaigns.rtu_virtual import play

REPLIES = 2500
SOURCE_US = Struct("<q").pack(1_500_000)
GOOD = bytes(4)
FRAMINGS = pytest.mark.parametrize("framing", [RTU, ASCII])


@pytest.mark.parametrize("index", range(4), ids=["RTU", "ASCII", "RTU with echo", "ASCII with echo"])
def test_no_wrong_reply_is_taken_and_an_honest_line_is_read_again(index: int) -> None:
    done = play(7, index, REPLIES)

    assert done.verdict.replies >= REPLIES
    assert (done.verdict.told, done.verdict.wrong_values, done.verdict.misjudged) == ([], 0, 0)
    assert (done.lively, done.left_over) == (True, "")


def test_a_round_follows_from_its_seed() -> None:
    first, second = play(3, 1, 500), play(3, 1, 500)

    assert first.verdict.classes == second.verdict.classes
    assert first.virtual_s == second.virtual_s


def questions() -> list[Asked]:
    """What reads all tags of unit 1, each rightly answered at 1.5 s."""
    spans = ((3, 0, 12), (3, 400, 12), (4, 0, 12), (1, 0, 58), (2, 0, 58))
    return [
        Asked(n, 1, function, address, count, 1.4, True, "right", 1.5)
        for n, (function, address, count) in enumerate(spans, 1)
    ]


def right_values() -> bytes:
    owners = {(3, 0): 1, (3, 400): 2, (4, 0): 3, (1, 0): 4, (2, 0): 5}
    return b"".join(slot.expected(1, owners[slot.function, slot.block // 400 * 400]) for slot in SLOTS)


def judged(asked: list[Asked], values: bytes, source_us: bytes = SOURCE_US) -> LineJudge:
    judge = LineJudge(0)
    judge.came(1, asked, GOOD, source_us, values)
    return judge


def test_right_values_are_right() -> None:
    verdict = judged(questions(), right_values()).verdict

    assert (verdict.told, verdict.values) == ([], len(SLOTS))


@pytest.mark.parametrize("slot", [0, 4, 8, 9, len(SLOTS) - 1])
def test_one_wrong_bit_is_seen(slot: int) -> None:
    values = bytearray(right_values())
    values[8 * slot] ^= 1

    assert judged(questions(), bytes(values)).verdict.wrong_values == 1


def test_values_never_sent_of_another_question_or_time_are_seen() -> None:
    never, later = questions(), questions()
    never[0].right_s = None
    later[0].n += 1
    seen = [
        judged(never, right_values()),
        judged(later, right_values()),
        judged(questions(), right_values(), Struct("<q").pack(1_600_000)),
    ]

    assert [judge.verdict.wrong_values > 0 for judge in seen] == [True] * 3


def test_a_late_reply_that_was_taken_is_seen() -> None:
    asked = questions()
    asked[0].n, asked[0].kind, asked[0].right_s = 9, "flipped bits", None

    assert judged(asked, right_values()).verdict.wrong_values == 3


def test_a_damaged_reply_with_a_right_checksum_is_a_collision_and_no_more_than_that() -> None:
    """Of its three tags one is damaged; the others came the same way."""
    asked = questions()
    asked[0].kind, asked[0].right_s = "flipped bits", None
    data = bytearray(asked[0].body()[3:])
    data[7] ^= 1
    asked[0].by_chance.append(bytes(data))
    values = bytearray(right_values())
    values[0] ^= 1
    judge = judged(asked, bytes(values))
    values[1] ^= 1
    another = judged(asked, bytes(values))

    assert (judge.collisions, judge.verdict.wrong_values) == (1, 0)
    assert (another.collisions, another.verdict.wrong_values) == (1, 1)


def test_a_damaged_reply_of_a_few_bits_that_holds_the_right_ones_is_a_collision_by_its_time() -> None:
    """The right reply came later, and nobody waited for it any more."""
    asked = questions()
    asked[0].kind, asked[0].right_s = "flipped bits", 1.9
    asked[0].by_chance.append(bytes(asked[0].body()[3:]))
    judge = judged(asked, right_values())

    assert (judge.collisions, judge.verdict.wrong_values, judge.verdict.misjudged) == (1, 0, 0)


@pytest.mark.parametrize("framing", [RTU, ASCII])
def test_a_damaged_reply_that_has_become_a_refusal_is_found(framing: str) -> None:
    said = b"\x00\x07" + refusal(framing, 1, 3, 2) + b"\x55"

    assert refused_in(framing, said, 1, 3)
    assert not refused_in(framing, said, 1, 4)
    assert not refused_in(framing, said[:-2], 1, 3)


@pytest.mark.parametrize(("ended_s", "misjudged"), [(1.5, 1), (2.5, 0), (None, 0)], ids=["in time", "late", "never"])
def test_a_close_that_came_in_time_is_to_be_noticed(ended_s: float | None, misjudged: int) -> None:
    asked = questions()[:1]
    asked[0].kind, asked[0].right_s, asked[0].ended_s = "closed halfway", None, ended_s
    judge = LineJudge(0)
    judge.failed(asked, "NoAnswer")

    assert judge.verdict.misjudged == misjudged


def test_a_refusal_by_chance_is_counted_as_a_reply_and_a_collision() -> None:
    asked = questions()[:1]
    asked[0].kind, asked[0].right_s, asked[0].refused = "flipped bits", None, True
    judge = LineJudge(0)
    judge.failed(asked, "BadConfigurationError")

    assert (judge.collisions, judge.verdict.replies, judge.verdict.misjudged) == (1, 1, 0)


def test_a_wrong_reply_that_became_a_value_is_seen() -> None:
    asked = questions()
    asked[0].kind = "another unit"

    assert judged(asked, right_values()).verdict.misjudged == 1


def test_frames_of_the_line_are_those_of_the_standard() -> None:
    body = bytes.fromhex("01030000000a")

    assert framed(RTU, body).hex() == "01030000000ac5cd"
    assert framed(ASCII, bytes.fromhex("1103006b0003")) == b":1103006B00037E\r\n"
    assert [Questions(framing).take(framed(framing, body) * 2) for framing in (RTU, ASCII)] == [[body] * 2] * 2


@FRAMINGS
def test_every_right_frame_among_bytes_is_found(framing: str) -> None:
    one, two = bytes([7, 3, 2, 1, 2]), bytes([7, 3, 2, 3, 4])
    heard = b":\x07" + framed(framing, one) + b"07:" + framed(framing, two)[:-1] + framed(framing, two)

    assert replies_in(framing, heard, 7, 3, 2) == [one[3:], two[3:]]
