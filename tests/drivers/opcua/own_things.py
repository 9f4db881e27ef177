"""Things of asyncua's server: the nodes of foreign/things.js under the same names, but its alarm."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from asyncua import Server, ua, uamethod
from asyncua.common.structures104 import new_enum, new_struct, new_struct_field

CELSIUS = ua.EUInformation("http://www.opcfoundation.org/UA/units/un/cefact", 4408652, ua.LocalizedText("°C"))


class Things:
    """One node of each kind that a client has to know how to read, write, call or listen to."""

    def __init__(self, server: Server, index: int, types: int) -> None:
        self._server, self._index, self._types = server, index, types
        self._events: Any = None

    def node(self, name: str) -> Any:
        """The node of this name."""
        return self._server.get_node(ua.NodeId(name, self._index))

    async def make(self) -> None:
        """Add all of them."""
        folder = await self._server.nodes.objects.add_folder(*self._named("things", "Things"))
        types = await self._make_types()

        async def variable(name: str, value: Any, kind: ua.VariantType, data_type: ua.NodeId | None = None) -> Any:
            return await folder.add_variable(*self._named(name), value, kind, data_type)

        await (await variable("writable", 7, ua.VariantType.Int32)).set_writable()
        await variable("readonly", 8, ua.VariantType.Int32)
        await variable("denied", 9, ua.VariantType.Int32)
        self._server.iserver.aspace.set_attribute_value_callback(
            ua.NodeId("denied", self._index), ua.AttributeIds.Value, _denied
        )
        await variable("text", "泵 Pump 7", ua.VariantType.String)
        historic = await variable("historic", 0.0, ua.VariantType.Double)
        await self._server.historize_node_data_change(historic, period=None, count=100_000)
        await variable("mode", 1, ua.VariantType.Int32, types["Mode"])
        point, stroke = ua.Point(1.5, -2.5), ua.Stroke("s1", ua.Point(1, 2), ua.Point(3, 4), [0.5, 0.25], ua.Mode(2))
        structures = {"point": point, "stroke": stroke, "recipe": ua.Recipe(Name="r1", Count=3)}
        for name, value in structures.items():
            await variable(name, value, ua.VariantType.ExtensionObject, types[name.title()])
        choice = ua.Choice()
        choice.Text = "chosen"
        await variable("choice", choice, ua.VariantType.ExtensionObject, types["Choice"])
        both = [ua.Point(1, 2), ua.Point(3, 4)]
        await variable("points", both, ua.VariantType.ExtensionObject, types["Point"])
        temperature = await variable("temperature", 21.5, ua.VariantType.Double)
        await temperature.add_property(0, "EURange", ua.Range(-40.0, 260.0))
        await temperature.add_property(0, "InstrumentRange", ua.Range(-50.0, 300.0))
        await temperature.add_property(0, "EngineeringUnits", CELSIUS)
        await folder.add_method(
            *self._named("multiply"), _multiply, [ua.VariantType.Double] * 2, [ua.VariantType.Double]
        )
        boiler = await folder.add_object(*self._named("boiler"))
        await boiler.add_variable(*self._named("level"), 50.0, ua.VariantType.Double)
        self._events = await self._server.get_event_generator(ua.ObjectIds.SystemEventType, boiler.nodeid)

    async def raise_event(self, message: str, severity: int) -> None:
        """An event of the boiler."""
        self._events.event.Severity = severity
        self._events.event.SourceName = "boiler"
        await self._events.trigger(message=message)

    async def set(self, name: str, value: Any, at_ms: int | None, status: int = 0) -> None:
        """A value of a node's own type, at this source time."""
        before = await self.node(name).read_data_value(raise_on_bad_status=False)
        kind = before.Value.VariantType if before.Value.Value is not None else ua.VariantType.Double
        at = datetime.fromtimestamp(at_ms / 1000, UTC) if at_ms else datetime.now(UTC)
        found = ua.DataValue(ua.Variant(value, kind), ua.StatusCode(status), SourceTimestamp=at, ServerTimestamp=at)
        await self._server.iserver.write_attribute_value(ua.NodeId(name, self._index), found)

    def _named(self, name: str, browse_name: str = "") -> tuple[ua.NodeId, ua.QualifiedName]:
        return ua.NodeId(name, self._index), ua.QualifiedName(browse_name or name, self._index)

    async def _make_types(self) -> dict[str, ua.NodeId]:
        double, string, int32 = ua.VariantType.Double, ua.VariantType.String, ua.VariantType.Int32
        field: Callable[..., Any] = new_struct_field
        mode = await new_enum(self._server, self._types, "Mode", ["Idle", "Running", "Fault"])
        made = {"Mode": mode.nodeid}

        async def add(name: str, fields: list[Any], union: bool = False) -> ua.NodeId:
            node, _ = await new_struct(self._server, self._types, name, fields, union)
            made[name] = node.nodeid
            return node.nodeid

        point = await add("Point", [field("X", double), field("Y", double)])
        ends = [field("From", point), field("To", point)]
        widths = field("Widths", ua.VariantType.Float, array=True)
        await add("Stroke", [field("Name", string), *ends, widths, field("Mode", mode.nodeid)])
        optional = [field("Speed", double, optional=True), field("Count", int32, optional=True)]
        await add("Recipe", [field("Name", string), *optional])
        await add("Choice", [field("Number", int32), field("Text", string), field("Place", point)], union=True)
        await self._server.load_data_type_definitions()
        return made


def _denied(*_: Any) -> ua.DataValue:
    return ua.DataValue(StatusCode=ua.StatusCode(ua.StatusCodes.BadUserAccessDenied))


@uamethod
def _multiply(_parent: Any, a: float, b: float) -> float:
    return a * b
