"""Brokers that are silent, slow, or strict; each costs time at most, and no data."""

import asyncio
import json
import socket
import struct
import time
from pathlib import Path

from tests.fakes.buffer import MemoryBuffer
from tests.fakes.certificates import certificates
from tests.fakes.frames import frame, table
from tests.fakes.mqtt_broker import ScriptedBroker, held_back, until
from tests.publish.conftest import Serving
from tidegate.publish.standing import State
from tidegate.secret import Secret

METER = table()


def buffer_of(frames: int) -> MemoryBuffer:
    return MemoryBuffer.of(METER, frames)


def test_acknowledgements_packed_into_one_tls_record_are_all_read(serving: Serving) -> None:
    async def main() -> None:
        buffer = buffer_of(0)
        async with (
            ScriptedBroker(tls=True, puback=held_back) as broker,
            serving(broker.url, buffer, ca=certificates().authority, window=16, live_lag_s=60) as target,
        ):
            await until(lambda: target.status().state == State.CONNECTED and target.drained)
            for i in range(12):
                buffer.commit(frame(METER, i))
                await until(lambda i=i: len(broker.data) == i + 1)

            assert broker.acknowledge_all() == 12
            await until(lambda: target.drained, 2.0)
            assert buffer.owed("cloud") == 0

    asyncio.run(main())


def test_many_packets_in_one_tls_record_are_read_at_once(serving: Serving) -> None:
    async def main() -> None:
        async with (
            ScriptedBroker(tls=True) as broker,
            serving(broker.url, buffer_of(3), ca=certificates().authority) as target,
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
            serving(broker.url, buffer_of(3), ca=certificates().authority, connect_deadline_s=0.6) as target,
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
            assert broker.data == []

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


def test_never_more_is_in_flight_than_the_broker_can_receive(serving: Serving) -> None:
    async def main() -> None:
        buffer = buffer_of(200)
        receive_max = bytes([0x21]) + struct.pack("!H", 3)
        async with (
            ScriptedBroker(properties=receive_max, puback=held_back) as broker,
            serving(broker.url, buffer, message_bytes_max=5000, live_lag_s=60) as target,
        ):
            await until(lambda: len(broker.data) >= 3)
            await asyncio.sleep(0.1)
            for i in range(5):
                buffer.commit(frame(METER, i))

            assert len(broker.data) == 3
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
            await until(lambda: len(broker.data) >= 2 and target.status().state == State.CONNECTED)
            buffer.commit(frame(METER))
            broker.acknowledge_all()
            await until(lambda: any(m.leaf == "live" for m in broker.data))
            before = [m.leaf for m in broker.data].index("live")

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
            said = [json.loads(message.payload) for message in broker.data]
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

            assert {m.connection for m in broker.data} >= {1, 2}
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
            await until(lambda: len(broker.data) == 2)
            await asyncio.sleep(0.1)

            assert len(broker.data) == 2
            buffer.not_stored = 0
            broker.puback = lambda _: 0
            broker.acknowledge_all()
            await until(lambda: target.drained)

    asyncio.run(main())


def test_what_was_in_flight_when_the_line_broke_is_sent_again_from_the_buffer(serving: Serving) -> None:
    async def main() -> None:
        buffer = buffer_of(5)
        async with ScriptedBroker(puback=held_back) as broker, serving(broker.url, buffer) as target:
            await until(lambda: len(broker.data) == 1)
            broker.puback = lambda _: 0
            broker.hang_up()
            await until(lambda: buffer.owed("cloud") == 0)
            first, second = (json.loads(m.payload) for m in broker.data)

            assert (first["from"], first["to"]) == (second["from"], second["to"]) == (1, 5)
            assert first["run"] != second["run"]
            assert target.status().acknowledged == 5

    asyncio.run(main())


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

                assert target.status().why.startswith(f"{url}: Connection refused")

        asyncio.run(main())


def test_nothing_is_left_open_when_a_target_ends(serving: Serving) -> None:
    async def main() -> None:
        async with ScriptedBroker() as broker:
            async with serving(broker.url, buffer_of(3)) as target:
                await until(lambda: target.drained and target.status().acknowledged == 3)
            await until(lambda: broker.disconnects == 1)

            assert [t for t in asyncio.all_tasks() if "Paged" in repr(t) or "Replay" in repr(t)] == []

    asyncio.run(main())
