"""Health: how every stage is, gathered when somebody asks. It measures nothing itself and keeps nothing."""

import asyncio
import dataclasses
import os
from collections.abc import Callable
from enum import Enum
from pathlib import Path
from typing import Any

from tidegate import twins
from tidegate.acquire.unit import DeviceStatus
from tidegate.buffer.buffer import BufferStatus
from tidegate.clock import Clock
from tidegate.publish.standing import TargetStatus

# proc(5): the second number is how many pages of this process are in memory.
OWN_PAGES = Path("/proc/self/statm")


@dataclasses.dataclass(frozen=True, slots=True)
class Health:
    """One look at a running gateway. Times in µs UTC.

    `clock` is unset, holdover or synced, `clock_why` says why and what to do, `clock_steps` counts its steps.
    `memory_bytes` is what the process has in memory (0 where that can't be told), `tasks` how many tasks its loop has:
    neither grows by itself.
    """

    gateway: str
    version: str
    config: str
    started_us: int
    now_us: int
    clock: str
    clock_why: str
    clock_steps: int
    boot: int
    memory_bytes: int
    tasks: int
    twins: dict[str, str]
    devices: tuple[DeviceStatus, ...]
    buffer: BufferStatus
    targets: tuple[TargetStatus, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class Sources:
    """Who is asked for what."""

    gateway: str
    version: str
    config: Callable[[], str]
    started_us: int
    clock: Clock
    devices: Callable[[], tuple[DeviceStatus, ...]]
    buffer: Callable[[], BufferStatus]
    targets: Callable[[], tuple[TargetStatus, ...]]

    def look(self) -> Health:
        """The health of this moment. To be called on the loop."""
        return Health(
            self.gateway,
            self.version,
            self.config(),
            self.started_us,
            self.clock.now_us(),
            self.clock.trust.name.lower(),
            self.clock.words,
            self.clock.steps,
            self.clock.boot,
            memory_bytes(),
            len(asyncio.all_tasks()),
            twins.running(),
            self.devices(),
            self.buffer(),
            self.targets(),
        )


def memory_bytes() -> int:
    """Bytes of this process in memory; 0 where the system does not tell."""
    try:
        return int(OWN_PAGES.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, IndexError, ValueError):
        return 0


def plain(value: Any) -> Any:
    """A health, or any part of it, as what JSON can hold."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Enum):
        return value.name.lower()
    if isinstance(value, dict):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    return value
