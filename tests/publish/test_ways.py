"""Ways to a broker: certificates of our own, WebSockets, port 443's protocol, proxies, sources, brokers in an order."""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from demo.broker import Mosquitto, free_port
from tests.fakes.buffer import MemoryBuffer
from tests.fakes.certificates import certificates
from tests.fakes.frames import frame, table
from tests.fakes.mqtt_broker import ScriptedBroker, until
from tests.fakes.proxy import FakeProxy
from tests.publish.conftest import Serving
from tidegate.publish.standing import State
from tidegate.secret import Secret

METER = table()


def buffer_of(frames: int) -> MemoryBuffer:
    return MemoryBuffer.of(METER, frames)


@contextmanager
def listening(folder: Path, *settings: str) -> Iterator[int]:
    """A mosquitto with one more listener of these settings; its port."""
    port, made = free_port(), certificates()
    keys = [f"cafile {made.authority}", f"certfile {made.server}", f"keyfile {made.server}"]
    tls = keys if "tls" in settings else []
    lines = [f"listener {port} 127.0.0.1", *tls, *(one for one in settings if one != "tls")]
    broker = Mosquitto(folder / "broker", extra="\n".join(lines))
    broker.start()
    try:
        yield port
    finally:
        broker.kill()


def delivered(serving: Serving, url: str, frames: int = 400, **settings: Any) -> None:
    """The target delivers all that is owed there, in messages of some size."""

    async def main() -> None:
        buffer = buffer_of(frames)
        async with serving(url, buffer, **settings) as target:
            await until(lambda: target.status().acknowledged == frames)
            buffer.commit(frame(METER, 1))
            await until(lambda: buffer.owed("cloud") == 0)

    asyncio.run(main())


def test_a_broker_that_wants_a_certificate_of_ours_gets_it(serving: Serving, tmp_path: Path) -> None:
    made = certificates()
    with listening(tmp_path, "tls", "require_certificate true") as port:
        delivered(serving, f"mqtts://127.0.0.1:{port}", ca=made.authority, cert=made.client, key=made.client_key)


def test_without_that_certificate_nothing_goes_and_the_reason_is_told(serving: Serving, tmp_path: Path) -> None:
    async def main(port: int) -> None:
        async with serving(f"mqtts://127.0.0.1:{port}", buffer_of(3), ca=certificates().authority) as target:
            await until(lambda: target.status().why != "")

            assert target.status().acknowledged == 0

    with listening(tmp_path, "tls", "require_certificate true") as port:
        asyncio.run(main(port))


def test_a_websocket_carries_it(serving: Serving, tmp_path: Path) -> None:
    with listening(tmp_path, "protocol websockets") as port:
        delivered(serving, f"ws://127.0.0.1:{port}/mqtt")


def test_a_websocket_in_tls_carries_it_with_a_certificate_of_ours(serving: Serving, tmp_path: Path) -> None:
    made = certificates()
    with listening(tmp_path, "protocol websockets", "tls", "require_certificate true") as port:
        delivered(serving, f"wss://127.0.0.1:{port}", ca=made.authority, cert=made.client, key=made.client_key)


def test_a_web_server_that_opens_no_websocket_is_named(serving: Serving) -> None:
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()
        writer.close()

    async def main() -> None:
        server = await asyncio.start_server(refuse, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        async with server, serving(f"ws://127.0.0.1:{port}/nowhere", buffer_of(3)) as target:
            await until(lambda: "404" in target.status().why)

            assert "/nowhere" in target.status().why

    asyncio.run(main())


@pytest.mark.parametrize(("alpn", "chosen"), [("mqtt", "mqtt"), ("x-amzn-mqtt-ca", "x-amzn-mqtt-ca"), ("", None)])
def test_a_broker_on_a_shared_port_is_told_what_is_spoken(serving: Serving, alpn: str, chosen: str | None) -> None:
    heard: list[str | None] = []

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(writer.get_extra_info("ssl_object").selected_alpn_protocol())
        writer.close()

    async def main() -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificates().server)
        context.set_alpn_protocols(["h2", "mqtt", "x-amzn-mqtt-ca"])
        server = await asyncio.start_server(listen, "127.0.0.1", 0, ssl=context)
        url = f"mqtts://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with server, serving(url, buffer_of(1), ca=certificates().authority, alpn=alpn):
            await until(lambda: heard != [])

    asyncio.run(main())

    assert heard[0] == chosen


@pytest.mark.parametrize("kind", ["http", "socks5"])
def test_a_proxy_is_asked_for_the_broker_by_its_name(serving: Serving, kind: str) -> None:
    async def main() -> None:
        buffer = buffer_of(50)
        async with (
            ScriptedBroker(tls=True) as broker,
            FakeProxy(kind, broker.port, user="me") as proxy,
            serving(
                f"mqtts://localhost:{broker.port}", buffer, ca=certificates().authority, proxy=proxy.url,
                proxy_user="me", proxy_password=Secret("hush"),
            ),
        ):  # fmt: skip
            await until(lambda: buffer.owed("cloud") == 0)

            assert proxy.asked == [("localhost", broker.port)]
            assert proxy.credentials == [{"http": "Basic bWU6aHVzaA==", "socks5": "me:hush"}[kind]]

    asyncio.run(main())


@pytest.mark.parametrize(("kind", "why"), [("http", "403"), ("socks5", "not allowed by its rules")])
def test_a_proxy_that_refuses_is_named_with_its_reason(serving: Serving, kind: str, why: str) -> None:
    async def main() -> None:
        async with (
            ScriptedBroker() as broker,
            FakeProxy(kind, broker.port, refuse=True) as proxy,
            serving(broker.url, buffer_of(3), proxy=proxy.url) as target,
        ):
            await until(lambda: why in target.status().why)

            assert proxy.url in target.status().why
            assert broker.connections == 0

    asyncio.run(main())


def test_a_proxy_that_says_nothing_costs_its_deadline_and_no_more(serving: Serving) -> None:
    async def main() -> None:
        silent = await asyncio.start_server(lambda r, w: asyncio.sleep(30), "127.0.0.1", 0)
        url = f"http://127.0.0.1:{silent.sockets[0].getsockname()[1]}"
        async with serving("mqtt://127.0.0.1:1", buffer_of(3), proxy=url, connect_deadline_s=0.3) as target:
            await until(lambda: "did not answer" in target.status().why or "timed out" in target.status().why)
        silent.close()

    asyncio.run(main())


@pytest.mark.parametrize("url", ["mqtt://127.0.0.1:1", "ws://127.0.0.1:1"])
def test_a_peer_that_gives_a_byte_now_and_then_is_left_at_the_deadline(serving: Serving, url: str) -> None:
    connections: list[int] = []

    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(1)
        with contextlib.suppress(ConnectionError):
            while True:
                writer.write(b"x")
                await writer.drain()
                await asyncio.sleep(0.1)

    async def main() -> None:
        server = await asyncio.start_server(drip, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        proxy = f"http://127.0.0.1:{port}" if url.startswith("mqtt") else ""
        there = url if proxy else f"ws://127.0.0.1:{port}"
        async with serving(there, buffer_of(3), proxy=proxy, connect_deadline_s=0.4):
            # The second one shows that the thread of the first has ended.
            await until(lambda: len(connections) >= 2, 5)
        server.close()

    asyncio.run(main())


def test_a_connection_goes_out_from_the_address_that_was_chosen(serving: Serving) -> None:
    peers: list[str] = []

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peers.append(writer.get_extra_info("peername")[0])
        writer.close()

    async def main(source: str) -> None:
        server = await asyncio.start_server(listen, "127.0.0.1", 0)
        url = f"mqtt://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with server, serving(url, buffer_of(1), source=source):
            await until(lambda: len(peers) > 0)

    asyncio.run(main("127.0.0.9"))

    assert peers[0] == "127.0.0.9"


def test_an_interface_that_is_not_there_is_named(serving: Serving) -> None:
    async def main() -> None:
        async with ScriptedBroker() as broker, serving(broker.url, buffer_of(1), source="wwan77") as target:
            await until(lambda: "wwan77" in target.status().why)

            assert broker.connections == 0

    asyncio.run(main())


def test_a_connection_goes_out_from_the_interface_that_was_chosen(serving: Serving) -> None:
    with socket.socket() as trial:
        try:
            trial.setsockopt(socket.SOL_SOCKET, 25, b"lo\0")
        except OSError:
            pytest.skip("this kernel binds no socket to an interface for us")
    with_broker: list[int] = []

    async def main() -> None:
        async with ScriptedBroker() as broker, serving(broker.url, buffer_of(3), source="lo") as target:
            await until(lambda: target.status().acknowledged == 3)
            with_broker.append(broker.connections)

    asyncio.run(main())

    assert with_broker == [1]


def test_brokers_are_tried_in_their_order_and_the_first_is_come_back_to(serving: Serving) -> None:
    async def main() -> None:
        buffer, port = buffer_of(3), free_port()
        first = f"mqtt://127.0.0.1:{port}"
        async with (
            ScriptedBroker(connack=0x88) as busy,
            ScriptedBroker() as second,
            serving(first, buffer, fallbacks=(busy.url, second.url), return_s=0.2) as target,
        ):
            await until(lambda: target.status().acknowledged == 3)

            assert target.status().url == second.url
            assert busy.connections == 1
            async with ScriptedBroker(port=port) as back:
                await until(lambda: target.status().state == State.CONNECTED and target.status().url == first)
                # Said goodbye to, so that the fallback does not publish our will.
                assert second.disconnects == 1
                buffer.commit(frame(METER, 1))
                await until(lambda: len(back.data) == 1)

    asyncio.run(main())


def test_what_every_broker_refuses_parks_the_target(serving: Serving) -> None:
    async def main() -> None:
        async with (
            ScriptedBroker(connack=0x87) as one,
            ScriptedBroker(connack=0x87) as other,
            serving(one.url, buffer_of(3), fallbacks=(other.url,)) as target,
        ):
            await until(lambda: target.status().state == State.PARKED)

            assert (one.connections, other.connections) == (1, 1)
            assert target.status().backlog == 3

    asyncio.run(main())


@pytest.mark.parametrize("limit", [{"messages_s_max": 20.0}, {"bytes_s_max": 20_000}])
def test_no_more_goes_a_second_than_is_allowed(serving: Serving, limit: dict[str, Any]) -> None:
    async def main() -> None:
        buffer = buffer_of(3000)
        async with ScriptedBroker() as broker, serving(broker.url, buffer, message_bytes_max=4096, **limit) as target:
            await until(lambda: target.status().state == State.CONNECTED)
            begun = (len(broker.published), sum(len(m.payload) for m in broker.published))
            await asyncio.sleep(1.5)
            messages = len(broker.published) - begun[0]
            size = sum(len(m.payload) for m in broker.published) - begun[1]

        # One second's worth may be made up for, and one message may go beyond.
        assert messages <= limit.get("messages_s_max", 1e9) * 2.5 + 1
        assert size <= limit.get("bytes_s_max", 1e9) * 2.5 + 4096
        assert size > 10_000

    asyncio.run(main())


def test_a_link_that_died_without_a_word_is_noticed_by_default_within_twenty_seconds() -> None:
    from tidegate.publish.delivery import TICK_S
    from tidegate.publish.settings import TargetSettings

    usual = TargetSettings("cloud", "mqtt://127.0.0.1")

    assert 2 * usual.keepalive_s + 2 * TICK_S <= 20
    assert usual.puback_deadline_s + 2 * TICK_S <= 20
