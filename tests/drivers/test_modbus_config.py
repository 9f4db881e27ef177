"""What the texts of tag tables and device lists mean on a Modbus wire, and what is said when they mean nothing."""

import pytest

from tidegate.clock import Clock
from tidegate.errors import ConfigError, Problem
from tidegate.model.device import Device, Group
from tidegate.model.tag import Tag, TagTable, Type
from tidegate_drivers.modbus.driver import ModbusDriver
from tidegate_drivers.modbus.tags import parse_tag


def tag(address: str, kind: Type = Type.UINT16, name: str = "a", row: int | None = 2, **options: str) -> Tag:
    return Tag(name, kind, kind, address, tuple(options.items()), row=row)


def device(*tags: Tag, address: str = "tcp://10.0.0.7:502", name: str = "m1", unit: int | None = 1,
           **options: str) -> Device:  # fmt: skip
    group = Group(name, "default", 1.0, 1.0, tuple(range(len(tags))))
    return Device(name, "modbus", address, unit, TagTable(name, tags or (tag("HR0"),)), (group,), options, row=5)


def columns(problems: list[Problem]) -> list[str | None]:
    return [problem.column for problem in problems]


@pytest.mark.parametrize(
    ("address", "options", "expected"),
    [
        ("HR0", {}, "holding 0x0000"),
        ("hr10", {}, "holding 0x000A"),
        ("IR0x10", {}, "input 0x0010"),
        ("0x0048", {"registers": "input"}, "input 0x0048"),
        ("40001", {"base": "modicon"}, "holding 0x0000"),
        ("400001", {"base": "modicon"}, "holding 0x0000"),
        ("465536", {"base": "modicon"}, "holding 0xFFFF"),
        ("30073", {"base": "modicon", "registers": "input"}, "input 0x0048"),
        ("1", {"base": "1", "registers": "holding"}, "holding 0x0000"),
        ("0", {"base": "0", "registers": "holding"}, "holding 0x0000"),
        ("40001", {"base": "0", "registers": "holding"}, "holding 0x9C41"),
        ("65535", {"base": "0", "registers": "input"}, "input 0xFFFF"),
    ],
)
def test_an_address_means_what_the_manual_and_the_declared_base_say(
    address: str, options: dict[str, str], expected: str
) -> None:
    lines = ModbusDriver.describe(device(tag(address, **options)))

    assert lines == [f"{expected}, 1 register, uint16"]


@pytest.mark.parametrize(
    ("address", "options", "column"),
    [
        ("40001", {}, "address"),
        ("12", {"base": "0"}, "registers"),
        ("0x10", {}, "address"),
        ("0", {"base": "1", "registers": "holding"}, "address"),
        ("65536", {"base": "0", "registers": "holding"}, "address"),
        ("HR65536", {}, "address"),
        ("40000", {"base": "modicon"}, "address"),
        ("50001", {"base": "modicon"}, "address"),
        ("465537", {"base": "modicon"}, "address"),
        ("17", {"base": "modicon"}, "address"),
        ("40001", {"base": "modicon", "registers": "input"}, "registers"),
        ("HR1", {"registers": "input"}, "registers"),
        ("HR1.3", {}, "address"),
        ("４", {"base": "0", "registers": "holding"}, "address"),
        ("", {}, "address"),
        ("HR0", {"base": "2"}, "base"),
        ("HR0", {"order": "ACBD"}, "order"),
        ("HR0", {"bit": "3"}, "bit"),
        ("HR0", {"length": "3"}, "length"),
        ("HR0", {"colour": "red"}, "colour"),
        ("CO0", {}, "type"),
    ],
)
def test_what_means_nothing_is_one_problem_with_row_column_and_remedy(
    address: str, options: dict[str, str], column: str
) -> None:
    problems = ModbusDriver.check([device(tag(address, **options))])

    assert [(p.row, p.column, p.key, bool(p.remedy)) for p in problems] == [(2, column, "a", True)]


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        (tag("HR0", Type.FLOAT32), "holding 0x0000, 2 registers, float32 ABCD"),
        (tag("HR0", Type.FLOAT64, order="CDAB"), "holding 0x0000, 4 registers, float64 CDAB"),
        (tag("HR0", Type.INT64, order="ghefcdab"), "holding 0x0000, 4 registers, int64 CDAB"),
        (tag("HR0", Type.FLOAT64, order="efghabcd"), "holding 0x0000, 4 registers, float64 EFGHABCD"),
        (tag("HR0", Type.INT64, order="CDABGHEF"), "holding 0x0000, 4 registers, int64 CDABGHEF"),
        (tag("HR0", Type.UINT16, order="CDABGHEF"), "holding 0x0000, 1 register, uint16"),
        (tag("HR0", Type.UINT16, order="FEHGBADC"), "holding 0x0000, 1 register, uint16 BA"),
        (tag("HR0", Type.UINT16, order="BA"), "holding 0x0000, 1 register, uint16 BA"),
        (tag("HR0", Type.BOOL, bit="0"), "holding 0x0000, bit 0"),
        (tag("DI16", Type.BOOL, order="DCBA"), "discrete 0x0010, 1 bit"),
        (tag("HR29", Type.STRING, length="39"), "holding 0x001D, 20 registers, string of 39 bytes"),
    ],
)
def test_describe_says_what_goes_over_the_wire(made: Tag, expected: str) -> None:
    assert ModbusDriver.describe(device(made)) == [expected]


@pytest.mark.parametrize(
    ("made", "column"),
    [
        (tag("HR65533", Type.FLOAT64), "address"),
        (tag("HR0", Type.STRING), "length"),
        (tag("HR0", Type.STRING, length="251"), "length"),
        (tag("HR0", Type.BOOL, bit="16"), "bit"),
        (tag("CO0", Type.BOOL, bit="1"), "bit"),
    ],
)
def test_what_does_not_fit_is_a_problem(made: Tag, column: str) -> None:
    assert column in columns(ModbusDriver.check([device(made)]))


@pytest.mark.parametrize("kind", [Type.INT32, Type.UINT32, Type.FLOAT32])
def test_an_order_of_four_registers_is_refused_for_two(kind: Type) -> None:
    problems = ModbusDriver.check([device(tag("HR0", kind, order="EFGHABCD"))])

    assert [(p.row, p.column, "CDAB" in p.remedy) for p in problems] == [(2, "order", True)]


def test_every_problem_of_a_row_is_found_at_once() -> None:
    problems = parse_tag(tag("HR0", Type.STRING, order="XY", colour="red"))[1]

    assert sorted(columns(problems), key=str) == ["colour", "length", "order"]


def test_a_value_that_begins_inside_another_is_a_warning() -> None:
    problems = ModbusDriver.check(
        [device(tag("HR0", Type.FLOAT32), tag("HR1", Type.FLOAT32, name="b", row=3), tag("HR0", name="c"))]
    )

    assert [(p.key, p.row, p.fatal) for p in problems] == [("b", 3, False)]


def test_a_table_that_devices_share_is_reported_once() -> None:
    first = device(tag("40001"))
    second = Device("m2", "modbus", first.address, 2, TagTable("m2", first.table.tags), first.groups, {})

    assert columns(ModbusDriver.check([first, second])) == ["address"]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("tcp://10.0.0.7", "tcp://10.0.0.7:502/"),
        ("tcp://PLC.plant:502", "tcp://plc.plant"),
        ("tcp://[::1]:502", "tcp://[0:0:0:0:0:0:0:1]"),
    ],
)
def test_two_spellings_of_one_address_are_one_bus(one: str, other: str) -> None:
    assert ModbusDriver.bus(device(address=one)) == ModbusDriver.bus(device(address=other))


@pytest.mark.parametrize(
    "address",
    ["", "10.0.0.7", "rtu://ttyUSB0", "rtu:///dev/ttyUSB0?baud=9600", "rtu+tcp://h", "tcp://",
     "tcp://::1:502", "tcp://[::x]", "tcp://h:0", "tcp://h:65536",
     "tcp://user@h", "tcp://h/path"],
)  # fmt: skip
def test_a_bad_device_address_is_a_problem_of_the_device(address: str) -> None:
    problems = ModbusDriver.check([device(address=address)])

    assert [(p.key, p.row, p.column) for p in problems] == [("m1", 5, "address")]


@pytest.mark.parametrize(
    ("options", "column"),
    [
        ({"timeout": "1"}, "timeout"),
        ({"timeout": "2h"}, "timeout"),
        ({"connections": "0"}, "connections"),
        ({"in_flight": "0"}, "in_flight"),
        ({"in_flight": "17"}, "in_flight"),
        ({"registers_max": "126"}, "registers_max"),
        ({"baud": "9600"}, "baud"),
    ],
)
def test_a_bad_device_option_is_a_problem(options: dict[str, str], column: str) -> None:
    assert columns(ModbusDriver.check([device(**options)])) == [column]


def test_units_are_one_byte_and_reserved_ones_are_warned_of() -> None:
    problems = [p for unit in (0, 247, 255, 256, -1, 250) for p in ModbusDriver.check([device(unit=unit)])]

    assert [(p.column, p.fatal) for p in problems] == [("unit", True), ("unit", True), ("unit", False)]


def test_devices_of_one_bus_must_agree_on_its_connections() -> None:
    problems = ModbusDriver.check([device(connections="2"), device(name="m2", unit=2)])

    assert [(p.key, p.column) for p in problems] == [("m2", "connections")]


def test_a_string_longer_than_the_device_gives_is_a_problem() -> None:
    problems = ModbusDriver.check([device(tag("HR0", Type.STRING, length="40"), registers_max="10")])

    assert columns(problems) == ["length"]


def test_constructing_with_problems_raises_all_of_them() -> None:
    with pytest.raises(ConfigError) as raised:
        ModbusDriver([device(tag("x"), tag("y", name="b"))], Clock())

    assert len(raised.value.problems) == 2


@pytest.mark.parametrize(
    ("addresses", "warned"),
    [(("40003", "40010"), True), (("40003", "17"), False), (("40000", "40002"), False), (("HR0",), False)],
    ids=["all like 40001", "some are not", "40000 is none", "no plain numbers"],
)
def test_numbers_like_40001_under_a_base_that_takes_them_as_they_stand_are_asked_about(
    addresses: tuple[str, ...], warned: bool
) -> None:
    tags = [tag(text, name=f"t{text}", base="0", registers="holding") for text in addresses]
    problems = ModbusDriver.check([device(*tags)])

    assert ([["address", False]] if warned else []) == [[p.column, p.fatal] for p in problems]
    assert all('"modicon"' in p.remedy for p in problems)
