"""The gateway ties the stages together: what starts when, what ends when. It does none of their work.

Start: buffer, local socket, targets, poller. End, on a signal: poller, a last commit, targets (they say "offline" and
leave), buffer (commit, seal, unlock). A task that dies ends the gateway loudly; nothing runs on half.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Mapping
from random import Random
from typing import Any

from tidegate.acquire.driver import Driver
from tidegate.acquire.poller import Poller
from tidegate.buffer.buffer import Buffer, Committed
from tidegate.clock import Clock
from tidegate.clockwatch import watch
from tidegate.config.load import Config
from tidegate.errors import TidegateError
from tidegate.health import Sources, plain
from tidegate.local import answering
from tidegate.model.frame import Frame, Kind
from tidegate.model.progress import Progress
from tidegate.notify import Notifier
from tidegate.publish.target import Target
from tidegate.shape.shaper import Shaper
from tidegate.watchdog import Watchdog

log = logging.getLogger("tidegate")

# How long the targets may take to hand over what the last commit held, and to say goodbye.
LAST_WORDS_S = 3.0
LOOK_S = 0.05


class StageFailed(TidegateError):
    """A stage ended that should run for ever. A restart may help; the log says what it was."""

    again = True


class ShapedSink:
    """Shapes what the drivers bring and hands it to the buffer; what is lost on the way makes the shaper forget."""

    def __init__(self, shaper: Shaper, buffer: Buffer) -> None:
        self._shaper = shaper
        self._buffer = buffer

    async def put(self, frame: Frame) -> "asyncio.Future[int]":
        """See acquire.driver.Sink. A frame in which nothing is worth reporting is done at once, with number 0."""
        shaped = self._shaper.shape(frame)
        if shaped is None:
            nothing: asyncio.Future[int] = asyncio.get_running_loop().create_future()
            nothing.set_result(0)
            return nothing
        committed = await self._buffer.put(shaped)
        if committed.done() and committed.exception() is not None:
            # It was shed: nobody was told of these values, so that the next ones count as changed.
            self._shaper.forget(frame.device)
        return committed

    def follow(self, committed: Committed) -> None:
        """After a gap, whoever told it, the next values are reported whatever they are. Gap frames lead a commit."""
        for frame in committed.frames:
            if frame.kind != Kind.GAP:
                return
            self._shaper.forget(frame.device or None)


class Gateway:
    """One running agent. `drivers` are the driver classes by name; `notifier` tells the service manager."""

    def __init__(
        self,
        config: Config,
        drivers: Mapping[str, type[Driver]],
        clock: Clock,
        version: str,
        notifier: Notifier,
    ) -> None:
        self._config = config
        self._drivers = drivers
        self._clock = clock
        self._version = version
        self._notifier = notifier

    async def run(self, stop: asyncio.Event) -> None:
        """Run until `stop` is set. Raises BufferLocked, BufferDamaged, or StageFailed when a stage died."""
        config, clock = self._config, self._clock
        names = [target.name for target in config.targets]
        buffer = await asyncio.to_thread(Buffer.open, config.buffer, clock, names)
        tables = [device.table for device in config.devices]
        for table in tables:
            buffer.know(table)
        await buffer.start()
        try:
            sink = ShapedSink(Shaper(tables), buffer)
            buffer.listen(sink.follow)
            poller = Poller(config.devices, self._drivers, sink, buffer.tell, clock, Random())
            targets = [
                Target(settings, config.gateway, buffer, clock, poller.count, self._version, config.fingerprint)
                for settings in config.targets
            ]
            sources = Sources(
                gateway=config.gateway,
                version=self._version,
                config=config.fingerprint,
                started_us=clock.now_us(),
                clock=clock,
                devices=poller.status,
                buffer=buffer.status,
                targets=lambda: tuple(target.status() for target in targets),
            )
            answers: dict[str, Callable[..., Any]] = {
                "status": lambda: plain(sources.look()),
                "scrub": lambda: plain(buffer.scrub()),
                "letters": lambda: [plain(gap) for gap in buffer.letters.kept()],
                "resubmit": lambda target="": {t.name: t.resubmit() for t in targets if target in ("", t.name)},
            }
            async with answering(config.buffer.folder, answers):
                await self._stages(poller, targets, buffer, stop)
        finally:
            await buffer.close()
            log.info("stopped: buffer sealed at number %d", buffer.last)

    async def _stages(self, poller: Poller, targets: list[Target], buffer: Buffer, stop: asyncio.Event) -> None:
        publishing = [asyncio.create_task(t.run(), name=f"target {t.name}") for t in targets]
        polling = asyncio.create_task(poller.run(), name="poller")
        stopping = asyncio.create_task(stop.wait(), name="stop")
        watching = asyncio.create_task(self._watchdog(poller, targets, buffer).run(), name="watchdog")
        looking = asyncio.create_task(watch(self._clock), name="clock")
        self._notifier.ready()
        log.info("running: %d devices, %d targets", len(self._config.devices), len(targets))
        try:
            ended, _ = await asyncio.wait(
                [*publishing, polling, watching, looking, stopping], return_when=asyncio.FIRST_COMPLETED
            )
        finally:
            stopping.cancel()
            self._notifier.stopping()
            await _cancel([watching, looking, polling])
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(_last_words(targets, buffer), LAST_WORDS_S)
            await _cancel(publishing)
        for task in ended - {stopping}:
            error = None if task.cancelled() else task.exception()
            log.error("%s ended: %r", task.get_name(), error, exc_info=error)
            raise StageFailed(f"{task.get_name()} ended: {error!r}")

    def _watchdog(self, poller: Poller, targets: list[Target], buffer: Buffer) -> Watchdog:
        def words() -> str:
            up, down = poller.count()
            connected = sum(target.connected for target in targets)
            return f"{up} devices up, {down} down; {connected} of {len(targets)} targets connected"

        def parts() -> tuple[Progress, ...]:
            return (*poller.progress(), buffer.progress(), *(target.progress() for target in targets))

        return Watchdog(self._notifier, parts, words)


async def _last_words(targets: list[Target], buffer: Buffer) -> None:
    """Wait until what the poller brought is committed, and every connected target has it acknowledged."""
    await buffer.flush()
    while any(not target.drained for target in targets):  # noqa: ASYNC110 (a few looks at the very end, no event)
        await asyncio.sleep(LOOK_S)


async def _cancel(tasks: list["asyncio.Task[None]"]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
