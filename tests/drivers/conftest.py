"""A Modbus device made of a script: what it answers, byte for byte, is a function of what it was asked."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from struct import Struct, unpack
from types import TracebackType
from typing import Any

import pytest

from tidegate.clock import Clock
from tidegate.model.device import Device, Group
from tidegate.model.frame import Frame
from tidegate.model.tag import Tag, TagTable, Type
from tidegate_drivers.modbus.driver import ModbusDriver

MBAP = Struct(">HHHB")
Answer = Callable[[bytes], bytes | Awaitable[bytes | None] | None]
Story = Callable[[ModbusDriver, Group, "Peer"], Coroutine[Any, Any, None]]


def adu(transaction: int, unit: int, pdu: bytes, protocol: int = 0) -> bytes:
    """A Modbus TCP message."""
    return MBAP.pack(transaction, protocol, len(pdu) + 1, unit) + pdu


class Machine:
    """Registers and bits by address, those that it refuses, and a count of what it was asked. An `Answer`."""

    def __init__(self, words: dict[int, int] | None = None, missing: set[int] | None = None) -> None:
        self.words = words or {}
        self.missing = missing or set()
        self.asked: list[tuple[int, int, int]] = []
        self.code = 2

    def __call__(self, request: bytes) -> bytes:
        """The reply to one request of function 1 to 4."""
        transaction, _, _, unit = MBAP.unpack_from(request)
        function, address, count = Struct(">BHH").unpack_from(request, MBAP.size)
        self.asked.append((function, address, count))
        if self.missing & set(range(address, address + count)):
            return adu(transaction, unit, bytes([function | 0x80, self.code]))
        found = [self.words.get(a, 0) for a in range(address, address + count)]
        if function <= 2:
            data = bytearray((count + 7) // 8)
            for i, bit in enumerate(found):
                data[i // 8] |= (bit & 1) << i % 8
        else:
            data = bytearray(b"".join(word.to_bytes(2, "big") for word in found))
        return adu(transaction, unit, bytes([function, len(data)]) + data)


class Peer:
    """Serves an `Answer` on a loopback port: `None` is silence, bytes are sent as they are, b"" closes."""

    def __init__(self, answer: Answer, host: str = "127.0.0.1") -> None:
        self._answer = answer
        self._host = host
        self._writers: list[asyncio.StreamWriter] = []
        self.connections = 0
        self.requests: list[bytes] = []
        self.open = 0

    async def __aenter__(self) -> "Peer":
        self._server = await asyncio.start_server(self._serve, self._host, 0)
        self.port = self._server.sockets[0].getsockname()[1]
        self.address = f"tcp://[{self._host}]:{self.port}" if ":" in self._host else f"tcp://{self._host}:{self.port}"
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None,
                        trace: TracebackType | None) -> None:  # fmt: skip
        self.hang_up()
        self._server.close()
        await self._server.wait_closed()

    def hang_up(self) -> None:
        """Close every connection."""
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.open += 1
        self._writers.append(writer)
        try:
            while True:
                head = await reader.readexactly(MBAP.size)
                body = await reader.readexactly(MBAP.unpack(head)[2] - 1)
                self.requests.append(head + body)
                given = self._answer(head + body)
                reply = given if isinstance(given, bytes) or given is None else await given
                if reply == b"":
                    return
                if reply is not None:
                    writer.write(reply)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self.open -= 1
            writer.close()


class Rig:
    """Modbus devices for the stories of whole reads, and what one looks at in a frame."""

    serve = Peer
    machine = Machine

    @staticmethod
    def device(address: str, tags: list[Tag], unit: int = 1, name: str = "m1", deadline_s: float = 2.0,
               **options: str) -> Device:  # fmt: skip
        """A device with one group of all its tags."""
        group = Group(name, "default", 1.0, deadline_s, tuple(range(len(tags))))
        return Device(name, "modbus", address, unit, TagTable(name, tuple(tags)), (group,), options)

    @staticmethod
    def words(count: int, start: int = 0) -> list[Tag]:
        """So many uint16 holding registers in a row."""
        return [Tag(f"w{a}", Type.UINT16, Type.UINT16, f"HR{a}") for a in range(start, start + count)]

    @staticmethod
    def statuses(frame: Frame) -> list[int]:
        """The status of each slot."""
        found = unpack(f"<{len(frame.status) // 4}I", frame.status)
        return list(found * frame.count if len(found) == 1 else found)

    @classmethod
    def bad(cls, frame: Frame) -> list[int]:
        """Slots that are not good."""
        return [slot for slot, status in enumerate(cls.statuses(frame)) if status]

    @classmethod
    def against(cls, answer: Answer, tags: list[Tag], story: Story, **options: Any) -> None:
        """Tell a story of (driver, group, peer) with one device that gives these answers."""

        async def main() -> None:
            async with Peer(answer) as peer:
                made = cls.device(peer.address, tags, **options)
                driver = ModbusDriver([made], Clock())
                await driver.open()
                try:
                    await story(driver, made.groups[0], peer)
                finally:
                    await driver.close()

        asyncio.run(main())


@pytest.fixture
def serve() -> type[Peer]:
    """`async with serve(answer) as peer`: a device at `peer.address`."""
    return Peer


@pytest.fixture
def machine() -> type[Machine]:
    """`machine({0: 7}, missing={3})`: what a device holds."""
    return Machine


@pytest.fixture
def rig() -> type[Rig]:
    """`rig.against(answer, tags, story)`: whole reads of a scripted device."""
    return Rig
