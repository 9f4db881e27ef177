"""Message: what one PublishResponse, or RepublishResponse, says, as far as delivery has to know it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from asyncua import ua
from asyncua.ua.ua_binary import struct_from_binary

EPOCH, MICROSECOND = datetime(1970, 1, 1, tzinfo=UTC), timedelta(microseconds=1)


@dataclass(slots=True)
class Message:
    """Of one subscription. A keep-alive holds nothing, and its number is that of the message to come.

    `values` are (client handle, DataValue); `events` lists of fields with their client handles; `status` is set when
    the subscription itself changed.
    """

    subscription: int
    sequence: int
    published_us: int
    values: Sequence[tuple[int, Any]] = ()
    events: Sequence[tuple[int, Any]] = ()
    status: int | None = None

    @property
    def keepalive(self) -> bool:
        """Whether it says nothing but that the subscription lives."""
        return not self.values and not self.events and self.status is None


def published(body: Any) -> Message:
    """The message of a PublishResponse's body."""
    result = struct_from_binary(ua.PublishResponse, body).Parameters
    return notification(result.SubscriptionId, result.NotificationMessage)


def notification(subscription: int, message: Any) -> Message:
    """A NotificationMessage (OPC 10000-4 §7.26)."""
    made = Message(subscription, message.SequenceNumber, us(message.PublishTime) or 0)
    values: list[tuple[int, Any]] = []
    events: list[tuple[int, Any]] = []
    for one in message.NotificationData or ():
        if isinstance(one, ua.DataChangeNotification):
            values += [(item.ClientHandle, item.Value) for item in one.MonitoredItems]
        elif isinstance(one, ua.EventNotificationList):
            events += [(event.ClientHandle, event.EventFields) for event in one.Events]
        elif isinstance(one, ua.StatusChangeNotification):
            made.status = one.Status.value
    made.values, made.events = values, events
    return made


def us(moment: Any) -> int | None:
    """A DateTime of asyncua in µs since 1970 UTC; None for none."""
    if moment is None or moment < EPOCH:
        return None
    return int((moment - EPOCH) // MICROSECOND)
