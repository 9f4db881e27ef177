"""A proxy that does as it is told and records what it was asked: HTTP CONNECT or SOCKS5, in the test's own loop.

It connects to nowhere but the port that the test gives it, whatever host it is asked for.
"""

import asyncio
import contextlib
import struct
from typing import Self


class FakeProxy:
    """`asked` holds host and port of every request, `credentials` what came with it. `refuse` refuses them all."""

    def __init__(self, kind: str, broker_port: int, *, user: str = "", refuse: bool = False) -> None:
        self.asked: list[tuple[str, int]] = []
        self.credentials: list[str] = []
        self.refuse = refuse
        self._kind = kind
        self._broker_port = broker_port
        self._user = user
        self._server: asyncio.Server | None = None

    @property
    def url(self) -> str:
        assert self._server is not None
        return f"{self._kind}://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            agreed = await (self._http(reader, writer) if self._kind == "http" else self._socks(reader, writer))
            if agreed:
                there, back = await asyncio.open_connection("127.0.0.1", self._broker_port)
                await asyncio.gather(_pump(reader, back), _pump(there, writer))
        writer.close()

    async def _http(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        method, where, _ = lines[0].split(" ")
        assert method == "CONNECT"
        host, _, port = where.rpartition(":")
        self.asked.append((host, int(port)))
        self.credentials += [line.partition(": ")[2] for line in lines if line.startswith("Proxy-Authorization")]
        writer.write(b"HTTP/1.1 403 Forbidden\r\n\r\n" if self.refuse else b"HTTP/1.1 200 OK\r\nVia: fake\r\n\r\n")
        await writer.drain()
        return not self.refuse

    async def _socks(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        version, count = await reader.readexactly(2)
        methods = await reader.readexactly(count)
        wanted = 2 if self._user else 0
        assert version == 5
        if wanted not in methods:
            writer.write(b"\5\xff")
            return False
        writer.write(bytes([5, wanted]))
        if wanted:
            _, length = await reader.readexactly(2)
            user = await reader.readexactly(length)
            password = await reader.readexactly((await reader.readexactly(1))[0])
            self.credentials.append(f"{user.decode()}:{password.decode()}")
            writer.write(b"\1\0")
        _, _, _, kind = await reader.readexactly(4)
        if kind == 3:
            host = (await reader.readexactly((await reader.readexactly(1))[0])).decode()
        else:
            host = ".".join(str(digit) for digit in await reader.readexactly(4 if kind == 1 else 16))
        port = struct.unpack("!H", await reader.readexactly(2))[0]
        self.asked.append((host, port))
        writer.write(bytes([5, 2 if self.refuse else 0, 0, 1]) + bytes(6))
        await writer.drain()
        return not self.refuse


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    writer.close()
