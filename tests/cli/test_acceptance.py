"""The acceptance page says who each device is, fits on paper, and is the same in JSON."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tests.cli.test_profile_wire import simulated
from tidegate.cli.acceptance import COLUMNS, BadTag, Page, Row, lines, plain

TIDEGATE = [str(Path(sys.executable).parent / "tidegate")]
CONFIG = """[gateway]
name = "plant7"
state = "state"

[groups.default]
interval = "1s"
deadline = "10s"

[[device]]
name = "meter"
table = "{table}"
address = "{address}"
unit = 7

[[target]]
name = "t"
url = "mqtt://127.0.0.1"
"""
ROW = Row("m1", "modbus", "tcp://10.0.0.7:502", 1, True, 3.2, 26, 0, (), (), "abb/b23@any", "ABB B23", True)
PAGE = Page("g1", "/etc/tidegate/gateway.toml", "0011223344556677", "0.1.0", "2026-03-01 10:00:00+01:00", (ROW,))


def page(folder: Path, table: str, address: str, *words: str) -> "subprocess.CompletedProcess[str]":
    path = folder / "gateway.toml"
    path.write_text(CONFIG.format(table=table, address=address.rpartition("/")[0]))
    return subprocess.run([*TIDEGATE, "read", str(path), "--all", *words], capture_output=True, text=True, timeout=60)


def test_a_device_that_is_what_its_profile_is_for_matches(tmp_path: Path) -> None:
    with simulated("abb/b23", "--firmware", "1.2.3", "--change", "1h") as (address, _):
        ran = page(tmp_path, "abb/b23", address)

    assert ran.returncode == 0, ran.stdout
    assert "        abb/b23@any: ABB B23, firmware 1.2.3" in ran.stdout.splitlines()
    assert "1 of 1 device answered; 0 of 26 tags bad; 1 of 1 profile match" in ran.stdout
    assert "gateway        plant7" in ran.stdout
    assert ran.stdout.splitlines()[-1].startswith("Name  ____")


def test_a_device_of_another_set_does_not_match_and_is_told_its_table(tmp_path: Path) -> None:
    with simulated("carlo-gavazzi/em340@sample", "--change", "1h") as (address, _):
        ran = page(tmp_path, "carlo-gavazzi/em340@released", address, "--json")
    told = json.loads(ran.stdout)

    assert ran.returncode == 3
    assert (told["strangers"], told["rows"][0]["match"]) == (1, False)
    assert "table = carlo-gavazzi/em340@sample" in told["rows"][0]["mismatch"]


def test_what_is_read_for_the_page_is_kept_nowhere(tmp_path: Path) -> None:
    with simulated("abb/b23", "--change", "1h") as (address, _):
        page(tmp_path, "abb/b23", address)

    assert [path.name for path in tmp_path.iterdir()] == ["gateway.toml"]


@pytest.mark.parametrize(
    "row",
    [
        ROW,
        replace(ROW, name="n" * 64),
        replace(ROW, bad=tuple(BadTag("t" * 40, "BadSensorFailure") for _ in range(200))),
        replace(ROW, answered=False, trip_ms=None, faults=("no connection to " + "x" * 60,) * 9),
        replace(ROW, identity="\x1b[2J" + "v " * 300, match=False, mismatch="it is another " * 40),
    ],
    ids=["usual", "long name", "many bad tags", "many faults", "long identity"],
)
def test_no_line_is_wider_than_the_paper_and_nothing_steers_the_terminal(row: Row) -> None:
    told = list(lines(replace(PAGE, rows=(row,)), ["do this " * 40]))

    assert [line for line in told if len(line) > COLUMNS] == []
    assert "\x1b" not in "".join(told)


def test_of_a_device_that_is_not_there_nothing_is_said_about_itself() -> None:
    gone = replace(ROW, answered=False, trip_ms=None, identity="", match=None)

    assert "it could not be asked who it is" in "\n".join(lines(replace(PAGE, rows=(gone,)), []))
    assert "it does not say who it is" in "\n".join(lines(replace(PAGE, rows=(replace(gone, answered=True),)), []))


def test_json_says_what_the_page_says() -> None:
    told = plain(replace(PAGE, rows=(ROW, replace(ROW, answered=False, unread=26, match=None))))

    assert (told["silent"], told["bad"], told["strangers"]) == (1, 26, 0)
    assert told["summary"] == "1 of 2 devices answered; 26 of 52 tags bad; 1 of 1 profile match"


def test_json_is_for_the_page_only() -> None:
    ran = subprocess.run([*TIDEGATE, "read", "gateway.toml", "m1", "--json"], capture_output=True, text=True)

    assert ran.returncode == 2
    assert "give --all" in ran.stderr
