// A Modbus server of the npm package modbus-serial, over TCP or on a serial port, with tables from the command line.
// Usage: node server.js HOST|PATH UNIT HOLDING INPUT COILS DISCRETE     words as hex, bits as 0 and 1
// It prints its port (0 on a serial one). What lies outside of a table is an illegal data address (exception 2).
"use strict";
const ModbusRTU = require("modbus-serial");

const [host, unit, holding, input, coils, discrete] = process.argv.slice(2);

function word(table) {
    return (address) => {
        const digits = table.slice(4 * address, 4 * address + 4);
        if (digits.length < 4) throw { modbusErrorCode: 2 };
        return parseInt(digits, 16);
    };
}

function bit(table) {
    return (address) => {
        if (address >= table.length) throw { modbusErrorCode: 2 };
        return table[address] === "1";
    };
}

const vector = {
    getHoldingRegister: word(holding),
    getInputRegister: word(input),
    getCoil: bit(coils),
    getDiscreteInput: bit(discrete),
};
if (host.startsWith("/")) {
    // A pty has no parity.
    const line = { path: host, baudRate: 19200, parity: "none", unitID: Number(unit) };
    const serial = new ModbusRTU.ServerSerial(vector, line);
    serial.on("initialized", () => console.log(0));
    serial.on("error", () => {});
    return;
}
// As a text, since the package takes the number 0 for no port at all.
const server = new ModbusRTU.ServerTCP(vector, { host, port: "0", unitID: Number(unit) });
server.on("initialized", () => console.log(server._server.address().port));
server.on("socketError", () => {});
