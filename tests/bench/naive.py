"""The baseline: the way it is usually written. A pymodbus call per tag, a row and a JSON message per reading.

    python -m tests.bench.naive --modbus 127.0.0.1:5020 --broker 127.0.0.1:1883 --units 4 --registers 125 --polls 2

`--block` is the kinder variant: one call a poll, the conversion still per tag. Rows are committed with FULL, once a
poll, and deleted on the broker's acknowledgement. Prints one JSON line: readings, CPU seconds, wall seconds.
"""

import argparse
import asyncio
import json
import sqlite3
import tempfile
import time
from pathlib import Path

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from pymodbus.client import AsyncModbusTcpClient

IN_FLIGHT_MAX = 200
DELETE_ROWS = 100
GOOD = 192
CREATE = "create table reading (id integer primary key, name text, ts integer, value real, q integer)"


class Naive:
    """One gateway as one afternoon would write it."""

    def __init__(self, given: argparse.Namespace, database: Path) -> None:
        self._given = given
        self._rows = sqlite3.connect(database, isolation_level=None)
        self._rows.execute("pragma journal_mode = wal")
        self._rows.execute("pragma synchronous = full")
        self._rows.execute(CREATE)
        self._sent: dict[int, int] = {}
        self._acknowledged: list[tuple[int]] = []
        self._delivered = 0
        self.readings = 0

    async def run(self) -> None:
        """Poll each unit `polls` times, and wait until everything is acknowledged."""
        loop = asyncio.get_running_loop()
        connected = asyncio.Event()
        self._client = client = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv5)

        def on_connect(*_: object) -> None:
            loop.call_soon_threadsafe(connected.set)

        def on_publish(_client: object, _data: object, mid: int, *_: object) -> None:
            loop.call_soon_threadsafe(self._acknowledge, mid)

        client.on_connect, client.on_publish = on_connect, on_publish
        host, _, port = self._given.broker.rpartition(":")
        client.connect(host, int(port))
        client.loop_start()
        await connected.wait()
        await asyncio.gather(*(self._unit(unit) for unit in range(1, self._given.units + 1)))
        while self._delivered < self.readings:  # noqa: ASYNC110  as it is usually written
            await asyncio.sleep(0.002)
        self._rows.executemany("delete from reading where id = ?", self._acknowledged)
        client.disconnect()
        client.loop_stop()

    async def _unit(self, unit: int) -> None:
        host, _, port = self._given.modbus.rpartition(":")
        client = AsyncModbusTcpClient(host, port=int(port))
        await client.connect()
        names = ["poll", *(f"r{register:03d}" for register in range(2, self._given.registers))]
        for _ in range(self._given.polls):
            values = await (self._block(client, unit) if self._given.block else self._one_by_one(client, unit))
            self._keep_and_send(unit, names, values)
            while len(self._sent) > IN_FLIGHT_MAX:  # noqa: ASYNC110  likewise
                await asyncio.sleep(0.001)
        client.close()

    async def _one_by_one(self, client: AsyncModbusTcpClient, unit: int) -> list[object]:
        values: list[object] = []
        for address in (0, *range(2, self._given.registers)):
            wide = address == 0
            reply = await client.read_holding_registers(address, count=2 if wide else 1, device_id=unit)
            kind = client.DATATYPE.UINT32 if wide else client.DATATYPE.UINT16
            values.append(client.convert_from_registers(reply.registers, kind))
        return values

    async def _block(self, client: AsyncModbusTcpClient, unit: int) -> list[object]:
        registers = (await client.read_holding_registers(0, count=self._given.registers, device_id=unit)).registers
        values: list[object] = [client.convert_from_registers(registers[:2], client.DATATYPE.UINT32)]
        values += [client.convert_from_registers([word], client.DATATYPE.UINT16) for word in registers[2:]]
        return values

    def _keep_and_send(self, unit: int, names: list[str], values: list[object]) -> None:
        now_ms = int(time.time() * 1000)
        readings = [
            {"name": f"plant1/line1/unit{unit:03d}/{name}", "ts": now_ms, "value": value, "quality": "GOOD"}
            for name, value in zip(names, values, strict=True)
        ]
        self._rows.execute("begin")
        ids = [
            self._rows.execute(
                "insert into reading (name, ts, value, q) values (?, ?, ?, ?)", (r["name"], r["ts"], r["value"], GOOD)
            ).lastrowid
            for r in readings
        ]
        self._rows.execute("commit")
        self.readings += len(readings)
        for row, reading in zip(ids, readings, strict=True):
            sent = self._client.publish(f"t/{reading['name']}", json.dumps(reading), qos=1)
            self._sent[sent.mid] = row or 0

    def _acknowledge(self, mid: int) -> None:
        self._delivered += 1
        self._acknowledged.append((self._sent.pop(mid, 0),))
        if len(self._acknowledged) >= DELETE_ROWS:
            self._rows.execute("begin")
            self._rows.executemany("delete from reading where id = ?", self._acknowledged)
            self._rows.execute("commit")
            self._acknowledged.clear()


def main() -> None:
    """The command: see the module's text."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.naive")
    parser.add_argument("--modbus", required=True)
    parser.add_argument("--broker", required=True)
    parser.add_argument("--units", type=int, required=True)
    parser.add_argument("--registers", type=int, required=True)
    parser.add_argument("--polls", type=int, required=True)
    parser.add_argument("--block", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tidegate-naive-") as folder:
        naive = Naive(given, Path(folder) / "naive.db")
        cpu_s, wall_s = time.process_time(), time.perf_counter()
        asyncio.run(naive.run())
        spent = {"cpu_s": time.process_time() - cpu_s, "wall_s": time.perf_counter() - wall_s}
    print(json.dumps({"readings": naive.readings, **spent}))


if __name__ == "__main__":
    main()
