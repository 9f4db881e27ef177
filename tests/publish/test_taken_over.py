"""Two clients with one client id: said, and no fight. MQTT 5 has a word for it, which mosquitto 2.0 does not say."""

import asyncio
from random import Random

import pytest

from demo.broker import Mosquitto
from tests.fakes.buffer import MemoryBuffer
from tests.fakes.frames import frame, table
from tests.fakes.mqtt_broker import ScriptedBroker, held_back, until
from tests.publish.conftest import Serving
from tidegate.publish.faults import EVICTIONS_MAX, GOOD_CONNECTION_S, Lost, SessionTaken
from tidegate.publish.returning import Returning
from tidegate.publish.settings import TargetSettings
from tidegate.publish.standing import State
from tidegate.publish.suspects import End, Suspects

METER = table()


@pytest.mark.parametrize("mqtt", ["3.1.1", "5"])
def test_two_gateways_of_one_client_id_stop_fighting_and_one_says_why(
    broker: Mosquitto, serving: Serving, caplog: pytest.LogCaptureFixture, mqtt: str
) -> None:
    said = "client id"

    async def main() -> None:
        first, second = MemoryBuffer.of(METER, 3), MemoryBuffer.of(METER, 3)
        async with serving(broker.url, first, mqtt=mqtt) as one, serving(broker.url, second, mqtt=mqtt) as other:
            both = (one, other)
            await until(lambda: any(said in target.status().why for target in both))
            loser, winner = (one, other) if said in one.status().why else (other, one)
            await until(lambda: winner.status().state == State.CONNECTED)

            assert (loser.status().next_try_s or 0) >= 14
            (first if winner is one else second).commit(frame(METER, 1))
            await until(lambda: winner.drained and winner.status().backlog == 0)

    asyncio.run(main())

    assert any(record.levelname == "ERROR" and said in record.message for record in caplog.records)


def test_a_broker_that_restarts_is_not_taken_for_another_client(broker: Mosquitto, serving: Serving) -> None:
    async def main() -> None:
        async with serving(broker.url, MemoryBuffer.of(METER, 3), mqtt="3.1.1") as target:
            for _ in range(EVICTIONS_MAX + 1):
                await until(lambda: target.status().state == State.CONNECTED and target.drained)
                broker.kill()
                await until(lambda: "refused" in target.status().why)
                broker.start()
            await until(lambda: target.status().state == State.CONNECTED)

    asyncio.run(main())


def test_a_broker_that_crashes_again_and_again_is_not_taken_for_another_client_however_soon_it_is_back() -> None:
    settings = TargetSettings("cloud", "mqtt://127.0.0.1:1")
    returning = Returning(settings, "client", Suspects(settings.message_bytes_max), Random(1))
    lived_s = GOOD_CONNECTION_S + 1
    ends = [
        End(Lost("the connection was lost"), True, lived_s, crash * lived_s, (), None)
        for crash in range(EVICTIONS_MAX + 3)
    ]
    pauses = [returning.after(end) for end in ends]

    assert [] == [str(pause.fault) for pause in pauses if isinstance(pause.fault, SessionTaken)]
    assert max(pause.pause_s for pause in pauses) <= settings.back_off_s_min


def test_connections_that_end_with_data_in_flight_say_nothing_of_another_client(serving: Serving) -> None:
    async def main() -> None:
        buffer = MemoryBuffer.of(METER, 3)
        async with ScriptedBroker(five=False) as broker, serving(broker.url, buffer, mqtt="3.1.1") as target:
            for connections in range(1, EVICTIONS_MAX + 3):
                await until(
                    lambda so=connections: (
                        broker.connections == so and target.status().state == State.CONNECTED and target.drained
                    )
                )
                broker.puback = held_back
                buffer.commit(frame(METER, 1))
                await until(lambda: target.status().in_flight > 0)
                broker.puback = lambda _: 0
                broker.hang_up()
            await until(lambda: target.status().state == State.CONNECTED and target.drained)

    asyncio.run(main())
