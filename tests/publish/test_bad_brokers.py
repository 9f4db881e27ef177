"""Brokers that are silent, slow, strict, or say no; each costs time at most, and no data."""

import asyncio
import json
import socket
import struct
import time
from pathlib import Path

import pytest

from tests.fakes.buffer import MemoryBuffer
from tests.fakes.frames import frame, table
from tests.fakes.mqtt_broker import CERTIFICATE, Published, ScriptedBroker, until
from tests.publish.conftest import Serving
from tidegate.publish.target import State
from tidegate.secret import Secret

METER = table()
DATA = ("live", "backlog", "replay")


def buffer_of(frames: int) -> MemoryBuffer:
    made = MemoryBuffer()
    made.know(METER)
    if frames:
        made.commit(*(frame(METER, i) for i in range(frames)))
    return made


def data(broker: ScriptedBroker) -> list[Published]:
    return [message for message in broker.published if message.leaf in DATA]


def held_back(message: Published) -> int | None:
    """Data is not acknowledged, all else is."""
    return None if message.leaf in DATA else 0


def test_acknowledgements_packed_into_one_tls_record_are_all_read(serving: Serving) -> None:
    async def main() -> None:
        buffer = buffer_of(0)
        async with (
            ScriptedBroker(tls=True, puback=held_back) as broker,
            serving(broker.url, buffer, ca=CERTIFICATE, window=16, live_lag_s=60) as target,
        ):
            await until(lambda: target.status().state == State.CONNECTED and target.drained)
            for i in range(12):
                buffer.commit(frame(METER, i))
                await until(lambda i=i: len(data(broker)) == i + 1)

            assert broker.acknowledge_all() == 12
            await until(lambda: target.drained, 2.0)
            assert buffer.owed("cloud") == 0

    asyncio.run(main())


def test_many_packets_in_one_tls_record_are_read_at_once(serving: Serving) -> None:
    async def main() -> None:
        async with (
            ScriptedBroker(tls=True) as broker,
            serving(broker.url, buffer_of(3), ca=CERTIFICATE) as target,
        ):
            await until(lambda: target.drained and target.status().acknowledged == 3)
            await asyncio.sleep(0.1)
            # Not worth an answer, so that nothing else comes that would make the target read on.
            broker.write(broker.delivery("tidegate/g1/cloud/request", b"{") * 10)
            await until(lambda: target.status().requests == 10, 0.5)

    asyncio.run(main())


def test_a_broker_whose_certificate_nobody_vouches_for_gets_nothing(serving: Serving) -> None:
    async def main() -> None:
        async with (
            ScriptedBroker(tls=True) as broker,
            serving(broker.url, buffer_of(3), user="me", password=Secret("hush")) as target,
        ):
            await until(lambda: "TLS" in target.status().why)

            assert broker.connects == []
            assert target.status().state in (State.WAITING, State.CONNECTING)
            assert target.status().backlog == 3

    asyncio.run(main())


def test_a_handshake_that_is_never_answered_does_not_hold_the_loop(serving: Serving) -> None:
    async def main() -> None:
        async with (
            ScriptedBroker(tls=True, handshake=False) as broker,
            serving(broker.url, buffer_of(3), ca=CERTIFICATE, connect_deadline_s=0.6) as target,
        ):
            await until(lambda: broker.connections > 0)
            longest_s, end_s = 0.0, time.monotonic() + 1.0
            while time.monotonic() < end_s:
                before_s = time.monotonic()
                await asyncio.sleep(0.01)
                longest_s = max(longest_s, time.monotonic() - before_s)

            # The attempt took 0.6 s; none of it was spent on the loop.
            assert longest_s < 0.3
            await until(lambda: "did not answer" in target.status().why or "timed out" in target.status().why)
            await until(lambda: broker.connections > 1)

    asyncio.run(main())


def test_a_broker_that_never_says_connack_is_left(serving: Serving) -> None:
    async def main() -> None:
        async with (
            ScriptedBroker(connack=None) as broker,
            serving(broker.url, buffer_of(3), connect_deadline_s=0.3) as target,
        ):
            await until(lambda: broker.connections > 1)

            assert "CONNACK" in target.status().why
            assert data(broker) == []

    asyncio.run(main())


def test_something_that_is_no_broker_is_left(serving: Serving) -> None:
    async def chatter(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n" + bytes(range(256)))
        await reader.read()
        writer.close()

    async def main() -> None:
        server = await asyncio.start_server(chatter, "127.0.0.1", 0)
        url = f"mqtt://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with server, serving(url, buffer_of(3), connect_deadline_s=0.5) as target:
            await until(lambda: target.status().why != "")

            assert target.status().state in (State.WAITING, State.CONNECTING)

    asyncio.run(main())


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
            ScriptedBroker(puback=lambda m: 0x87 if refuse and m.leaf in DATA else 0) as broker,
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
            ScriptedBroker(puback=lambda m: next(answers, 0) if m.leaf in DATA else 0) as broker,
            serving(broker.url, buffer) as target,
        ):
            await until(lambda: buffer.owed("cloud") == 0)

            assert target.status().refused == 2
            assert broker.connections == 3

    asyncio.run(main())


def test_a_head_that_may_not_be_retained_stops_no_data(serving: Serving) -> None:
    async def main() -> None:
        buffer = buffer_of(3)
        async with (
            ScriptedBroker(puback=lambda m: 0 if m.leaf in DATA else 0x87) as broker,
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
            ScriptedBroker(puback=lambda m: 0x95 if len(m.payload) > 10_000 and m.leaf in DATA else 0) as broker,
            serving(broker.url, buffer, message_bytes_max=65_536),
        ):
            await until(lambda: buffer.owed("cloud") == 0)

            assert broker.connections > 1
            assert len(data(broker)) > 3

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
            assert data(broker) == []

    asyncio.run(main())


def test_never_more_is_in_flight_than_the_broker_can_receive(serving: Serving) -> None:
    async def main() -> None:
        buffer = buffer_of(200)
        receive_max = bytes([0x21]) + struct.pack("!H", 3)
        async with (
            ScriptedBroker(properties=receive_max, puback=held_back) as broker,
            serving(broker.url, buffer, message_bytes_max=5000, live_lag_s=60) as target,
        ):
            await until(lambda: len(data(broker)) >= 3)
            await asyncio.sleep(0.1)
            for i in range(5):
                buffer.commit(frame(METER, i))

            assert len(data(broker)) == 3
            assert target.status().window == 3
            while buffer.owed("cloud"):
                assert broker.acknowledge_all() <= 3
                await asyncio.sleep(0.01)

    asyncio.run(main())


def test_live_data_goes_before_a_waiting_backlog(serving: Serving) -> None:
    async def main() -> None:
        buffer = buffer_of(5000)
        async with (
            ScriptedBroker(puback=held_back) as broker,
            serving(broker.url, buffer, window=4, message_bytes_max=5000) as target,
        ):
            await until(lambda: len(data(broker)) >= 2 and target.status().state == State.CONNECTED)
            buffer.commit(frame(METER))
            broker.acknowledge_all()
            await until(lambda: any(m.leaf == "live" for m in data(broker)))
            before = [m.leaf for m in data(broker)].index("live")

            assert before <= 4
            assert target.status().backlog > 4000

    asyncio.run(main())


def test_live_data_that_is_too_late_becomes_backlog_and_a_new_run_begins(serving: Serving) -> None:
    async def main() -> None:
        buffer = buffer_of(0)
        async with (
            ScriptedBroker(puback=held_back) as broker,
            serving(broker.url, buffer, window=2, live_lag_s=0.3) as target,
        ):
            await until(lambda: target.status().state == State.CONNECTED and target.drained)
            for i in range(10):
                buffer.commit(frame(METER, i))
                await asyncio.sleep(0.005)
            await asyncio.sleep(0.5)
            broker.puback = lambda _: 0
            broker.acknowledge_all()
            await until(lambda: target.drained)
            buffer.commit(frame(METER))
            await until(lambda: target.drained)
            said = [json.loads(message.payload) for message in data(broker)]
            live = [m for m in said if m["lane"] == "live"]

            assert sum(m["lane"] == "backlog" for m in said) > 0
            assert sorted(f["seq"] for m in said for f in m["frames"]) == list(range(1, 12))
            assert live[-1]["from"] == 11
            assert live[-1]["run"] > live[0]["run"]
            assert target.status().acknowledged == 11

    asyncio.run(main())


def test_a_broker_that_stops_acknowledging_is_left_and_gets_it_again(serving: Serving) -> None:
    async def main() -> None:
        buffer = buffer_of(5)
        async with (
            ScriptedBroker(puback=held_back) as broker,
            serving(broker.url, buffer, puback_deadline_s=0.5) as target,
        ):
            await until(lambda: "acknowledged nothing" in target.status().why)
            broker.puback = lambda _: 0
            await until(lambda: buffer.owed("cloud") == 0)

            assert {m.connection for m in data(broker)} >= {1, 2}
            assert sum(n for _, _, n in buffer.acknowledged) >= 5

    asyncio.run(main())


def test_a_disk_that_stores_no_cursors_holds_the_target_back(serving: Serving) -> None:
    async def main() -> None:
        buffer = buffer_of(200)
        buffer.not_stored = 6
        async with (
            ScriptedBroker(puback=held_back) as broker,
            serving(broker.url, buffer, window=4, message_bytes_max=5000) as target,
        ):
            await until(lambda: len(data(broker)) == 2)
            await asyncio.sleep(0.1)

            assert len(data(broker)) == 2
            buffer.not_stored = 0
            broker.puback = lambda _: 0
            broker.acknowledge_all()
            await until(lambda: target.drained)

    asyncio.run(main())


def test_what_was_in_flight_when_the_line_broke_is_sent_again_from_the_buffer(serving: Serving) -> None:
    async def main() -> None:
        buffer = buffer_of(5)
        async with ScriptedBroker(puback=held_back) as broker, serving(broker.url, buffer) as target:
            await until(lambda: len(data(broker)) == 1)
            broker.puback = lambda _: 0
            broker.hang_up()
            await until(lambda: buffer.owed("cloud") == 0)
            first, second = (json.loads(m.payload) for m in data(broker))

            assert (first["from"], first["to"]) == (second["from"], second["to"]) == (1, 5)
            assert first["run"] != second["run"]
            assert target.status().acknowledged == 5

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


def test_a_missing_certificate_file_is_named(tmp_path: Path, serving: Serving) -> None:
    async def main() -> None:
        async with (
            ScriptedBroker(tls=True) as broker,
            serving(broker.url, buffer_of(1), ca=tmp_path / "no.pem") as target,
        ):
            await until(lambda: target.status().why != "")

            assert "No such file" in target.status().why

    asyncio.run(main())


def test_nobody_at_the_port_is_said_in_words(serving: Serving) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"mqtt://127.0.0.1:{taken.getsockname()[1]}"

        async def main() -> None:
            async with serving(url, buffer_of(1)) as target:
                await until(lambda: target.status().why != "")

                assert target.status().why == f"{url}: Connection refused"

        asyncio.run(main())


def test_nothing_is_left_open_when_a_target_ends(serving: Serving) -> None:
    async def main() -> None:
        async with ScriptedBroker() as broker:
            async with serving(broker.url, buffer_of(3)) as target:
                await until(lambda: target.drained and target.status().acknowledged == 3)
            await until(lambda: broker.disconnects == 1)

            assert [t for t in asyncio.all_tasks() if "Paged" in repr(t) or "Replay" in repr(t)] == []

    asyncio.run(main())
