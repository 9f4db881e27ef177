"""What the search for a poisonous frame costs; a broker that merely dies is never taken for the fault of the data."""

import asyncio
from collections.abc import Callable

import pytest

from tests.fakes.buffer import MemoryBuffer
from tests.fakes.frames import frame, table
from tests.fakes.mqtt_broker import DATA_LEAVES, Published, ScriptedBroker, until
from tests.publish.conftest import Serving
from tests.publish.test_poison import METER, holds
from tidegate.publish.standing import State
from tidegate.publish.suspects import MESSAGE_BYTES_MIN

# facts: at most five reconnects until poison is put aside, whatever the broker says of it.
RECONNECTS_MAX = 5
WIDE = table(tags=1_500)


def hanging_up(broker: ScriptedBroker, on: Callable[[Published], bool], reason: int | None = None) -> None:
    """From now on the broker hangs up on these messages."""

    def judge(message: Published) -> int | None:
        if not on(message):
            return 0
        broker.hang_up(reason)
        return None

    broker.puback = judge


@pytest.mark.parametrize("poison", [1, 137, 2_000, 3_999, 4_000])
@pytest.mark.parametrize("reason", [None, 0x95, 0x81], ids=["silent", "0x95", "0x81"])
def test_a_frame_among_thousands_costs_five_reconnects_at_most(
    serving: Serving, poison: int, reason: int | None
) -> None:
    async def main() -> None:
        buffer, broker = MemoryBuffer.of(METER, 4_000), ScriptedBroker()
        hanging_up(broker, lambda message: holds(message, {poison}), reason)
        async with broker, serving(broker.url, buffer) as target:
            # Nothing is poison before the broker has taken something else.
            await until(lambda: buffer.owed("cloud") <= 1, 20)
            buffer.commit(frame(METER))
            await until(lambda: buffer.owed("cloud") == 0, 20)

            assert [gap.frames for gap in buffer.letters.kept("cloud")] == [((poison, poison),)]
            assert broker.connections - 1 <= RECONNECTS_MAX
            # What was learned meanwhile is forgotten.
            await until(lambda: target.status().state == State.CONNECTED)
            for i in range(20):
                buffer.commit(frame(METER, i))
            await until(lambda: buffer.owed("cloud") == 0)
            assert target.status().window == 16

    asyncio.run(main())


@pytest.mark.parametrize("code", [0x80, 0x83])
def test_a_message_that_was_named_costs_four(serving: Serving, code: int) -> None:
    async def main() -> None:
        buffer = MemoryBuffer.of(METER, 4_000)
        broker = ScriptedBroker(puback=lambda message: code if holds(message, {1_234}) else 0)
        async with broker, serving(broker.url, buffer):
            await until(lambda: buffer.owed("cloud") == 0, 20)

            assert [gap.frames for gap in buffer.letters.kept("cloud")] == [((1_234, 1_234),)]
            assert broker.connections - 1 <= RECONNECTS_MAX - 1

    asyncio.run(main())


def test_a_live_frame_that_is_poison_costs_five_at_most_and_the_others_are_in_time(serving: Serving) -> None:
    async def main() -> None:
        buffer, broker = MemoryBuffer.of(METER, 100), ScriptedBroker()
        hanging_up(broker, lambda message: holds(message, {130}))
        async with broker, serving(broker.url, buffer) as target:
            await until(lambda: target.drained and target.status().acknowledged == 100)
            begun_s = asyncio.get_running_loop().time()
            while not buffer.letters.kept():
                buffer.commit(frame(METER, 1))
                await asyncio.sleep(0.01)
                assert asyncio.get_running_loop().time() - begun_s < 20
            await until(lambda: buffer.owed("cloud") == 0)

            assert broker.connections - 1 <= RECONNECTS_MAX

    asyncio.run(main())


def test_a_large_frame_that_is_poison_costs_five_at_most(serving: Serving) -> None:
    async def main() -> None:
        buffer, broker = MemoryBuffer.of(WIDE, 30), ScriptedBroker()
        hanging_up(broker, lambda message: holds(message, {17}))
        async with broker, serving(broker.url, buffer):
            await until(lambda: buffer.owed("cloud") == 0, 20)

            assert [gap.frames for gap in buffer.letters.kept("cloud")] == [((17, 17),)]
            assert broker.connections - 1 <= RECONNECTS_MAX

    asyncio.run(main())


@pytest.mark.parametrize("limit", [6_000, 20_000, 100_000])
def test_a_broker_that_hangs_up_on_size_gets_all_in_smaller_messages(serving: Serving, limit: int) -> None:
    async def main() -> None:
        buffer, broker = MemoryBuffer.of(WIDE, 200), ScriptedBroker()
        hanging_up(broker, lambda message: len(message.payload) > limit)
        async with broker, serving(broker.url, buffer):
            await until(lambda: buffer.owed("cloud") == 0, 20)

            assert buffer.letters.kept() == ()
            assert broker.connections - 1 <= RECONNECTS_MAX

    asyncio.run(main())


def test_a_limit_that_came_later_is_learned_too(serving: Serving) -> None:
    async def main() -> None:
        buffer, broker = MemoryBuffer.of(METER, 4_000), ScriptedBroker()
        async with broker, serving(broker.url, buffer) as target:
            await until(lambda: buffer.owed("cloud") == 0, 20)
            before = broker.connections
            hanging_up(broker, lambda message: message.leaf in DATA_LEAVES and len(message.payload) > 6_000)
            broker.hang_up()
            buffer.commit(*(frame(METER, i) for i in range(4_000)))
            await until(lambda: buffer.owed("cloud") == 0, 20)

            assert buffer.letters.kept() == ()
            assert broker.connections - before <= 2 * RECONNECTS_MAX
            assert target.status().state == State.CONNECTED

    asyncio.run(main())


def test_a_broker_that_dies_at_the_first_data_again_and_again_makes_no_dead_letter(serving: Serving) -> None:
    async def main(deaths: int) -> None:
        buffer, broker = MemoryBuffer.of(METER, 2_000), ScriptedBroker()
        hanging_up(broker, lambda message: message.leaf in DATA_LEAVES and broker.connections <= deaths)
        async with broker, serving(broker.url, buffer, parked_probe_s=0.2) as target:
            await until(lambda: buffer.owed("cloud") == 0, 20)
            for i in range(10):
                buffer.commit(frame(METER, i))
            await until(lambda: buffer.owed("cloud") == 0)

            assert buffer.letters.kept() == ()
            assert target.status().window == 16

    for deaths in (1, 3, 4, 5, 6, 13):
        asyncio.run(main(deaths))


def test_a_broker_that_dies_after_some_data_again_and_again_makes_no_dead_letter(serving: Serving) -> None:
    async def main() -> None:
        buffer, broker = MemoryBuffer.of(METER, 2_000), ScriptedBroker()
        taken = 0

        def dying(message: Published) -> bool:
            nonlocal taken
            taken += message.leaf in DATA_LEAVES
            return message.leaf in DATA_LEAVES and taken % 7 == 0 and broker.connections < 20

        hanging_up(broker, dying)
        async with broker, serving(broker.url, buffer, parked_probe_s=0.2, back_off_s_min=0.02):
            while broker.connections < 20:
                buffer.commit(frame(METER, 1))
                await asyncio.sleep(0.02)
            await until(lambda: buffer.owed("cloud") == 0, 20)

            assert buffer.letters.kept() == ()

    asyncio.run(main())


def test_after_a_broken_connection_messages_go_one_at_a_time_only_until_those_in_flight_are_there(
    serving: Serving,
) -> None:
    async def main() -> None:
        buffer = MemoryBuffer.of(METER, 2_000)
        broker = ScriptedBroker(puback=lambda message: None if message.leaf in DATA_LEAVES else 0)
        async with broker, serving(broker.url, buffer, message_bytes_max=MESSAGE_BYTES_MIN) as target:
            await until(lambda: target.status().in_flight >= 8)
            held = target.status().in_flight
            broker.puback = lambda message: 0
            # As many as may wait for the disk hold nobody back, who has fewer in flight now.
            buffer.not_stored = 15
            broker.hang_up()
            await until(lambda: broker.connections == 2 and target.status().state == State.CONNECTED)
            await until(lambda: target.status().acknowledged > 0)
            await until(lambda: target.status().window == 16)

            assert target.status().backlog > 0 or held < 16
            await until(lambda: buffer.owed("cloud") == 0)

    asyncio.run(main())
