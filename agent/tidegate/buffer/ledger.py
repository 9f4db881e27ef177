"""Ledger: everything that is missing, and why. Rows of control.db; each is announced by a gap frame, its carrier.

It writes within the caller's transactions and knows neither segments nor targets' windows.
"""

import json
import sqlite3
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import replace

from tidegate.model.gap import CLOSES_NUMBERS, Gap, Why
from tidegate.proof import Ranges

# One block announces at most so many rows; the next block goes on.
ANNOUNCED_MAX = 256

COLUMNS = "id, epoch, why, frames, targets, device, tags, t0, t1, n, n_is"


def _json(value: Sequence[object] | None) -> str | None:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")) if value else None


def _row(gap: Gap) -> tuple[object, ...]:
    tags = None if gap.tags is None else json.dumps(gap.tags, ensure_ascii=False, separators=(",", ":"))
    return (
        gap.id, gap.epoch, gap.why.value, _json(gap.frames), _json(gap.targets), gap.device, tags, gap.t0, gap.t1,
        gap.n, gap.n_is,
    )  # fmt: skip


def _gap(row: Sequence[object]) -> Gap:
    number, epoch, why, frames, targets, device, tags, t0, t1, n, n_is = row
    return Gap(
        why=Why(str(why)),
        t0=int(str(t0)),
        t1=int(str(t1)),
        n=int(str(n)),
        n_is=str(n_is),
        device=None if device is None else str(device),
        tags=None if tags is None else tuple(json.loads(str(tags))),
        frames=() if frames is None else tuple((a, b) for a, b in json.loads(str(frames))),
        epoch=str(epoch),
        targets=() if targets is None else tuple(json.loads(str(targets))),
        id=int(str(number)),
    )


class Ledger:
    """The rows, through the one connection to control.db."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        # Carriers that are committed in a segment and not yet stored here: at most those since the last store.
        self._carried: dict[int, tuple[str, int]] = {}
        self.last: int = db.execute("SELECT coalesce(max(id), 0) FROM ledger").fetchone()[0]
        waiting = db.execute("SELECT id FROM ledger WHERE carrier IS NULL ORDER BY id LIMIT ?", (ANNOUNCED_MAX,))
        self._waiting = [row[0] for row in waiting]
        # Dead letters, oldest first; a new tuple whenever they change, so that the loop may look at it.
        self.letters: tuple[Gap, ...] = ()
        self.read_letters()

    def write(self, gaps: Iterable[Gap]) -> None:
        """New rows, under the next ids. A removal or crash that goes on from the last unannounced row widens it."""
        for gap in gaps:
            before = self._newest() if self._waiting and self._waiting[-1] == self.last else None
            joined = None if before is None else _joined(before, gap)
            if joined is None:
                number = self._db.execute("SELECT coalesce(max(id), 0) + 1 FROM ledger").fetchone()[0]
                joined = replace(gap, id=number)
            self._db.execute(
                f"INSERT OR REPLACE INTO ledger ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", _row(joined)
            )

    def refresh(self) -> None:
        """After a transaction ended, either way: which rows are there, and which wait to be announced."""
        self.last = self._db.execute("SELECT coalesce(max(id), 0) FROM ledger").fetchone()[0]
        rows = self._db.execute("SELECT id FROM ledger WHERE carrier IS NULL ORDER BY id")
        self._waiting = [row[0] for row in rows if row[0] not in self._carried][:ANNOUNCED_MAX]

    @property
    def waits(self) -> bool:
        """Whether rows wait to be announced. May be asked from any thread."""
        return bool(self._waiting)

    def waiting(self) -> list[Gap]:
        """Rows that no gap frame has announced, at most ANNOUNCED_MAX."""
        return [gap for number in self._waiting for gap in self._select("id = ?", (number,))]

    def announced(self, carriers: Iterable[tuple[int, str, int]]) -> None:
        """Gap frames with these rows are committed: id, epoch, number."""
        self._carried.update({row: (epoch, number) for row, epoch, number in carriers})
        more = len(self._waiting) == ANNOUNCED_MAX
        self._waiting = [row for row in self._waiting if row not in self._carried]
        if more:
            # The commit stands whatever this read does; the next transaction reads again.
            with suppress(sqlite3.Error):
                self.refresh()

    def store_carriers(self) -> None:
        """Write down who carried what; within a transaction. `stored` when it is committed."""
        self._db.executemany(
            "UPDATE ledger SET carrier_epoch = ?, carrier = ? WHERE id = ?",
            [(epoch, number, row) for row, (epoch, number) in self._carried.items()],
        )

    def stored(self) -> None:
        """The transaction of `store_carriers` is committed."""
        self._carried.clear()

    @property
    def unstored(self) -> bool:
        """Whether there are carriers to store."""
        return bool(self._carried)

    def lose_carriers(self, epoch: str, lost: Ranges) -> None:
        """Gap frames with these numbers go before every target had them: their rows are announced again."""
        for first, last in lost:
            self._db.execute(
                "UPDATE ledger SET carrier_epoch = NULL, carrier = NULL "
                "WHERE carrier_epoch = ? AND carrier BETWEEN ? AND ?",
                (epoch, first, last),
            )

    def closing(self, epoch: str, target: str = "") -> list[Gap]:
        """Rows that close numbers of an epoch for a target; without one, those of numbers that are gone from the disk:
        a dead letter is kept, and only its own target does not get it.
        """
        marks = ",".join("?" * len(CLOSES_NUMBERS))
        whys = sorted(why.value for why in CLOSES_NUMBERS)
        rows = self._select(f"epoch = ? AND frames IS NOT NULL AND why IN ({marks})", (epoch, *whys))
        return [gap for gap in rows if gap.why is not Why.DEAD_LETTER or target in gap.targets]

    def read_letters(self) -> None:
        """Dead letters, after they changed."""
        self.letters = tuple(self._select("why = ? AND frames IS NOT NULL", (Why.DEAD_LETTER.value,)))

    def open_letters(self, ids: Iterable[int]) -> None:
        """Their targets get these dead letters after all: the rows close no number any more."""
        self._db.executemany("UPDATE ledger SET frames = NULL WHERE id = ?", [(number,) for number in ids])

    def closed(self, epoch: str) -> Ranges:
        """The numbers of an epoch that some row closes."""
        return Ranges(pair for gap in self.closing(epoch) for pair in gap.frames)

    def lasting_until(self, since_us: int) -> int | None:
        """Up to when losses were told that may have gone on: the earliest last row of a device; None for none.

        Only rows that end after `since_us` count: what was told before that had ended.
        """
        marks = ",".join("?" * len(CLOSES_NUMBERS))
        whys = sorted(why.value for why in CLOSES_NUMBERS)
        row = self._db.execute(
            "SELECT min(until) FROM (SELECT max(t1) AS until FROM ledger "
            f"WHERE t1 >= ? AND device IS NOT NULL AND why NOT IN ({marks}) GROUP BY device, why)",
            (since_us, *whys),
        ).fetchone()
        return None if row[0] is None else int(row[0])

    def prune(self, acknowledged: Iterable[tuple[str, int]], rows_max: int) -> None:
        """Past `rows_max` rows, drop the oldest whose carriers every target has: (epoch, up to which number).

        Rows that close numbers between floor and end stay: without them those numbers would be holes.
        """
        for epoch, upto in acknowledged:
            self._db.execute(
                "DELETE FROM ledger WHERE id <= ? AND carrier_epoch = ? AND carrier <= ? "
                f"AND (frames IS NULL OR why = '{Why.EVICTED}')",
                (self.last - rows_max, epoch, upto),
            )

    def _newest(self) -> Gap | None:
        found = self._select("id = ?", (self.last,))
        return found[0] if found else None

    def _select(self, where: str, values: Sequence[object]) -> list[Gap]:
        rows = self._db.execute(f"SELECT {COLUMNS} FROM ledger WHERE {where} ORDER BY id", tuple(values))
        return [_gap(row) for row in rows]


def _joined(before: Gap, gap: Gap) -> Gap | None:
    """One row for two neighbours of the same kind; None where they are two things."""
    same = (before.why, before.epoch, before.targets, before.device, before.tags) == (
        gap.why, gap.epoch, gap.targets, gap.device, gap.tags,
    )  # fmt: skip
    if not same or gap.why not in (Why.EVICTED, Why.CRASH_WINDOW):
        return None
    if gap.frames and gap.frames[0][0] != before.frames[-1][1] + 1:
        return None
    frames = Ranges((*before.frames, *gap.frames))
    return replace(
        before,
        frames=tuple(frames),
        t0=min(before.t0, gap.t0),
        t1=max(before.t1, gap.t1),
        n=before.n + gap.n,
        n_is=weakest(before.n_is, gap.n_is),
    )


def weakest(one: str, other: str) -> str:
    """How well a sum of two counts is known."""
    for n_is in ("unknown", "least"):
        if n_is in (one, other):
            return n_is
    return "exact"
