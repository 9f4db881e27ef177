"""The product's own two ends: a real buffer and target, a real broker, and a tail that proves what it received."""

import asyncio
import json
import threading
from pathlib import Path
from typing import Any

import pytest

from demo.broker import Mosquitto
from tests.golden import decode
from tests.golden.scenario import EPOCH, FRAMES, METER, frame, message_rows_found
from tests.schemas import check
from tests.tail.test_tail import Run, settings
from tidegate.buffer.buffer import Buffer
from tidegate.buffer.settings import BufferSettings
from tidegate.clock import Clock
from tidegate.model.gap import Gap, Why
from tidegate.publish.settings import TargetSettings
from tidegate.publish.target import Target

DEADLINE_S = 20.0
# The largest golden frame is longer, so that it is cut.
MESSAGE_BYTES_MAX = 900


async def serve(folder: Path, target: TargetSettings, committed: threading.Event, over: threading.Event) -> None:
    """Commit the golden frames and a gap, and publish until it is over."""
    clock = Clock()
    buffer = Buffer.open(BufferSettings(folder, commit_interval_s=0.05), clock, (target.name,), lambda: "box")
    buffer.know(METER)
    await buffer.start()
    serving = asyncio.create_task(Target(target, "g1", buffer, clock, lambda: (1, 0), "0", "").run())
    for name in FRAMES:
        await buffer.put(frame(name))
    await buffer.flush()
    buffer.tell(Gap(Why.POLL_OVERRUN, 1, 2, 40, "exact", "meter1"))
    await buffer.flush()
    async with asyncio.timeout(DEADLINE_S):
        # An acknowledgement wakes nobody here.
        while buffer.cursor(target.name, buffer.epoch).reach(1) < buffer.last:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    committed.set()
    await asyncio.to_thread(over.wait, DEADLINE_S)
    serving.cancel()
    await asyncio.gather(serving, return_exceptions=True)
    await buffer.close()


def entries_of(log: Path) -> list[dict[str, Any]]:
    """The log's lines, each checked against its schema."""
    entries = [json.loads(line) for line in log.read_bytes().splitlines()]
    for entry in entries:
        check(entry["topic"], json.dumps(entry["payload"]).encode())
    return entries


def rows_of(entries: list[dict[str, Any]]) -> list[list[Any]]:
    """What the independent decoder reads out of the log, without repetitions; part [1, 1] throughout."""
    tables, rows = {}, {}
    for entry in entries:
        body = entry["payload"]
        if "/table/" in entry["topic"]:
            tables[body["hash"]] = body
        elif "frames" in body:
            decode.held(body)
            for position, row in enumerate(decode.message_rows(body, tables)):
                (part, parts), row[2] = row[2], [1, 1]
                rows[row[1], parts, part, position] = [EPOCH, *row[1:]]
    return [rows[key] for key in sorted(rows)]


@pytest.mark.parametrize("late", [False, True], ids=["by live and backlog", "by replay alone"])
def test_every_reading_arrives_exactly_and_every_message_is_as_documented(
    broker: Mosquitto, tmp_path: Path, late: bool
) -> None:
    committed, over = threading.Event(), threading.Event()
    target = TargetSettings("cloud", broker.url, message_bytes_max=MESSAGE_BYTES_MAX, head_interval_s=0.2)
    wanted = settings(log=tmp_path / "log")
    run = None if late else Run(broker, wanted).connected()
    gateway = threading.Thread(target=lambda: asyncio.run(serve(tmp_path / "state", target, committed, over)))
    gateway.start()
    try:
        assert committed.wait(DEADLINE_S)
        run = run or Run(broker, wanted)
        run.wait("received", len(FRAMES) + 1)
        complete = run.end()
    finally:
        over.set()
        gateway.join()
    entries = entries_of(tmp_path / "log")
    parts = {tuple(f["part"]) for e in entries for f in (e["payload"] or {}).get("frames", ()) if "part" in f}
    lanes = {e["payload"]["lane"] for e in entries if e["payload"] and "lane" in e["payload"]}
    expected = [row for number, name in enumerate(FRAMES, 1) for row in message_rows_found(name, number)]

    assert complete is True
    assert "" == decode.difference(json.loads(json.dumps(expected)), rows_of(entries))
    assert {(1, 3), (2, 3), (3, 3)} == parts
    assert ({"replay"} == lanes) == late
    assert (1, {"poll_overrun": {"gaps": 1, "readings": 40}}) == (run.reports[-1]["gaps"], run.reports[-1]["told"])
