"""Asks one unit who it is: functions 3, 4, 17 and 43/14, which only read, and no other, one at a time.

It knows no wire: requests and replies are Modbus PDUs, or what an OPC UA driver takes for one, and go through the
driver, whatever its transport. A device that nobody knows yet may stay silent, refuse or hang up, and none of that is a
fault.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from struct import Struct

from tidegate.errors import InvalidReply, NoAnswer, Refused
from tidegate.profiles.identity import ADDRESS_MAX, REGISTERS_MAX

READ = Struct(">BHH")
READ_HOLDING, READ_INPUT, SERVER_ID, ENCAPSULATED = 3, 4, 17, 43
DEVICE_ID, BASIC, MORE_FOLLOWS = 14, 1, 0xFF

PAUSE_S = 0.05
# What an OPC UA driver is asked, and answers as JSON.
NAMEPLATE = b'{"ask":"machine"}'
# Objects of the basic category come in one reply, or few; a device that sends more and more is not believed.
REPLIES_MAX = 8
# Refusals that say that there is no such function, address or value; others are of the moment.
SETTLED = frozenset({1, 2, 3})

Ask = Callable[[bytes], Awaitable[bytes]]


class Asker:
    """Asks with `ask`, which takes a request and gives the reply, or raises a driver's error.

    What is refused, or answered wrongly, is None; so is silence. `strict`: what is so only for the moment is raised.
    `asked` and `answered` count questions; a refusal is an answer, too.
    """

    def __init__(self, ask: Ask, pause_s: float = PAUSE_S, strict: bool = False) -> None:
        self.asked = 0
        self.answered = 0
        self._question = ask
        self._pause_s = pause_s
        self._strict = strict

    async def registers(self, function: int, address: int, count: int) -> tuple[int, ...] | None:
        """So many registers by function 3 or 4. Raises as `ask`."""
        if function not in (READ_HOLDING, READ_INPUT):
            raise ValueError(f"function {function} is none of those that may be asked")
        if not 1 <= count <= REGISTERS_MAX or not 0 <= address <= ADDRESS_MAX + 1 - count:
            raise ValueError(f"no {count} registers begin at {address}")
        reply = await self._ask(READ.pack(function, address, count))
        if reply is None or len(reply) != 2 + 2 * count or reply[1] != 2 * count:
            return None
        return tuple(int.from_bytes(reply[i : i + 2], "big") for i in range(2, len(reply), 2))

    async def server_id(self) -> str | None:
        """What function 17 says, as far as it is text. Raises as `ask`."""
        reply = await self._ask(bytes((SERVER_ID,)))
        if reply is None or len(reply) < 2 or len(reply) != 2 + reply[1]:
            return None
        return _text(reply[2:])

    async def device_id(self) -> Mapping[int, str] | None:
        """The basic objects of function 43/14 by number: 0 vendor, 1 product, 2 revision. Raises as `ask`."""
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

    async def machine(self) -> Mapping[str, str] | None:
        """The nameplate of an OPC UA machine: type, vendor, product, revision. Raises as `ask`."""
        reply = await self._ask(NAMEPLATE)
        try:
            said = json.loads(reply) if reply is not None else None
        except ValueError:
            return None
        if not isinstance(said, dict):
            return None
        return {word: text for word, text in said.items() if isinstance(word, str) and isinstance(text, str)}

    async def _ask(self, request: bytes) -> bytes | None:
        self.asked += 1
        await asyncio.sleep(self._pause_s)
        try:
            reply = await self._question(request)
        except Refused as refused:
            self.answered += 1
            if self._strict and refused.code not in SETTLED:
                raise
            return None
        except (NoAnswer, InvalidReply):
            if self._strict:
                raise
            return None
        self.answered += 1
        return reply if reply[:1] == request[:1] else None


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
