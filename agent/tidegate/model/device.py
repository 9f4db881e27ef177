"""Device and Group: what is polled, how often, and through which driver."""

from collections.abc import Mapping
from dataclasses import dataclass

from tidegate.model.tag import TagTable

INTERVAL_S_MIN = 0.01


@dataclass(frozen=True, slots=True)
class Group:
    """Tags of one device that are read together. `tags` are ascending indexes into the device's table."""

    device: str
    name: str
    interval_s: float
    deadline_s: float
    tags: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Device:
    """A configured device.

    `address` and `unit` are in the driver's own words (`tcp://10.0.0.7:502`, 3); `options` are the driver's settings
    for it, text by name, as the configuration has them. `table` holds the tags that the driver reads; `computed`, where
    formulas are over them, the same with the computed tags after them. `profile` is the profile and set of registers
    whose devices can say who they are, as `vendor/model@set`; "" where nobody is to ask it.
    """

    name: str
    driver: str
    address: str
    unit: int | None
    table: TagTable
    groups: tuple[Group, ...]
    options: Mapping[str, str]
    area: str = ""
    identifier: str = ""
    label: str = "internal"
    row: int | None = None
    computed: TagTable | None = None
    profile: str = ""

    @property
    def published(self) -> TagTable:
        """The tags that leave the shaper: those of `table`, and those that are computed from them."""
        return self.table if self.computed is None else self.computed
