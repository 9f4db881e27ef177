"""What a target says of its progress: a broker that is gone is no fault of it, owing and not moving is."""

import asyncio

from tests.fakes.buffer import MemoryBuffer
from tests.fakes.frames import table
from tests.fakes.mqtt_broker import DATA_LEAVES, ScriptedBroker, until
from tests.publish.conftest import Serving
from tidegate.publish.standing import State

METER = table()


def test_a_target_owes_while_data_is_unacknowledged_and_moves_with_each_message(serving: Serving) -> None:
    async def main() -> None:
        buffer = MemoryBuffer.of(METER, 3)
        hold = True
        async with (
            ScriptedBroker(puback=lambda m: None if hold and m.leaf in DATA_LEAVES else 0) as broker,
            serving(broker.url, buffer) as target,
        ):
            await until(lambda: target.status().in_flight > 0)
            owed = target.progress()
            hold = False
            broker.hang_up()
            await until(lambda: target.status().acknowledged == 3 and target.drained)

            assert owed.owes
            assert not target.progress().owes
            assert owed.moved < target.progress().moved

    asyncio.run(main())


def test_a_target_that_waits_for_its_broker_owes_nothing_until_the_next_try(serving: Serving) -> None:
    async def main() -> None:
        async with serving("mqtt://127.0.0.1:1", MemoryBuffer.of(METER, 3), back_off_s_min=30.0) as target:
            await until(lambda: target.status().state == State.WAITING)
            # The state turns before the pause is known.
            await asyncio.sleep(0.01)

            assert not target.progress().owes

    asyncio.run(main())
