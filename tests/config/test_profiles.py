"""Every shipped device profile can be used as it is, says where it comes from, and reads what the manual says."""

import tomllib
from importlib import resources
from pathlib import Path
from typing import Any

import pytest

from tidegate.acquire.registry import drivers
from tidegate.config.load import Config, load
from tidegate.config.tables import profiles
from tidegate.errors import ConfigError

CONFIGURATION = """[gateway]
name = "g"
state = "s"
[[device]]
name = "d"
table = "{profile}"
address = "tcp://127.0.0.1:502"
[[target]]
name = "t"
url = "mqtt://127.0.0.1"
"""
EVIDENCE = {"vendor document", "two sources", "single source", "bench"}


def configuration(folder: Path, profile: str) -> Config:
    path = folder / "gateway.toml"
    opcua = "driver" in tomllib.loads(manifest(profile))
    text = CONFIGURATION.format(profile=profile)
    path.write_text(text.replace("tcp://127.0.0.1:502", "opc.tcp://127.0.0.1:4840") if opcua else text)
    return load(path, {})


def manifest(profile: str) -> str:
    folder = resources.files("tidegate_profiles").joinpath("devices", *profile.partition("@")[0].split("/"))
    return folder.joinpath("profile.toml").read_text()


def wire(folder: Path, profile: str) -> dict[str, str]:
    device = configuration(folder, profile).devices[0]
    lines = drivers()["modbus"].describe(device)
    return dict(zip((tag.name for tag in device.table.tags), lines, strict=True))


def test_the_meters_of_the_demo_are_among_them() -> None:
    assert {"eastron/sdm630", "siemens/pac3200"} <= set(profiles())


@pytest.mark.parametrize("profile", profiles())
def test_a_profile_passes_the_check(tmp_path: Path, profile: str) -> None:
    assert configuration(tmp_path, profile).warnings == ()


@pytest.mark.parametrize("profile", profiles())
def test_a_profile_names_its_device_and_its_sources(profile: str) -> None:
    tree: dict[str, Any] = tomllib.loads(manifest(profile))

    assert {"vendor", "model", "description", "set", "evidence", "sources"} <= tree.keys()
    assert tree["evidence"] in EVIDENCE
    assert all(source["document"] and source["place"] for source in tree["sources"])


def test_a_set_of_registers_is_chosen_by_its_name(tmp_path: Path) -> None:
    usual, sample = wire(tmp_path, "carlo-gavazzi/em340"), wire(tmp_path, "carlo-gavazzi/em340@sample")

    assert usual["P"] == "input 0x0028, 2 registers, int32 CDAB"
    assert sample["P"] == "input 0x0028, 2 registers, int32 ABCD"


def test_a_set_of_registers_is_chosen_by_the_firmware(tmp_path: Path) -> None:
    assert wire(tmp_path, "janitza/umg96rm@1.20") == wire(tmp_path, "janitza/umg96rm")


def test_a_firmware_that_no_set_is_for_is_refused_with_those_that_there_are(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as raised:
        configuration(tmp_path, "janitza/umg96rm@1.9")

    assert [str(problem).partition("gateway.toml")[2] for problem in raised.value.problems] == [
        ":6 d table: janitza/umg96rm: it has no set of registers for firmware 1.9. "
        "Write one of: janitza/umg96rm@1.14 (firmware >=1.14)"
    ]


@pytest.mark.parametrize(("given", "unit"), [("", 3), ("unit = 7\n", 7)])
def test_the_usual_unit_of_a_profile_stands_in_for_an_empty_one(tmp_path: Path, given: str, unit: int) -> None:
    path = tmp_path / "gateway.toml"
    path.write_text(CONFIGURATION.format(profile="sma/inverter").replace("[[target]]", given + "[[target]]"))

    assert [device.unit for device in load(path, {}).devices] == [unit]


def test_a_change_of_a_profile_changes_the_fingerprint(tmp_path: Path) -> None:
    found = {configuration(tmp_path, name).fingerprint for name in ("eastron/sdm630", "eastron/sdm120")}

    assert len(found) == 2


def test_the_sdm630_is_read_by_function_4_within_60_registers_at_even_addresses(tmp_path: Path) -> None:
    found = wire(tmp_path, "eastron/sdm630")

    assert found["U_L1"] == "input 0x0000, 2 registers, float32 ABCD"
    assert found["F"] == "input 0x0046, 2 registers, float32 ABCD"
    assert found["E_total"] == "input 0x0156, 2 registers, float32 ABCD"
    assert all(int(line.split()[1].rstrip(","), 16) % 2 == 0 for line in found.values())
    assert configuration(tmp_path, "eastron/sdm630").devices[0].options["registers_max"] == "60"


def test_the_pac3200_has_its_frequency_at_55_and_its_energy_in_doubles(tmp_path: Path) -> None:
    found = wire(tmp_path, "siemens/pac3200")

    assert found["U_L1"] == "holding 0x0001, 2 registers, float32 ABCD"
    assert found["F"] == f"holding 0x{55:04X}, 2 registers, float32 ABCD"
    assert found["E_import"] == f"holding 0x{801:04X}, 4 registers, float64 ABCD"
    assert found["E_export"] == f"holding 0x{809:04X}, 4 registers, float64 ABCD"
