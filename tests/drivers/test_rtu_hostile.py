"""A seeded line that means harm, on virtual time: of all that it answers no wrong value is taken, and it recovers."""

import asyncio
from random import Random

import pytest

from tests.fakes.serial_line import MemoryLine, Moves, framed, registers_of
from tests.fakes.virtual_time import run_virtually
from tidegate.clock import Clock
from tidegate.errors import NoAnswer, Refused
from tidegate_drivers.modbus.abandoned import Abandoned
from tidegate_drivers.modbus.line import Line
from tidegate_drivers.modbus.line_link import LineLink

UNITS = (1, 2, 3)
TIMEOUT_S = 0.1
ASKED = 4_000
RECOVERS_IN = 2
KINDS = (
    "honest", "honest", "honest", "silent", "late", "late", "cut off", "checksum", "unit", "function", "length",
    "noise before", "noise behind", "noise", "pieces", "exception", "foreign", "echo", "twice", "old", "busy",
)  # fmt: skip


class Line3:
    """Three units that answer in order, each register a function of its address and of when it was asked for."""

    def __init__(self, chance: Random) -> None:
        self._chance = chance
        self.kinds: tuple[str, ...] = KINDS
        self.asked = 0
        self._free_at = dict.fromkeys(UNITS, 0.0)
        self._last = dict.fromkeys(UNITS, b"")

    def words(self, address: int, number: int) -> int:
        return (address * 31 + number * 7919) & 0xFFFF

    def __call__(self, question: bytes) -> Moves:
        self.asked += 1
        number, chance, unit = self.asked, self._chance, question[0]
        now = asyncio.get_running_loop().time()
        reply = framed(registers_of(question, lambda address: self.words(address, number)))
        kind = chance.choice(self.kinds)
        if kind == "old" and self._last[unit]:
            # Not the unit's own: a bridge that repeats what it heard, right behind the true reply.
            reply, kind = reply + self._last[unit], "honest"
        if now < self._free_at[unit] and chance.random() < 0.5:
            return []
        wait_s = chance.choice([0.002, 0.02, 0.08])
        if kind == "late":
            wait_s = TIMEOUT_S * chance.choice([1.01, 1.5, 2.0, 3.0, 7.0])
        due = max(now + wait_s, self._free_at[unit] + 0.001) - now
        if kind in ("silent", "busy"):
            self._free_at[unit] = now + (0.5 if kind == "busy" else 0.0)
            return []
        self._free_at[unit] = now + due
        self._last[unit] = reply
        return self.moves(kind, reply, due)

    def moves(self, kind: str, reply: bytes, due: float) -> Moves:
        chance = self._chance
        noise = chance.randbytes(chance.randrange(1, 40))
        cut = chance.randrange(1, len(reply))
        body = reply[:-2]
        wrong = {
            "cut off": reply[:cut],
            "checksum": reply[:cut] + bytes([reply[cut] ^ 1 << chance.randrange(8)]) + reply[cut + 1 :],
            "unit": framed(bytes([body[0] % 3 + 1]) + body[1:]),
            "function": framed(body[:1] + b"\x04" + body[2:]),
            "length": framed(body[:2] + bytes([body[2] + 2]) + body[3:] + b"\0\0"),
            "noise before": noise + reply,
            "noise behind": reply + noise,
            "noise": noise,
            "exception": framed(body[:1] + bytes([body[1] | 0x80, 6])),
            "foreign": framed(body[:1] + bytes([0x10, 0, 0, 0, 2])) + reply,
            "echo": framed(body[:1] + bytes([3, 0, 7, 0, 2])) + reply,
            "twice": reply + reply,
        }
        if kind == "pieces":
            return [(due, reply[:cut]), (due + 0.004, reply[cut:])]
        return [(due, wrong.get(kind, reply))]


@pytest.mark.parametrize("seed", range(8))
def test_no_wrong_value_is_taken_and_an_honest_line_recovers(seed: int) -> None:
    async def main(clock: Clock) -> None:
        chance = Random(seed)
        units = Line3(chance)
        link = LineLink(clock, "the line", Line(19200, "E", 1, 0.0, False), Abandoned(), gives_up=False)
        MemoryLine(link, units)
        taken = wrong = 0

        async def ask(unit: int) -> bool:
            nonlocal taken, wrong
            address, count = chance.choice([0, 100]), chance.choice([1, 2, 10])
            pdu = bytes([3, 0, address, 0, count])
            try:
                data = await link.ask("m", unit, pdu, 2 * count, link.time() + TIMEOUT_S)
            except (NoAnswer, Refused):
                return False
            expected = b"".join(units.words(address + i, units.asked).to_bytes(2, "big") for i in range(count))
            taken, wrong = taken + 1, wrong + (data != expected)
            return True

        while units.asked < ASKED:
            await ask(chance.choice(UNITS))
        units.kinds = ("honest",)
        await asyncio.sleep(1.0)
        for unit in UNITS * RECOVERS_IN:
            await ask(unit)
        recovered = [await ask(unit) for unit in UNITS * 20]
        link.close()

        assert (wrong, all(recovered)) == (0, True)
        assert taken > ASKED / 8

    run_virtually(main)
