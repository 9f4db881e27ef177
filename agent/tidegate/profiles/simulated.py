"""A simulated device on Modbus TCP: registers by function and address, what it says of itself, and what it refuses.

It answers functions 3, 4, 17 and 43/14 for one unit, and is as picky about counts as its profile says.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from struct import Struct
from types import TracebackType
from typing import cast

MBAP = Struct(">HHHB")
READ = Struct(">BHH")
PDU_BYTES_MAX = 253
EXCEPTION = 0x80
READ_HOLDING, READ_INPUT, SERVER_ID, ENCAPSULATED = 3, 4, 17, 43
READS = frozenset({READ_HOLDING, READ_INPUT})
DEVICE_ID = 14
ILLEGAL_FUNCTION, ILLEGAL_ADDRESS, ILLEGAL_VALUE = 1, 2, 3
REGISTERS_MAX = 125
CLOSE_DEADLINE_S = 5.0

Words = Mapping[tuple[int, int], int]


@dataclass
class Simulated:
    """What the device holds: `words()` by (function, wire address); registers that nobody gave are zero.

    `even` are the functions that it answers at even addresses and for even counts only.
    `objects` are the device identification's, by number (0 vendor, 1 product, 2 revision), `server_id` what function
    17 says; without them the functions are unknown to it.
    """

    words: Callable[[], Words]
    registers_max: int = REGISTERS_MAX
    even: frozenset[int] = frozenset()
    objects: Mapping[int, str] = field(default_factory=dict)
    server_id: str = ""

    def reply(self, request: bytes) -> bytes:
        """The reply's PDU."""
        function = request[0]
        if function in READS:
            return self._read(request)
        if function == SERVER_ID and self.server_id:
            text = self.server_id.encode()
            return bytes((function, len(text) + 1)) + text + b"\xff"
        if function == ENCAPSULATED and self.objects and len(request) == 4 and request[1] == DEVICE_ID:
            return self._device_id(request[2], request[3])
        return bytes((function | EXCEPTION, ILLEGAL_FUNCTION))

    def _read(self, request: bytes) -> bytes:
        if len(request) != READ.size:
            return bytes((request[0] | EXCEPTION, ILLEGAL_VALUE))
        function, address, count = READ.unpack(request)
        odd = function in self.even and (address % 2 or count % 2)
        if not 1 <= count <= self.registers_max or odd:
            return bytes((function | EXCEPTION, ILLEGAL_VALUE))
        if address + count > 0x10000:
            return bytes((function | EXCEPTION, ILLEGAL_ADDRESS))
        words = self.words()
        data = b"".join(words.get((function, at), 0).to_bytes(2, "big") for at in range(address, address + count))
        return bytes((function, len(data))) + data

    def _device_id(self, code: int, first: int) -> bytes:
        if code != 1:
            return bytes((ENCAPSULATED | EXCEPTION, ILLEGAL_VALUE))
        listed = [(number, text.encode()) for number, text in sorted(self.objects.items()) if number >= first]
        head = bytes((ENCAPSULATED, DEVICE_ID, code, 0x01, 0x00, 0x00, len(listed)))
        return head + b"".join(bytes((number, len(text))) + text for number, text in listed)


class Server:
    """Serves one simulated device on a TCP port; as a context manager. `unit` None answers to every unit."""

    def __init__(self, device: Simulated, host: str = "127.0.0.1", port: int = 0, unit: int | None = None) -> None:
        self.device = device
        self.port = port
        self._host = host
        self._unit = unit
        self._open: set[asyncio.Transport] = set()

    async def __aenter__(self) -> "Server":
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Session(self.device, self._unit, self._open), self._host,
                                                self.port)  # fmt: skip
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()
        for transport in list(self._open):
            transport.abort()
        async with asyncio.timeout(CLOSE_DEADLINE_S):
            await self._server.wait_closed()


class _Session(asyncio.Protocol):
    """One connection: answers whole requests in their order, and closes on anything that is not Modbus."""

    def __init__(self, device: Simulated, unit: int | None, opened: set[asyncio.Transport]) -> None:
        self._device = device
        self._unit = unit
        self._opened = opened
        self._waiting = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport = cast(asyncio.Transport, transport)
        self._transport = transport
        self._opened.add(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._transport is not None:
            self._opened.discard(self._transport)

    def data_received(self, data: bytes) -> None:
        assert self._transport is not None
        self._waiting += data
        while len(self._waiting) >= MBAP.size:
            transaction, protocol, length, unit = MBAP.unpack_from(self._waiting)
            if protocol or not 2 <= length <= PDU_BYTES_MAX + 1:
                self._transport.close()
                return
            end = MBAP.size - 1 + length
            if len(self._waiting) < end:
                return
            request, self._waiting = self._waiting[MBAP.size : end], self._waiting[end:]
            if self._unit in (None, unit):
                answer = self._device.reply(request)
                self._transport.write(MBAP.pack(transaction, 0, len(answer) + 1, unit) + answer)
