"""Subscription: one on the server for one group of a device, with its monitored items. It receives nothing itself.

Each item is looked at for itself: one that the server refuses costs the others nothing (OPC 10000-4 §5.13.2).
"""

import hashlib
import logging
from collections import deque
from collections.abc import Sequence
from typing import Any

from asyncua import ua

from tidegate.model.device import Device, Group
from tidegate_drivers.opcua.connection import Connection
from tidegate_drivers.opcua.items import Item, queue_of
from tidegate_drivers.opcua.limits import batches
from tidegate_drivers.opcua.notifier import event_filter
from tidegate_drivers.opcua.settings import Settings
from tidegate_drivers.opcua.words import words

# Refusals of an item that say nothing of its node: it is read in cycles instead.
READ_INSTEAD = frozenset(
    {
        ua.StatusCodes.BadTooManyMonitoredItems,
        ua.StatusCodes.BadMonitoredItemFilterUnsupported,
        ua.StatusCodes.BadMonitoredItemFilterInvalid,
        ua.StatusCodes.BadFilterNotAllowed,
        ua.StatusCodes.BadNotSupported,
        ua.StatusCodes.BadServiceUnsupported,
        ua.StatusCodes.BadNotImplemented,
        ua.StatusCodes.BadTooManySubscriptions,
    }
)
# In the place of a refusal, where a device is to be read in cycles.
NOT_ASKED = ua.StatusCodes.BadServiceUnsupported
TRIGGERS = {
    "status": ua.DataChangeTrigger.Status,
    "value": ua.DataChangeTrigger.StatusValue,
    "timestamp": ua.DataChangeTrigger.StatusValueTimestamp,
}
# Numbers that are remembered as told again: one of them may still come by itself, and is the same message.
RECENT = 64
SERVER, GET_MONITORED_ITEMS = ua.NodeId(ua.ObjectIds.Server), ua.NodeId(ua.ObjectIds.Server_GetMonitoredItems)
# In the place of a server's id of an item that is monitored, but whose id it can't say.
UNKNOWN_ID = -1

log = logging.getLogger(__name__)


class Subscription:
    """What is known of one subscription. `nodes` are its items' NodeIds, or the StatusCode why there is none.

    `base` is the client handle of its first item. `sequence` is the last number that was handed on, `committed` that of
    which all before is committed too; 0 while there is none. `version` counts what changes of its items.
    """

    def __init__(self, device: Device, group: Group, settings: Settings, items: Sequence[Item], base: int) -> None:
        self.device = device
        self.group = group
        self.settings = settings
        self.items = items
        self.base = base
        self.id = 0
        self.sequence = self.committed = 0
        # When what it has told so far was received, and when what of it is committed; gateway's µs UTC, 0 for never.
        self.until_us = self.committed_us = 0
        self.lifetime_s = settings.lifetime_s
        self.keepalive_s = settings.keepalive_s
        # When the server that made it began to run, in which session it is, and what its client handles mean there.
        self.started = 0
        self.session = ""
        self.made_for = ""
        # Whether the connection that it was made over is the one that it tells over: nothing got lost with another.
        self.fresh = False
        # How often it was taken over, or went on, without having told anything since.
        self.tries = 0
        # What the buffer had of what a process before did not acknowledge, until all of that was told again.
        self.seen: set[tuple[int, int | str]] = set()
        self.recent: deque[int] = deque(maxlen=RECENT)
        # The id of one that was left half made, and is to be forgotten by the server.
        self.stray = 0
        # When items were read last that are not watched, gateway's µs UTC; 0 for never.
        self.read_us = 0
        self.version = 0
        self._read_instead: tuple[int, list[int]] = -1, []
        self.nodes: list[Any] = []
        # What type the events of an item are to have; see notifier.event_types.
        self.event_types: list[Any] = [None] * len(items)
        # Whether the server is to tell the alarms that stand, after it may have told them to nobody.
        self.refresh = False
        self.events = frozenset(tag for item in items if item.wish.events is not None for tag in item.tags)
        # The server's id of each item, 0 where it has none; and the StatusCode of its refusal.
        self.monitored: list[int] = [0] * len(items)
        self.refused: list[int] = [0] * len(items)

    @property
    def key(self) -> tuple[str, str]:
        """Device and group."""
        return self.device.name, self.group.name

    @property
    def meaning(self) -> str:
        """A hash over what its client handles mean, and how they are watched."""
        told = [self.settings.url, self.device.table.hash.hex(), str(self.base), str(self.group.interval_s)]
        told += [
            f"{node} {item.place} {item.wish} {item.tags}" for item, node in zip(self.items, self.nodes, strict=True)
        ]
        return hashlib.sha256("\n".join(told).encode()).hexdigest()[:32]

    @property
    def whole(self) -> bool:
        """Whether all of its items are watched."""
        return all(self.monitored)

    @property
    def read_instead(self) -> list[int]:
        """Indexes of the items that the server won't watch, though it may give them."""
        version, found = self._read_instead
        if version != self.version:
            found = [i for i, code in enumerate(self.refused) if code in READ_INSTEAD and not self.items[i].wish.events]
            self._read_instead = self.version, found
        return found

    @property
    def given_up(self) -> list[int]:
        """Indexes of the items of which nothing is to be had now."""
        instead = set(self.read_instead)
        return [i for i, code in enumerate(self.refused) if code and i not in instead]

    async def create(self, connection: Connection) -> None:
        """Make it on the server, with all items that it takes. Raises as Connection.call does."""
        interval_ms = self.group.interval_s * 1000
        request = ua.CreateSubscriptionRequest()
        request.Parameters.RequestedPublishingInterval = interval_ms
        request.Parameters.RequestedMaxKeepAliveCount = max(1, round(self.settings.keepalive_s * 1000 / interval_ms))
        # At least three times the keep-alive (OPC 10000-4 §5.14.2).
        request.Parameters.RequestedLifetimeCount = max(
            3 * request.Parameters.RequestedMaxKeepAliveCount, round(self.settings.lifetime_s * 1000 / interval_ms)
        )
        request.Parameters.MaxNotificationsPerPublish = 0
        request.Parameters.PublishingEnabled = True
        self.id = self.sequence = self.committed = self.tries = 0
        self.monitored = [0] * len(self.items)
        self.refused = [0] * len(self.items)
        self.version += 1
        if not self.settings.subscribes:
            self.refused = [node if isinstance(node, int) else NOT_ASKED for node in self.nodes]
            return
        try:
            result = (await connection.call(request, ua.CreateSubscriptionResponse)).Parameters
        except ua.UaStatusCodeError as error:
            if error.code not in READ_INSTEAD:
                raise
            log.warning("%s, group %s is read in cycles: %s", *self.key, words(error))
            self.refused = [node if isinstance(node, int) else error.code for node in self.nodes]
            return
        self.id = result.SubscriptionId
        self.started, self.session, self.made_for = connection.started, connection.name, self.meaning
        self.fresh = True
        self.recent.clear()
        self.keepalive_s = result.RevisedPublishingInterval * result.RevisedMaxKeepAliveCount / 1000
        self.lifetime_s = result.RevisedPublishingInterval * result.RevisedLifetimeCount / 1000
        try:
            await self.watch(connection, range(len(self.items)))
        except BaseException:
            self.stray, self.id = self.id, 0
            raise
        self.refresh = True
        watched = sum(1 for one in self.monitored if one)
        if watched < len(self.items):
            log.warning("%s, group %s: %d of %d nodes monitored", *self.key, watched, len(self.items))

    async def watch(self, connection: Connection, which: Sequence[int]) -> None:
        """Have these items monitored; what the server says of each is in `monitored` and `refused`."""
        asked = []
        for index in which:
            missing = next((one for one in (self.nodes[index], self.event_types[index]) if isinstance(one, int)), None)
            if missing is not None:
                self.refused[index] = missing
                self.monitored[index] = 0
            else:
                asked.append(index)
        for some in batches(asked, connection.limits.monitor):
            request = ua.CreateMonitoredItemsRequest()
            request.Parameters.SubscriptionId = self.id
            request.Parameters.TimestampsToReturn = ua.TimestampsToReturn.Both
            request.Parameters.ItemsToCreate = [self._request(index) for index in some]
            answer = await connection.call(request, ua.CreateMonitoredItemsResponse)
            for index, result in zip(some, answer.Results, strict=True):
                good = result.StatusCode.is_good()
                self.monitored[index] = result.MonitoredItemId if good else 0
                self.refused[index] = 0 if good else result.StatusCode.value
        self.version += 1

    async def learn(self, connection: Connection, whole: bool) -> bool:
        """Ask which items are monitored, of a subscription that another process made (OPC 10000-5 §9.1).

        Items that are not are tried again. Where the server can't say, all are that have a node, if it was `whole`;
        else it can't be known, and False is given.
        """
        request = ua.CallRequest()
        subscription = ua.Variant(self.id, ua.VariantType.UInt32)
        request.Parameters.MethodsToCall = [
            ua.CallMethodRequest(SERVER, GET_MONITORED_ITEMS, InputArguments=[subscription])
        ]
        known: dict[int, int] = {}
        try:
            [result] = (await connection.call(request, ua.CallResponse)).Results
            if result.StatusCode.is_good():
                servers, clients = (one.Value or [] for one in result.OutputArguments)
                known = dict(zip(clients, servers, strict=True))
        except (ua.UaStatusCodeError, ValueError, TypeError):
            log.debug("%s, group %s: the server can't say what it monitors", *self.key)
        if not known and not whole:
            return False
        for index in range(len(self.nodes)):
            self.monitored[index] = known.get(self.base + index, 0) if known else UNKNOWN_ID
        await self.watch(connection, [i for i, one in enumerate(self.monitored) if not one])
        return True

    async def forget(self, connection: Connection, which: Sequence[int]) -> None:
        """Have these items no longer monitored."""
        for some in batches([self.monitored[i] for i in which if self.monitored[i] > 0], connection.limits.monitor):
            request = ua.DeleteMonitoredItemsRequest()
            request.Parameters.SubscriptionId = self.id
            request.Parameters.MonitoredItemIds = list(some)
            await connection.call(request, ua.DeleteMonitoredItemsResponse)
        for index in which:
            self.monitored[index] = 0

    def _request(self, index: int) -> Any:
        item = self.items[index]
        sampling_s = self.group.interval_s if item.wish.sampling_s is None else item.wish.sampling_s
        if item.wish.events is not None:
            sampling_s = 0.0
        made = ua.MonitoredItemCreateRequest()
        made.ItemToMonitor.NodeId = self.nodes[index]
        made.ItemToMonitor.AttributeId = ua.AttributeIds.Value
        made.ItemToMonitor.IndexRange = item.place.index_range or None
        made.MonitoringMode = ua.MonitoringMode.Reporting
        made.RequestedParameters.ClientHandle = self.base + index
        made.RequestedParameters.QueueSize = queue_of(item, self.settings, sampling_s, self.group.interval_s)
        made.RequestedParameters.DiscardOldest = item.wish.discard_oldest
        if item.wish.events is not None:
            made.ItemToMonitor.AttributeId = ua.AttributeIds.EventNotifier
            made.RequestedParameters.SamplingInterval = 0
            made.RequestedParameters.Filter = event_filter(item.wish.events, self.event_types[index])
            return made
        made.RequestedParameters.SamplingInterval = sampling_s * 1000
        if item.wish.deadband or item.wish.trigger != "value":
            filter = ua.DataChangeFilter()
            filter.Trigger = TRIGGERS[item.wish.trigger]
            if item.wish.deadband:
                kind = ua.DeadbandType.Percent if item.wish.percent else ua.DeadbandType.Absolute
                filter.DeadbandType, filter.DeadbandValue = int(kind), item.wish.deadband
            made.RequestedParameters.Filter = filter
        return made
