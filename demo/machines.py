"""The machines of the simulated plant: what their registers hold at a moment. They know no network.

The two meters have the register maps of real ones (wire addresses, most significant word first):

    Eastron SDM630   function 04, float32, an even number of registers and at most 60 a request
    Siemens PAC3200  functions 03 and 04, float32, energies as float64
"""

import math
import random
from struct import Struct
from typing import Protocol

F32 = Struct(">f")
F64 = Struct(">d")
U16 = Struct(">H")
U32 = Struct(">I")
U64 = Struct(">Q")
I16 = Struct(">h")

READ_COILS, READ_DISCRETE, READ_HOLDING, READ_INPUT = 1, 2, 3, 4
ILLEGAL_FUNCTION, ILLEGAL_ADDRESS, ILLEGAL_VALUE = 1, 2, 3
REGISTERS_MAX = 125
BITS_MAX = 2000
# A load unit may have more than one request can ask for.
LOAD_REGISTERS_MAX = 1_000

WORDS = 1 << 16
WAVE_STEP, UNIT_STEP, POLL_STEP = 40_503, 104_729, 7_919


class Refusal(Exception):
    """The machine answers with a Modbus exception of this code."""

    def __init__(self, code: int) -> None:
        super().__init__(f"exception {code}")
        self.code = code


class Machine(Protocol):
    """One unit: answers reads, and counts the replies in which its counter was read."""

    polls: int

    def read(self, function: int, address: int, count: int, now_s: float) -> bytes:
        """The data bytes of a reply, without their length. Raises Refusal."""
        ...


class Feeder:
    """Three phases of a plant's mains with a load that wanders: what both meters measure."""

    def __init__(self, seed: int, amperes: float) -> None:
        self._noise = random.Random(seed)
        self._amperes = amperes
        self._at_s = 0.0
        self.volts = [230.0] * 3
        self.amps = [amperes] * 3
        self.factor = [0.93] * 3
        self.hertz = 50.0
        self.imported_wh = 1_000_000.0 + 12_345.678 * seed

    def look(self, now_s: float) -> None:
        """Let the mains be what they are at this moment."""
        noise, passed_s = self._noise, max(0.0, now_s - self._at_s) if self._at_s else 0.0
        self.imported_wh += sum(self.watts) * min(passed_s, 60.0) / 3600
        self._at_s = now_s
        self.hertz = 50 + 0.02 * math.sin(now_s / 7) + noise.gauss(0, 0.003)
        for phase in range(3):
            swing = math.sin(now_s / (11 + 3 * phase) + phase)
            self.volts[phase] = 230.5 + 2.5 * math.sin(now_s / 23 + 2.1 * phase) + noise.gauss(0, 0.15)
            self.amps[phase] = self._amperes * (1 + 0.3 * swing) + noise.gauss(0, 0.05)
            self.factor[phase] = 0.93 + 0.03 * swing

    @property
    def apparent(self) -> list[float]:
        """VA, phase by phase."""
        return [u * i for u, i in zip(self.volts, self.amps, strict=True)]

    @property
    def watts(self) -> list[float]:
        """W, phase by phase."""
        return [s * f for s, f in zip(self.apparent, self.factor, strict=True)]

    @property
    def vars(self) -> list[float]:
        """var, phase by phase."""
        return [s * math.sqrt(1 - f * f) for s, f in zip(self.apparent, self.factor, strict=True)]


class Image:
    """Registers as bytes, filled by address."""

    def __init__(self, registers: int) -> None:
        self._bytes = bytearray(2 * registers)
        self.registers = registers

    def put(self, kind: Struct, address: int, *values: float) -> None:
        """Values one after the other from this register on."""
        for i, value in enumerate(values):
            kind.pack_into(self._bytes, 2 * address + i * kind.size, value)

    def text(self, address: int, registers: int, text: str) -> None:
        """ASCII, two characters a register, padded with zero bytes."""
        self._bytes[2 * address : 2 * (address + registers)] = text.encode().ljust(2 * registers, b"\0")

    def cut(self, address: int, count: int) -> bytes:
        """These registers. Raises Refusal where they are not all there."""
        if address + count > self.registers:
            raise Refusal(ILLEGAL_ADDRESS)
        return bytes(self._bytes[2 * address : 2 * (address + count)])


class Sdm630:
    """An Eastron SDM630 v2."""

    registers_max = 60

    def __init__(self, feeder: Feeder) -> None:
        self.polls = 0
        self._feeder = feeder

    def read(self, function: int, address: int, count: int, now_s: float) -> bytes:
        """See Machine."""
        if function != READ_INPUT:
            raise Refusal(ILLEGAL_FUNCTION)
        if count > self.registers_max or count % 2 or address % 2:
            raise Refusal(ILLEGAL_VALUE)
        feeder, image = self._feeder, Image(0x180)
        feeder.look(now_s)
        for address_of, values in (
            (0x00, feeder.volts), (0x06, feeder.amps), (0x0C, feeder.watts), (0x12, feeder.apparent),
            (0x18, feeder.vars), (0x1E, feeder.factor),
        ):  # fmt: skip
            image.put(F32, address_of, *values)
        image.put(F32, 0x34, sum(feeder.watts))
        image.put(F32, 0x38, sum(feeder.apparent))
        image.put(F32, 0x3C, sum(feeder.vars))
        image.put(F32, 0x3E, sum(feeder.watts) / sum(feeder.apparent))
        image.put(F32, 0x46, feeder.hertz, feeder.imported_wh / 1000, 0.0)
        image.put(F32, 0x156, feeder.imported_wh / 1000)
        self.polls += address == 0
        return image.cut(address, count)


class Pac3200:
    """A Siemens SENTRON PAC3200."""

    def __init__(self, feeder: Feeder) -> None:
        self.polls = 0
        self._feeder = feeder

    def read(self, function: int, address: int, count: int, now_s: float) -> bytes:
        """See Machine."""
        if function not in (READ_HOLDING, READ_INPUT):
            raise Refusal(ILLEGAL_FUNCTION)
        feeder, image = self._feeder, Image(0x400)
        feeder.look(now_s)
        between = [math.sqrt(3) * u for u in feeder.volts]
        for address_of, values in (
            (1, feeder.volts), (7, between), (13, feeder.amps), (19, feeder.apparent), (25, feeder.watts),
            (31, feeder.vars), (37, feeder.factor),
        ):  # fmt: skip
            image.put(F32, address_of, *values)
        totals = (sum(feeder.apparent), sum(feeder.watts), sum(feeder.vars))
        image.put(F32, 55, feeder.hertz)
        image.put(F32, 57, sum(feeder.volts) / 3, sum(between) / 3, sum(feeder.amps) / 3)
        image.put(F32, 63, *totals, totals[1] / totals[0])
        image.put(F64, 801, feeder.imported_wh, 0.0, 0.0)
        self.polls += address <= 1
        return image.cut(address, count)


class Press:
    """A stamping press with counters. Holding registers, and two coils.

    0  u32  replies in which this counter was read: the truth a checker counts against
    2  u32  parts made          4  u32  parts rejected      6  u16  state (0 stopped, 1 running, 2 tool change)
    7  u16  strokes/min x10     8  i16  oil temperature x10, °C
    10 u64  strokes since built             14  string of 16 characters: the tool in use
    """

    stroke_s = 0.75
    reject_every = 40
    # It runs for 50 s and then changes its tool for 10 s.
    cycle_s, change_s = 60.0, 10.0

    def __init__(self) -> None:
        self.polls = 0
        self._strokes = 18_014_398_509_000_000
        self._since_s = 0.0

    def read(self, function: int, address: int, count: int, now_s: float) -> bytes:
        """See Machine."""
        self._since_s = self._since_s or now_s
        passed_s = now_s - self._since_s
        cycles, within_s = divmod(passed_s, self.cycle_s)
        running = within_s < self.cycle_s - self.change_s
        worked_s = cycles * (self.cycle_s - self.change_s) + min(within_s, self.cycle_s - self.change_s)
        if function in (READ_COILS, READ_DISCRETE):
            return _bits((running, not running), address, count)
        if function != READ_HOLDING:
            raise Refusal(ILLEGAL_FUNCTION)
        made = int(worked_s / self.stroke_s)
        self.polls += address == 0
        image = Image(32)
        image.put(U32, 0, self.polls, made, made // self.reject_every)
        image.put(U16, 6, 1 if running else 2, round(600 / self.stroke_s) if running else 0)
        image.put(I16, 8, round(10 * (41 + 6 * math.sin(now_s / 31))))
        image.put(U64, 10, self._strokes + made)
        image.text(14, 8, f"die {int(cycles) % 4 + 1}")
        return image.cut(address, count)


def _bits(all_of_them: tuple[bool, ...], address: int, count: int) -> bytes:
    if address + count > len(all_of_them):
        raise Refusal(ILLEGAL_ADDRESS)
    number = sum(bit << i for i, bit in enumerate(all_of_them[address : address + count]))
    return number.to_bytes((count + 7) // 8, "little")


WAVE = b"".join(U16.pack(k * WAVE_STEP % WORDS) for k in range(WORDS + LOAD_REGISTERS_MAX))


def load_word(unit: int, poll: int, register: int) -> int:
    """What a load unit's register (2 and up) holds in its poll of this number."""
    return (poll * POLL_STEP + unit * UNIT_STEP + register - 2) % WORDS * WAVE_STEP % WORDS


class Load:
    """A unit for load: register 0 is a u32 poll counter, each other register a word that follows from it.

    So every value that arrives anywhere can be checked against nothing but unit, poll number and register.
    """

    def __init__(self, unit: int, registers: int) -> None:
        self.polls = 0
        self.registers = registers
        self._unit = unit

    def read(self, function: int, address: int, count: int, now_s: float) -> bytes:
        """See Machine."""
        if function != READ_HOLDING:
            raise Refusal(ILLEGAL_FUNCTION)
        if address + count > self.registers:
            raise Refusal(ILLEGAL_ADDRESS)
        self.polls += address == 0
        at = 2 * ((self.polls * POLL_STEP + self._unit * UNIT_STEP) % WORDS)
        image = U32.pack(self.polls) + WAVE[at : at + 2 * (self.registers - 2)]
        return image[2 * address : 2 * (address + count)]


def plant() -> dict[int, Machine]:
    """The demo's plant by unit: an SDM630 (1), a PAC3200 (2) and a press (3)."""
    return {1: Sdm630(Feeder(1, 18.0)), 2: Pac3200(Feeder(2, 63.0)), 3: Press()}


def load(units: int, registers: int) -> dict[int, Machine]:
    """Units 1..`units` for load, each of 3..1,000 `registers`."""
    if not 1 <= units <= 247 or not 3 <= registers <= LOAD_REGISTERS_MAX:
        raise ValueError(f"1..247 units of 3..{LOAD_REGISTERS_MAX} registers, not {units} of {registers}")
    return {unit: Load(unit, registers) for unit in range(1, units + 1)}
