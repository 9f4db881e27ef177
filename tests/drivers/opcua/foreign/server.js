// A node-opcua server as a process: `node server.js '{"host": "127.0.0.1", ...}'` (peers.py has all settings).
// The first line on stdout is {"port": ...}; then every JSON line on stdin ({"do": ..., ...}) is answered by one line.
// What node-opcua can't: a namespace's index is fixed at its start (re-indexing is a restart with another "order");
// it has no sourcePicoseconds from a Date; it breaks by itself at 100,000 items.
const fs = require("fs");
const path = require("path");
const readline = require("readline");
const opcua = require("node-opcua");
const { build_address_space_for_conformance_testing } = require("node-opcua-address-space-for-conformance-testing");
const { Counters } = require("./counters.js");
const { addThings, raise } = require("./things.js");

const wanted = JSON.parse(process.argv[2]);
const uri = (name) => `urn:tidegate:test:${name}`;
// These come as files, and so before all others.
const FILES = ["spare", "types"];

async function certificates(name, trusted) {
    const manager = new opcua.OPCUACertificateManager({
        rootFolder: path.join(wanted.pki, name),
        automaticallyAcceptUnknownCertificate: trusted.includes("auto"),
        disableFileWatchers: true,
    });
    await manager.initialize();
    for (const file of trusted.filter((one) => one !== "auto")) {
        const read = opcua.readCertificate ?? require("node-opcua-crypto").readCertificate;
        await manager.trustCertificate(read(file));
    }
    return manager;
}

async function make() {
    const order = wanted.order;
    const endpoints = wanted.policies.filter((one) => one !== "None");
    const server = new opcua.OPCUAServer({
        host: wanted.host,
        port: wanted.port,
        hostname: wanted.hostname,
        resourcePath: "/",
        alternateHostname: ["127.0.0.1", "localhost", ...wanted.names],
        nodesets: [opcua.nodesets.standard, ...order.filter((one) => FILES.includes(one)).map((one) => path.join(__dirname, `${one}.xml`))],
        buildInfo: { productName: "Tidegate's node-opcua peer", softwareVersion: wanted.version },
        serverInfo: { applicationUri: wanted.applicationUri, applicationName: { text: "Tidegate's node-opcua peer" } },
        serverCertificateManager: await certificates("server", wanted.trusted),
        userCertificateManager: await certificates("users", wanted.users_trusted),
        securityPolicies: [...new Set(wanted.policies)].map((one) => opcua.SecurityPolicy[one]),
        securityModes: [
            ...(wanted.policies.includes("None") ? [opcua.MessageSecurityMode.None] : []),
            ...(endpoints.length ? [opcua.MessageSecurityMode.Sign, opcua.MessageSecurityMode.SignAndEncrypt] : []),
        ],
        allowAnonymous: wanted.anonymous,
        userManager: { isValidUser: (user, password) => wanted.users[user] === password },
        maxConnectionsPerEndpoint: 200,
        defaultSecureTokenLifetime: wanted.channel_ms,
        isAuditing: false,
        serverCapabilities: {
            maxSessions: wanted.sessions_max,
            maxSubscriptions: 1000,
            maxSubscriptionsPerSession: 1000,
            maxMonitoredItems: wanted.items_max,
            maxMonitoredItemsPerSubscription: wanted.items_max,
            maxMonitoredItemsQueueSize: 10000,
            minSupportedSampleRate: 0,
            operationLimits: wanted.operation_limits,
        },
    });
    await server.initialize();
    const space = server.engine.addressSpace;
    const namespaces = {};
    for (const name of order.filter((one) => !FILES.includes(one))) namespaces[name] = space.registerNamespace(uri(name));
    if (wanted.conformance) await build_address_space_for_conformance_testing(space, {});
    const counters = new Counters(space, namespaces.counters, wanted);
    const things = order.includes("things") ? addThings(space, namespaces.things, uri("types")) : {};
    const ever = { items_ever: 0 };
    server.on("request", (request) => { ever.items_ever += (request.itemsToCreate ?? []).length; });
    return { server, space, counters, things, ever };
}

function census({ server, counters, ever }) {
    const sessions = Object.values(server.engine._sessions ?? {});
    const found = { sessions: server.engine.currentSessionCount, subscriptions: 0, items: 0, acknowledged: 0, kept: 0 };
    found.sessions_ever = server.engine.cumulatedSessionCount;
    found.subscriptions_ever = server.engine.cumulatedSubscriptionCount;
    const engines = [...sessions.map((one) => one.publishEngine), server.engine._orphanPublishEngine];
    for (const engine of engines.filter(Boolean))
        for (const subscription of engine.subscriptions) {
            found.subscriptions += 1;
            found.items += subscription.monitoredItemCount;
            const kept = subscription.getAvailableSequenceNumbers().length;
            found.kept += kept;
            found.acknowledged += subscription.futureSequenceNumber - 1 - kept;
        }
    return { ...found, ...ever, changes: counters.changes };
}

// What a line can ask for; each gives what the answer holds beside {"ok": true}.
function commands(all) {
    const { server, space, counters, things } = all;
    const typed = (node, value) => new opcua.Variant({ dataType: node.readValue().value.dataType, value });
    return {
        start: ({ hz }) => counters.start(hz),
        stop: () => counters.stop(),
        step: () => counters.step(),
        delete: ({ nodes }) => nodes.forEach((one) => counters.delete(one)),
        add: ({ nodes }) => counters.add(nodes),
        skew: ({ ms }) => { counters.skewMs = ms; },
        census: () => census(all),
        namespaces: () => ({ namespaces: space.getNamespaceArray().map((one) => one.namespaceUri) }),
        event: ({ message, severity }) => raise(things, message, severity),
        set: ({ node, value, at_ms }) =>
            things[node].setValueFromSource(typed(things[node], value), opcua.StatusCodes.Good, at_ms ? new Date(at_ms) : undefined),
        value: ({ node }) => ({ value: things[node].readValue().value.value }),
        status: ({ node, status }) => things[node].setValueFromSource(
            things[node].readValue().value, opcua.StatusCodes[status]),
        disconnect: () => server.endpoints.forEach((one) => one.abruptlyInterruptChannels()),
        shutdown: async () => { counters.stop(); await server.shutdown(0); setImmediate(() => process.exit(0)); },
        crash: () => process.exit(13),
    };
}

async function main() {
    const all = await make();
    await all.server.start();
    const known = commands(all);
    const say = (what) => fs.writeSync(1, `${JSON.stringify(what)}\n`);
    if (wanted.hz > 0) all.counters.start();
    say({ port: all.server.endpoints[0].port, certificate: all.server.certificateFile ?? null });
    readline.createInterface({ input: process.stdin }).on("line", async (line) => {
        try {
            const asked = JSON.parse(line);
            if (!known[asked.do]) throw new Error(`this server can't ${asked.do}`);
            say({ ok: true, ...((await known[asked.do](asked)) ?? {}) });
        } catch (error) {
            say({ ok: false, why: String(error.message ?? error) });
        }
    }).on("close", () => process.exit(0));
}

main().catch((error) => { console.error(error); process.exit(1); });
