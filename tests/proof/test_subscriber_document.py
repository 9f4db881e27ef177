"""The SQL of docs/subscriber.md, run as it stands there."""

import json
import re
import sqlite3
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tests.proof.messages import EPOCH, data, head
from tidegate.proof import Proof

DOCUMENT = Path(__file__).parent.parent.parent / "docs" / "subscriber.md"
SQL_LINES_MAX = 20
LAST, READINGS = 4, 4


def statements() -> list[str]:
    """The statements of the document's SQL, in their order."""
    (sql,) = re.findall(r"```sql\n(.*?)```", DOCUMENT.read_text("utf-8"), re.S)
    return [statement for statement in sql.split(";\n") if statement.strip()]


MAKE_READING, MAKE_PROOF, UPSERT, DELETE, SAVE = statements()


class Consumer:
    """Does what the document says; `take` may be told to fail before its commit."""

    def __init__(self) -> None:
        self.db = sqlite3.connect(":memory:", isolation_level=None)
        self.db.execute(MAKE_READING)
        self.db.execute(MAKE_PROOF)
        self.proof = Proof()

    def take(self, payload: bytes, fails: bool = False) -> None:
        self.db.execute("BEGIN")
        body = json.loads(payload)
        taken = self.proof.take(body, 0.0)
        for frame in body.get("frames", ()):
            if frame["seq"] in taken.new:
                self.store(body, frame, frame["seq"] in taken.whole)
        self.db.execute(SAVE, {"name": "main", "state": self.proof.save()})
        if fails:
            self.db.execute("ROLLBACK")
            row = self.db.execute("SELECT state FROM proof").fetchone()
            self.proof = Proof.load(row[0]) if row else Proof()
        else:
            self.db.execute("COMMIT")

    def store(self, body: dict[str, Any], frame: dict[str, Any], whole: bool) -> None:
        part, parts = frame.get("part", (1, 1))
        common = {"gateway": body["gw"], "epoch": body["epoch"], "seq": frame["seq"], "part": part, "parts": parts,
                  "device": frame["dev"], "status": 0}  # fmt: skip
        for position, (tag, value) in enumerate(zip(frame["tags"], frame["v"], strict=True)):
            reading = {"tag": f"tag{tag}", "position": position, "t_us": frame["t"], "value": value}
            self.db.execute(UPSERT, common | reading)
        if whole:
            self.db.execute(DELETE, {name: common[name] for name in ("gateway", "epoch", "seq", "parts")})


def sent(number: int, cut: int, part: int, lane: str) -> bytes:
    """A frame of READINGS readings, or one part of the `cut` equal ones that it is cut into."""
    whole = json.loads(data(number, number, lane=lane, last=LAST, readings=READINGS))
    (frame,) = whole["frames"]
    if cut > 1:
        size = READINGS // cut
        frame["tags"] = frame["tags"][(part - 1) * size : part * size]
        frame["v"] = frame["v"][(part - 1) * size : part * size]
        frame["part"] = [part, cut]
        # Another cut is another run.
        whole["run"] = cut
    return json.dumps(whole).encode()


@st.composite
def messages(draw: st.DrawFn) -> bytes:
    cut = draw(st.sampled_from([1, 2, 4]))
    part, lane = draw(st.integers(1, cut)), draw(st.sampled_from(["live", "backlog", "replay"]))
    return sent(draw(st.integers(1, LAST)), cut, part, lane)


def test_the_sql_is_short_enough_to_be_read() -> None:
    (sql,) = re.findall(r"```sql\n(.*?)```", DOCUMENT.read_text("utf-8"), re.S)
    lines = [line for line in sql.splitlines() if line.strip() and not line.startswith("--")]

    assert len(lines) <= SQL_LINES_MAX


@given(st.lists(st.tuples(messages(), st.booleans()), max_size=40))
def test_a_consumer_by_the_book_ends_with_exactly_the_truth(stream: list[tuple[bytes, bool]]) -> None:
    consumer = Consumer()
    consumer.take(head(LAST))
    for payload, fails in stream:
        consumer.take(payload, fails)
    missing = {n for a, b in consumer.proof.holes(EPOCH) for n in range(a, b + 1)}
    proven = [n for n in range(1, LAST + 1) if n not in missing]
    marks = ",".join("?" * len(proven))
    rows = consumer.db.execute(
        f"SELECT seq, tag, value FROM reading WHERE seq IN ({marks}) ORDER BY seq, tag", proven
    ).fetchall()

    assert [(number, f"tag{i}", number) for number in proven for i in range(READINGS)] == rows


def test_a_cut_that_is_finished_after_another_was_begun_is_whole() -> None:
    consumer = Consumer()
    for cut, part in ((2, 1), (4, 1), (2, 2)):
        consumer.take(sent(1, cut, part, "live"))

    assert [(0, 2), (1, 2), (2, 2), (3, 2)] == consumer.db.execute(
        "SELECT CAST(substr(tag, 4) AS INTEGER), parts FROM reading ORDER BY 1"
    ).fetchall()


@given(st.permutations([sent(n, 2, part, "live") for n in range(1, 4) for part in (1, 2)]))
def test_parts_come_together_in_any_order(stream: list[bytes]) -> None:
    consumer = Consumer()
    for payload in stream:
        consumer.take(payload)

    assert (12,) == consumer.db.execute("SELECT count(*) FROM reading").fetchone()
    assert not consumer.proof.holes(EPOCH).within(1, 3)
