"""Growth: what a server says of the tags that it has, and of new ones, while the others are told.

Units, ranges and names are asked for once a process, behind what is told: no reading waits for them. New variables of a
selection become tags when the server says that its address space changed, or when it is time to look again.
"""

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from asyncua import ua

from tidegate.acquire.driver import Feed
from tidegate.model.device import Group
from tidegate_drivers.opcua.connection import Connection
from tidegate_drivers.opcua.metadata import describe, refined
from tidegate_drivers.opcua.roster import Roster
from tidegate_drivers.opcua.subscription import Subscription
from tidegate_drivers.opcua.wildcard import model_changes

if TYPE_CHECKING:
    from tidegate_drivers.opcua.delivery import Delivery

# The client handle of the events by which a server tells of its address space; no item has it.
MODEL_HANDLE = 0xFFFFFFFE
# More nodes than this are not asked what they are: it takes some six questions a node.
DESCRIBED_MAX = 20_000
# What tells one more subscription of a group from the first.
GENERATION = "#"


class Grown(Exception):
    """There are more subscriptions to begin with."""


class Growth:
    """That of one session; its devices are in the roster."""

    def __init__(self, roster: Roster) -> None:
        self._roster = roster
        self._described: set[str] = set()
        self._generation = 0

    async def describe(self, delivery: "Delivery", connection: Connection, feed: Feed) -> None:
        """Fill in what the tables of devices leave empty, of those of which nobody has asked yet."""
        for name in [one for one in self._roster.devices if one not in self._described]:
            nodes: dict[int, Any] = {}
            for one in [one for one in delivery.subscriptions if one.device.name == name]:
                there = [i for i, node in enumerate(one.nodes) if not isinstance(node, int)]
                nodes |= {tag: one.nodes[i] for i in there for tag in one.items[i].tags}
            tags = [tag for tag in sorted(nodes) if self._lacks(name, tag)][:DESCRIBED_MAX]
            found = await describe(connection, [nodes[tag] for tag in tags])
            self._described.add(name)
            before = self._roster.devices[name].table
            table = refined(before, dict(zip(tags, found, strict=True)))
            if table is not before:
                self._roster.refine(name, table)
                delivery.adopt(name, feed)

    async def follow(self, delivery: "Delivery", connection: Connection, feed: Feed, name: str) -> None:
        """Look for new variables of a device's selections, until there are some. Raises Grown then."""
        wildcard = self._roster.wildcards[name]
        while True:
            before = len(self._roster.devices[name].table.tags)
            if await self._roster.select(connection, name) is not None:
                self._grow(delivery, feed, name, before)
                raise Grown
            await wildcard.changed()

    async def listen(self, connection: Connection, one: Subscription) -> None:
        """Have a new subscription tell when the address space changes; what can't is looked at now and then."""
        if one.device.name not in self._roster.wildcards or not one.id:
            return
        request = ua.CreateMonitoredItemsRequest()
        request.Parameters.SubscriptionId = one.id
        request.Parameters.TimestampsToReturn = ua.TimestampsToReturn.Neither
        request.Parameters.ItemsToCreate = [model_changes(MODEL_HANDLE)]
        try:
            await connection.call(request, ua.CreateMonitoredItemsResponse)
        except ua.UaStatusCodeError:
            return

    def told(self, name: str) -> None:
        """A server said that its address space changed."""
        if name in self._roster.wildcards:
            self._roster.wildcards[name].tell()

    def _lacks(self, name: str, tag: int) -> bool:
        found = self._roster.devices[name].table.tags[tag]
        return not (found.unit and found.range and found.description)

    def _grow(self, delivery: "Delivery", feed: Feed, name: str, before: int) -> None:
        """One more subscription for the new tags of each group: those that are there go on as they are."""
        device = self._roster.devices[name]
        self._generation += 1
        for group in device.groups:
            new = tuple(tag for tag in group.tags if tag >= before)
            if new:
                part: Group = replace(group, name=f"{group.name}{GENERATION}{self._generation}", tags=new)
                delivery.add(part)
        delivery.adopt(name, feed)
