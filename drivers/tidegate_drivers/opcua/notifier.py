"""Notifier: how the events of an object are asked for, and how a server is had tell its standing alarms again."""

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from asyncua import ua

from tidegate_drivers.opcua.connection import Connection
from tidegate_drivers.opcua.event import BASE, FIELDS, Field
from tidegate_drivers.opcua.items import Item
from tidegate_drivers.opcua.purpose import Events
from tidegate_drivers.opcua.resolve import resolve
from tidegate_drivers.opcua.words import LOST_CODES, status_word

if TYPE_CHECKING:
    from tidegate_drivers.opcua.subscription import Subscription

CONDITION_TYPE = ua.NodeId(ua.ObjectIds.ConditionType)
CONDITION_REFRESH = ua.NodeId(ua.ObjectIds.ConditionType_ConditionRefresh)

log = logging.getLogger(__name__)


async def event_types(connection: Connection, items: Sequence[Item]) -> list[Any]:
    """For each item the NodeId of the type that its events are to have, None for any, or a StatusCode why not.

    Raises as `resolve` does.
    """
    found: list[Any] = [None] * len(items)
    wanted = [(i, item.wish.events.of_type) for i, item in enumerate(items) if item.wish.events is not None]
    named = [(i, place) for i, place in wanted if place is not None]
    for (i, _), node in zip(named, await resolve(connection, [place for _, place in named]), strict=True):
        found[i] = node
    return found


def event_filter(events: Events, of_type: Any) -> Any:
    """The EventFilter of an item (OPC 10000-4 §7.22.3): all FIELDS of the events that are wanted."""
    made = ua.EventFilter()
    made.SelectClauses = [_operand(field) for field in FIELDS]
    conditions = []
    if events.severity:
        least = ua.LiteralOperand(ua.Variant(events.severity, ua.VariantType.UInt16))
        severity = _operand(Field("Severity", BASE, ("Severity",)))
        conditions.append(_element(ua.FilterOperator.GreaterThanOrEqual, severity, least))
    if of_type is not None:
        conditions.append(_element(ua.FilterOperator.OfType, ua.LiteralOperand(ua.Variant(of_type))))
    if len(conditions) > 1:
        conditions.insert(0, _element(ua.FilterOperator.And, ua.ElementOperand(1), ua.ElementOperand(2)))
    made.WhereClause.Elements = conditions
    return made


async def refresh(connection: Connection, one: "Subscription") -> None:
    """Have the server tell the conditions that stand (OPC 10000-9 §5.5.7). It is no matter when it has none.

    Raises UaStatusCodeError only when the connection is of no use any more, and what ends a connection.
    """
    request = ua.CallRequest()
    number = ua.Variant(one.id, ua.VariantType.UInt32)
    request.Parameters.MethodsToCall = [
        ua.CallMethodRequest(CONDITION_TYPE, CONDITION_REFRESH, InputArguments=[number])
    ]
    try:
        [result] = (await connection.call(request, ua.CallResponse)).Results
        code = result.StatusCode.value
    except ua.UaStatusCodeError as error:
        if error.code in LOST_CODES:
            raise
        code = error.code
    if code == ua.StatusCodes.BadRefreshInProgress:
        one.refresh = True
    elif not ua.StatusCode(code).is_good():
        log.info("%s, group %s: standing alarms are not told again: %s", *one.key, status_word(code))


def _operand(field: Field) -> Any:
    made = ua.SimpleAttributeOperand()
    made.TypeDefinitionId = ua.NodeId(field.of_type)
    made.BrowsePath = [ua.QualifiedName(name) for name in field.path]
    made.AttributeId = ua.AttributeIds.Value if field.path else ua.AttributeIds.NodeId
    return made


def _element(operator: Any, *operands: Any) -> Any:
    made = ua.ContentFilterElement()
    made.FilterOperator, made.FilterOperands = operator, list(operands)
    return made
