"""Date-times of devices: what their registers show is a moment in UTC, or it is said that it is none."""

import struct
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.errors import Problem
from tidegate.model import status
from tidegate.model.device import Device, Group
from tidegate.model.tag import Scale, Tag, TagTable, Type
from tidegate_drivers.modbus import codec, config
from tidegate_drivers.modbus.dates import parse_layout
from tidegate_drivers.modbus.driver import ModbusDriver
from tidegate_drivers.modbus.point import Point
from tidegate_drivers.modbus.tags import parse_points

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
BERLIN = "Europe/Berlin"


def device(coding: str, time_zone: str = "UTC", kind: Type = Type.INT64, **options: str) -> Device:
    columns = {"coding": f"datetime:{coding}", **options}
    tag = Tag("clock", kind, kind, "HR0", tuple(columns.items()), unit="us since 1970", row=2)
    zone = {"time_zone": time_zone} if time_zone else {}
    group = Group("m", "default", 1.0, 1.0, (0,))
    return Device("m", "modbus", "tcp://10.0.0.1:502", 1, TagTable("m", (tag,)), (group,), zone)


def problems(made: Device) -> list[Problem]:
    return [problem for problem in config.check([made]) if problem.fatal]


def point(coding: str, time_zone: str = "UTC", **options: str) -> Point:
    points, found = parse_points(device(coding, time_zone, **options), 125)
    assert points, found
    return points[0]


def read(coding: str, registers: str, time_zone: str = "UTC", **options: str) -> tuple[datetime | None, int]:
    """The moment of these registers, in hex, and its status; None where there is none."""
    values = bytearray(8)
    code = codec.decode_clock(bytes.fromhex(registers), 0, point(coding, time_zone, **options), values, 0)
    us = int.from_bytes(values, "little", signed=True)
    if status.is_bad(code):
        assert us == 0
        return None, code
    return EPOCH + timedelta(microseconds=us), code


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[misc, arg-type]


@pytest.mark.parametrize(
    ("coding", "registers", "expected"),
    [
        ("iec870", "001A 0C21 1722 8C1D", utc(2026, 12, 1, 23, 34, 35, 869000)),
        # A day of the week, and the bit of summer time, which a clock in UTC has not.
        ("iec870", "001A 0C61 9722 8C1D", utc(2026, 12, 1, 23, 34, 35, 869000)),
        ("YM Dh ms", "1A0C 0117 2223", utc(2026, 12, 1, 23, 34, 35)),
        ("YM Dh ms f", "1A0C 0117 2223 0365", utc(2026, 12, 1, 23, 34, 35, 869000)),
        ("sm hD MY", "2322 1701 0C1A", utc(2026, 12, 1, 23, 34, 35)),
        ("Y M D h m s", "07EA 000C 0001 0017 0022 0023", utc(2026, 12, 1, 23, 34, 35)),
        ("Y M D h m s c", "07EA 000C 0001 0017 0022 0023 0056", utc(2026, 12, 1, 23, 34, 35, 860000)),
        ("Y M D - h m s", "07EA 000C 0001 0002 0017 0022 0023", utc(2026, 12, 1, 23, 34, 35)),
        ("Y -M -D -h -m F", "001A FF0C FF01 0017 0022 8C1D", utc(2026, 12, 1, 23, 34, 35, 869000)),
        ("bcd YM Dh ms", "2612 0123 3435", utc(2026, 12, 1, 23, 34, 35)),
        ("bcd Y MD hm s-", "2026 1201 2334 35FF", utc(2026, 12, 1, 23, 34, 35)),
        ("Y M D", "07EA 000C 0001", utc(2026, 12, 1)),
        ("unix32", "6A2E 3E8B", EPOCH + timedelta(seconds=0x6A2E3E8B)),
        ("unix32", "FFFF FFFF", EPOCH + timedelta(seconds=0xFFFFFFFF)),
        ("unix64", "0000 0000 6A2E 3E8B", EPOCH + timedelta(seconds=0x6A2E3E8B)),
        ("unix_ms", "0000 019A DA2E 3E8B", EPOCH + timedelta(milliseconds=0x019ADA2E3E8B)),
    ],
)
def test_a_layout_is_read_as_its_maker_prints_it(coding: str, registers: str, expected: datetime) -> None:
    assert (expected, status.GOOD) == read(coding, registers)


@pytest.mark.parametrize(
    ("coding", "registers"),
    [
        ("iec870", "0000 0000 0000 0000"),
        ("iec870", "001A 0D01 0000 0000"),
        ("iec870", "001A 021E 0000 0000"),
        ("iec870", "001A 0C01 1800 0000"),
        ("iec870", "001A 0C01 003C 0000"),
        ("iec870", "001A 0C01 0000 EA60"),
        ("YM Dh ms", "1A0C 0117 223C"),
        ("YM Dh ms f", "1A0C 0117 2200 03E8"),
        ("Y M D h m s c", "07EA 000C 0001 0017 0022 0023 0064"),
        ("Y M D", "FFFF FFFF FFFF"),
        ("bcd YM Dh ms", "2613 0123 3435"),
        ("bcd YM Dh ms", "261A 0123 3435"),
        ("bcd Y MD hm s-", "20E6 1201 2334 3500"),
        ("unix64", "FFFF FFFF FFFF FFFF"),
    ],
)
def test_what_is_no_date_is_bad_and_has_no_value(coding: str, registers: str) -> None:
    assert (None, status.BAD_DECODING_ERROR) == read(coding, registers)


def test_a_clock_that_says_that_it_is_not_set_has_no_data() -> None:
    assert (None, status.BAD_NO_DATA) == read("iec870", "001A 0C01 17A2 8C1D")


@pytest.mark.parametrize(
    ("time_zone", "expected"),
    [
        ("+08:00", utc(2026, 7, 1, 4)),
        ("-0330", utc(2026, 7, 1, 15, 30)),
        ("UTC", utc(2026, 7, 1, 12)),
        ("Asia/Shanghai", utc(2026, 7, 1, 4)),
        (BERLIN, utc(2026, 7, 1, 10)),
    ],
)
def test_the_time_of_a_place_is_told_in_utc(time_zone: str, expected: datetime) -> None:
    assert (expected, status.GOOD) == read("YM Dh ms", "1A07 010C 0000", time_zone)


def test_seconds_by_the_clock_on_the_wall_are_those_of_its_place() -> None:
    # 2026-12-01 23:34:35, counted as if it were UTC.
    assert (utc(2026, 12, 1, 15, 34, 35), status.GOOD) == read("local32", f"{1796168075:08X}", "Asia/Shanghai")


@pytest.mark.parametrize(
    ("coding", "registers", "expected"),
    [
        # Clocks are put back: 02:30 comes twice, and the first one is taken.
        ("YM Dh ms", "1A0A 1902 1E00", (utc(2026, 10, 25, 0, 30), status.UNCERTAIN)),
        ("iec870", "001A 0A19 021E 0000", (utc(2026, 10, 25, 0, 30), status.UNCERTAIN)),
        # The clock says that it is summer time still.
        ("iec870", "001A 0A19 821E 0000", (utc(2026, 10, 25, 0, 30), status.GOOD)),
        # Before and after.
        ("YM Dh ms", "1A0A 1901 3B3B", (utc(2026, 10, 24, 23, 59, 59), status.GOOD)),
        ("YM Dh ms", "1A0A 1903 0000", (utc(2026, 10, 25, 2), status.GOOD)),
        # Clocks are put forward: 02:30 never comes.
        ("YM Dh ms", "1A03 1D02 1E00", (utc(2026, 3, 29, 1, 30), status.UNCERTAIN)),
    ],
)
def test_a_time_that_a_place_has_twice_or_never_is_uncertain(
    coding: str, registers: str, expected: tuple[datetime, int]
) -> None:
    assert expected == read(coding, registers, BERLIN)


@pytest.mark.parametrize(
    ("coding", "order", "registers"),
    [
        ("YM Dh ms", "BADC", "0C1A 1701 2322"),
        ("iec870", "BADC", "1A00 210C 2217 1D8C"),
        # A text has no register order, and neither has a pattern.
        ("YM Dh ms", "CDAB", "1A0C 0117 2223"),
        ("unix32", "CDAB", "3E8B 6A2E"),
        ("unix64", "CDAB", "3E8B 6A2E 0000 0000"),
        ("unix64", "EFGHABCD", "6A2E 3E8B 0000 0000"),
    ],
)
def test_registers_are_put_in_order_first(coding: str, order: str, registers: str) -> None:
    straight = {"YM Dh ms": "1A0C 0117 2223", "iec870": "001A 0C21 1722 8C1D", "unix32": "6A2E 3E8B",
                "unix64": "0000 0000 6A2E 3E8B"}  # fmt: skip

    assert read(coding, straight[coding]) == read(coding, registers, order=order)


@given(
    st.datetimes(datetime(2000, 1, 2), datetime(2099, 12, 30)), st.sampled_from([BERLIN, "+05:45", "America/Chicago"])
)
def test_each_moment_of_a_century_comes_back_from_its_local_time(moment: datetime, time_zone: str) -> None:
    zone = timezone(timedelta(hours=5, minutes=45)) if time_zone[0] == "+" else ZoneInfo(time_zone)
    wanted = moment.replace(tzinfo=UTC, microsecond=0)
    local = wanted.astimezone(zone)
    shown = struct.pack(">6B", local.year - 2000, local.month, local.day, local.hour, local.minute, local.second)
    found, code = read("YM Dh ms", shown.hex(), time_zone)

    # The second of two equal times is taken for the first, and that is said.
    assert found == wanted or (local.fold == 1 and code == status.UNCERTAIN)
    assert code in (status.GOOD, status.UNCERTAIN)


@given(st.sampled_from(["iec870", "YM Dh ms f", "Y M D h m s", "bcd YM Dh ms", "unix32"]), st.data())
def test_any_registers_are_a_time_or_bad_and_never_an_error(coding: str, data: st.DataObject) -> None:
    size = 2 * parse_layout(coding).size
    found, code = read(coding, data.draw(st.binary(min_size=size, max_size=size)).hex(), BERLIN)

    assert (found is None) == status.is_bad(code)


@pytest.mark.parametrize(
    ("made", "column", "expected"),
    [
        (device("YM Dh ms", ""), "coding", "the time of a place, and m has no time_zone"),
        (device("YM Dh ms", "Europe/Atlantis"), "time_zone", "no time zone 'Europe/Atlantis'"),
        (device("YM Dh ms", "../../etc/passwd"), "time_zone", "no time zone"),
        (device("YM Dh ms", "+15:00"), "time_zone", "farther from UTC"),
        (device("YM Dh ms", kind=Type.UINT64), "coding", "a date-time is an int64"),
        (device("YM Dh ms", length="8"), "length", "int64 has its own length"),
        (device("YM Dh xs"), "coding", "'YM Dh xs' is no layout"),
        (device(""), "coding", "no layout"),
        (device("YM Dh Ys"), "coding", "has Y twice"),
        (device("Dh ms"), "coding", "has no Y"),
        (device("YM Dh ms F"), "coding", "has seconds twice"),
        (device(" ".join("YMDhms" + "-" * 6)), "coding", "is no layout"),
    ],
)
def test_a_date_time_that_can_not_be_read_is_told(made: Device, column: str, expected: str) -> None:
    told = [problem for problem in problems(made) if problem.column == column]

    assert [bool(problem.remedy) for problem in told] == [True]
    assert expected in told[0].what


def test_a_date_that_is_none_is_bad_in_its_frame_and_its_neighbours_are_good(rig: Any) -> None:
    plc = rig.machine({0: 0xFFFF, 1: 0xFFFF, 2: 0xFFFF, 3: 0xFFFF, 4: 7, 5: 0x6A2E, 6: 0x3E8B})
    columns = [("HR0", "datetime:unix64"), ("HR5", "datetime:unix32")]
    none, some = [Tag(at, Type.INT64, Type.INT64, at, (("coding", coding),)) for at, coding in columns]

    async def story(driver: ModbusDriver, group: Group, peer: Any) -> None:
        frame = await driver.read(group)

        assert [status.BAD_DECODING_ERROR, status.GOOD, status.GOOD] == rig.statuses(frame)
        assert (0, 7, 0x6A2E3E8B * 1_000_000) == struct.unpack("<3q", frame.values)

    rig.against(plc, [none, *rig.words(1, start=4), some], story)


def test_each_device_of_a_table_needs_a_place_for_its_clock() -> None:
    some = device("YM Dh ms", BERLIN)
    other = replace(some, name="n", unit=2, options={})

    assert ["it is the time of a place, and n has no time_zone"] == [p.what for p in config.check([some, other])]


def test_seconds_since_1970_need_no_place() -> None:
    assert [] == problems(device("unix32", ""))


def test_a_scaled_date_time_is_refused() -> None:
    tag = Tag("c", Type.FLOAT64, Type.INT64, "HR0", (("coding", "datetime:unix32"),), scale=Scale(1, 1000))
    made = Device("m", "modbus", "tcp://10.0.0.1:502", 1, TagTable("m", (tag,)), (), {})

    assert ["a date-time can't be scaled"] == [problem.what for problem in problems(made)]


def test_a_date_time_that_may_be_written_is_refused() -> None:
    tag = Tag("c", Type.INT64, Type.INT64, "HR0", (("coding", "datetime:unix32"),), access="write")
    made = Device("m", "modbus", "tcp://10.0.0.1:502", 1, TagTable("m", (tag,)), (), {})

    assert ["access"] == [problem.column for problem in problems(made)]


def test_a_time_without_its_unit_is_told() -> None:
    tag = Tag("c", Type.INT64, Type.INT64, "HR0", (("coding", "datetime:unix32"),))
    made = Device("m", "modbus", "tcp://10.0.0.1:502", 1, TagTable("m", (tag,)), (), {})

    assert [("unit", False)] == [(problem.column, problem.fatal) for problem in config.check([made])]


def test_a_date_time_says_where_it_lies_and_in_what_zone() -> None:
    assert "holding 0x0000, 3 registers, date-time YM Dh ms in Europe/Berlin" == str(point("YM Dh ms", BERLIN))
    assert "holding 0x0000, 2 registers, date-time unix32" == str(point("unix32"))
