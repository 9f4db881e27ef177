"""Stages: the poller, the shaper and the targets of a running gateway, and how another configuration changes them.

What stays the same is not touched: its bus keeps its connection and its cycles, its target keeps its session. It
knows neither signals nor files, and owns no buffer.
"""

import asyncio
import contextlib
import logging
from collections.abc import Iterator, Mapping
from dataclasses import replace
from random import Random

from tidegate.acquire.driver import Driver
from tidegate.acquire.poller import Poller
from tidegate.buffer.buffer import Buffer
from tidegate.clock import Clock
from tidegate.config.loaded import Config
from tidegate.errors import BufferFault
from tidegate.model.progress import Progress
from tidegate.plural import counted
from tidegate.profiles.locks import Locks
from tidegate.profiles.seen import SeenFile
from tidegate.publish.settings import TargetSettings
from tidegate.publish.target import Target
from tidegate.shaped_sink import ShapedSink

# How long the targets may take to hand over what the last commit held, and to say goodbye.
LAST_WORDS_S = 3.0
LOOK_S = 0.05

log = logging.getLogger("tidegate")


class Stages:
    """What runs between the machines and the brokers. `drivers` are the driver classes by name."""

    def __init__(
        self, config: Config, drivers: Mapping[str, type[Driver]], clock: Clock, version: str, buffer: Buffer
    ) -> None:
        self.config = config
        self._clock = clock
        self._version = version
        self._buffer = buffer
        self._sink = ShapedSink(buffer)
        self._sink.know(config.devices)
        buffer.listen(self._sink.follow)
        # Of targets that left, by name: should one come back, its runs go on.
        self._runs: dict[str, int] = {}
        seen = SeenFile(config.buffer.folder)
        self.locks = Locks(config.profiles, seen, seen.read())
        self.poller = Poller(
            config.devices, drivers, self._sink, buffer.tell, clock, Random(), self.locks, config.buffer.folder
        )
        self.targets = [self._target(settings) for settings in config.targets]
        self._polling: asyncio.Task[None] | None = None
        self._publishing: dict[str, asyncio.Task[None]] = {}

    def start(self) -> None:
        """Begin to publish and to poll."""
        for target in self.targets:
            self._publish(target)
        self._polling = asyncio.create_task(self.poller.run(), name="poller")

    def tasks(self) -> Iterator["asyncio.Task[None]"]:
        """What runs and should never end."""
        yield from self._publishing.values()
        if self._polling is not None:
            yield self._polling

    async def change(self, new: Config) -> None:
        """Go over to another configuration of the same gateway and buffer. Raises ConfigError before anything changed.

        A disk that refuses just now keeps nobody from being served: what targets are owed is stored later then.
        """
        self.locks.know(new.profiles)
        old, change = self.config, self.poller.plan(new.devices)
        settings = {target.name: target for target in new.targets}
        # A certificate that was renewed lies under its old name.
        outdated = await asyncio.to_thread(lambda: {target.name for target in self.targets if target.outdated()})
        leaving = [target for target in old.targets if settings.get(target.name) != target or target.name in outdated]
        left = {target.name for target in leaving}
        coming = [target for target in new.targets if target not in old.targets or target.name in left]
        await self.poller.retire(change)
        self._sink.know(new.devices)
        self.poller.take_up(change)
        self.config = new
        await self._leave(leaving)
        try:
            await self._buffer.serve([target.name for target in new.targets])
        except BufferFault as error:
            log.error("what the targets are owed from now on is stored later: %s", error)
        for one in coming:
            target = self._target(one)
            self.targets.append(target)
            self._publish(target)
        for target in self.targets:
            target.config = new.fingerprint
        log.info(
            "reloaded: configuration %s, %s, %s; begun anew: %s, %s",
            new.fingerprint, counted(len(new.devices), "device"), counted(len(new.targets), "target"),
            counted(len(change.coming), "bus"),
            counted(len(coming), "target"),
        )  # fmt: skip

    def progress(self) -> tuple[Progress, ...]:
        """Whether each part moves."""
        return (*self.poller.progress(), self._buffer.progress(), *(target.progress() for target in self.targets))

    def words(self) -> str:
        """How it is, in one line."""
        up, down = self.poller.count()
        connected = sum(target.connected for target in self.targets)
        return (
            f"{counted(up, 'device')} up, {down} down; {connected} of {counted(len(self.targets), 'target')} connected"
        )

    async def end(self) -> None:
        """Poll no more, commit, let the targets hand over what is left, and say goodbye to their brokers."""
        if self._polling is not None:
            await cancelled([self._polling])
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._last_words(), LAST_WORDS_S)
        await cancelled(list(self._publishing.values()))

    def _target(self, settings: TargetSettings) -> Target:
        config = self.config
        return Target(
            settings, config.gateway, self._buffer, self._clock, self.poller.count, self._version, config.fingerprint,
            runs=self._runs.get(settings.name, 0),
        )  # fmt: skip

    def _publish(self, target: Target) -> None:
        self._publishing[target.name] = asyncio.create_task(target.run(), name=f"target {target.name}")

    async def _leave(self, leaving: list[TargetSettings]) -> None:
        """Say goodbye to brokers. What their targets had in flight is sent again, or was acknowledged."""
        names = {settings.name for settings in leaving}
        await cancelled([self._publishing.pop(name) for name in names])
        self._runs |= {target.name: target.runs for target in self.targets if target.name in names}
        self.targets[:] = [target for target in self.targets if target.name not in names]

    async def _last_words(self) -> None:
        """Wait until what the poller brought is committed, and every connected target has it acknowledged."""
        await self._buffer.flush()
        while any(not target.drained for target in self.targets):  # noqa: ASYNC110 (a few looks at the very end)
            await asyncio.sleep(LOOK_S)


def only_after_restart(old: Config, new: Config) -> list[str]:
    """What differs that a running gateway can't change: its name, clock and buffer. [] when nothing of it does."""
    # How late readings may be follows from the devices, and counts at the next start.
    buffer = replace(new.buffer, reading_delay_s_max=old.buffer.reading_delay_s_max)
    found = ["[gateway] name"] if new.gateway != old.gateway else []
    found += ["[gateway] state"] if new.state != old.state else []
    found += ["[clock]"] if new.clock != old.clock else []
    found += ["[buffer]"] if replace(buffer, folder=old.buffer.folder) != old.buffer else []
    return found


async def cancelled(tasks: list["asyncio.Task[None]"]) -> None:
    """Cancel tasks and wait for their end; how they end does not matter."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
