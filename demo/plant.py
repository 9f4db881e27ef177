"""A simulated plant: a Modbus TCP server of its own, that imports nothing of Tidegate and writes down what it answered.

    python -m demo.plant --port 5020                        two meters and a press, as in the demo
    python -m demo.plant --units 100 --registers 125        units for load

The truth log has a line a reply: unit, the number of the poll, µs UTC. A checker holds it against what arrived.
"""

import argparse
import asyncio
import signal
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from struct import Struct

from demo.machines import (
    BITS_MAX,
    ILLEGAL_FUNCTION,
    ILLEGAL_VALUE,
    READ_COILS,
    READ_DISCRETE,
    READ_INPUT,
    REGISTERS_MAX,
    Machine,
    Refusal,
    load,
    plant,
)

MBAP = Struct(">HHHB")
REQUEST = Struct(">BHH")
ADU_BYTES_MAX = 260
EXCEPTION = 0x80
NO_SUCH_UNIT = 0x0B
TRUTH_INTERVAL_S = 0.1

Answered = Callable[[int, int], None]


class Session(asyncio.Protocol):
    """One Modbus TCP connection: answers requests in order, and closes on anything that is not Modbus."""

    def __init__(self, machines: Mapping[int, Machine], answered: Answered) -> None:
        self._machines = machines
        self._answered = answered
        self._waiting = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the way back."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer every whole request."""
        assert self._transport is not None
        data, at, replies = self._waiting + data, 0, []
        while len(data) - at >= MBAP.size + 1:
            transaction, protocol, length, unit = MBAP.unpack_from(data, at)
            if protocol != 0 or not 2 <= length <= ADU_BYTES_MAX - 6:
                self._transport.close()
                return
            if len(data) - at < 6 + length:
                break
            body = self._reply(unit, data[at + MBAP.size : at + 6 + length])
            replies.append(MBAP.pack(transaction, 0, len(body) + 1, unit) + body)
            at += 6 + length
        self._waiting = data[at:]
        if replies:
            self._transport.write(b"".join(replies))

    def _reply(self, unit: int, request: bytes) -> bytes:
        function = request[0]
        machine = self._machines.get(unit)
        try:
            if machine is None:
                raise Refusal(NO_SUCH_UNIT)
            if not READ_COILS <= function <= READ_INPUT:
                raise Refusal(ILLEGAL_FUNCTION)
            if len(request) != REQUEST.size:
                raise Refusal(ILLEGAL_VALUE)
            _, address, count = REQUEST.unpack(request)
            if not 1 <= count <= (BITS_MAX if function <= READ_DISCRETE else REGISTERS_MAX):
                raise Refusal(ILLEGAL_VALUE)
            before = machine.polls
            data = machine.read(function, address, count, time.time())
        except Refusal as refusal:
            return bytes((function | EXCEPTION, refusal.code))
        if machine.polls != before:
            self._answered(unit, machine.polls)
        return bytes((function, len(data))) + data


class Truth:
    """What was answered: a line a reply, kept in memory for at most TRUTH_INTERVAL_S."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("a", buffering=1 << 20)

    def note(self, unit: int, poll: int) -> None:
        """One reply."""
        self._file.write(f"{unit} {poll} {time.time_ns() // 1000}\n")

    async def keep(self) -> None:
        """Write what was noted, again and again, until cancelled; then once more."""
        try:
            while True:
                await asyncio.sleep(TRUTH_INTERVAL_S)
                self._file.flush()
        finally:
            self._file.close()


async def serve(
    machines: Mapping[int, Machine],
    host: str,
    ports: list[int],
    truth: Path | None,
    listening: Callable[[list[int]], None],
) -> None:
    """Answer on each of `ports` (0 takes a free one) until SIGTERM or SIGINT; `listening` is told the ports."""
    loop, stopping = asyncio.get_running_loop(), asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stopping.set)
    log = Truth(truth) if truth else None
    answered: Answered = log.note if log else lambda unit, poll: None
    keeping = asyncio.create_task(log.keep()) if log else None
    servers = [await loop.create_server(lambda: Session(machines, answered), host, port) for port in ports]
    listening([server.sockets[0].getsockname()[1] for server in servers])
    await stopping.wait()
    for server in servers:
        server.close()
    if keeping is not None:
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)


def main() -> None:
    """The command: see the module's text."""
    parser = argparse.ArgumentParser(prog="python -m demo.plant", description="A simulated plant on Modbus TCP.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="the (first) port; 0 takes a free one")
    parser.add_argument("--ports", type=int, default=1, help="how many ports to listen on; all units are at each")
    parser.add_argument("--port-file", type=Path, help="the ports are written here, one a line, when they listen")
    parser.add_argument("--truth", type=Path, help="file of replies: unit, poll number, µs UTC")
    parser.add_argument("--units", type=int, help="so many units for load instead of the demo's plant")
    parser.add_argument("--registers", type=int, default=REGISTERS_MAX, help="of each load unit")
    given = parser.parse_args()
    machines = load(given.units, given.registers) if given.units else plant()

    def listening(ports: list[int]) -> None:
        if given.port_file:
            # In one step, so that who waits for the file never reads half of it.
            part = given.port_file.with_suffix(".part")
            part.write_text("".join(f"{port}\n" for port in ports))
            part.rename(given.port_file)
        print(f"plant: units {min(machines)}..{max(machines)} at {given.host}, ports {ports}", flush=True)

    asked = [given.port + i if given.port else 0 for i in range(given.ports)]
    asyncio.run(serve(machines, given.host, asked, given.truth, listening))


if __name__ == "__main__":
    main()
