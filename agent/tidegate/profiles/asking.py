"""Asks one Modbus TCP unit who it is: functions 3, 4, 17 and 43/14, which only read, and no other, one at a time.

It is not the driver: a device that nobody knows yet may stay silent, refuse or hang up, and none of that is a fault.
"""

import asyncio
import re
from collections.abc import Mapping
from struct import Struct
from types import TracebackType

from tidegate.errors import NotConnected
from tidegate.profiles.identity import ADDRESS_MAX, REGISTERS_MAX

MBAP = Struct(">HHHB")
READ = Struct(">BHH")
READ_HOLDING, READ_INPUT, SERVER_ID, ENCAPSULATED = 3, 4, 17, 43
DEVICE_ID, BASIC, MORE_FOLLOWS = 14, 1, 0xFF
EXCEPTION = 0x80
PDU_BYTES_MAX = 253
TRANSACTIONS = 1 << 16

PORT = 502
TIMEOUT_S = 1.0
PAUSE_S = 0.05
OPEN_DEADLINE_S = 5.0
# So many lost connections in a row mean that nobody is there who would talk to us.
LOST_MAX = 3
# Objects of the basic category come in one reply, or few; a device that sends more and more is not believed.
REPLIES_MAX = 8
# Replies to earlier questions, come late, before the one that is waited for.
STALE_MAX = 16

ADDRESS = re.compile(r"tcp://(?:\[([0-9A-Fa-f:.]+(?:%[\w.-]+)?)\]|([\w.-]+))(?::(\d{1,5}))?(?:/(\d{1,3}))?/?", re.ASCII)


def parse_address(text: str) -> tuple[str, int, int]:
    """Host, port and unit of `tcp://10.0.0.7:502/1`; port 502 and unit 1 unless said. Raises ValueError."""
    matched = ADDRESS.fullmatch(text.strip())
    port, unit = (int(matched[3] or PORT), int(matched[4] or 1)) if matched else (0, 0)
    if matched is None or not 0 < port <= 0xFFFF or not 0 <= unit <= 0xFF:
        raise ValueError(f"{text!r} is no address of a unit: write tcp://10.0.0.7:502/1 or tcp://[fd00::7]:502/1")
    return matched[1] or matched[2], port, unit


class Asker:
    """One unit behind host and port, as a context manager. What it refuses, or does not answer in time, is None.

    `asked` and `answered` count questions; a refusal is an answer, too.
    """

    def __init__(self, host: str, port: int, unit: int, timeout_s: float = TIMEOUT_S, pause_s: float = PAUSE_S) -> None:
        self.asked = 0
        self.answered = 0
        self._place = (host, port)
        self._unit = unit
        self._timeout_s = timeout_s
        self._pause_s = pause_s
        self._transaction = 0
        self._lost = 0
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def __aenter__(self) -> "Asker":
        await self._open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    async def registers(self, function: int, address: int, count: int) -> tuple[int, ...] | None:
        """So many registers by function 3 or 4. Raises NotConnected."""
        if function not in (READ_HOLDING, READ_INPUT):
            raise ValueError(f"function {function} is none of those that may be asked")
        if not 1 <= count <= REGISTERS_MAX or not 0 <= address <= ADDRESS_MAX + 1 - count:
            raise ValueError(f"no {count} registers begin at {address}")
        reply = await self._ask(READ.pack(function, address, count))
        if reply is None or len(reply) != 2 + 2 * count or reply[1] != 2 * count:
            return None
        return tuple(int.from_bytes(reply[i : i + 2], "big") for i in range(2, len(reply), 2))

    async def server_id(self) -> str | None:
        """What function 17 says, as far as it is text. Raises NotConnected."""
        reply = await self._ask(bytes((SERVER_ID,)))
        if reply is None or len(reply) < 2 or len(reply) != 2 + reply[1]:
            return None
        return _text(reply[2:])

    async def device_id(self) -> Mapping[int, str] | None:
        """The basic objects of function 43/14 by number: 0 vendor, 1 product, 2 revision. Raises NotConnected."""
        found: dict[int, str] = {}
        first = 0
        for _ in range(REPLIES_MAX):
            reply = await self._ask(bytes((ENCAPSULATED, DEVICE_ID, BASIC, first)))
            if reply is None or len(reply) < 7 or reply[1] != DEVICE_ID:
                break
            found.update(_objects(reply))
            if reply[4] != MORE_FOLLOWS or reply[5] <= first:
                break
            first = reply[5]
        return found or None

    async def _ask(self, request: bytes) -> bytes | None:
        self.asked += 1
        await asyncio.sleep(self._pause_s)
        if self._streams is None:
            await self._open()
        try:
            async with asyncio.timeout(self._timeout_s):
                reply = await self._exchange(request)
        except TimeoutError:
            return None
        except (asyncio.IncompleteReadError, ConnectionError):
            self._close()
            self._lost += 1
            if self._lost >= LOST_MAX:
                host, port = self._place
                raise NotConnected("", f"{host}:{port} hangs up at every question") from None
            return None
        self._lost = 0
        if reply is None:
            self._close()
            return None
        self.answered += 1
        return reply if reply[0] == request[0] else None

    async def _exchange(self, request: bytes) -> bytes | None:
        """The PDU of the reply to this request; None where something else than Modbus came."""
        assert self._streams is not None
        reader, writer = self._streams
        self._transaction = (self._transaction + 1) % TRANSACTIONS
        writer.write(MBAP.pack(self._transaction, 0, len(request) + 1, self._unit) + request)
        await writer.drain()
        for _ in range(STALE_MAX):
            transaction, protocol, length, unit = MBAP.unpack(await reader.readexactly(MBAP.size))
            if protocol or not 2 <= length <= PDU_BYTES_MAX + 1:
                return None
            reply = await reader.readexactly(length - 1)
            if transaction == self._transaction and unit == self._unit and reply[0] & ~EXCEPTION == request[0]:
                return reply
        return None

    async def _open(self) -> None:
        host, port = self._place
        try:
            async with asyncio.timeout(OPEN_DEADLINE_S):
                self._streams = await asyncio.open_connection(host, port)
        except TimeoutError:
            raise NotConnected("", f"{host}:{port} could not be reached within {OPEN_DEADLINE_S:g} s") from None
        except OSError as error:
            raise NotConnected("", f"{host}:{port} can't be reached: {error.strerror or error}") from None

    def _close(self) -> None:
        if self._streams is not None:
            self._streams[1].transport.abort()
        self._streams = None


def _objects(reply: bytes) -> dict[int, str]:
    """The objects of one reply, as far as they are whole (Modbus Application Protocol V1.1b3, §6.21)."""
    found, at = {}, 7
    for _ in range(reply[6]):
        if at + 2 > len(reply) or at + 2 + reply[at + 1] > len(reply):
            break
        found[reply[at]] = _text(reply[at + 2 : at + 2 + reply[at + 1]])
        at += 2 + reply[at + 1]
    return found


def _text(data: bytes) -> str:
    """What of these bytes can be printed."""
    return "".join(letter for letter in data.decode("ascii", "ignore") if letter.isprintable()).strip()
