"""A target on the real buffer and a real broker: what was committed arrives, over outages and restarts."""

import asyncio
import struct
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from random import Random

from demo.broker import Mosquitto
from tests.fakes.frames import frame, table
from tests.fakes.mqtt_broker import ScriptedBroker, until
from tests.fakes.subscriber import Received, Subscriber
from tidegate.buffer.buffer import Buffer
from tidegate.buffer.settings import BufferSettings
from tidegate.clock import Clock
from tidegate.model.tag import Type
from tidegate.proof import Proof, Report
from tidegate.publish.settings import TargetSettings
from tidegate.publish.standing import State
from tidegate.publish.target import Target

METER = table(tags=50, kind=Type.UINT64)
NOWHERE = "mqtt://127.0.0.1:1"
WINDOW = 4


async def live(folder: Path, url: str, what: Callable[[Buffer, Target], Awaitable[None]]) -> None:
    """One life of a gateway's buffer and target."""
    clock = Clock()
    settings = BufferSettings(folder, commit_interval_s=0.02, segment_bytes=100_000, quota_bytes=10_000_000)
    buffer = Buffer.open(settings, clock, ["cloud"])
    buffer.know(METER)
    await buffer.start()
    made = TargetSettings("cloud", url, back_off_s_min=0.1, back_off_s_max=0.3, head_interval_s=0.3, window=WINDOW)
    target = Target(made, "g1", buffer, clock, lambda: (1, 0), "0.1", "c0ffee")
    task = asyncio.create_task(target.run())
    try:
        await what(buffer, target)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await buffer.close()


async def put(buffer: Buffer, frames: int) -> None:
    """Frames that don't compress, so that they fill segments."""
    random = Random(frames)
    for _ in range(frames):
        values = struct.pack("<50Q", *(random.getrandbits(64) for _ in METER.tags))
        await buffer.put(replace(frame(METER), values=values))
    await buffer.flush()


async def delivered(target: Target) -> None:
    await until(lambda: target.status().state == State.CONNECTED)
    await until(lambda: target.status().backlog == 0 and target.drained)


def proven(messages: list[Received]) -> Report:
    proof = Proof()
    for message in messages:
        proof.take(message.payload, 0.0)
    return proof.report(100.0)


def test_two_lives_and_an_outage_arrive_complete(tmp_path: Path) -> None:
    broker = Mosquitto(tmp_path / "broker", persistence=True)
    broker.start()

    async def first(buffer: Buffer, target: Target) -> None:
        await until(lambda: target.status().state == State.CONNECTED)
        await put(buffer, 200)
        await delivered(target)
        early.settle()
        broker.stop()
        await until(lambda: target.status().state == State.WAITING)
        await put(buffer, 300)

        assert target.status().backlog == 300

    async def second(buffer: Buffer, target: Target) -> None:
        await put(buffer, 50)
        await delivered(target)

    try:
        with Subscriber(broker.port) as early:
            asyncio.run(live(tmp_path / "state", broker.url, first))
        broker.start()
        with Subscriber(broker.port) as late:
            asyncio.run(live(tmp_path / "state", broker.url, second))
            late.settle()
        report = proven(early.received + late.received)

        assert report.complete
        assert report.frames == 550
        assert report.duplicates == 0
    finally:
        broker.kill()


def test_a_large_backlog_is_read_over_many_segments(tmp_path: Path, broker: Mosquitto) -> None:
    async def fill(buffer: Buffer, _: Target) -> None:
        for _ in range(10):
            await put(buffer, 200)

        assert buffer.status().segments > 4

    async def drain(buffer: Buffer, target: Target) -> None:
        await delivered(target)

    asyncio.run(live(tmp_path / "state", NOWHERE, fill))
    with Subscriber(broker.port) as received:
        asyncio.run(live(tmp_path / "state", broker.url, drain))
        received.settle()
        report = proven(received.received)

        assert report.complete
        assert report.frames == 2000
        assert report.duplicates == 0


def test_less_than_two_windows_are_ever_at_the_mercy_of_a_kill(tmp_path: Path) -> None:
    async def main() -> None:
        async with ScriptedBroker() as broker:

            async def many_small_commits(buffer: Buffer, target: Target) -> None:
                for _ in range(40):
                    await put(buffer, 1)
                    in_flight = target.status().in_flight

                    assert buffer.unstored("cloud") + in_flight <= 2 * WINDOW + 2
                await delivered(target)

            await live(tmp_path / "state", broker.url, many_small_commits)

    asyncio.run(main())


def test_what_was_acknowledged_before_a_restart_is_not_sent_again(tmp_path: Path) -> None:
    async def main() -> None:
        async with ScriptedBroker() as broker:

            async def first(buffer: Buffer, target: Target) -> None:
                await put(buffer, 20)
                await delivered(target)

            async def second(buffer: Buffer, target: Target) -> None:
                await delivered(target)

                assert target.status().messages == 0

            await live(tmp_path / "state", broker.url, first)
            await live(tmp_path / "state", broker.url, second)

    asyncio.run(main())
