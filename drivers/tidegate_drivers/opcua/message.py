"""Message: what one PublishResponse, or RepublishResponse, says, as far as delivery has to know it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from asyncua import ua
from asyncua.common.utils import Buffer
from asyncua.ua.ua_binary import struct_to_binary

from tidegate.model.frame import I64
from tidegate_drivers.opcua import fallback
from tidegate_drivers.opcua.event import EVENT_LIST, events_in
from tidegate_drivers.opcua.notice import Notice
from tidegate_drivers.opcua.plain import EPOCH_TICKS, TICKS_US
from tidegate_drivers.opcua.wire import Datum

# Bytes of a NodeId of encoding 1, which all types of responses have.
FOUR_BYTE = 4


@dataclass(slots=True)
class Message:
    """Of one subscription. A keep-alive holds nothing, and its number is that of the message to come.

    `body` are the bytes that the notice's odd values lie in; `events` lists of fields with their client handles;
    `status` is set when the subscription itself changed; `stamp_us` is when the server sent the answer (its µs UTC, 0:
    it was told again, or does not say).
    """

    subscription: int
    sequence: int
    notice: Notice
    body: bytes
    events: Sequence[tuple[int, tuple[Datum, ...]]] = ()
    status: int | None = None
    stamp_us: int = 0

    @property
    def keepalive(self) -> bool:
        """Whether it says nothing but that the subscription lives."""
        return self.notice.notifications == 0


def published(buffer: Any, kinds: bytes, fast: bool) -> Message:
    """The message of a PublishResponse in asyncua's Buffer; `kinds` as notice.publish has them.

    Raises ValueError when it can't be read.
    """
    notice = fallback.publish(buffer, kinds, fast)
    made = Message(notice.subscription, notice.sequence, notice, buffer._data, stamp_us=_stamp_us(buffer))
    events: list[tuple[int, tuple[Datum, ...]]] = []
    for other in notice.others:
        if other.kind == EVENT_LIST:
            events += events_in(made.body, other)
            continue
        one = fallback.notification_of(made.body, other)
        if isinstance(one, ua.StatusChangeNotification):
            made.status = one.Status.value
    made.events = events
    return made


def republished(subscription: int, message: Any, kinds: bytes) -> Message:
    """A NotificationMessage that was told again (OPC 10000-4 §7.26): it is read as if it came just now."""
    response = ua.PublishResponse()
    response.Parameters.SubscriptionId = subscription
    response.Parameters.MoreNotifications = False
    response.Parameters.NotificationMessage = message
    made = published(Buffer(struct_to_binary(response)), kinds, True)
    made.stamp_us = 0
    return made


def _stamp_us(buffer: Any) -> int:
    """The time in a response's header, which follows its type (OPC 10000-4 §7.33)."""
    data, at = buffer._data, buffer._cur_pos
    if len(buffer) < FOUR_BYTE + I64.size or data[at] != 1:
        return 0
    ticks: int = I64.unpack_from(data, at + FOUR_BYTE)[0]
    return max(0, (ticks - EPOCH_TICKS) // TICKS_US)
