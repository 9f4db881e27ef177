"""Config: what a configuration comes to. It knows neither files nor how they are checked."""

from dataclasses import dataclass
from pathlib import Path

from tidegate.buffer.settings import BufferSettings
from tidegate.clock import Source
from tidegate.errors import Problem
from tidegate.model.device import Device
from tidegate.profiles.profile import Profile
from tidegate.publish.settings import TargetSettings


@dataclass(frozen=True, slots=True)
class Config:
    """A configuration that can be used. `fingerprint`: 16 hex digits over all files that it was read from.

    `profiles` are those that a device may turn out to be of; none where no device is asked who it is.
    """

    gateway: str
    state: Path
    buffer: BufferSettings
    clock: Source
    targets: tuple[TargetSettings, ...]
    devices: tuple[Device, ...]
    warnings: tuple[Problem, ...]
    fingerprint: str
    profiles: tuple[Profile, ...] = ()
