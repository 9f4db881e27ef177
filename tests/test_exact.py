"""Every type, exact, the whole way: registers of a foreign server, driver, buffer, broker, JSON, proof."""

import json
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pyModbusTCP.server import DataBank, ModbusServer

from demo.broker import LOOPBACK, Mosquitto, free_port
from tidegate.model.status import BAD_DECODING_ERROR, BAD_OUT_OF_RANGE

TIDEGATE = str(Path(sys.executable).parent / "tidegate")
DEADLINE_S = 20.0

# 2026-12-01 23:34:35 in Shanghai, which is at 15:34:35 UTC.
MOMENT_US = 1_796_139_275_000_000

# Tag, type, registers as bytes in their order on the wire, and what the message says (a text where JSON can't).
CASES: list[tuple[str, str, bytes, Any]] = [
    ("u64_max", "uint64", struct.pack(">Q", 2**64 - 1), str(2**64 - 1)),
    ("i64_min", "int64", struct.pack(">q", -(2**63)), str(-(2**63))),
    ("u64_safe", "uint64", struct.pack(">Q", 2**53 - 1), 2**53 - 1),
    ("u64_past_safe", "uint64", struct.pack(">Q", 2**53), str(2**53)),
    ("i16_min", "int16", struct.pack(">h", -32768), -32768),
    ("u32_max", "uint32", struct.pack(">I", 2**32 - 1), 2**32 - 1),
    ("f32_subnormal", "float32", struct.pack(">I", 1), 1e-45),
    ("f32_tenth", "float32", struct.pack(">f", 0.1), 0.1),
    ("f64_subnormal", "float64", struct.pack(">d", 5e-324), 5e-324),
    ("f64_minus_zero", "float64", struct.pack(">d", -0.0), -0.0),
    ("f64_third", "float64", struct.pack(">d", 1 / 3), 1 / 3),
    ("f32_nan", "float32", struct.pack(">I", 0x7FC00000), None),
    ("f64_infinite", "float64", struct.pack(">d", float("inf")), None),
    ("empty", "string", bytes(8), ""),
    ("words", "string", "阀门7".encode().ljust(8, b"\0"), "阀门7"),
]  # fmt: skip

# The same of tags that have more columns; an array has several values.
MORE: list[tuple[str, str, bytes, list[Any], dict[str, str]]] = [
    ("state", "uint16", struct.pack(">H", 2), [2], {"values": "2=Fault; 1=Running"}),
    ("unnamed", "int16", struct.pack(">h", -7), [-7], {"values": "-1=Unknown"}),
    ("alarms", "uint16", struct.pack(">H", 0x8001), [0x8001], {"bits": "0=Overload; 15=Trip"}),
    ("clock", "int64", bytes.fromhex("1A0C01172223"), [MOMENT_US], {"coding": "datetime:YM Dh ms"}),
    ("no_clock", "int64", bytes(8), [None], {"coding": "datetime:iec870"}),
    ("unix", "int64", struct.pack(">I", MOMENT_US // 10**6), [MOMENT_US], {"coding": "datetime:unix32"}),
    ("h", "int32", struct.pack(">3i", -(2**31), 0, 2**31 - 1), [-(2**31), 0, 2**31 - 1], {"count": "1..3"}),
    ("far", "uint16", struct.pack(">4H", 1, 9, 2, 9), [1, 2], {"count": "2", "step": "2"}),
]
COLUMNS = ("length", "values", "bits", "coding", "count", "step", "unit")
EXPECTED = [value for *_, value in CASES] + [value for *_, values, _ in MORE for value in values]
NAMES = {
    "state": {"values": {"1": "Running", "2": "Fault"}},
    "unnamed": {"values": {"-1": "Unknown"}},
    "alarms": {"bits": {"0": "Overload", "15": "Trip"}},
}

CONFIG = """
[gateway]
name = "g1"
state = "state"

[buffer]
commit_interval = "100ms"

[tables.exact]
file = "exact.csv"
base = 0
registers = "holding"

[[device]]
name = "m"
table = "exact"
address = "tcp://{host}:{modbus}"
time_zone = "Asia/Shanghai"

[[target]]
name = "cloud"
url = "{url}"
"""


@pytest.fixture
def machine() -> Iterator[int]:
    """The port of a server that we did not write, which holds the cases one after the other."""
    held = b"".join([case[2] for case in CASES] + [case[2] for case in MORE])
    words = struct.unpack(f">{len(held) // 2}H", held)
    bank = DataBank(h_regs_size=len(words))
    bank.set_holding_registers(0, list(words))
    server = ModbusServer(LOOPBACK, free_port(), no_block=True, data_bank=bank)
    server.start()
    yield server.port
    server.stop()


def table() -> str:
    """The tag table of the cases."""
    rows, address = [",".join(("name", "address", "type", *COLUMNS))], 0
    plain = [(n, kind, raw, {"length": f"{len(raw)}"} if kind == "string" else {}) for n, kind, raw, _ in CASES]
    for name, kind, raw, columns in plain + [(n, kind, raw, columns) for n, kind, raw, _, columns in MORE]:
        texts = columns | ({"unit": "us since 1970"} if "coding" in columns else {})
        rows.append(",".join((name, f"{address}", kind, *(texts.get(column, "") for column in COLUMNS))))
        address += len(raw) // 2
    return "\n".join(rows) + "\n"


def follow(folder: Path, broker: Mosquitto, machine: int) -> list[dict[str, Any]]:
    """Run a subscriber that proves and then the gateway, until data came; the frames that it got."""
    (folder / "exact.csv").write_text(table())
    (folder / "gateway.toml").write_text(CONFIG.format(host=LOOPBACK, modbus=machine, url=broker.url))
    log, said = folder / "log", folder / "said"
    with said.open("w") as out:
        asked = [TIDEGATE, "tail", broker.url, "--log", str(log)]
        tail = subprocess.Popen(asked, stdout=out, stderr=subprocess.STDOUT)
    agent: subprocess.Popen[bytes] | None = None
    try:
        wait_until(lambda: "connected" in said.read_text())
        agent = subprocess.Popen([TIDEGATE, "run", str(folder / "gateway.toml")])
        # What was read before the broker was reached comes after what is live.
        wait_until(lambda: 1 in {frame["seq"] for frame in frames_of(log)})
    finally:
        if agent is not None:
            agent.send_signal(signal.SIGTERM)
            agent.wait(DEADLINE_S)
        tail.send_signal(signal.SIGINT)
        tail.wait(DEADLINE_S)
    assert tail.returncode == 0, said.read_text()
    return frames_of(log)


def wait_until(holds: Callable[[], bool]) -> None:
    """Wait for it; what comes of it not holding is seen by whoever looks next."""
    deadline = time.monotonic() + DEADLINE_S
    while not holds() and time.monotonic() < deadline:
        time.sleep(0.1)


def frames_of(log: Path) -> list[dict[str, Any]]:
    """The frames of all data messages that a subscriber has logged in whole lines."""
    lines = log.read_text().splitlines(keepends=True) if log.exists() else []
    logged = [json.loads(line) for line in lines if line.endswith("\n")]
    messages = [m["payload"] for m in logged if m["topic"].endswith(("/live", "/backlog", "/replay"))]
    return [frame for message in messages for frame in message["frames"]]


def names_of(log: Path) -> dict[str, dict[str, Any]]:
    """By tag the names that a published tag table has for its values and bits."""
    logged = [json.loads(line) for line in log.read_text().splitlines()]
    tags = next(m["payload"]["tags"] for m in logged if "/table/" in m["topic"])
    found = {tag["name"]: {key: tag[key] for key in ("values", "bits") if key in tag} for tag in tags}
    return {name: names for name, names in found.items() if names}


def test_every_type_arrives_exactly(tmp_path: Path, broker: Mosquitto, machine: int) -> None:
    frames = follow(tmp_path, broker, machine)
    bad = [BAD_OUT_OF_RANGE] * len(CASES) + [BAD_DECODING_ERROR] * (len(EXPECTED) - len(CASES))

    assert names_of(tmp_path / "log") == NAMES
    assert frames
    for frame in frames:
        got = dict(zip(frame["tags"], frame["v"], strict=True))
        codes = frame.get("st", 0)
        statuses = codes if isinstance(codes, list) else [codes] * len(EXPECTED)

        # repr tells -0.0 from 0.0 and a text from a number.
        assert [repr(v) for v in EXPECTED] == [repr(got[i]) for i in range(len(EXPECTED))]
        assert [b if v is None else 0 for v, b in zip(EXPECTED, bad, strict=True)] == statuses
