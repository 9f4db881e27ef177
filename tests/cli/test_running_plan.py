"""A gateway reads a machine that refuses a register: status names the tag, and the plan reckons with its reads."""

import json
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pyModbusTCP.server import DataBank, ModbusServer

from demo.broker import Mosquitto
from tests.test_gateway import TIDEGATE, ask, until

CONFIG = """
[gateway]
name = "g1"
state = "state"
[groups.default]
interval = "100ms"
[tables.plc]
file = "plc.csv"
[[device]]
name = "plc1"
table = "plc"
address = "tcp://127.0.0.1:{port}"
[[target]]
name = "local"
url = "{url}"
"""
TABLE = "name,address,type\n" + "".join(f"w{n},HR{n},uint16\n" for n in range(8))


class Refusing(DataBank):
    """Registers of which one is not there."""

    def get_holding_registers(self, address: int, number: int = 1, srv_info: Any = None) -> list[int] | None:
        return None if address <= 5 < address + number else [address + n for n in range(number)]


@pytest.fixture
def config(tmp_path: Path, broker: Mosquitto) -> Iterator[Path]:
    server = ModbusServer("127.0.0.1", 0, no_block=True, data_bank=Refusing())
    server.start()
    (tmp_path / "plc.csv").write_text(TABLE)
    path = tmp_path / "gateway.toml"
    path.write_text(CONFIG.format(port=server._service.server_address[1], url=broker.url))
    yield path
    server.stop()


def said(config: Path, word: str, *flags: str) -> str:
    return subprocess.run([*TIDEGATE, word, str(config), *flags], capture_output=True, text=True).stdout


def test_a_refused_tag_is_named_by_log_and_status_and_reads_are_measured(config: Path) -> None:
    log: list[str] = []
    with subprocess.Popen([*TIDEGATE, "run", str(config)], stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        reading = threading.Thread(target=_keep, args=(process.stderr.readline, log))
        reading.start()
        try:
            until(lambda: ask(config).returncode == 0 and bool(json.loads(ask(config).stdout)["devices"][0]["refused"]))
            status, plan = said(config, "status"), said(config, "plan", "--measured")
        finally:
            process.terminate()
            process.wait(15)
            reading.join(15)

    assert "        tag w5 at holding 0x0005 is refused: exception 2, illegal data address" in status.splitlines()
    assert len([line for line in log if "plc1: tag w5 at holding 0x0005 is refused: exception 2" in line]) == 1
    assert "reads as measured of 1 device" in plan


def _keep(readline: Callable[[], str], log: list[str]) -> None:
    while line := readline():
        log.append(line)
