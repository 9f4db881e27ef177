// A machine tool and a robot of the companion specifications, on 127.0.0.1 and a free port, which it prints as a line of
// JSON. Its argument is JSON: {"revision": "2.1"}, the machine tool's software. A line "end" on its input ends it.
const opcua = require("node-opcua");
const { nodesets } = require("node-opcua-nodesets");

const MACHINE_TOOL = "http://opcfoundation.org/UA/MachineTool/";
const MACHINERY = "http://opcfoundation.org/UA/Machinery/";
const ROBOTICS = "http://opcfoundation.org/UA/Robotics/";
const wanted = JSON.parse(process.argv[2]);
const { DataType } = opcua;

function put(node, name, dataType, value) {
    const found = node.getChildByName(name) || node.getPropertyByName(name) || node.getComponentByName(name);
    found.setValueFromSource({ dataType, value });
}

function machineTool(space) {
    const own = space.registerNamespace("urn:tidegate:test:hall");
    const type = space.findObjectType("MachineToolType", space.getNamespaceIndex(MACHINE_TOOL));
    const machines = space.findNode(`ns=${space.getNamespaceIndex(MACHINERY)};i=1001`);
    const machine = type.instantiate({
        browseName: "Mill", namespace: own, nodeId: `s=mill`, organizedBy: machines,
        optionals: ["Identification.SoftwareRevision", "Identification.Model", "Monitoring.MachineTool.FeedOverride",
            "Production.Statistics", "Production.Statistics.PartsProducedInLifetime"],
    });
    const plate = machine.getChildByName("Identification");
    put(plate, "Manufacturer", DataType.LocalizedText, { text: "Example Works" });
    put(plate, "Model", DataType.LocalizedText, { text: "Mill 7" });
    put(plate, "SerialNumber", DataType.String, "0815");
    put(plate, "SoftwareRevision", DataType.String, wanted.revision);
    const monitoring = machine.getChildByName("Monitoring").getChildByName("MachineTool");
    put(monitoring, "OperationMode", DataType.Int32, 2);
    put(monitoring, "FeedOverride", DataType.Double, 80);
    put(machine.getChildByName("Production").getChildByName("ActiveProgram"), "Name", DataType.String, "O1234");
    put(machine.getChildByName("Production").getChildByName("Statistics"), "PartsProducedInLifetime", DataType.UInt32, 4711);
    return own;
}

function robot(space, own) {
    const index = space.getNamespaceIndex(ROBOTICS);
    const system = space.findObjectType("MotionDeviceSystemType", index).instantiate({
        browseName: "Cell", namespace: own, nodeId: `s=cell`, organizedBy: space.rootFolder.objects,
    });
    const device = space.findObjectType("MotionDeviceType", index).instantiate({
        browseName: "Robot", namespace: own, nodeId: `s=robot`, componentOf: system.getChildByName("MotionDevices"),
    });
    put(device, "Manufacturer", DataType.LocalizedText, { text: "Example Robots" });
    put(device, "Model", DataType.LocalizedText, { text: "Arm 6" });
    put(device, "SerialNumber", DataType.String, "4242");
    for (const [number, at] of [[1, 10.5], [2, -45]]) {
        const axis = space.findObjectType("AxisType", index).instantiate({
            browseName: `Axis_${number}`, namespace: own, nodeId: `s=axis${number}`,
            componentOf: device.getChildByName("Axes"),
        });
        put(axis.getChildByName("ParameterSet"), "ActualPosition", DataType.Double, at);
    }
}

async function main() {
    const server = new opcua.OPCUAServer({
        port: 0, hostname: "127.0.0.1", host: "127.0.0.1", allowAnonymous: true,
        securityPolicies: [opcua.SecurityPolicy.None], securityModes: [opcua.MessageSecurityMode.None],
        nodeset_filename: [nodesets.standard, nodesets.di, nodesets.ia, nodesets.machinery,
            nodesets.isa95JobControl, nodesets.machineryJobs, nodesets.machineTool, nodesets.robotics],
        serverCertificateManager: new opcua.OPCUACertificateManager({ rootFolder: wanted.pki, automaticallyAcceptUnknownCertificate: true }),
    });
    await server.initialize();
    const space = server.engine.addressSpace;
    robot(space, machineTool(space));
    await server.start();
    process.stdin.on("data", async (data) => { if (`${data}`.includes("end")) { await server.shutdown(0); process.exit(0); } });
    const port = new URL(server.getEndpointUrl().replace("opc.tcp", "http")).port;
    console.log(JSON.stringify({ port: Number(port) }));
}

main().catch((error) => { console.error(error); process.exit(1); });
