"""Bus: the one owner of one driver object. It opens and reopens it, for ever, and reads the groups that are due.

It does not know when a group is due: that is the poller's wheel.
"""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from tidegate.acquire.driver import Driver, Sink
from tidegate.acquire.losses import Losses
from tidegate.acquire.unit import Backoff, Unit
from tidegate.clock import Clock
from tidegate.errors import DriverError, InvalidReply, NoAnswer, NotConnected, Shed
from tidegate.model.device import Device, Group
from tidegate.model.frame import Frame
from tidegate.model.gap import Why

OPEN_DEADLINE_S = 15.0
CLOSE_DEADLINE_S = 3.0
# The driver keeps the group's deadline itself; this much later the poller gives up on the driver.
DEADLINE_MARGIN_S = 1.0

log = logging.getLogger("tidegate.acquire")


@dataclass(slots=True, eq=False)
class Turn:
    """One group's place on the wheel: when it is due (monotonic s of the loop), and whether a read is under way."""

    group: Group
    unit: Unit
    bus: "Bus"
    due_s: float
    waiting: bool = False


class Bus:
    """One bus and the units on it. `run` until cancelled."""

    def __init__(
        self, driver: type[Driver], devices: Sequence[Device], sink: Sink, losses: Losses, clock: Clock, rng: Random
    ) -> None:
        self.name = driver.bus(devices[0])
        self.units = {device.name: Unit(device, clock, rng) for device in devices}
        self._driver = driver(devices, clock)
        self._sink = sink
        self._losses = losses
        self._clock = clock
        self._backoff = Backoff(rng)
        self._open = False
        self._tried = False
        self._worked = False
        self._due: asyncio.Queue[Turn] = asyncio.Queue()

    def offer(self, turn: Turn, skipped: int, late_s: float) -> None:
        """A group's time has come. `skipped` cycles before it passed unseen, since `late_s` seconds."""
        now_us, now_s = self._clock.now_us(), asyncio.get_running_loop().time()
        if not self._tried:
            return  # Nothing is known to be missing before the first attempt to open has ended.
        if skipped:
            self._lose(turn, Why.POLL_OVERRUN, now_us - round(late_s * 1e6), now_s, skipped)
        if turn.waiting:
            self._lose(turn, Why.POLL_OVERRUN, now_us, now_s)
        elif not self._open or not turn.unit.claim(now_s):
            self._lose(turn, Why.DEVICE_DOWN, now_us, now_s)
        else:
            turn.waiting = True
            self._due.put_nowait(turn)

    async def run(self) -> None:
        """Keep the bus open and read what is due."""
        try:
            while True:
                try:
                    await self._open_driver()
                    await self._work()
                except NotConnected as error:
                    await self._lost(error)
        finally:
            self._open = False
            await self._close()

    async def _open_driver(self) -> None:
        try:
            async with asyncio.timeout(OPEN_DEADLINE_S):
                await self._driver.open()
        except TimeoutError:
            raise NotConnected("", f"{self.name} did not open within {OPEN_DEADLINE_S:.0f} s") from None
        except NotConnected:
            raise
        except Exception as error:
            log.exception("the driver failed to open %s", self.name)
            raise NotConnected("", f"the driver failed to open {self.name}: {error!r}") from error
        finally:
            self._tried = True
        self._open = True

    async def _work(self) -> None:
        """As many readers as the bus allows; the first that finds the bus gone ends them all with NotConnected."""
        readers = [asyncio.ensure_future(self._read_due()) for _ in range(self._driver.connections)]
        try:
            done, _ = await asyncio.wait(readers, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for reader in readers:
                reader.cancel()
            await asyncio.gather(*readers, return_exceptions=True)
        for reader in done:
            reader.result()

    async def _read_due(self) -> None:
        while True:
            turn = await self._due.get()
            try:
                await self._read(turn)
            finally:
                turn.waiting = False

    async def _read(self, turn: Turn) -> None:
        loop = asyncio.get_running_loop()
        begun_s, begun_us, group = loop.time(), self._clock.now_us(), turn.group
        try:
            async with asyncio.timeout(group.deadline_s + DEADLINE_MARGIN_S):
                frame = await self._driver.read(group)
        except NotConnected:
            self._lose(turn, Why.DEVICE_DOWN, begun_us, loop.time())
            raise
        except asyncio.CancelledError:
            # The gateway stops, or the bus is gone: the answer to this question will not be heard.
            self._lose(turn, Why.POLL_OVERRUN, begun_us, loop.time())
            raise
        except DriverError as error:
            await self._failed(turn, error, begun_us)
        except TimeoutError:
            await self._failed(turn, NoAnswer(group.device, f"no answer within {group.deadline_s:g} s"), begun_us)
        except Exception as error:
            # A fault of the driver's own must not end the gateway: it is told loudly, as a failure of this device.
            log.exception("the driver failed on %s, group %s", group.device, group.name)
            await self._failed(turn, DriverError(group.device, f"the driver failed: {error!r}"), begun_us)
        else:
            self._worked = True
            self._backoff.reset()
            if turn.unit.succeeded(loop.time() - begun_s):
                self._losses.tell_all(group.device)
            await self._put(turn, frame, begun_us)

    async def _put(self, turn: Turn, frame: Frame, begun_us: int) -> None:
        try:
            await self._sink.put(frame)
        except Shed as shed:
            log.warning("%s", shed)  # The buffer has told the gap.
        except Exception:
            log.exception("a frame of %s is not what its tag table says", turn.group.device)
            self._lose(turn, Why.INVALID_REPLY, begun_us, asyncio.get_running_loop().time())

    async def _failed(self, turn: Turn, error: DriverError, begun_us: int) -> None:
        now_s = asyncio.get_running_loop().time()
        why = Why.INVALID_REPLY if isinstance(error, InvalidReply) else Why.DEVICE_DOWN
        self._lose(turn, why, begun_us, now_s)
        if turn.unit.failed(error, now_s):
            await self._sink.put(turn.unit.silence())

    async def _lost(self, error: NotConnected) -> None:
        """The bus is gone. If it had worked it is opened again at once; else its units are down, and it waits."""
        self._open = False
        await self._close()
        now_us, now_s = self._clock.now_us(), asyncio.get_running_loop().time()
        while not self._due.empty():
            turn = self._due.get_nowait()
            turn.waiting = False
            self._lose(turn, Why.DEVICE_DOWN, now_us, now_s)
        for unit in self.units.values():
            unit.release()
        if self._worked:
            self._worked = False
            return
        for unit in self.units.values():
            if unit.failed(error, now_s, bus_gone=True):
                await self._sink.put(unit.silence())
        await asyncio.sleep(self._backoff.next_s())

    async def _close(self) -> None:
        try:
            async with asyncio.timeout(CLOSE_DEADLINE_S):
                await self._driver.close()
        except (TimeoutError, DriverError) as error:
            log.warning("%s did not close: %s", self.name, error)

    def _lose(self, turn: Turn, why: Why, since_us: int, now_s: float, cycles: int = 1) -> None:
        turn.unit.missed += cycles
        readings = cycles * len(turn.group.tags)
        self._losses.add(turn.group.device, why, readings, since_us, self._clock.now_us(), now_s)
