"""Brokers that say no, and settings that are refused before a broker is asked: data is kept, and the reason is told."""

import asyncio

import pytest

from tests.fakes.buffer import MemoryBuffer
from tests.fakes.frames import table
from tests.fakes.mqtt_broker import DATA_LEAVES, ScriptedBroker, until
from tests.publish.conftest import Serving
from tidegate.publish.standing import State
from tidegate.secret import Secret

METER = table()


def buffer_of(frames: int) -> MemoryBuffer:
    return MemoryBuffer.of(METER, frames)


@pytest.mark.parametrize(("five", "code"), [(True, 0x86), (True, 0x87), (True, 0x8A), (False, 4), (False, 5)])
def test_a_broker_that_says_no_parks_the_target_with_its_data(serving: Serving, five: bool, code: int) -> None:
    async def main() -> None:
        async with (
            ScriptedBroker(five=five, connack=code) as broker,
            serving(broker.url, buffer_of(3), mqtt="5" if five else "3.1.1", parked_probe_s=0.4) as target,
        ):
            await until(lambda: target.status().state == State.PARKED)

            assert "0x8" in target.status().why
            assert target.status().backlog == 3
            # When somebody has put it right, the next knock gets in.
            broker.connack = 0
            await until(lambda: target.status().acknowledged == 3)
            assert target.status().why == ""

    asyncio.run(main())


def test_a_broker_that_is_only_busy_is_tried_again_soon(serving: Serving) -> None:
    async def main() -> None:
        async with ScriptedBroker(connack=0x89) as broker, serving(broker.url, buffer_of(3)) as target:
            await until(lambda: broker.connections >= 3)

            assert target.status().state in (State.WAITING, State.CONNECTING)
            broker.connack = 0
            await until(lambda: target.status().acknowledged == 3)

    asyncio.run(main())


def test_data_that_may_not_be_published_parks_the_target_and_moves_no_cursor(serving: Serving) -> None:
    async def main() -> None:
        buffer = buffer_of(3)
        refuse = True
        async with (
            ScriptedBroker(puback=lambda m: 0x87 if refuse and m.leaf in DATA_LEAVES else 0) as broker,
            serving(broker.url, buffer, parked_probe_s=0.4) as target,
        ):
            await until(lambda: target.status().state == State.PARKED)

            assert buffer.acknowledged == []
            assert target.status().backlog == 3
            assert target.status().refused >= 1
            refuse = False
            await until(lambda: buffer.owed("cloud") == 0)

    asyncio.run(main())


def test_a_full_quota_moves_no_cursor_and_is_tried_again(serving: Serving) -> None:
    async def main() -> None:
        buffer = buffer_of(3)
        answers = iter([0x97, 0x97, 0])
        async with (
            ScriptedBroker(puback=lambda m: next(answers, 0) if m.leaf in DATA_LEAVES else 0) as broker,
            serving(broker.url, buffer) as target,
        ):
            await until(lambda: buffer.owed("cloud") == 0)

            assert target.status().refused == 2
            assert broker.connections == 1

    asyncio.run(main())


def test_a_head_that_may_not_be_retained_stops_no_data(serving: Serving) -> None:
    async def main() -> None:
        buffer = buffer_of(3)
        async with (
            ScriptedBroker(puback=lambda m: 0 if m.leaf in DATA_LEAVES else 0x87) as broker,
            serving(broker.url, buffer) as target,
        ):
            await until(lambda: buffer.owed("cloud") == 0)

            assert target.status().state == State.CONNECTED
            assert broker.connections == 1

    asyncio.run(main())


def test_a_packet_that_is_too_large_is_cut_smaller(serving: Serving) -> None:
    async def main() -> None:
        buffer = buffer_of(400)
        async with (
            ScriptedBroker(puback=lambda m: 0x95 if len(m.payload) > 10_000 and m.leaf in DATA_LEAVES else 0) as broker,
            serving(broker.url, buffer, message_bytes_max=65_536),
        ):
            await until(lambda: buffer.owed("cloud") == 0)

            assert broker.connections > 1
            assert len(broker.data) > 3

    asyncio.run(main())


def test_another_client_with_our_name_is_named(serving: Serving) -> None:
    async def main() -> None:
        async with ScriptedBroker() as broker, serving(broker.url, buffer_of(1), back_off_s_max=60) as target:
            await until(lambda: target.status().acknowledged == 1)
            broker.hang_up(0x8E)
            await until(lambda: target.status().state == State.WAITING)

            assert "second gateway" in target.status().why
            assert (target.status().next_try_s or 0) > 3

    asyncio.run(main())


def test_a_broker_without_retained_messages_gets_plain_ones(serving: Serving) -> None:
    async def main() -> None:
        buffer = buffer_of(1)
        async with ScriptedBroker(connack=0x9A) as broker, serving(broker.url, buffer):
            await until(lambda: broker.connections == 1)
            broker.connack, broker.properties = 0, bytes([0x25, 0])
            await until(lambda: buffer.owed("cloud") == 0)

            assert not any(message.retain for message in broker.published)
            # Flag 0x20 of CONNECT asks for a retained will.
            assert [bool(body[7] & 0x20) for body in broker.connects] == [True, False]

    asyncio.run(main())


def test_a_broker_without_qos_1_can_not_promise_anything(serving: Serving) -> None:
    async def main() -> None:
        async with ScriptedBroker(properties=bytes([0x24, 0])) as broker, serving(broker.url, buffer_of(1)) as target:
            await until(lambda: target.status().state == State.PARKED)

            assert "QoS 1" in target.status().why
            assert broker.data == []

    asyncio.run(main())


def test_plain_mqtt_beyond_this_box_is_not_spoken_unless_allowed(
    serving: Serving, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        async with serving("mqtt://192.0.2.1:1883", buffer_of(3)) as refused:
            await until(lambda: refused.status().state == State.PARKED)

            assert "insecure" in refused.status().why
        async with serving("mqtt://192.0.2.1:1883", buffer_of(3), insecure=True, connect_deadline_s=0.2):
            await until(lambda: "in the clear" in caplog.text)

    asyncio.run(main())

    assert "192.0.2.1" in caplog.text


def test_an_older_protocol_says_its_weaker_promise_once(serving: Serving, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        async with ScriptedBroker(five=False) as broker, serving(broker.url, buffer_of(3), mqtt="3.1.1") as target:
            await until(lambda: target.status().acknowledged == 3)
            broker.hang_up()
            await until(lambda: broker.connections == 2)

    asyncio.run(main())

    assert caplog.text.count("acknowledges also what it drops") == 1


def test_no_password_is_in_the_log_or_the_status(serving: Serving, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        async with (
            ScriptedBroker(connack=0x86) as broker,
            serving(broker.url, buffer_of(1), user="me", password=Secret("hush-hush")) as target,
        ):
            await until(lambda: target.status().state == State.PARKED)

            assert b"hush-hush" in broker.connects[0]
            assert "hush-hush" not in repr(target.status())

    asyncio.run(main())

    assert "hush-hush" not in caplog.text
