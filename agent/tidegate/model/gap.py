"""Gap: something that is missing, and why. A row of the ledger, and what a gap frame carries.

Two kinds. Numbers that exist and will not come close holes in the numbering; the others tell of readings that never
got a number (formats §2).
"""

import json
from dataclasses import dataclass
from enum import StrEnum


class Why(StrEnum):
    """Why something is missing."""

    EVICTED = "evicted"
    CORRUPT = "corrupt"
    DEAD_LETTER = "dead_letter"
    LOST = "lost"
    CRASH_WINDOW = "crash_window"
    DEVICE_DOWN = "device_down"
    POLL_OVERRUN = "poll_overrun"
    SOURCE_OVERFLOW = "source_overflow"
    SOURCE_GAP = "source_gap"
    INVALID_REPLY = "invalid_reply"
    SHED = "shed"


CLOSES_NUMBERS = frozenset({Why.EVICTED, Why.CORRUPT, Why.DEAD_LETTER, Why.LOST})


@dataclass(frozen=True, slots=True)
class Gap:
    """One row of the ledger.

    `id` counts the rows of one buffer from 1 (0 = not in the ledger yet). `frames` are the inclusive ranges of
    numbers that will not come, of `epoch`; empty where no number was given. `targets` empty = all of them; `device`
    None = all; `tags` None = all. `t0`..`t1` in µs UTC bound when it happened; `n` readings, known as `n_is` says.
    """

    why: Why
    t0: int
    t1: int
    n: int = 0
    n_is: str = "unknown"
    device: str | None = None
    tags: tuple[str, ...] | None = None
    frames: tuple[tuple[int, int], ...] = ()
    epoch: str = ""
    targets: tuple[str, ...] = ()
    id: int = 0

    def encode(self) -> bytes:
        """The side bytes of a gap frame: the wire's gap object without `seq`, plus epoch and targets."""
        return json.dumps(
            {
                "id": self.id,
                "why": self.why.value,
                "epoch": self.epoch,
                "frames": [list(r) for r in self.frames],
                "dev": self.device,
                "tags": list(self.tags) if self.tags is not None else None,
                "t0": self.t0,
                "t1": self.t1,
                "n": self.n,
                "n_is": self.n_is,
                "targets": list(self.targets),
            },
            ensure_ascii=False,
            separators=(",", ":"),
        ).encode()

    @classmethod
    def decode(cls, data: bytes) -> "Gap":
        """The gap in the side bytes of a gap frame. Raises ValueError (or KeyError) when they hold none."""
        row = json.loads(data)
        return cls(
            why=Why(row["why"]),
            t0=row["t0"],
            t1=row["t1"],
            n=row["n"],
            n_is=row["n_is"],
            device=row["dev"],
            tags=tuple(row["tags"]) if row["tags"] is not None else None,
            frames=tuple((a, b) for a, b in row["frames"]),
            epoch=row["epoch"],
            targets=tuple(row["targets"]),
            id=row["id"],
        )
