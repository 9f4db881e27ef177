"""A link that dies: noticed by the keep-alive alone when nothing is to be sent, and nothing of it stays behind."""

import asyncio
import os

from tests.fakes.buffer import MemoryBuffer
from tests.fakes.frames import table
from tests.fakes.mqtt_broker import ScriptedBroker, until
from tests.publish.conftest import Serving
from tidegate.publish.standing import State

KEEPALIVE_S = 1
# Two keep-alives and two looks, and as much again for a busy machine.
NOTICED_S_MAX = 8.0
GIVEN_UP_S = 0.3
LINKS = 4


def test_an_idle_link_that_died_is_noticed_and_left(serving: Serving) -> None:
    async def main() -> None:
        buffer = MemoryBuffer.of(table(), 3)
        async with ScriptedBroker() as broker, serving(broker.url, buffer, keepalive_s=KEEPALIVE_S) as target:
            # Nothing is in flight that would have a deadline of its own.
            await until(lambda: target.status().acknowledged == 3 and target.status().in_flight == 0)
            broker.deaf = True
            await until(lambda: "lost" in target.status().why, NOTICED_S_MAX)
            broker.deaf = False
            await until(lambda: target.status().why == "", NOTICED_S_MAX)

            assert broker.connections >= 2

    asyncio.run(main())


def test_links_that_we_gave_up_leave_no_descriptor_open(serving: Serving) -> None:
    async def main() -> None:
        buffer = MemoryBuffer.of(table(), 3)
        async with (
            ScriptedBroker(puback=lambda _: None) as broker,
            serving(broker.url, buffer, puback_deadline_s=GIVEN_UP_S) as target,
        ):
            await until(lambda: target.status().state == State.CONNECTED)
            before = len(os.listdir("/proc/self/fd"))
            await until(lambda: broker.connections == LINKS)
            broker.puback = lambda _: 0
            await until(lambda: target.status().acknowledged == 3)
            await until(lambda: len(os.listdir("/proc/self/fd")) <= before)

    asyncio.run(main())
