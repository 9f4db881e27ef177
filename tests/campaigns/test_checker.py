"""The checker must turn red: each of these changes one thing about a campaign in which all was well."""

import hashlib
import json
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from demo.machines import load_word
from tests.campaigns import checker
from tests.campaigns.checker import Kill
from tests.campaigns.recorder import holes, merged
from tests.campaigns.scene import WINDOW, Load, device
from tests.campaigns.transcript import Transcript, read

REGISTERS = 5
UNIT = 1
EPOCH = "00000000000000aa"
BEGIN_US = 1_800_000_000_000_000
POLL_US = 100_000
POLLS = 20

Entry = dict[str, Any]


def table() -> Entry:
    tags = [{"name": name} for name in ("poll", *(f"r{i:03d}" for i in range(2, REGISTERS)))]
    described = {"v": 1, "dev": device(UNIT), "tags": tags}
    text = json.dumps(described, ensure_ascii=False, separators=(",", ":"))
    return {**described, "hash": hashlib.sha256(text.encode()).hexdigest()[:16]}


def at_us(poll: int) -> int:
    return BEGIN_US + poll * POLL_US


def frame(poll: int) -> Entry:
    values = [poll, *(load_word(UNIT, poll, i) for i in range(2, REGISTERS))]
    tags = list(range(len(values)))
    return {"seq": poll, "dev": device(UNIT), "table": table()["hash"], "t": at_us(poll), "tags": tags, "v": values}


def message(poll: int, lane: str = "live", run: int = 1) -> Entry:
    body = {
        "v": 1, "gw": "campaign", "target": "checker", "epoch": EPOCH, "lane": lane, "run": run, "from": poll,
        "to": poll, "last": POLLS, "sent": at_us(poll), "frames": [frame(poll)], "gaps": [],
    }  # fmt: skip
    return {"at_us": at_us(poll) + 1000, "topic": f"tidegate/campaign/checker/{lane}", "retain": False, "payload": body}


def log() -> list[Entry]:
    """A campaign in which everything arrived, once, in order."""
    first = {"at_us": BEGIN_US, "topic": f"tidegate/campaign/checker/table/{table()['hash']}", "payload": table()}
    return [first, *(message(poll) for poll in range(1, POLLS + 1))]


def gap(why: str, t0: int, t1: int, seq: int, frames: list[list[int]]) -> Entry:
    return {"id": 1, "seq": seq, "why": why, "frames": frames, "dev": None, "tags": None, "t0": t0, "t1": t1, "n": 0,
            "n_is": "unknown"}  # fmt: skip


class Judged:
    """The findings on a log of the test's making."""

    def __init__(self, entries: list[Entry], folder: Path) -> None:
        path = folder / "received.jsonl"
        path.write_text("".join(json.dumps(entry) + "\n" for entry in entries))
        database = sqlite3.connect(":memory:")
        self.seen: Transcript = read(path, database)
        self.truth = {(UNIT, poll): at_us(poll) for poll in range(1, POLLS + 1)}
        arrived = checker.polls_that_arrived(database, UNIT)
        self.missing = checker.nothing_missing(self.seen)
        self.accounted = checker.polls_are_accounted_for(self.truth, arrived, self.seen)
        self.true = checker.values_are_true(database, self.truth, Load(UNIT, REGISTERS, 100))
        self.formed = checker.well_formed(self.seen)
        self.bounded = checker.duplicates_are_bounded(self.seen, [Kill(BEGIN_US, "")])
        self.lost = checker.loss_is_bounded(self.truth, arrived, [Kill(at_us(POLLS) + 1, "")], 1.0)

    @property
    def failed(self) -> set[str]:
        names = ("missing", "accounted", "true", "formed", "bounded", "lost")
        return {name for name in names if not getattr(self, name).holds}


def test_a_campaign_in_which_all_arrived_is_green(tmp_path: Path) -> None:
    assert Judged(log(), tmp_path).failed == set()


def drop(entries: list[Entry]) -> None:
    del entries[7]


def drop_the_last(entries: list[Entry]) -> None:
    del entries[-1]


def change_a_value(entries: list[Entry]) -> None:
    entries[7]["payload"]["frames"][0]["v"][2] ^= 1


def number_a_poll_twice(entries: list[Entry]) -> None:
    entries[7]["payload"]["frames"][0]["v"] = entries[6]["payload"]["frames"][0]["v"]


def repeat_with_other_content(entries: list[Entry]) -> None:
    again = message(7, "replay")
    again["payload"]["frames"][0]["v"][2] ^= 1
    entries.append(again)


def swap(entries: list[Entry]) -> None:
    entries[7], entries[8] = entries[8], entries[7]


def claim_too_much(entries: list[Entry]) -> None:
    entries[7]["payload"]["to"] += 1
    del entries[8]


def lie_about_a_table(entries: list[Entry]) -> None:
    entries[0]["payload"]["tags"][0]["name"] = "poll "


def publish_the_table_late(entries: list[Entry]) -> None:
    entries.append(entries.pop(0))


@pytest.mark.parametrize(
    ("mutation", "expected"),
    [
        (drop, {"missing", "accounted", "formed"}),
        (drop_the_last, {"missing", "accounted"}),
        (change_a_value, {"true"}),
        (number_a_poll_twice, {"true", "accounted"}),
        (repeat_with_other_content, {"formed"}),
        (swap, {"formed"}),
        (claim_too_much, {"formed", "accounted"}),
        (lie_about_a_table, {"formed"}),
        (publish_the_table_late, {"formed"}),
    ],
    ids=lambda value: value.__name__ if callable(value) else "",
)
def test_each_fault_is_seen(mutation: Callable[[list[Entry]], None], expected: set[str], tmp_path: Path) -> None:
    entries = log()
    mutation(entries)

    assert expected <= Judged(entries, tmp_path).failed


def test_a_poll_that_a_gap_names_is_accounted_for(tmp_path: Path) -> None:
    entries = log()
    # Number 20 is the gap's own frame, and poll 20 was read in the time that it names.
    body = entries[-1]["payload"]
    body["frames"], body["gaps"] = [], [gap("crash_window", at_us(19) + 1, at_us(20) + 1, 20, [])]

    assert Judged(entries, tmp_path).failed == set()


def test_a_question_that_was_given_up_in_a_gap_may_be_answered_after_it(tmp_path: Path) -> None:
    entries = log()
    body = entries[-1]["payload"]
    body["frames"], body["gaps"] = [], [gap("device_down", at_us(19) + 1, at_us(20) - 1000, 20, [])]

    assert Judged(entries, tmp_path).failed == set()


def test_a_gap_at_another_time_accounts_for_nothing(tmp_path: Path) -> None:
    entries = log()
    body = entries[-1]["payload"]
    body["frames"], body["gaps"] = [], [gap("crash_window", at_us(3), at_us(4), 20, [])]

    assert Judged(entries, tmp_path).failed == {"accounted"}


def test_an_evicted_number_is_no_hole_but_a_crash_window_closes_none(tmp_path: Path) -> None:
    def without(why: str) -> Judged:
        entries = log()
        body = entries[-1]["payload"]
        body["frames"], body["gaps"] = [], [gap(why, at_us(7), at_us(20), 20, [[7, 7]])]
        del entries[7]
        return Judged(entries, tmp_path)

    assert "missing" not in without("evicted").failed
    assert "missing" in without("crash_window").failed


def test_two_windows_of_duplicates_are_allowed_and_one_more_is_not(tmp_path: Path) -> None:
    entries = log()
    for number in range(2 * WINDOW + 1):
        poll = POLLS + 1 + number
        entries.append(message(poll))
    for number in range(2 * WINDOW):
        entries.append(message(POLLS + 1 + number, "backlog"))
    allowed = Judged(entries, tmp_path).failed
    entries.append(message(POLLS + 1 + 2 * WINDOW, "backlog"))

    assert "bounded" not in allowed
    assert "bounded" in Judged(entries, tmp_path).failed


def test_a_reply_lost_long_before_a_kill_is_more_than_the_loss_window(tmp_path: Path) -> None:
    judged = Judged(log(), tmp_path)
    arrived = set(judged.truth) - {(UNIT, 1)}
    late = checker.loss_is_bounded(judged.truth, arrived, [Kill(at_us(1) + 10_000_000, "")], 1.0)

    assert not late.holds
    assert not checker.loss_is_bounded(judged.truth, arrived, [Kill(at_us(1) - 1, "")], 1.0).holds


def test_ranges_are_joined_and_their_holes_found() -> None:
    assert merged([[5, 6], [1, 2], [3, 3], [6, 9]]) == [[1, 3], [5, 9]]
    assert holes([[2, 3], [5, 9]], 1, 12) == [[1, 1], [4, 4], [10, 12]]
    assert holes([], 1, 0) == []
