"""`tidegate read` asks machines once: good and bad tags, silent devices, addresses that no table has."""

import re
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest
from pyModbusTCP.server import ModbusServer

from demo.broker import free_port
from tidegate.cli.acceptance import COLUMNS
from tidegate.cli.read import REMEDIES
from tidegate.errors import NoAnswer, NotConnected, Refused

SIMULATED = """
[gateway]
name = "g1"
state = "state"

[groups.fast]
interval = "100ms"
deadline = "100ms"

[tables.tank]
file = "tank.csv"

[devices]
file = "devices.csv"

[[target]]
name = "local"
url = "mqtt://127.0.0.1"
"""
TANK = """name,address,type,scale,unit,group,value,bad_every
level,constant,int16,1/10,m,fast,235,
pump,constant,bool,,,fast,1,
maker,constant,string,,,default,Nordpumpe,
probe,constant,int16,,°C,default,20,{bad_every}
"""
MODBUS = """
[gateway]
name = "g1"
state = "state"

[tables.press]
file = "press.csv"
base = "modicon"
order = "CDAB"

[[device]]
name = "press1"
table = "press"
address = "tcp://127.0.0.1:{port}"
unit = 1

[[target]]
name = "local"
url = "mqtt://127.0.0.1"
"""
PRESS = """name,address,type,scale,unit,order
pressure,40001,int16,0.1,bar,
position,40002,uint32,,mm,
strokes,40011,uint32,,,ABCD
"""


def read(folder: Path, *arguments: str) -> tuple[int, list[str], str]:
    """Exit code, lines of output, and what went to standard error."""
    command = [sys.executable, "-c", "from tidegate.cli.main import main; main()", "read", "gateway.toml", *arguments]
    ran = subprocess.run(command, capture_output=True, text=True, cwd=folder, timeout=60)
    return ran.returncode, ran.stdout.splitlines(), ran.stderr


def without_times(lines: list[str]) -> list[str]:
    return [re.sub(r" +", " ", re.sub(r"\d+\.\d ms", "N ms", line)).strip() for line in lines]


def simulated(folder: Path, *rows: str, bad_every: str = "") -> Path:
    (folder / "gateway.toml").write_text(SIMULATED)
    (folder / "tank.csv").write_text(TANK.format(bad_every=bad_every))
    head = "name,driver,table,address,silent_every,refuse_every,disconnect_every"
    (folder / "devices.csv").write_text("\n".join([head, *rows]) + "\n")
    return folder


@pytest.fixture
def press(tmp_path: Path) -> Iterator[Path]:
    """The folder of a configuration whose press is a foreign Modbus server."""
    port = free_port()
    server = ModbusServer("127.0.0.1", port, no_block=True)
    server.start()
    server.data_bank.set_holding_registers(0, [1234, 0x5678, 0x0001])
    server.data_bank.set_holding_registers(10, [0x0001, 0x0002, 7, 9])
    (tmp_path / "gateway.toml").write_text(MODBUS.format(port=port))
    (tmp_path / "press.csv").write_text(PRESS)
    yield tmp_path
    server.stop()


def test_a_device_prints_its_readings_scaled_and_with_units(tmp_path: Path) -> None:
    code, lines, errors = read(simulated(tmp_path, "t1,simulator,tank,sim://a,,,"), "t1")

    assert (code, errors) == (0, "")
    assert without_times(lines) == [
        "t1 simulator sim://a",
        "group fast: round trip N ms",
        "level 23.5 m Good",
        "pump true Good",
        "group default: round trip N ms",
        "maker Nordpumpe Good",
        "probe 20 °C Good",
    ]


def test_control_characters_of_a_machine_are_shown_and_not_obeyed(press: Path) -> None:
    text = "name,address,type,length\nrecipe,40021,string,8\n"
    (press / "press.csv").write_text(text)
    words = [int.from_bytes(pair, "big") for pair in (b"a\x1b", b"[2", b"J\0")]
    machine = ModbusServer("127.0.0.1", port := free_port(), no_block=True)
    machine.start()
    machine.data_bank.set_holding_registers(20, words)
    (press / "gateway.toml").write_text(MODBUS.format(port=port))
    code, lines, errors = read(press, "press1")
    machine.stop()

    assert (code, errors) == (0, "")
    assert lines[-1].split() == ["recipe", r"a\x1b[2J", "Good"]


def test_a_tag_is_read_alone(tmp_path: Path) -> None:
    code, lines, _ = read(simulated(tmp_path, "t1,simulator,tank,sim://a,,,"), "t1", "level")

    assert code == 0
    assert without_times(lines)[1:] == ["group fast: round trip N ms", "level 23.5 m Good"]


def test_a_bad_tag_has_no_value_and_is_told_by_the_exit_code(tmp_path: Path) -> None:
    code, lines, _ = read(simulated(tmp_path, "t1,simulator,tank,sim://a,,,", bad_every="1"), "t1")

    assert code == 3
    assert "probe - °C BadSensorFailure" in without_times(lines)


def test_a_silent_device_is_told_by_the_exit_code(tmp_path: Path) -> None:
    code, lines, errors = read(simulated(tmp_path, "t1,simulator,tank,sim://a,1,,"), "t1")

    assert code == 1
    assert lines == ["t1  simulator sim://a"]
    assert errors.splitlines() == ["t1 was not read: simulated silence at read 1", f"-> {REMEDIES[NoAnswer]}"]


def test_the_page_has_a_line_for_each_device_and_goes_on_after_each_fault(tmp_path: Path) -> None:
    names = {"silent": "a,1,,", "refuses": "a,,1,", "drops": "a,,,1", "half": "a,,2,", "well": "a,,,", "other": "b,,,"}
    rows = [f"{name},simulator,tank,sim://{faults}" for name, faults in names.items()]
    code, lines, errors = read(simulated(tmp_path, *rows), "--all")

    assert (code, errors) == (1, "")
    assert without_times(lines)[6:-5] == [
        "device answered round trip tags bad profile",
        "-" * COLUMNS,
        "silent NO - 4 4 -",
        "simulated silence at read 1",
        "refuses NO - 4 4 -",
        "group fast: simulated refusal at read 1",
        "group default: simulated refusal at read 2",
        "drops NO - 4 4 -",
        "simulated disconnect at read 1",
        "half NO N ms 4 2 -",
        "group default: simulated refusal at read 2",
        "well yes N ms 4 0 -",
        "other yes N ms 4 0 -",
        "-" * COLUMNS,
        *[line.strip() for kind in (NoAnswer, Refused, NotConnected)
          for line in textwrap.wrap(REMEDIES[kind], COLUMNS, initial_indent="-> ", subsequent_indent="   ")],
        "2 of 6 devices answered; 14 of 24 tags bad",
    ]  # fmt: skip


def test_the_page_tells_bad_tags_of_devices_that_all_answered(tmp_path: Path) -> None:
    code, lines, _ = read(simulated(tmp_path, "t1,simulator,tank,sim://a,,,", bad_every="1"), "--all")

    assert code == 3
    assert "1 of 1 device answered; 1 of 4 tags bad" in lines
    assert "        bad: probe (BadSensorFailure)" in lines


def test_a_machine_that_is_not_there_does_not_hold_up_the_page(press: Path) -> None:
    with (press / "gateway.toml").open("a") as file:
        file.write(f'[[device]]\nname = "gone"\ntable = "press"\naddress = "tcp://127.0.0.1:{free_port()}"\n')
    code, lines, _ = read(press, "--all")

    assert code == 1
    assert "press1 yes N ms 3 0 -" in without_times(lines)
    assert "gone NO - 3 3 -" in without_times(lines)
    assert [line for line in lines if "no connection to 127.0.0.1:" in line]


def test_modbus_values_come_as_the_table_says(press: Path) -> None:
    code, lines, _ = read(press, "press1")

    assert code == 0
    assert without_times(lines)[2:] == ["pressure 123.4 bar Good", "position 87672 mm Good", "strokes 65538 Good"]


def test_a_tag_that_is_scaled_by_another_is_read_with_it(press: Path) -> None:
    (press / "press.csv").write_text(
        "name,address,type,scale_by\nW,40001,int16,W_SF\nW_SF,40011,int16,\nx,40012,int16,\n"
    )
    code, lines, _ = read(press, "press1", "W")

    assert code == 0
    assert without_times(lines)[2:] == ["W 12340 Good", "W_SF 1 Good"]


def test_names_of_values_and_bits_stand_beside_the_number(press: Path) -> None:
    (press / "press.csv").write_text(
        "name,address,type,values,bits\na,40011,uint16,1=Running; 2=Fault,\nb,40013,uint16,,0=Overload; 2=Door open\n"
        "c,40012,uint16,7=Seven,\n"
    )
    code, lines, _ = read(press, "press1")

    assert code == 0
    assert without_times(lines)[2:] == ["a 1 (Running) Good", "b 0x0007 (Overload, bit 1, Door open) Good", "c 2 Good"]


def test_the_address_of_a_tag_is_as_good_as_its_name(press: Path) -> None:
    _, lines, _ = read(press, "press1", "40011")

    assert without_times(lines)[2:] == ["strokes 65538 Good"]


def test_a_clock_is_shown_as_a_date(press: Path) -> None:
    (press / "press.csv").write_text("name,address,type,coding,unit\na,40012,int64,datetime:unix32,us since 1970\n")
    _, lines, _ = read(press, "press1")

    # 7 << 16 | 2 seconds: the table has order = CDAB.
    assert without_times(lines)[2:] == ["a 1970-01-06T07:25:54.000Z us since 1970 Good"]


def test_the_address_of_an_array_reads_all_its_elements(press: Path) -> None:
    (press / "press.csv").write_text("name,address,type,count\na,40011,uint16,1..3\nb,40001,int16,\n")
    _, lines, _ = read(press, "press1", "40011")

    assert without_times(lines)[2:] == ["a_1 1 Good", "a_2 2 Good", "a_3 7 Good"]


def test_an_address_that_no_tag_has_is_read_with_the_habits_of_the_table(press: Path) -> None:
    _, plain, _ = read(press, "press1", "40013")
    _, wide, _ = read(press, "press1", "40013", "--type", "uint32")
    _, swapped, _ = read(press, "press1", "HR12", "--type", "uint32", "--set", "order=ABCD")

    assert without_times(plain)[2:] == ["40013 7 Good"]
    assert without_times(wide)[2:] == [f"40013 {9 << 16 | 7} Good"]
    assert without_times(swapped)[2:] == [f"HR12 {7 << 16 | 9} Good"]


def test_an_address_is_read_as_it_is_asked_for_also_where_it_has_a_tag(press: Path) -> None:
    _, usual, _ = read(press, "press1", "40001")
    _, asked, _ = read(press, "press1", "40001", "--type", "int32")
    code, _, errors = read(press, "press1", "pressure", "--type", "int32")

    assert "pressure" in usual[-1]
    assert "40001" in asked[-1]
    assert code == 2
    assert "write its address, 40001" in errors


def test_what_is_neither_tag_nor_address_says_how_to_write_one(press: Path) -> None:
    code, lines, errors = read(press, "press1", "presure")

    assert (code, lines) == (78, [])
    assert "press1 has no tag 'presure' (Did you mean `pressure`?), and as an address it can't be read" in errors


def test_an_unknown_device_is_answered_with_those_that_are_known(press: Path) -> None:
    code, _, errors = read(press, "press2")

    assert code == 2
    assert "press1" in errors


@pytest.mark.parametrize("arguments", [(), ("press1", "--all")], ids=["nothing", "both"])
def test_it_reads_either_one_device_or_all(press: Path, arguments: tuple[str, ...]) -> None:
    code, _, errors = read(press, *arguments)

    assert code == 2
    assert "name a device, or give --all" in errors
