"""A serial line's settings: texts of a device into speed, parity and pauses, with all problems. It opens nothing.

Source: MODBUS over Serial Line V1.02 §2.5.1 (pauses between frames), §2.5.1.1 (a character's bits).
"""

import os
import termios
from dataclasses import dataclass

from tidegate.errors import Problem
from tidegate.model.device import Device
from tidegate.model.option import Options
from tidegate_drivers.modbus.address import Place
from tidegate_drivers.modbus.framing import ASCII, RTU, Framing
from tidegate_drivers.modbus.rs485 import Rs485, parse_rs485

# Speeds that both Modbus devices and the system's serial ports know.
BAUDS = tuple(
    baud
    for baud in (1200, 2400, 4800, 9600, 19200, 38400, 57600, 115200, 230400, 460800, 921600)
    if hasattr(termios, f"B{baud}")
)
PARITIES = {"n": "N", "e": "E", "o": "O", "none": "N", "even": "E", "odd": "O"} | {
    f"{bits}{parity}1": parity.upper() for bits in (7, 8) for parity in "neo"
}
OF_PORTS = ("baud", "parity", "stop", "bits", "rs485", "rs485_before", "rs485_after")
OF_LINES = (*OF_PORTS, "turnaround", "echo")
BAUD, PARITY, STOP = 19200, "e", 1
TURNAROUND_S_MAX = 5.0
# Above this speed the pause between two frames is fixed, since timers have their limits.
FIXED_PAUSE_BAUD, FIXED_PAUSE_S = 19200, 0.00175
PAUSE_CHARACTERS = 3.5
QUESTION_BYTES, REPLY_BYTES_MAX = 6, 254


@dataclass(frozen=True, slots=True)
class Line:
    """How frames travel: on a serial port, or (`baud` 0) behind a TCP address whose other side has its own settings.

    `parity` is N, E or O. `turnaround_s` is the least pause before a question; `echo` says that the line gives back
    what is sent. `rs485` is None where the port's direction is left as it is.
    """

    baud: int
    parity: str
    stop: int
    turnaround_s: float
    echo: bool
    framing: Framing = RTU
    bits: int = 8
    rs485: Rs485 | None = None

    @property
    def byte_s(self) -> float:
        """How long one byte takes."""
        return (1 + self.bits + (self.parity != "N") + self.stop) / self.baud if self.baud else 0.0

    @property
    def pause_s(self) -> float:
        """How long the line is silent before a question."""
        if not self.baud:
            return self.turnaround_s
        between = FIXED_PAUSE_S if self.baud > FIXED_PAUSE_BAUD else PAUSE_CHARACTERS * 11 / self.baud
        return max(between, self.turnaround_s)

    @property
    def travel_s(self) -> float:
        """How long a question and the longest reply are on the way."""
        return (self.framing.wire_bytes(QUESTION_BYTES) + self.framing.wire_bytes(REPLY_BYTES_MAX)) * self.byte_s

    def __str__(self) -> str:
        if not self.baud:
            return f"{self.framing.name} over TCP"
        told = [f"{self.baud} baud", f"{self.bits}{self.parity}{self.stop}"]
        told += [self.framing.name] if self.framing is ASCII else []
        return ", ".join(told + ([str(self.rs485)] if self.rs485 else []))


def parse_line(device: Device, options: Options, place: Place) -> Line | None:
    """The settings of a device's line; None, and a warning for each that is filled in, where its place is on none."""
    filled = {name for name in OF_LINES if device.options.get(name, "").strip()}
    if not place.framed:
        for name in OF_LINES:
            if name in filled and options.text(name):
                options.wrong(name, "a Modbus TCP device has no such setting", "Leave it empty here", fatal=False)
        return None
    turnaround_s = options.duration_s("turnaround", 0.0, 0.0, TURNAROUND_S_MAX)
    echo = options.word("echo", "false", ("true", "false")) == "true"
    for name in ("connections", "in_flight"):
        if options.text(name) not in ("", "1", "auto"):
            options.wrong(name, "a line carries one question at a time", "Leave it empty here", fatal=False)
    framing = ASCII if place.ascii else RTU
    if not place.path:
        for name in OF_PORTS:
            if name in filled and options.text(name):
                options.wrong(name, "the serial server has this setting", "Set it there; leave it empty here", False)
        return Line(0, "N", 1, turnaround_s, echo, framing)
    baud = options.word("baud", str(BAUD), [str(known) for known in BAUDS])
    parity = options.word("parity", PARITY, PARITIES)
    stop = options.whole("stop", STOP, 1, 2)
    bits = _bits(options, framing, parity)
    return Line(int(baud), PARITIES[parity], stop, turnaround_s, echo, framing, bits, parse_rs485(options))


def _bits(options: Options, framing: Framing, parity: str) -> int:
    """The data bits of a character: what `bits` says, or the 7 of a `7E1`, else what the framing mostly has."""
    said = int(parity[0]) if parity[0].isdigit() else 0
    bits = options.whole("bits", said or framing.bits[0], 7, 8)
    if bits not in framing.bits:
        options.wrong("bits", "RTU has characters of 8 bits", "Write 8, or ascii:// if the device speaks Modbus ASCII")
    elif said and said != bits:
        options.wrong(
            "bits", f"{bits} data bits, and parity says {said}", "Write the letter alone as parity: N, E or O"
        )
    return bits


def check_port(device: Device, place: Place) -> list[Problem]:
    """A warning where a serial port is not there now: its adapter may be plugged in later."""
    if not place.path or os.path.exists(place.path):
        return []
    what = f"{place.path} is not there now"
    remedy = "Plug the adapter in, or look for its name in /dev/serial/by-id; the gateway waits for it"
    return [Problem("", device.name, what, remedy, device.row, "address", fatal=False)]
