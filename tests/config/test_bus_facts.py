"""What a profile says of its devices' bus holds for them, unless somebody says otherwise."""

from pathlib import Path

import pytest

from tidegate.config.load import Config, load
from tidegate.errors import ConfigError

GATEWAY = """[gateway]
name = "g"
state = "s"
[drivers.modbus]
{drivers}
[devices]
file = "devices.csv"
[[target]]
name = "t"
url = "mqtt://127.0.0.1"
"""
PORT = "rtu:///dev/null"


def loaded(folder: Path, *rows: str, drivers: str = "") -> Config:
    (folder / "gateway.toml").write_text(GATEWAY.format(drivers=drivers))
    (folder / "devices.csv").write_text("\n".join(["name,table,address,unit,baud,parity,pause", *rows]))
    return load(folder / "gateway.toml", {})


def test_a_meter_on_a_line_is_read_as_it_is_delivered(tmp_path: Path) -> None:
    (device,) = loaded(tmp_path, f"m,eastron/sdm120,{PORT},1,,,").devices

    assert (device.options["baud"], device.options["parity"]) == ("2400", "none")
    assert (device.options["even_only"], device.options["registers_max"]) == ("true", "60")


def test_what_is_said_of_the_line_holds_over_how_the_meter_is_delivered(tmp_path: Path) -> None:
    rows = (f"a,eastron/sdm120,{PORT},1,,,", f"b,eastron/sdm120,{PORT},2,,,")
    devices = loaded(tmp_path, *rows, drivers="baud = 19200").devices

    assert [device.options["baud"] for device in devices] == ["19200", "19200"]
    assert loaded(tmp_path, f"a,eastron/sdm120,{PORT},1,4800,E,").devices[0].options["baud"] == "4800"


def test_what_a_device_needs_holds_over_what_is_said_of_all_and_its_own_column_over_that(tmp_path: Path) -> None:
    umg = "janitza/umg96pa"

    assert (
        loaded(tmp_path, f"m,{umg},tcp://10.0.0.1,1,,,", drivers='pause = "5ms"').devices[0].options["pause"] == "50ms"
    )
    assert loaded(tmp_path, f"m,{umg},tcp://10.0.0.1,1,,,10ms").devices[0].options["pause"] == "10ms"


@pytest.mark.parametrize("address", ["tcp://10.0.0.1", "rtu+tcp://10.0.0.1:4001"])
def test_a_device_on_no_port_is_not_warned_of_what_its_profile_says_of_one(tmp_path: Path, address: str) -> None:
    assert loaded(tmp_path, f"m,eastron/sdm630,{address},1,,,").warnings == ()
    assert len(loaded(tmp_path, f"m,eastron/sdm630,{address},1,9600,,").warnings) == 1


def test_meters_that_are_delivered_otherwise_can_share_a_line_only_when_somebody_says_how_it_is_set(
    tmp_path: Path,
) -> None:
    rows = (f"a,eastron/sdm120,{PORT},1,,N,", f"b,eastron/sdm630,{PORT},2,,N,")
    with pytest.raises(ConfigError, match="2400 baud, 8N1 there, 9600 baud, 8N1 here") as raised:
        loaded(tmp_path, *rows)

    assert [(problem.file, problem.row) for problem in raised.value.problems if problem.fatal] == [
        (str(tmp_path / "devices.csv"), 3)
    ]
    assert len(loaded(tmp_path, *rows, drivers="baud = 9600").devices) == 2
