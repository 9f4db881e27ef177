"""The probe: a lean chain that still polls, decodes, commits with FULL, sends with QoS 1, deletes when acknowledged.

    python -m tests.bench.probe --modbus 127.0.0.1:5020 … --broker 127.0.0.1:1883 --registers 125 --interval-ms 1000

It is a yardstick for a paced gateway, and no gateway: it proves no reply, names no gap, and has no deadline. All of a
unit's requests go out in one write. An interval of 0 is a flood: each unit is asked again as soon as it has answered.
Runs on uvloop, as the gateway does, until SIGTERM; at SIGUSR1 it writes into the file `--progress` how many readings
were acknowledged, and a 0 when it begins.
"""

import argparse
import asyncio
import itertools
import signal
import sqlite3
import tempfile
import time
from pathlib import Path
from struct import Struct
from typing import Any

import paho.mqtt.client as mqtt
import zstandard
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from probe_columns import Columns, replies  # type: ignore[import-not-found]  # made by paced.py, in build/

from tidegate import loop

QUESTION = Struct(">HHHBBHH")
READ_HOLDING = 3
REQUEST_REGISTERS_MAX = 125
BATCH_READINGS = 4000
COMMIT_S = 0.25
WINDOW = 32
SCALE = 0.1


class Unit(asyncio.Protocol):
    """One connection to one unit, and the tags of its registers from `first_tag` on."""

    def __init__(self, chain: "Chain", unit: int, registers: int, first_tag: int) -> None:
        self._chain = chain
        most = REQUEST_REGISTERS_MAX
        self._parts = [(at, min(most, registers - at)) for at in range(0, registers, most)]
        self._unit = unit
        self._first_tag = first_tag
        self._transaction = itertools.count()
        self._asked: dict[int, int] = {}
        self._left = b""
        self._done: asyncio.Future[None] | None = None

    def connection_made(self, transport: Any) -> None:
        """Keep the way out."""
        self._transport = transport

    def poll(self) -> "asyncio.Future[None]":
        """Ask for all registers; done when all are in."""
        questions = []
        for at, count in self._parts:
            transaction = next(self._transaction) & 0xFFFF
            self._asked[transaction] = self._first_tag + at
            questions.append(QUESTION.pack(transaction, 0, 6, self._unit, READ_HOLDING, at, count))
        self._done = asyncio.get_running_loop().create_future()
        self._transport.write(b"".join(questions))
        return self._done

    def data_received(self, data: bytes) -> None:
        """Take what is whole."""
        found, self._left = replies(self._left + data if self._left else data)
        for transaction, registers in found:
            self._chain.take(registers, self._asked.pop(transaction))
        if not self._asked and self._done is not None and not self._done.done():
            self._done.set_result(None)


class Chain:
    """From decoded registers to acknowledged messages."""

    def __init__(self, database: Path, broker: str) -> None:
        self._columns = Columns(BATCH_READINGS)
        self._pack = zstandard.ZstdCompressor(level=1).compress
        self._rows = sqlite3.connect(database, isolation_level=None)
        for pragma in ("journal_mode = wal", "synchronous = full", "secure_delete = 0"):
            self._rows.execute(f"pragma {pragma}")
        self._rows.execute("create table batch (id integer primary key autoincrement, n integer, data blob)")
        self._sent: dict[int, tuple[int, int]] = {}
        self._acknowledged: list[tuple[int]] = []
        self._broker = broker
        self._up = asyncio.Event()
        self.delivered = 0

    async def connect(self) -> None:
        """To the broker; paho's socket is the loop's."""
        loop = asyncio.get_running_loop()
        client = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv5)
        client.max_inflight_messages_set(0)
        client.on_connect = lambda *_: self._up.set()
        client.on_publish = self._on_publish
        client.on_socket_open = lambda _c, _d, it: loop.add_reader(it, client.loop_read)
        client.on_socket_close = lambda _c, _d, it: loop.remove_reader(it)
        client.on_socket_register_write = lambda _c, _d, it: loop.add_writer(it, client.loop_write)
        client.on_socket_unregister_write = lambda _c, _d, it: loop.remove_writer(it)
        host, _, port = self._broker.rpartition(":")
        client.connect(host, int(port))
        self._client = client
        await self._up.wait()

    def take(self, registers: bytes, first_tag: int) -> None:
        """One reply."""
        now_ms = int(time.time() * 1000)
        if not self._columns.add(registers, first_tag, SCALE, now_ms):
            self.commit()
            self._columns.add(registers, first_tag, SCALE, now_ms)

    def commit(self) -> None:
        """What was taken into one row, what was acknowledged out, in one transaction; then the message."""
        columns, rows = self._columns, self._rows
        if not columns.count or len(self._sent) >= WINDOW:
            return
        rows.execute("begin")
        data = self._pack(columns.row())
        number = rows.execute("insert into batch (n, data) values (?, ?)", (columns.count, data)).lastrowid or 0
        rows.executemany("delete from batch where id = ?", self._acknowledged)
        self._acknowledged.clear()
        rows.execute("commit")
        payload = columns.payload(int(time.time() * 1000), number)
        sent = self._client.publish(f"probe/{number}", payload, qos=1)
        self._sent[sent.mid] = number, columns.count
        columns.clear()

    def _on_publish(self, _client: object, _data: object, mid: int, *_: object) -> None:
        number, count = self._sent.pop(mid)
        self._acknowledged.append((number,))
        self.delivered += count


async def run(given: argparse.Namespace, database: Path) -> None:
    """Poll, commit and send until SIGTERM."""
    running, stopping = asyncio.get_running_loop(), asyncio.Event()
    running.add_signal_handler(signal.SIGTERM, stopping.set)
    chain = Chain(database, given.broker)
    await chain.connect()
    interval_s = given.interval_ms / 1000

    async def pace(index: int, address: str) -> None:
        host, _, port = address.rpartition(":")
        _, unit = await running.create_connection(
            lambda: Unit(chain, index + 1, given.registers, index * given.registers), host, int(port)
        )
        due_s = running.time() + index * interval_s / len(given.modbus)
        while not interval_s:
            await unit.poll()
        while True:
            due_s += interval_s
            await asyncio.sleep(max(0.0, due_s - running.time()))
            await unit.poll()

    async def commit() -> None:
        while True:
            await asyncio.sleep(COMMIT_S)
            chain.commit()

    tasks = [asyncio.create_task(pace(index, address)) for index, address in enumerate(given.modbus)]
    tasks.append(asyncio.create_task(commit()))

    def say() -> None:
        Path(given.progress).write_text(str(chain.delivered))

    say()
    running.add_signal_handler(signal.SIGUSR1, say)
    await stopping.wait()
    for task in tasks:
        task.cancel()


def main() -> None:
    """The command: see the module's text."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.probe")
    parser.add_argument("--modbus", required=True, nargs="+")
    parser.add_argument("--broker", required=True)
    parser.add_argument("--registers", type=int, required=True)
    parser.add_argument("--interval-ms", type=float, required=True)
    parser.add_argument("--progress", required=True)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tidegate-probe-") as at, asyncio.Runner(loop_factory=loop.new) as runner:
        runner.run(run(given, Path(at) / "probe.db"))


if __name__ == "__main__":
    main()
