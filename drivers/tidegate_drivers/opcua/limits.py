"""Limits: how much a server takes at a time, by its own word (OPC 10000-5 §6.3.11, OperationLimits)."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Any, TypeVar

from asyncua import ua

# What is asked at a time of a server that names no limit.
AT_A_TIME = 1000
Thing = TypeVar("Thing")


@dataclass(frozen=True, slots=True)
class Limits:
    """Items of one request, by service; at least 1."""

    read: int = AT_A_TIME
    write: int = AT_A_TIME
    browse: int = AT_A_TIME
    translate: int = AT_A_TIME
    monitor: int = AT_A_TIME
    register: int = AT_A_TIME
    history: int = AT_A_TIME
    call: int = AT_A_TIME


NODES = {
    "read": ua.ObjectIds.Server_ServerCapabilities_OperationLimits_MaxNodesPerRead,
    "write": ua.ObjectIds.Server_ServerCapabilities_OperationLimits_MaxNodesPerWrite,
    "browse": ua.ObjectIds.Server_ServerCapabilities_OperationLimits_MaxNodesPerBrowse,
    "translate": ua.ObjectIds.Server_ServerCapabilities_OperationLimits_MaxNodesPerTranslateBrowsePathsToNodeIds,
    "monitor": ua.ObjectIds.Server_ServerCapabilities_OperationLimits_MaxMonitoredItemsPerCall,
    "register": ua.ObjectIds.Server_ServerCapabilities_OperationLimits_MaxNodesPerRegisterNodes,
    "history": ua.ObjectIds.Server_ServerCapabilities_OperationLimits_MaxNodesPerHistoryReadData,
    "call": ua.ObjectIds.Server_ServerCapabilities_OperationLimits_MaxNodesPerMethodCall,
}


def limits_of(values: Sequence[Any], batch: int) -> Limits:
    """The limits from the values of NODES in their order (None or 0: it names none); `batch` bounds all of them."""
    most = batch or AT_A_TIME
    named = {name: value for name, value in zip(NODES, values, strict=True) if isinstance(value, int) and value > 0}
    return Limits(**{one.name: min(named.get(one.name, most), most) for one in fields(Limits)})


def batches(things: Sequence[Thing], most: int) -> Iterator[Sequence[Thing]]:
    """The things, so many at a time."""
    for at in range(0, len(things), most):
        yield things[at : at + most]
