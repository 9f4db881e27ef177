"""A serial port as a transport of the event loop: opened for one owner, set up, never blocking. It knows no frames."""

import asyncio
import errno
import fcntl
import os
import termios
from contextlib import suppress

from tidegate.errors import NotConnected
from tidegate_drivers.modbus.line import Line
from tidegate_drivers.modbus.rs485 import NoDirection, direct

READ_BYTES = 4096
# Places in what tcgetattr gives.
IFLAG, OFLAG, CFLAG, LFLAG, INPUT_SPEED, OUTPUT_SPEED, CHARACTERS = range(7)
REMEDIES = {
    errno.ENOENT: "; `tidegate ports` lists those that are there",
    errno.EACCES: ": give the gateway's user its group, which mostly is dialout",
    errno.EBUSY: ": another program has it, or another device list entry under another name",
    errno.EINVAL: ": it can't have these settings of baud, parity, bits and stop",
    errno.ENOTTY: ": it is no serial port",
}


class SerialPort(asyncio.Transport):
    """An open port. What came before a question was written is dropped: it is no reply to it."""

    def __init__(self, descriptor: int, protocol: asyncio.Protocol) -> None:
        super().__init__()
        self._loop = asyncio.get_running_loop()
        self._descriptor = descriptor
        self._protocol: asyncio.Protocol | None = protocol
        self._unsent = b""
        self._loop.add_reader(descriptor, self._read)
        protocol.connection_made(self)

    def is_closing(self) -> bool:
        """Whether it is closed."""
        return self._protocol is None

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send, instead of anything that is still unsent."""
        if self._protocol is None:
            return
        try:
            termios.tcflush(self._descriptor, termios.TCIFLUSH)
            if self._unsent:
                termios.tcflush(self._descriptor, termios.TCOFLUSH)
        except termios.error as error:
            self._end(OSError(*error.args))
            return
        self._unsent = bytes(data)
        self._write()

    def abort(self) -> None:
        """Close at once."""
        self._end(None)

    def close(self) -> None:
        """Close at once."""
        self._end(None)

    def _write(self) -> None:
        try:
            self._unsent = self._unsent[os.write(self._descriptor, self._unsent) :]
        except BlockingIOError:
            pass
        except OSError as error:
            self._end(error)
            return
        if self._unsent:
            self._loop.add_writer(self._descriptor, self._write)
        else:
            self._loop.remove_writer(self._descriptor)

    def _read(self) -> None:
        try:
            data = os.read(self._descriptor, READ_BYTES)
        except BlockingIOError:
            return
        except OSError as error:
            self._end(error)
            return
        if not data:
            self._end(OSError(errno.ENODEV, os.strerror(errno.ENODEV)))
        elif self._protocol is not None:
            self._protocol.data_received(data)

    def _end(self, error: OSError | None) -> None:
        """Closed, for good; its protocol is told."""
        protocol, self._protocol = self._protocol, None
        if protocol is None:
            return
        self._loop.remove_reader(self._descriptor)
        self._loop.remove_writer(self._descriptor)
        _close(self._descriptor)
        self._loop.call_soon(protocol.connection_lost, error)


def open_port(path: str, line: Line, protocol: asyncio.Protocol, access: int = os.O_RDWR) -> SerialPort:
    """Open a port for this program alone, and set it up. Raises NotConnected, which says what to do.

    Opened with os.O_RDONLY nothing can be written.
    """
    descriptor = -1
    try:
        descriptor = os.open(path, access | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC)
        _set_up(descriptor, line)
    except (OSError, termios.error) as error:
        if descriptor >= 0:
            os.close(descriptor)
        number = errno.EBUSY if isinstance(error, BlockingIOError) else error.args[0]
        said = error.args[1] if isinstance(error, NoDirection) else ""
        why = said or f"{os.strerror(number)}{REMEDIES.get(number, '')}"
        raise NotConnected("", f"{path} can't be opened: {why}") from None
    return SerialPort(descriptor, protocol)


def _set_up(descriptor: int, line: Line) -> None:
    """Lock the port, against programs that lock and those that only open; then speed, bits, and bytes as they are."""
    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    settings = termios.tcgetattr(descriptor)
    fcntl.ioctl(descriptor, termios.TIOCEXCL)
    bits = (termios.CS7 if line.bits == 7 else termios.CS8) | termios.CREAD | termios.CLOCAL
    bits |= termios.PARENB if line.parity != "N" else 0
    bits |= termios.PARODD if line.parity == "O" else 0
    bits |= termios.CSTOPB if line.stop == 2 else 0
    speed: int = getattr(termios, f"B{line.baud}")
    settings[IFLAG] = termios.IGNBRK
    settings[OFLAG] = settings[LFLAG] = 0
    settings[CFLAG] = bits
    settings[INPUT_SPEED] = settings[OUTPUT_SPEED] = speed
    settings[CHARACTERS][termios.VMIN], settings[CHARACTERS][termios.VTIME] = 1, 0
    # It fails where all but what a port can't do is so already: ptys have no parity.
    with suppress(termios.error):
        termios.tcsetattr(descriptor, termios.TCSANOW, settings)
    if termios.tcgetattr(descriptor)[OUTPUT_SPEED] != speed:
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
    if line.rs485 is not None:
        direct(descriptor, line.rs485, line.echo, fcntl.ioctl)
    termios.tcflush(descriptor, termios.TCIOFLUSH)


def _close(descriptor: int) -> None:
    """Close, and take back what others that have the port open would still see."""
    with suppress(OSError):  # It is unplugged.
        fcntl.ioctl(descriptor, termios.TIOCNXCL)
    os.close(descriptor)
