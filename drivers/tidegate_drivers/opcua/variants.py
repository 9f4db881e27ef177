"""Variants: what asyncua read, as the values of this driver.

asyncua's objects are written back into the server's bytes, and read by wire.py: so there is one way that a value takes.
"""

from datetime import UTC, datetime, timedelta
from typing import Any

from asyncua import ua
from asyncua.ua.ua_binary import variant_to_binary

from tidegate_drivers.opcua.plain import EPOCH_TICKS, TICKS_US
from tidegate_drivers.opcua.wire import Datum, Identifier, Reader, Sample, Undecodable

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)


def datum_of(variant: Any) -> Datum:
    """The value of a ua.Variant, or of None. Raises Undecodable when asyncua holds what it can't write."""
    if variant is None:
        return Datum()
    try:
        return Reader(variant_to_binary(variant)).variant()
    except Undecodable:
        raise
    except Exception as wrong:
        raise Undecodable(f"asyncua can't write what it read: {wrong}") from None


def sample_of(value: Any) -> Sample:
    """The value, times and status of a ua.DataValue. Raises Undecodable."""
    status = 0 if value.StatusCode is None else int(value.StatusCode.value)
    return Sample(datum_of(value.Value), status, ticks_of(value.SourceTimestamp), ticks_of(value.ServerTimestamp))


def ticks_of(moment: datetime | None) -> int:
    """A time in 100 ns since 1601, 0 where there is none; asyncua's are in UTC, with or without saying so."""
    if moment is None:
        return 0
    aware = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    return max(0, (aware - EPOCH) // MICROSECOND * TICKS_US + EPOCH_TICKS)


def identifier_of(node: ua.NodeId) -> Identifier:
    """A NodeId of asyncua as one of wire.py, whichever of its encodings it remembers."""
    return Identifier(int(node.NamespaceIndex), node.Identifier)


def node_of(identifier: Identifier) -> ua.NodeId:
    """A NodeId for asyncua."""
    return ua.NodeId(identifier.value, identifier.namespace)
