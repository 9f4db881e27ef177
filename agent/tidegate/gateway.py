"""The gateway ties the stages together: what starts when, what ends when. It does none of their work.

Start: buffer, local socket, targets, poller. End, on a signal: poller, a last commit, targets (they say "offline" and
leave), buffer (commit, seal, unlock). A task that dies ends the gateway loudly; nothing runs on half. A reload changes
what runs; a configuration that can't be used is refused, and the old one goes on.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Any

from tidegate.acquire.driver import Driver
from tidegate.answers import Answers
from tidegate.buffer.buffer import Buffer
from tidegate.clock import Clock
from tidegate.clockwatch import watch
from tidegate.config.loaded import Config
from tidegate.errors import ConfigError, TidegateError
from tidegate.health import Sources
from tidegate.local import answering
from tidegate.notify import Notifier
from tidegate.plural import counted
from tidegate.stages import Stages, cancelled, only_after_restart
from tidegate.watchdog import Watchdog

log = logging.getLogger("tidegate")


class StageFailed(TidegateError):
    """A stage ended that should run for ever. A restart may help; the log says what it was."""

    again = True


class ReloadRefused(TidegateError):
    """A configuration that is well, but not for a gateway that runs."""


class Gateway:
    """One running agent. `drivers` are the driver classes by name; `notifier` tells the service manager.

    `load` reads the configuration again, for a reload; it may block, and raise ConfigError.
    """

    def __init__(
        self,
        config: Config,
        drivers: Mapping[str, type[Driver]],
        clock: Clock,
        version: str,
        notifier: Notifier,
        load: Callable[[], Config],
    ) -> None:
        self._config = config
        self._drivers = drivers
        self._clock = clock
        self._version = version
        self._notifier = notifier
        self._load = load
        self._reload = asyncio.Event()

    def reload(self) -> None:
        """Read the configuration again, with `load`, and change what differs. Returns at once."""
        self._reload.set()

    async def run(self, stop: asyncio.Event) -> None:
        """Run until `stop` is set. Raises BufferLocked, BufferDamaged, or StageFailed when a stage died."""
        config, clock = self._config, self._clock
        names = [target.name for target in config.targets]
        buffer = await asyncio.to_thread(Buffer.open, config.buffer, clock, names)
        await buffer.start()
        try:
            stages = Stages(config, self._drivers, clock, self._version, buffer)
            sources = Sources(
                gateway=config.gateway,
                version=self._version,
                config=lambda: stages.config.fingerprint,
                started_us=clock.now_us(),
                clock=clock,
                devices=stages.poller.status,
                buffer=buffer.status,
                targets=lambda: tuple(target.status() for target in stages.targets),
            )
            said = Answers(sources, buffer, stages)
            answers: dict[str, Callable[..., Any]] = {
                "status": said.status,
                "scrub": said.scrub,
                "letters": said.letters,
                "resubmit": said.resubmit,
                "replay": said.replay,
                "replayed": said.replayed,
                "accept": said.accept,
            }
            async with answering(config.buffer.folder, answers):
                await self._serve(stages, stop)
        finally:
            await buffer.close()
            log.info("stopped: buffer sealed at number %d", buffer.last)

    async def _serve(self, stages: Stages, stop: asyncio.Event) -> None:
        """Run the stages until `stop`, or until one of them ends; a reload changes them in between."""
        stopping = asyncio.create_task(stop.wait(), name="stop")
        watching = asyncio.create_task(Watchdog(self._notifier, stages.progress, stages.words).run(), name="watchdog")
        looking = asyncio.create_task(watch(self._clock), name="clock")
        stages.start()
        self._notifier.ready()
        devices, targets = len(self._config.devices), len(self._config.targets)
        log.info("running: %s, %s", counted(devices, "device"), counted(targets, "target"))
        ended: set[asyncio.Task[Any]] = set()
        try:
            while not ended:
                reloading = asyncio.create_task(self._reload.wait(), name="reload")
                waited = {*stages.tasks(), watching, looking, stopping}
                done, _ = await asyncio.wait({*waited, reloading}, return_when=asyncio.FIRST_COMPLETED)
                reloading.cancel()
                ended = done & waited
                if self._reload.is_set() and not ended:
                    await self._change(stages)
        finally:
            self._notifier.stopping()
            await cancelled([watching, looking])
            await stages.end()
            stopping.cancel()
        for task in ended - {stopping}:
            error = None if task.cancelled() else task.exception()
            log.error("%s ended: %r", task.get_name(), error, exc_info=error)
            raise StageFailed(f"{task.get_name()} ended: {error!r}")

    async def _change(self, stages: Stages) -> None:
        """Go over to the configuration as it is on disk now; one that can't be used is refused, and the old goes on."""
        self._reload.clear()
        self._notifier.reloading()
        try:
            new = await asyncio.to_thread(self._load)
            fixed = only_after_restart(stages.config, new)
            if fixed:
                raise ReloadRefused(f"{' and '.join(fixed)} changed, which takes a restart")
            await stages.change(new)
            for problem in new.warnings:
                log.warning("%s", problem)
        except (TidegateError, OSError) as error:
            for problem in error.problems if isinstance(error, ConfigError) else ():
                log.error("%s", problem)
            what = "the configuration can't be used" if isinstance(error, ConfigError) else error
            log.error("reload refused: %s; the configuration before it goes on", what)
        self._notifier.ready()
