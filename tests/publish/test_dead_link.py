"""A link that dies while nothing is to be sent: only the keep-alive can tell."""

import asyncio

from tests.fakes.buffer import MemoryBuffer
from tests.fakes.frames import table
from tests.fakes.mqtt_broker import ScriptedBroker, until
from tests.publish.conftest import Serving

KEEPALIVE_S = 1
# Two keep-alives and two looks, and as much again for a busy machine.
NOTICED_S_MAX = 8.0


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
