"""Modbus machines behind real sockets: honest ones, hostile ones, and honest ones that share a line with a bad unit.

    python -m tests.campaigns.modbus_machines --seed 7 --log FILE --port-file FILE --own 10 --shared 10 --hostile 60

It imports nothing of Tidegate. Each question is a line of the log: port, unit, number, function, kind, when it came,
when its right reply was sent (0 = never); seconds of the monotonic clock.
"""

import argparse
import asyncio
import signal
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import TextIO

from tests.campaigns.modbus_peer import Peer, Sender
from tests.campaigns.modbus_replies import HONEST, KINDS, QUESTION, QUIET_FAULTS

HOST = "127.0.0.1"
# Of the units on a shared line this one misbehaves; on other lines there is unit 1 alone.
BAD_UNIT = 9


@dataclass(frozen=True, slots=True)
class Told:
    """One question as the log has it; `right_s` is None where it was never answered rightly."""

    port: int
    unit: int
    n: int
    function: int
    kind: str
    at_s: float
    right_s: float | None


def read_log(path: Path, offset: int) -> tuple[list[Told], int]:
    """The questions of the log from an offset on, in the order in which they came, and the offset after them."""
    found = []
    with path.open() as log:
        log.seek(offset)
        whole, _, _ = log.read().rpartition("\n")
    for line in whole.splitlines():
        port, unit, n, function, at_s, right_s, kind = line.split(" ", 6)
        told = Told(int(port), int(unit), int(n), int(function), kind, float(at_s), float(right_s) or None)
        found.append(told)
    return found, offset + len(whole) + 1 if whole else offset


class Served(asyncio.Protocol):
    """One connection to a machine with a peer for each unit; a unit that is not there is silent."""

    def __init__(self, port: int, peers: dict[int, Peer], log: TextIO) -> None:
        self._port, self._peers, self._log = port, peers, log
        self._senders: dict[int, Sender] = {}
        self._came = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._came += data
        while len(self._came) >= QUESTION.size:
            question, self._came = self._came[: QUESTION.size], self._came[QUESTION.size :]
            unit = question[6]
            if unit not in self._peers:
                continue
            if unit not in self._senders:
                loop = asyncio.get_running_loop()
                self._senders[unit] = Sender(self._peers[unit], loop, self._transport.write, self._hang_up)
            self._senders[unit].asked(question)
            asked = self._peers[unit].asked.pop()
            times = f"{asked.at_s:.6f} {asked.right_s or 0:.6f}"
            self._log.write(f"{self._port} {unit} {asked.n} {asked.function} {times} {asked.kind}\n")

    def connection_lost(self, error: Exception | None) -> None:
        for sender in self._senders.values():
            sender.stop()

    def _hang_up(self, reset: bool) -> None:
        if reset:
            self._transport.abort()
        else:
            self._transport.close()


async def serve(given: argparse.Namespace) -> None:
    """Listen until SIGTERM. The port file has a line of ports for each of the three sorts."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    chance = Random(given.seed)
    lines = []
    with given.log.open("w", buffering=1) as log:
        for sort, count in (("own", given.own), ("shared", given.shared), ("hostile", given.hostile)):
            ports = []
            for _ in range(count):
                peers = {1: Peer(Random(chance.random()), KINDS if sort == "hostile" else HONEST)}
                if sort == "shared":
                    peers[2] = Peer(chance, HONEST)
                    peers[BAD_UNIT] = Peer(Random(chance.random()), QUIET_FAULTS)
                ports.append(await listen(peers, log))
            lines.append(" ".join(map(str, ports)))
        ready = given.port_file.with_suffix(".new")
        ready.write_text("\n".join(lines) + "\n")
        ready.rename(given.port_file)
        await stop.wait()


async def listen(peers: dict[int, Peer], log: TextIO) -> int:
    """A machine on a free port."""
    loop = asyncio.get_running_loop()
    known: list[int] = []
    server = await loop.create_server(lambda: Served(known[0], peers, log), HOST, 0)
    known.append(server.sockets[0].getsockname()[1])
    return known[0]


def main() -> None:
    """The command: see the module's text."""
    parser = argparse.ArgumentParser(prog="python -m tests.campaigns.modbus_machines")
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--log", type=Path, required=True)
    parser.add_argument("--port-file", type=Path, required=True)
    for sort in ("own", "shared", "hostile"):
        parser.add_argument(f"--{sort}", type=int, required=True)
    asyncio.run(serve(parser.parse_args()))


if __name__ == "__main__":
    main()
