"""The recorder knows what it misses, asks for it after the grace time, and stops asking when it has come."""

import json
from pathlib import Path
from typing import Any

from tests.campaigns.recorder import ASK_AGAIN_S, GRACE_S, Recorder
from tests.campaigns.scene import covered_upto

EPOCH = "aa"


def data(first: int, last: int, committed: int, lane: str = "live", **more: Any) -> tuple[str, bytes, bool]:
    frames = more.pop("frames", [{"seq": number, "boot": 1} for number in range(first, last + 1)])
    body = {"epoch": EPOCH, "lane": lane, "run": 1, "from": first, "to": last, "last": committed, "frames": frames}
    return f"tidegate/g/t/{lane}", json.dumps({**body, "gaps": more.get("gaps", [])}).encode(), False


def head(since: int, last: int) -> tuple[str, bytes, bool]:
    said = {"epoch": EPOCH, "first": 1, "last": last, "since": since, "boot": 3}
    return "tidegate/g/t/head", json.dumps(said).encode(), True


def test_a_hole_is_asked_for_after_the_grace_time_and_not_at_once_again(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "log")
    recorder.take(*data(1, 3, 3))
    recorder.take(*data(6, 9, 9))

    assert recorder.wants(100.0) == []
    assert recorder.wants(100.0 + GRACE_S) == [(EPOCH, [[4, 5]])]
    assert recorder.wants(100.1 + GRACE_S) == []
    assert recorder.wants(100.1 + GRACE_S + ASK_AGAIN_S) == [(EPOCH, [[4, 5]])]


def test_what_is_replayed_is_missing_no_more(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "log")
    recorder.take(*data(1, 3, 3))
    recorder.take(*data(6, 9, 9))
    recorder.take(*data(4, 5, 9, "replay"))

    assert recorder.wants(1000.0) == recorder.wants(2000.0) == []


def test_a_missing_tail_is_seen_from_the_head(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "log")
    recorder.take(*data(1, 3, 3))
    recorder.take(*head(1, 5))
    recorder.wants(0.0)

    assert recorder.wants(GRACE_S) == [(EPOCH, [[4, 5]])]


def test_what_is_not_owed_is_not_missing(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "log")
    recorder.take(*head(8, 9))
    recorder.take(*data(8, 9, 9))

    assert json.loads(recorder.progress())["epochs"][EPOCH]["missing"] == []


def test_numbers_that_a_gap_closes_are_not_asked_for(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "log")
    recorder.take(*data(6, 6, 6, frames=[], gaps=[{"why": "evicted", "frames": [[1, 5]]}]))

    assert json.loads(recorder.progress())["epochs"][EPOCH]["missing"] == []


def test_a_frame_in_parts_is_there_when_all_of_one_run_are(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "log")
    recorder.take(*data(1, 1, 1, frames=[{"seq": 1, "part": [1, 2]}]))
    half = json.loads(recorder.progress())["epochs"][EPOCH]["missing"]
    recorder.take(*data(1, 1, 1, "replay", frames=[{"seq": 1, "part": [2, 2]}]))
    mixed = json.loads(recorder.progress())["epochs"][EPOCH]["missing"]
    recorder.take(*data(1, 1, 1, frames=[{"seq": 1, "part": [2, 2]}]))

    assert half == mixed == [[1, 1]]
    assert json.loads(recorder.progress())["epochs"][EPOCH]["missing"] == []


def test_drained_means_nothing_missing_up_to_what_was_committed(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "log")
    recorder.take(*data(1, 3, 3))
    recorder.take(*data(6, 9, 9))
    progress = json.loads(recorder.progress())

    assert covered_upto(progress, {EPOCH: 3})
    assert not covered_upto(progress, {EPOCH: 9})
    assert not covered_upto(progress, {"another": 1})


def test_the_log_holds_each_message_as_it_came(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "log")
    topic, payload, retain = head(1, 5)
    recorder.take(topic, payload, retain)
    recorder.progress()
    entry = json.loads((tmp_path / "log").read_text())

    assert (entry["topic"], entry["retain"], entry["payload"]) == (topic, True, json.loads(payload))
