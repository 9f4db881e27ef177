"""Everything that is wrong with a configuration is told in one go: where, what, and what to do."""

from pathlib import Path
from typing import Any

import pytest

from tidegate.config.load import load
from tidegate.errors import ConfigError

BROKEN = Path(__file__).parent / "broken"


def test_a_thoroughly_broken_configuration_is_told_line_by_line() -> None:
    with pytest.raises(ConfigError) as refused:
        load(BROKEN / "gateway.toml", {})
    told = "".join(f"{problem}\n".replace(f"{BROKEN}/", "") for problem in refused.value.problems)

    assert (BROKEN / "expected.txt").read_text() == told


def test_a_device_whose_name_holds_a_space_has_its_problems_in_the_device_list(place: Any) -> None:
    place.write("devices.csv", "name,table,address,unit,timeout\npress 1,press,tcp://10.0.0.1:502,1,never\n")

    assert [(p.file.rpartition("/")[2], p.row, p.column) for p in place.found()] == [
        ("devices.csv", 2, "name"), ("devices.csv", 2, "timeout"),
    ]  # fmt: skip


def test_a_state_folder_that_this_user_may_not_look_at_is_a_warning(place: Any) -> None:
    place.change('state = "state"', f'state = "{"x" * 300}"')  # refused to root too

    assert [(p.key, p.fatal) for p in place.found()] == [("gateway.state", False)]


def test_no_message_repeats_a_secret() -> None:
    with pytest.raises(ConfigError) as refused:
        load(BROKEN / "gateway.toml", {})

    assert "hunter2" in (BROKEN / "gateway.toml").read_text()
    assert "hunter2" not in str(refused.value)


def test_every_problem_says_what_to_do() -> None:
    with pytest.raises(ConfigError) as refused:
        load(BROKEN / "gateway.toml", {})

    assert [p for p in refused.value.problems if not p.remedy or not p.file] == []


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ('name = "g1"', 'name = "g1', "gateway.toml:2"),
        ("[gateway]", "[gateway", "gateway.toml:1"),
        ('name = "g1"\n', "", "gateway.toml:1 gateway.name: it is missing"),
        ('[gateway]\nname = "g1"\nstate = "state"\n', "", "gateway.toml gateway: it is missing"),
        ('name = "g1"', "name = []", "gateway.toml:2 gateway.name: it is neither text"),
        ("[[target]]", "[target]", "gateway.toml:9 target: it must be a list of sections. Write [[target]]"),
        ("[gateway]", "[getaway]\n[gateway]", "gateway.toml:1 getaway: there is no such key. Did you mean `gateway`?"),
        ('[devices]\nfile = "devices.csv"\n', "", "there is no device"),
        ('"devices.csv"', '"press.csv"', "press.csv:1: there is no column `table`"),
        ('"press.csv"', '"devices.csv"', "devices.csv:1: there is no column `type`. Add it"),
        ('"devices.csv"', '"none.csv"', "gateway.toml:8 devices.file: none.csv does not exist"),
        ('"devices.csv"', '"."', "is not a file"),
        ("[devices]", '[groups."a b"]\ninterval = "1s"\n[devices]', "'a b' can't be a name"),
        ("[devices]", '[buffer]\npolicy = "slow"\n[devices]', "Use one of: strict, normal, flash-saver"),
        ("[devices]", "[groups]\nfast = 1\n[devices]", "gateway.toml:8 groups.fast: it must be a section"),
        ('state = "state"', 'state = "press.csv"', "gateway.toml:3 gateway.state: press.csv is not a folder"),
        ("[[target]]", "[drivers.modbus]\nx = 1\n[[target]]", "drivers.modbus.x: this driver has no such option"),
        ('url = "mqtt://127.0.0.1:1883"', 'url = "mqtt://h:99999"', "gateway.toml:11 target.url:"),
    ],
)
def test_one_fault_in_the_file_is_one_problem(place: Any, old: str, new: str, expected: str) -> None:
    place.change(old, new)
    told = place.problems()

    assert len(told) == 1
    assert expected in told[0]


@pytest.mark.parametrize(
    ("header", "row", "expected"),
    [
        ("name,type,address", ",int16,40001", "press.csv:2 [name]: the tag has no name"),
        ("name,type,address", "a,float,40001", "[type] a: 'float' is no type. Did you mean `float32` or `float64`?"),
        ("name,type,address", "a,,40001", "press.csv:2 [type] a: it is empty"),
        ("name,type,address", "a,int16,99999", "press.csv:2 [address] a:"),
        ("name,typ,address", "a,int16,40001", "press.csv:1: there is no column `type`. Rename `typ`"),
        ("name,type,address,group", "a,int16,40001,fats", "press.csv:2 [group] a: there is no group 'fats'"),
        ("name,type,address,access", "a,int16,40001,rw", "press.csv:2 [access] a: 'rw' is not known here"),
        ("name,type,address,heartbeat,deadband", "a,int16,40001,60,0", "press.csv:2 [heartbeat] a:"),
        ("name,type,address,low,high", "a,int16,40001,1e400,2", "press.csv:2 [low] a: '1e400' is not a number"),
        ("name,type,address,oder", "a,int32,40001,CDAB", "press.csv:2 [oder] a: this driver has no such option"),
        ("name,type,address,lable", "a,int16,40001,core", "Did you mean `label`?"),
        ("name,type,address", "a,int16,40001\na,int16,40002", "press.csv:3 [name] a: the name stands in row 2 already"),
        ("name,type,address", "", "press.csv:1: there is no tag in it"),
        ("name,type,address", "a,int16,40001,extra", "press.csv:2: 'extra' stands in a column without a name"),
        ("name,type,address,description", "a,int16,40001," + "x" * 1001, "[description] a: it is longer"),
    ],
)
def test_one_fault_in_a_tag_table_is_one_problem(place: Any, header: str, row: str, expected: str) -> None:
    place.write("press.csv", f"{header}\n{row}\n")
    told = place.problems()

    assert len(told) == 1
    assert expected in told[0]


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (",press,tcp://10.0.0.1,,", "devices.csv:2 [name]: the device has no name"),
        ("a/b,press,tcp://10.0.0.1,,", "devices.csv:2 [name] a/b: 'a/b' can't be a name"),
        ("a,,tcp://10.0.0.1,,", "devices.csv:2 [table] a: the device has no table"),
        ("a,perss,tcp://10.0.0.1,,", "devices.csv:2 [table] a: there is no table 'perss'. Did you mean `press`?"),
        ("a,press,10.0.0.1,,", "devices.csv:2 [address] a:"),
        ("a,press,tcp://10.0.0.1,one,", "devices.csv:2 [unit] a: 'one' is not a whole number"),
        ("a,press,tcp://10.0.0.1,,top", "devices.csv:2 [label] a: 'top' is not known here"),
        ("a,press,${env:X},,", "devices.csv:2 [address] a: the environment has no X"),
        ("a,press,${credential:x},,", "devices.csv:2 [address] a: ${credential:x} stands where no secret belongs"),
    ],
)
def test_one_fault_in_a_device_list_is_one_problem(place: Any, row: str, expected: str) -> None:
    place.write("devices.csv", f"name,table,address,unit,label\n{row}\n")
    faults = [str(p).replace(f"{place.folder}/", "") for p in place.found() if p.fatal]

    assert len(faults) == 1
    assert expected in faults[0]


@pytest.mark.parametrize(
    ("name", "old", "new", "expected"),
    [
        ("gateway.toml", "[devices]", '[groups.slow]\ninterval = "1min"\n[devices]', "no tag is in this group"),
        ("gateway.toml", "[devices]", '[tables.more]\nfile = "press.csv"\nbase="modicon"\n[devices]', "no device has"),
        ("gateway.toml", "[devices]", "[drivers.simulator]\n[devices]", "no device uses this driver"),
        ("gateway.toml", "[devices]", '[buffer]\npolicy="strict"\ncommit_interval="1s"\n[devices]', "buffer.policy"),
        ("gateway.toml", '[[target]]\nname = "local"\nurl = "mqtt://127.0.0.1:1883"\n', "", "there is no target"),
        ("gateway.toml", 'url = "mqtt', 'mqtt = "3.1.1"\nurl = "mqtt', "gateway.toml:11 target.mqtt: MQTT 3.1.1"),
        ("press.csv", "type\npressure,40001,int16", "type,scale\npressure,40005,int64,0.1", "2^53"),
        ("press.csv", "type\npressure,40001,int16", "type,heartbeat\npressure,40001,int16,5s", "[heartbeat] pressure"),
        ("devices.csv", "press1,", "press0,press,tcp://10.0.0.1:502,1\npress1,", "it reads what press0 reads"),
    ],
)
def test_what_may_not_be_meant_is_a_warning(place: Any, name: str, old: str, new: str, expected: str) -> None:
    place.change(old, new, name)
    told = [str(problem).replace(f"{place.folder}/", "") for problem in place.load().warnings]

    assert len(told) == 1
    assert expected in told[0]


def test_a_wide_integer_within_a_narrow_range_may_be_scaled(place: Any) -> None:
    place.write("press.csv", "name,address,type,scale,low,high\nn,40001,int64,0.1,0,1000000\n")

    assert place.load().warnings == ()
