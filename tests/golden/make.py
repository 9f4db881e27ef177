"""Writes the golden files. Run it when a format gets a new version, and never to make a test pass.

python -m tests.golden.make FOLDER
"""

import asyncio
import json
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.golden import scenario
from tests.golden.scenario import EPOCH, FRAMES, GAPS, METER, T0_US, frame, frame_found, gap_found, message_rows_found
from tidegate.buffer.buffer import Buffer
from tidegate.buffer.settings import BufferSettings
from tidegate.clock import Clock, ClockState
from tidegate.model.gap import Gap, Why
from tidegate.proof import Ranges
from tidegate.publish.formats.tidegate_json import Answer, Head, Lane, Piece, Request, TidegateJson

SENT_US = T0_US + 1_000_000
PIECE_BYTES_MAX = 200_000
PART_BYTES_MAX = 260
CUT = "most-of-every-type"
DOWN = Gap(Why.DEVICE_DOWN, T0_US + 5_000_000, T0_US + 6_000_000, 12, "exact", "meter1")

Files = Iterator[tuple[str, bytes]]


def frame_files() -> Files:
    """frame/: one frame a file, and what is in it."""
    for table in scenario.TABLES:
        yield f"frame/table-{table.hash.hex()}.json", table.document
    for name in (*FRAMES, *GAPS):
        yield f"frame/{name}.bin", frame(name).encode()
        yield f"frame/{name}.json", _json(frame_found(name))


def wire_files() -> Files:
    """wire/: messages in the order in which they could have been sent, and what is in them."""
    form = TidegateJson("g1", "cloud", "tidegate")
    head = Head(EPOCH, 91, 111, 1, 3, (("00c0ffee00c0ffee", 5, 40),))
    replayed = form.pieces(101, EPOCH, frame(CUT), METER, PART_BYTES_MAX)
    answer = Answer(Request("line4-17", EPOCH, Ranges([(20, 30), (101, 101)])), Ranges([(101, 101)]))
    answer.gone.append((Ranges([(20, 30)]), "evicted"))
    live = ("least-of-every-type", CUT, "floats-that-are-no-numbers", "qualities")
    backlog = (
        "all-columns-constant", "integers-at-the-edge-of-exact-json", "gap-of-readings", "clock-not-set-and-backfill",
        "gap-of-numbers", "gap-for-another-target", "corrected-and-substituted",
    )  # fmt: skip
    messages = {
        "status": form.status(True, "0.1.0", "0011223344556677", ClockState.SET, 12.5, 30.25, (59, 1)),
        "table": form.table(METER),
        "head": form.head(head, SENT_US, scenario.BOOT, ClockState.SET),
        "live": form.data(Lane.LIVE, 7, EPOCH, _pieces(form, live, 100), 111, SENT_US),
        "backlog": form.data(Lane.BACKLOG, 8, EPOCH, _pieces(form, backlog, 104), 111, SENT_US),
        "live-empty": form.data(Lane.LIVE, 7, EPOCH, [Piece(111, b"", 3)], 111, SENT_US),
        "request": b'{"id":"line4-17","epoch":"9f3a5c01d2e4b687","want":[[20,30],[101,101]]}',
        **{f"replay-part-{i}": form.data(Lane.REPLAY, 9, EPOCH, [p], 111, SENT_US) for i, p in enumerate(replayed, 1)},
        "answer": form.answer(answer),
        "receipt": b'{"v":1,"from":"historian","epoch":"9f3a5c01d2e4b687","upto":90,"above":[[95,111]]}',
        "status-will": form.status(False, "0.1.0", "0011223344556677", ClockState.SET),
    }
    for i, (name, payload) in enumerate(messages.items(), 1):
        yield f"wire/{i:02}-{name}.json", payload
    rows = [row for i, name in enumerate(live) for row in message_rows_found(name, 100 + i)]
    rows += [row for i, name in enumerate(backlog) if name in FRAMES for row in message_rows_found(name, 104 + i)]
    rows += message_rows_found(CUT, 101, len(replayed), [piece.readings for piece in replayed])
    gaps = [
        gap_found(GAPS[name]) | {"seq": 104 + backlog.index(name)} for name in ("gap-of-readings", "gap-of-numbers")
    ]
    kinds = [name.split("-")[0] for name in messages]
    yield "wire/expected.json", _json({"kinds": kinds, "covered": 12 + len(replayed), "gaps": gaps, "readings": rows})


def _pieces(form: TidegateJson, names: tuple[str, ...], first: int) -> list[Piece]:
    return [
        piece
        for i, name in enumerate(names)
        for piece in form.pieces(first + i, EPOCH, frame(name), METER, PIECE_BYTES_MAX)
    ]


class Hand:
    """Wall and monotonic time, moved by hand."""

    def __init__(self) -> None:
        self.us = T0_US

    def clock(self) -> Clock:
        """A clock that shows it."""
        return Clock(lambda: self.us, lambda: self.us - T0_US)


def make_buffer(folder: Path) -> str:
    """A buffer of three starts in `folder`; its epoch. The names of its frames are DISK_FRAMES."""
    return asyncio.run(_three_starts(folder, Hand()))


async def _three_starts(folder: Path, hand: Hand) -> str:
    settings = BufferSettings(folder)
    names = list(FRAMES)
    async with _Open(settings, hand) as buffer:
        for name in names[:4]:
            await buffer.put(frame(name))
        await buffer.flush()
        for name in names[4:6]:
            await buffer.put(frame(name))
    hand.us += 10_000_000
    async with _Open(settings, hand) as buffer:
        buffer.tell(DOWN)
        await buffer.flush()
        buffer.acknowledge("cloud", buffer.epoch, (1, 4))
        buffer.acknowledge("cloud", buffer.epoch, (6, 7))
        buffer.acknowledge("plant", buffer.epoch, (1, 2))
        epoch = buffer.epoch
        for name in names[6:8]:
            await buffer.put(frame(name))
    hand.us += 10_000_000
    async with _Open(settings, hand) as buffer:
        for name in names[8:]:
            await buffer.put(frame(name))
    return epoch


class _Open:
    """A buffer from opening to closing."""

    def __init__(self, settings: BufferSettings, hand: Hand) -> None:
        self._buffer = Buffer.open(settings, hand.clock(), ("cloud", "plant"), lambda: "b0c5b0c5b0c5b0c5")
        self._buffer.know(METER)

    async def __aenter__(self) -> Buffer:
        await self._buffer.start()
        return self._buffer

    async def __aexit__(self, *_: object) -> None:
        await self._buffer.close()


def disk_found(epoch: str) -> dict[str, Any]:
    """What a decoder must find in the buffer that `make_buffer` makes."""
    names = list(FRAMES)
    told = gap_found(DOWN) | {"id": 1}
    carrier = {
        "kind": "gap", "device": "meter1", "table": "0" * 16, "clock": "set", "origin": "live", "boot": 2,
        "mono_us": 10_000_000, "gateway_us": T0_US + 10_000_000, "gap": told | {"epoch": "", "targets": []},
    }  # fmt: skip
    frames = [frame_found(name) for name in names]
    frames.insert(6, carrier)
    row = {
        "id": 1, "epoch": "", "why": "device_down", "frames": None, "targets": None, "device": "meter1", "tags": None,
        "t0": DOWN.t0, "t1": DOWN.t1, "n": 12, "n_is": "exact", "carrier_epoch": epoch, "carrier": 7,
    }  # fmt: skip
    return {
        "epochs": [{"ordinal": 1, "epoch": epoch, "floor": 1}],
        "cursors": [
            {"target": "cloud", "epoch": epoch, "since": 1, "upto": 4, "above": [[6, 7]]},
            {"target": "plant", "epoch": epoch, "since": 1, "upto": 2, "above": []},
        ],
        "ledger": [row],
        "boots": [
            {"boot": i + 1, "wall_us": T0_US + i * 10_000_000, "mono_us": i * 10_000_000, "clock": 0} for i in range(3)
        ],
        "clean": 1,
        "frames": [[number, found] for number, found in enumerate(frames, 1)],
    }


def disk_files() -> Files:
    """disk/: the files of a closed buffer, and what is in them."""
    with tempfile.TemporaryDirectory() as folder:
        epoch = make_buffer(Path(folder))
        for path in (Path(folder) / "control.db", *sorted((Path(folder) / "segments").iterdir())):
            yield f"disk/{path.relative_to(folder)}", path.read_bytes()
    yield "disk/expected.json", _json(disk_found(epoch))


def _json(value: Any) -> bytes:
    """For people to read, and for git to compare."""
    return (json.dumps(value, ensure_ascii=False, indent=1) + "\n").encode()


def main(root: Path) -> None:
    """Write everything anew."""
    for part in ("frame", "wire", "disk"):
        shutil.rmtree(root / part, ignore_errors=True)
    for name, content in (*frame_files(), *wire_files(), *disk_files()):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
