// Nodes of the namespace urn:tidegate:test:things: one of each kind that a client has to know how to read, write,
// call or listen to. Their NodeIds are s=NAME; own_server.py has the same under the same names.
const {
    DataType, Variant, VariantArrayType, StatusCodes, WellKnownRoles, coerceNodeId, makePermissionFlag, resolveNodeId,
    standardUnits,
} = require("node-opcua");

exports.addThings = function addThings(space, things, typesUri) {
    const types = space.getNamespaceIndex(typesUri);
    const folder = things.addFolder(space.rootFolder.objects, { browseName: "Things", nodeId: "s=things" });
    const made = {};
    const variable = (name, dataType, value, more = {}) => {
        const node = things.addVariable({
            componentOf: folder, browseName: name, nodeId: `s=${name}`, dataType, minimumSamplingInterval: 0, ...more,
        });
        node.setValueFromSource(new Variant({ dataType: DataType[dataType] ?? DataType.ExtensionObject, ...value }));
        made[name] = node;
        return node;
    };
    const ofType = (name) => space.findDataType(name, types).nodeId;
    const structure = (type, fields) => space.constructExtensionObject(space.findDataType(type, types), fields);

    variable("writable", "Int32", { value: 7 });
    variable("readonly", "Int32", { value: 8 }, { accessLevel: "CurrentRead", userAccessLevel: "CurrentRead" });
    const seen = ["Anonymous", "AuthenticatedUser"].map((role) => (
        { roleId: resolveNodeId(WellKnownRoles[role]), permissions: makePermissionFlag("Browse") }));
    variable("denied", "Int32", { value: 9 }, { rolePermissions: seen });
    variable("text", "String", { value: "泵 Pump 7" });
    variable("historic", "Double", { value: 0 });
    space.installHistoricalDataNode(made.historic, { maxOnlineValues: 100000 });
    variable("mode", "Int32", { dataType: DataType.Int32, value: 1 }, { dataType: ofType("Mode") });
    const point = (x, y) => ({ x, y });
    const stroke = { name: "s1", from: point(1, 2), to: point(3, 4), widths: [0.5, 0.25], mode: 2 };
    variable("point", "Point", { value: structure("Point", point(1.5, -2.5)) }, { dataType: ofType("Point") });
    variable("stroke", "Stroke", { value: structure("Stroke", stroke) }, { dataType: ofType("Stroke") });
    variable("recipe", "Recipe", { value: structure("Recipe", { name: "r1", count: 3 }) }, { dataType: ofType("Recipe") });
    variable("choice", "Choice", { value: structure("Choice", { text: "chosen" }) }, { dataType: ofType("Choice") });
    variable("points", "Point", {
        arrayType: VariantArrayType.Array, value: [point(1, 2), point(3, 4)].map((one) => structure("Point", one)),
    }, { dataType: ofType("Point"), valueRank: 1 });
    made.temperature = things.addAnalogDataItem({
        componentOf: folder, browseName: "temperature", nodeId: "s=temperature", dataType: "Double",
        definition: "boiler", engineeringUnitsRange: { low: -40, high: 260 }, instrumentRange: { low: -50, high: 300 },
        engineeringUnits: standardUnits.degree_celsius, value: { dataType: DataType.Double, value: 21.5 },
    });
    addMethod(things, folder);
    addBoiler(space, things, folder, made);
    return made;
};

function addMethod(things, folder) {
    const argument = (name) => ({ name, dataType: DataType.Double, description: { text: name } });
    const method = things.addMethod(folder, {
        browseName: "multiply", nodeId: "s=multiply",
        inputArguments: [argument("a"), argument("b")], outputArguments: [argument("product")],
    });
    method.bindMethod(([a, b], _context, done) =>
        done(null, {
            statusCode: StatusCodes.Good,
            outputArguments: [{ dataType: DataType.Double, value: a.value * b.value }],
        }));
}

// An object that sends events, with a limit alarm on its level: high at 80, high high at 95, low at 10.
function addBoiler(space, things, folder, made) {
    const boiler = things.addObject({
        organizedBy: folder, browseName: "boiler", nodeId: "s=boiler", eventNotifier: 1,
        notifierOf: space.rootFolder.objects.server,
    });
    made.boiler = boiler;
    made.level = things.addVariable({
        componentOf: boiler, browseName: "level", nodeId: "s=level", dataType: "Double",
        eventSourceOf: boiler, minimumSamplingInterval: 0,
    });
    made.level.setValueFromSource({ dataType: DataType.Double, value: 50 });
    made.alarm = things.instantiateExclusiveLimitAlarm("ExclusiveLimitAlarmType", {
        componentOf: boiler, browseName: "alarm", nodeId: "s=alarm", conditionSource: made.level, inputNode: made.level,
        highHighLimit: 95, highLimit: 80, lowLimit: 10, lowLowLimit: 2, optionals: ["ConfirmedState", "Confirm"],
    });
    made.alarm.setEnabledState(true);
    // Binds ConditionRefresh, Acknowledge, Confirm and AddComment.
    space.installAlarmsAndConditionsService();
}

exports.raise = function raise(made, message, severity) {
    made.boiler.raiseEvent("SystemEventType", {
        message: { dataType: DataType.LocalizedText, value: { text: message } },
        severity: { dataType: DataType.UInt16, value: severity },
        sourceNode: { dataType: DataType.NodeId, value: coerceNodeId(made.boiler.nodeId) },
        sourceName: { dataType: DataType.String, value: "boiler" },
    });
};
