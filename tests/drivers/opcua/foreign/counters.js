// Counters: N Int32 variables s=c00000, s=c00001, ... that go up by one HZ times a second, each with its own source
// time (µs, in steps of the millisecond that node-opcua's Date has). Every change is a line of the log,
// "c00000 17 1790000000123000", written before a client can see it.
const fs = require("fs");
const { DataType, StatusCodes, Variant } = require("node-opcua");

exports.Counters = class Counters {
    constructor(space, namespace, { counters, hz, log, history }) {
        this.space = space;
        this.namespace = namespace;
        this.hz = hz;
        this.skewMs = 0;
        this.last = 0;
        this.changes = 0;
        this.log = log ? fs.openSync(log, "a") : null;
        this.folder = namespace.addFolder(space.rootFolder.objects, { browseName: "Counters", nodeId: "s=counters" });
        this.nodes = new Map();
        this.values = new Map();
        const names = Array.from({ length: counters }, (_, i) => `c${String(i).padStart(5, "0")}`);
        names.forEach((name) => this.make(name));
        this.set(names);
        names.slice(0, history).forEach((name) => space.installHistoricalDataNode(this.nodes.get(name), { maxOnlineValues: 100000 }));
    }

    add(names) {
        names.forEach((name) => this.make(name));
        this.set(names);
    }

    make(name) {
        if (this.nodes.has(name)) throw new Error(`${name} is there already`);
        const node = this.namespace.addVariable({
            componentOf: this.folder, browseName: name, nodeId: `s=${name}`, dataType: "Int32",
            minimumSamplingInterval: 0,
        });
        this.nodes.set(name, node);
        // A node that was deleted and is added again goes on where it was, so that no value comes twice.
        if (!this.values.has(name)) this.values.set(name, 0);
    }

    delete(name) {
        this.space.deleteNode(this.nodes.get(name));
        this.nodes.delete(name);
    }

    // One more for each: first all into the log, then into the address space.
    step() {
        for (const name of this.nodes.keys()) this.values.set(name, this.values.get(name) + 1);
        this.set([...this.nodes.keys()]);
    }

    set(names) {
        // Two changes of a node never have the same time, but where the clock was shifted back.
        const now = this.skewMs ? Date.now() + this.skewMs : Math.max(Date.now(), this.last + 1);
        this.last = this.skewMs ? 0 : now;
        const at = new Date(now);
        if (this.log !== null)
            fs.writeSync(this.log, names.map((name) => `${name} ${this.values.get(name)} ${now * 1000}\n`).join(""));
        for (const name of names) {
            const value = new Variant({ dataType: DataType.Int32, value: this.values.get(name) });
            this.nodes.get(name).setValueFromSource(value, StatusCodes.Good, at);
        }
        this.changes += names.length;
    }

    start(hz = this.hz) {
        this.stop();
        this.hz = hz;
        this.begun = process.hrtime.bigint();
        this.done = 0;
        const period = 1e9 / hz;
        const tick = () => {
            this.step();
            this.done += 1;
            const due = Number(this.begun - process.hrtime.bigint()) + (this.done + 1) * period;
            // Behind by more than a second is not caught up: the load is what it is.
            if (due < -1e9) { this.begun = process.hrtime.bigint(); this.done = 0; }
            this.timer = setTimeout(tick, Math.max(0, due / 1e6));
        };
        this.timer = setTimeout(tick, period / 1e6);
    }

    stop() {
        clearTimeout(this.timer);
        this.timer = null;
    }
};
