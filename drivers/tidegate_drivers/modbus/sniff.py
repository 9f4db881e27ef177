"""Listens to a serial line, and tells what its units are asked and say. It never writes: the port is opened to read."""

import asyncio
import os
from collections.abc import Mapping, Sequence

from tidegate.acquire.survey import Note, Tell
from tidegate.errors import NotConnected
from tidegate_drivers.modbus.address import parse_place
from tidegate_drivers.modbus.ascii_ear import AsciiEar
from tidegate_drivers.modbus.ear import Ear
from tidegate_drivers.modbus.framing import ASCII, RTU
from tidegate_drivers.modbus.heard import Heard
from tidegate_drivers.modbus.line import Line
from tidegate_drivers.modbus.port import open_port
from tidegate_drivers.modbus.tally import Summary, Tally
from tidegate_drivers.modbus.wishes import Wishes

SECONDS_MAX = 7 * 86_400.0
# With --auto: how long each setting is listened to, and how many frames say that it is the right one.
TRIAL_S, TRIAL_S_MIN, TRIAL_S_MAX, TRIAL_FRAMES = 3.0, 0.1, 600.0, 4
# After so long without a byte nothing is still on its way; adapters hold bytes back for up to 16 ms.
SILENCE_S_MIN, SILENCE_CHARACTERS = 0.1, 20
# The pause after which a frame may begin: half of what the standard asks for.
GAP_CHARACTERS = 1.75


class _Hearing(asyncio.Protocol):
    """Bytes of one opening of the port, to an ear."""

    def __init__(self, line: Line, tally: Tally, tell: Tell) -> None:
        self.lost: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._loop = asyncio.get_running_loop()
        self._began_s = self._loop.time()
        self._ear = (AsciiEar if line.framing is ASCII else Ear)(GAP_CHARACTERS * line.byte_s)
        self._silence_s = max(SILENCE_S_MIN, SILENCE_CHARACTERS * line.byte_s)
        self._tally, self._tell = tally, tell
        self._timer: asyncio.TimerHandle | None = None

    def data_received(self, data: bytes) -> None:
        """Bytes off the line."""
        self._tally.came(len(data))
        self._take(self._ear.hear(self._loop.time() - self._began_s, data))
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_later(self._silence_s, self.finish)

    def connection_lost(self, error: Exception | None) -> None:
        """The port is gone."""
        if not self.lost.done():
            self.lost.set_result("closed" if error is None else str(error))

    def finish(self) -> None:
        """Nothing is on its way any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._take(self._ear.silence())

    def _take(self, heard: Sequence[Heard]) -> None:
        for one in heard:
            self._tally.count(one)
            self._tell(one)


class Sniff:
    """Listens to the port `path` under the first settings of `lines`, or under each in turn until frames are heard."""

    def __init__(self, path: str, lines: Sequence[Line], seconds: float, trial_s: float) -> None:
        self._path = path
        self._lines = lines
        self._seconds = seconds
        self._trial_s = trial_s
        self._line = lines[0]
        self._tally = Tally()
        self._listened_s = 0.0
        self._opened = False

    async def run(self, tell: Tell) -> None:
        """Listen until the time is over or it is cancelled. Raises NotConnected when the port is gone."""
        if len(self._lines) == 1:
            await self._hear(self._lines[0], self._seconds, False, tell)
            return
        for line in self._lines:
            tell(Note(f"listening at {line}"))
            if await self._hear(line, self._trial_s, True, tell):
                tell(Note(f"frames are heard at {line}"))
                await self._hear(line, self._seconds, False, tell)
                return
        tell(Note("under none of these settings frames were heard"))

    def summary(self) -> Summary | None:
        """What was heard under the last settings; None when the port could not be opened."""
        if not self._opened:
            return None
        usual = Wishes({}).lines(True, self._line.framing)
        others = [str(line) for line in usual if line.baud != self._line.baud]
        return self._tally.summary(self._line, self._listened_s, f"{others[0]}, {others[1]}")

    async def _hear(self, line: Line, seconds: float, trial: bool, tell: Tell) -> bool:
        """Listen for so long, 0 for ever; whether enough frames were heard, which ends a trial."""
        loop = asyncio.get_running_loop()
        self._line, self._tally, self._listened_s = line, Tally(), 0.0
        hearing = _Hearing(line, self._tally, _unheard if trial else tell)
        port = open_port(self._path, line, hearing, os.O_RDONLY)
        self._opened = True
        began_s = loop.time()
        ends_s = began_s + seconds if seconds else float("inf")
        try:
            while (left_s := ends_s - loop.time()) > 0 and not (trial and self._tally.frames >= TRIAL_FRAMES):
                await asyncio.wait([hearing.lost], timeout=min(left_s, 0.1))
                self._listened_s = loop.time() - began_s
                if hearing.lost.done():
                    raise NotConnected("", f"{self._path} is gone: {hearing.lost.result()}")
        finally:
            self._listened_s = loop.time() - began_s
            hearing.finish()
            port.abort()
        return self._tally.frames >= TRIAL_FRAMES


def _unheard(_: object) -> None:
    """What is heard in a trial is not told."""


def listen(address: str, texts: Mapping[str, str]) -> Sniff:
    """A listener on the port of an address, or of a path, which is one of RTU. Raises ValueError."""
    place = parse_place(address if "://" in address else f"rtu://{address}")
    if not place.path:
        raise ValueError(f"{address} is no serial port: write /dev/ttyUSB0")
    wishes = Wishes(texts)
    auto = wishes.flag("auto")
    if not auto and not wishes.text("baud"):
        raise ValueError("say --baud and --parity of the line, or --auto to try the usual ones by listening")
    lines = wishes.lines(auto, ASCII if place.ascii else RTU)
    seconds = wishes.seconds("seconds", 0.0, 0.0, SECONDS_MAX)
    trial_s = wishes.seconds("each", TRIAL_S, TRIAL_S_MIN, TRIAL_S_MAX)
    wishes.refuse_unknown()
    return Sniff(place.path, lines, seconds, trial_s)
