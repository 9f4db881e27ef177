"""Policy: what the commit policy of a configuration costs, in loss and in wear. It opens nothing."""

from dataclasses import dataclass, replace

from tidegate.buffer import wear
from tidegate.buffer.settings import BufferSettings
from tidegate.config.document import POLICIES_S, POLICY_READINGS
from tidegate.config.loaded import Config


@dataclass(frozen=True, slots=True)
class Policy:
    """`name` is "" for an interval that no policy has. `loss_s` is the most that a power cut takes back.

    `readings_s` come in when every poll is reported; `bytes_a_day` is written then (an estimate). `others` are the
    policies that it could be instead: name, the most that a power cut takes back (s), bytes a day.
    """

    name: str
    loss_s: float
    commit_readings: int
    readings_s: float
    bytes_a_day: float
    others: tuple[tuple[str, float, float], ...] = ()

    def __str__(self) -> str:
        name = f" ({self.name})" if self.name else ""
        others = ", ".join(f"{other} {loss_s:g} s and {day / 1e9:.2g} GB" for other, loss_s, day in self.others)
        return (
            f"commits each {self.loss_s:g} s{name}, or {self.commit_readings:,} readings: a power cut costs at most "
            f"that; writes about {self.bytes_a_day / 1e9:.2g} GB a day{f' ({others})' if others else ''}"
        )


def policy(config: Config) -> Policy:
    """What this configuration promises and costs."""
    groups = [group for device in config.devices for group in device.groups]
    readings_s = sum(len(group.tags) / group.interval_s for group in groups)
    polls_s = sum(1 / group.interval_s for group in groups)
    settings = config.buffer
    name = next((name for name, each_s in POLICIES_S.items() if each_s == settings.commit_interval_s), "")
    written = wear.bytes_a_day(settings, readings_s, polls_s, bool(config.targets))
    others = [
        (other, each_s, wear.bytes_a_day(_under(settings, other), readings_s, polls_s, bool(config.targets)))
        for other, each_s in POLICIES_S.items()
        if other != name
    ]
    return Policy(name, settings.commit_interval_s, settings.commit_readings, readings_s, written, tuple(others))


def _under(settings: BufferSettings, name: str) -> BufferSettings:
    """The same with another policy."""
    readings = POLICY_READINGS.get(name, BufferSettings(settings.folder).commit_readings)
    return replace(settings, commit_interval_s=POLICIES_S[name], commit_readings=readings)
