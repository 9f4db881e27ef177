"""A disk that was put back to an older state: numbers that were given once must not be given again (formats §2)."""

import asyncio
import json

from tests.fakes.buffer import MemoryBuffer
from tests.fakes.frames import frame, table
from tests.fakes.mqtt_broker import ScriptedBroker, until
from tests.publish.conftest import Serving
from tidegate.errors import BufferFault
from tidegate.publish.standing import State

METER = table(tags=20)
HEAD = "tidegate/g1/cloud/head"


def head(last: int) -> bytes:
    return json.dumps({"v": 1, "epoch": "a" * 16, "last": last}).encode()


def test_our_own_head_is_shown_by_a_broker_that_keeps_no_local_to_the_letter(serving: Serving) -> None:
    async def main() -> None:
        restored = MemoryBuffer.of(METER, 20)
        async with ScriptedBroker() as broker:
            broker.retained[HEAD] = head(50)
            async with serving(broker.url, restored) as target:
                await until(lambda: target.status().state == State.CONNECTED and target.drained)

                assert len(restored.renumbered) == 1

    asyncio.run(main())


def test_commits_before_the_first_connection_do_not_hide_it(serving: Serving) -> None:
    async def main() -> None:
        restored = MemoryBuffer.of(METER, 20)
        async with ScriptedBroker() as broker:
            broker.retained[HEAD] = head(50)
            async with serving(broker.url, restored) as target:
                restored.commit(*(frame(METER, i) for i in range(40)))
                await until(lambda: target.status().state == State.CONNECTED and target.drained)

                assert len(restored.renumbered) == 1

    asyncio.run(main())


def test_commits_of_a_run_that_reached_no_broker_do_not_hide_it(serving: Serving) -> None:
    async def main() -> None:
        restored = MemoryBuffer.of(METER, 40)
        restored.unasked_from = 21
        async with ScriptedBroker() as broker:
            broker.retained[HEAD] = head(30)
            async with serving(broker.url, restored) as target:
                await until(lambda: target.status().state == State.CONNECTED and target.drained)

                assert restored.renumbered_from == [21]
                assert restored.were_asked == ["cloud"]

    asyncio.run(main())


def test_that_a_broker_was_asked_is_kept_before_our_own_head_is_there(serving: Serving) -> None:
    async def main() -> None:
        heads: list[int] = []

        class Slow(MemoryBuffer):
            async def asked(self, target: str) -> None:
                for _ in range(2):
                    heads.append(sum(message.leaf == "head" for message in broker.published))
                    await asyncio.sleep(0.05)

        buffer = Slow.of(METER, 20)
        async with ScriptedBroker() as broker, serving(broker.url, buffer) as target:
            await until(lambda: target.status().state == State.CONNECTED and target.drained)
            await until(lambda: any(message.leaf == "head" for message in broker.published))

            assert heads == [0, 0]

    asyncio.run(main())


def test_a_disk_that_does_not_keep_it_holds_nothing_back(serving: Serving) -> None:
    class Full(MemoryBuffer):
        async def asked(self, target: str) -> None:
            raise BufferFault("cursors failed: disk full")

    async def main() -> None:
        buffer = Full.of(METER, 20)
        async with ScriptedBroker() as broker, serving(broker.url, buffer) as target:
            await until(lambda: target.status().state == State.CONNECTED and target.drained)

            assert broker.connections == 1

    asyncio.run(main())


def test_what_we_said_ourselves_since_the_start_is_no_sign_of_it(serving: Serving) -> None:
    async def main() -> None:
        buffer = MemoryBuffer.of(METER, 20)
        async with ScriptedBroker() as broker, serving(broker.url, buffer) as target:
            await until(lambda: target.status().state == State.CONNECTED and target.drained)
            buffer.commit(*(frame(METER, i) for i in range(40)))
            await until(lambda: target.drained)
            broker.retained[HEAD] = head(60)
            broker.hang_up()
            await until(lambda: broker.connections == 2 and target.status().state == State.CONNECTED)
            await until(lambda: target.drained)

            assert buffer.renumbered == []

    asyncio.run(main())


def test_leaving_before_the_head_was_seen_does_not_overwrite_it(serving: Serving) -> None:
    async def main() -> None:
        async with ScriptedBroker(puback=lambda _: None) as broker:
            async with serving(broker.url, MemoryBuffer.of(METER, 20)):
                await until(lambda: len(broker.published) == 1)

            assert [message.leaf for message in broker.published if message.leaf == "head"] == []

    asyncio.run(main())
