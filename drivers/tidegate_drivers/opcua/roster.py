"""Roster: the devices of a session as their server has them now, with the items and nodes of their groups.

configured ──selections──▶ grown: a tag more a variable, behind the table's own
           ──root, type──▶ the object that paths from ./ begin at
items of a group ──this connection──▶ nodes: indexes of namespaces may be others than before
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from tidegate.errors import Refused
from tidegate.model.device import Device, Group
from tidegate.model.status import BAD_CONFIGURATION_ERROR
from tidegate.model.tag import TagTable
from tidegate_drivers.opcua.address import Place, parse_node
from tidegate_drivers.opcua.connection import Connection
from tidegate_drivers.opcua.items import Item, absolute, items_of
from tidegate_drivers.opcua.machine import find_machine
from tidegate_drivers.opcua.resolve import resolve
from tidegate_drivers.opcua.settings import Settings
from tidegate_drivers.opcua.wildcard import Wildcard, grown

Key = tuple[str, str, tuple[int, ...]]


class Roster:
    """Those of one session. `devices` are as they are now, `wildcards` the selections of those that have some."""

    def __init__(self, devices: Sequence[Device], settings: Mapping[str, Settings]) -> None:
        self.devices = {device.name: device for device in devices}
        self.settings = settings
        made = {device.name: Wildcard(device, settings[device.name].namespace) for device in devices}
        self.wildcards = {name: wildcard for name, wildcard in made.items() if wildcard.rows}
        # Why a device's object is not there, for whoever looks; a device with no need of one has none here.
        self.rootless: dict[str, str] = {}
        self._configured = dict(self.devices)
        self._roots: dict[str, Place] = {}
        self._items: dict[Key, list[Item]] = {}
        self._nodes: dict[Key, list[Any]] = {}

    async def meet(self, connection: Connection) -> None:
        """Find the devices' objects on this connection. Raises what Connection.call raises, when that is lost."""
        self._nodes, self._roots, self.rootless = {}, {}, {}
        for name, settings in self.settings.items():
            try:
                if settings.root:
                    self._roots[name] = parse_node(settings.root, settings.namespace)
                elif settings.type:
                    wanted = parse_node(settings.type, settings.namespace)
                    self._roots[name] = await find_machine(connection, name, wanted)
            except Refused as refused:
                self.rootless[name] = refused.what

    async def select(self, connection: Connection, name: str) -> TagTable | None:
        """Look for variables that a device's selections have no tag of; its new table, None when there are none.

        Raises what Connection.call raises, when that is lost.
        """
        device = self.devices[name]
        table = await self.wildcards[name].expand(connection, device.table)
        if len(table.tags) == len(device.table.tags):
            return None
        self.devices[name] = grown(device, table)
        return table

    def refine(self, name: str, table: TagTable) -> None:
        """A device's table with what the server says of its tags; tags and their order are the same."""
        self.devices[name] = replace(self.devices[name], table=table)

    @property
    def changed(self) -> list[str]:
        """The devices whose tables are not those of the configuration any more."""
        return [name for name, now in self.devices.items() if now.table is not self._configured[name].table]

    def root(self, name: str) -> Place | None:
        """The object of a device on this connection."""
        return self._roots.get(name)

    def group(self, group: Group) -> Group:
        """A whole group as it is now; a part of one stays that."""
        configured = self._configured[group.device]
        whole = any(one == group for one in configured.groups)
        return next((one for one in self.devices[group.device].groups if whole and one.name == group.name), group)

    def items(self, group: Group) -> list[Item]:
        """The items of a group, or of a part of one."""
        key = group.device, group.name, group.tags
        if key not in self._items:
            self._items[key] = items_of(self.devices[group.device], group, self.settings[group.device])
        return self._items[key]

    async def nodes(self, connection: Connection, group: Group) -> list[Any]:
        """The NodeIds of a group's items on this connection, or the StatusCodes why there are none."""
        key = group.device, group.name, group.tags
        if key not in self._nodes:
            self._nodes[key] = await self.find(connection, group.device, self.items(group))
        return self._nodes[key]

    async def find(self, connection: Connection, device: str, items: Sequence[Item]) -> list[Any]:
        """The same of any items of a device, asked for now."""
        root = self._roots.get(device)
        places = [absolute(item.place, root) for item in items]
        there = [place for place in places if place is not None]
        found = iter(await resolve(connection, there))
        return [BAD_CONFIGURATION_ERROR if place is None else next(found) for place in places]
