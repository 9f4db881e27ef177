"""RS-485 direction by the kernel: who may speak on two wires, switched by RTS around each frame. It opens no port.

    flags u32 | delay before, ms u32 | delay after, ms u32 | five words of 0        struct serial_rs485, machine's order

Source: Linux, include/uapi/linux/serial.h and Documentation/driver-api/serial/serial-rs485.rst.
"""

import errno
from collections.abc import Callable
from dataclasses import dataclass
from struct import Struct

from tidegate.model.option import Options

STRUCT = Struct("@III20x")
# The numbers of all machines but Alpha, MIPS and SPARC.
TIOCSRS485 = 0x542F
ENABLED, RTS_ON_SEND, RTS_AFTER_SEND, RX_DURING_TX = 1 << 0, 1 << 1, 1 << 2, 1 << 4
# The kernel shortens what is longer.
DELAY_S_MAX = 0.1
MODES = ("as-is", "off", "rts", "rts-inverted")
OF_MODES = {"off": 0, "rts": ENABLED | RTS_ON_SEND, "rts-inverted": ENABLED | RTS_AFTER_SEND}
POLARITY = ENABLED | RTS_ON_SEND | RTS_AFTER_SEND
# ioctl(descriptor, request, what the kernel reads and writes).
Control = Callable[[int, int, bytearray], object]


@dataclass(frozen=True, slots=True)
class Rs485:
    """How a port switches direction: `mode` is off, rts (high while it sends) or rts-inverted; delays in whole ms."""

    mode: str
    before_ms: int = 0
    after_ms: int = 0

    def packed(self, echo: bool) -> bytearray:
        """What the kernel is told. With `echo` the port hears while it sends."""
        flags = OF_MODES[self.mode]
        return bytearray(STRUCT.pack(flags | (RX_DURING_TX if echo and flags else 0), self.before_ms, self.after_ms))

    def __str__(self) -> str:
        return f"RS-485 {self.mode}"


class NoDirection(OSError):
    """The port's driver does not do what was wanted of it; trying again does not help, another setting does."""


def parse_rs485(options: Options) -> Rs485 | None:
    """The columns `rs485`, `rs485_before` and `rs485_after`; None where the port is to be left as it is."""
    mode = options.word("rs485", MODES[0], MODES)
    before_s = options.duration_s("rs485_before", 0.0, 0.0, DELAY_S_MAX)
    after_s = options.duration_s("rs485_after", 0.0, 0.0, DELAY_S_MAX)
    if not mode.startswith("rts"):
        for name in ("rs485_before", "rs485_after"):
            if options.text(name):
                options.wrong(name, f"there is no delay where rs485 is {mode}", "Write rs485 = rts, or leave it empty")
        return None if mode == MODES[0] else Rs485(mode)
    for name, delay_s in (("rs485_before", before_s), ("rs485_after", after_s)):
        if abs(delay_s * 1000 - round(delay_s * 1000)) > 1e-6:
            options.wrong(name, f"{options.text(name)} is no whole number of ms", "The kernel counts whole ms")
    return Rs485(mode, round(before_s * 1000), round(after_s * 1000))


def direct(descriptor: int, wanted: Rs485, echo: bool, control: Control) -> None:
    """Tell the port's driver. Raises NoDirection where it has no such control, or took something else."""
    packed = wanted.packed(echo)
    asked = STRUCT.unpack(packed)
    try:
        control(descriptor, TIOCSRS485, packed)
    except OSError as error:
        if wanted.mode == "off" and error.errno in (errno.ENOTTY, errno.EINVAL, errno.EOPNOTSUPP):
            return  # What a driver does not have is off.
        what = "its driver has no RS-485 direction control (TIOCSRS485)"
        raise NoDirection(error.errno, f"{what}; leave rs485 empty where the adapter switches by itself") from error
    taken = STRUCT.unpack(packed)
    if taken[0] & POLARITY != asked[0] & POLARITY:
        raise NoDirection(
            errno.EINVAL, f"its driver can't do rs485 = {wanted.mode}; try the other of rts and rts-inverted"
        )
    if asked[0] and taken[1:] != asked[1:]:
        told = f"rs485_before and rs485_after: its driver made {taken[1]} ms and {taken[2]} ms of them"
        raise NoDirection(errno.EINVAL, f"it can't have these {told}; write those")
