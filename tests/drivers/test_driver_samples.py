"""The sample of every driver is a configuration that `tidegate check` finds nothing wrong with."""

from pathlib import Path

import pytest

from tidegate.config.load import load
from tidegate_drivers.modbus.driver import ModbusDriver

FOLDER = Path(__file__).parents[2] / "drivers/tidegate_drivers"


@pytest.mark.parametrize("name", ["modbus", "opcua", "simulator"])
def test_the_sample_is_a_whole_configuration(name: str) -> None:
    config = load(FOLDER / name / "sample.toml", {})

    assert {device.driver for device in config.devices} == {name}
    assert config.warnings == ()


def test_the_samples_addresses_are_on_the_wire_where_its_comments_say() -> None:
    (press,) = load(FOLDER / "modbus/sample.toml", {}).devices

    assert ModbusDriver.describe(press) == [
        "holding 0x0000, 1 register, uint16",
        "holding 0x0001, bit 0",
        "holding 0x0001, bit 15",
        "input 0x0000, 1 register, int16",
        "holding 0x0002, 2 registers, float32 CDAB",
        "holding 0x000A, 4 registers, uint64 ABCD",
        "discrete 0x0000, 1 bit",
        "coil 0x0010, 1 bit",
        "holding 0x0100, 8 registers, string of 16 bytes",
    ]
