"""Values by which a device says that it has none: never a number, and never a value that only looks like it."""

import math
import struct
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.model import status
from tidegate.model.device import Group
from tidegate.model.option import Options
from tidegate.model.tag import Tag, Type
from tidegate_drivers.modbus import _refine_c, _refine_py, codec
from tidegate_drivers.modbus.absent import parse_absent
from tidegate_drivers.modbus.driver import ModbusDriver
from tidegate_drivers.modbus.point import Point
from tidegate_drivers.modbus.tags import parse_tag

TWINS = pytest.mark.parametrize("twin", [_refine_c, _refine_py], ids=["compiled", "pure"])
# How struct reads the registers of each type, and how wide it is.
FORMS = {
    Type.INT16: ">h", Type.UINT16: ">H", Type.INT32: ">i", Type.UINT32: ">I", Type.INT64: ">q", Type.UINT64: ">Q",
    Type.FLOAT32: ">f", Type.FLOAT64: ">d",
}  # fmt: skip


def point(kind: Type, na: str, **options: str) -> Point:
    found, problems = parse_tag(Tag("a", kind, kind, "HR0", tuple({"na": na, **options}.items())))
    assert found is not None, problems
    return found


def marked(twin: ModuleType, wanted: Point, block: bytes) -> bool:
    """Whether what lies in these registers is taken for not available."""
    values = bytearray(8)
    codec.decode(block, codec.step(0, wanted, 0), values)
    before = bytes(values)
    struck = twin.refine(values, b"".join(rule for rule, _ in codec.rules(0, wanted)))
    assert bytes(values) == (bytes(8) if struck else before)
    return bool(struck)


@TWINS
@pytest.mark.parametrize(
    ("kind", "na", "wire", "absent"),
    [
        (Type.INT16, "0x8000", "8000", True),
        (Type.INT16, "0x8000", "7fff", False),
        (Type.INT16, "-32768", "8000", True),
        (Type.UINT16, "0xFFFF", "ffff", True),
        (Type.UINT16, "65535 0xfffe", "fffe", True),
        (Type.INT8, "0x80", "0180", True),
        (Type.UINT8, "0xFF", "00ff", True),
        (Type.INT32, "0x80000000", "80000000", True),
        (Type.INT32, "0x7FFFFFFF", "80000000", False),
        (Type.UINT64, "0xFFFFFFFFFFFFFFFF", "ff" * 8, True),
        (Type.INT64, "0x8000000000000000", "80" + "00" * 7, True),
        (Type.FLOAT32, "0xFFC00000", "ffc00000", True),
        (Type.FLOAT32, "0xFFC00000", "7fc00000", False),
        (Type.FLOAT32, "nan", "7f800001", True),
        (Type.FLOAT32, "NaN", "ff800000", False),
        (Type.FLOAT32, "-9999", "c61c3c00", True),
        (Type.FLOAT64, "nan", "fff0000000000001", True),
        (Type.FLOAT64, "nan", "7ff0000000000000", False),
        (Type.FLOAT64, "1e300", struct.pack(">d", 1e300).hex(), True),
    ],
)
def test_just_the_named_values_are_not_available(
    twin: ModuleType, kind: Type, na: str, wire: str, absent: bool
) -> None:
    assert marked(twin, point(kind, na), bytes.fromhex(wire)) == absent


@given(
    st.sampled_from(list(FORMS)), st.binary(min_size=8, max_size=8), st.binary(min_size=8, max_size=8), st.booleans()
)
def test_both_twins_take_for_absent_what_struct_reads_as_the_same_bits(
    kind: Type, block: bytes, other: bytes, same: bool
) -> None:
    form = FORMS[kind]
    block, other = block[: struct.calcsize(form)], other[: struct.calcsize(form)]
    sentinel = block if same else other
    wanted = point(kind, f"0x{sentinel.hex()}")

    assert [marked(twin, wanted, block) for twin in (_refine_c, _refine_py)] == [sentinel == block] * 2


@given(st.sampled_from([Type.FLOAT32, Type.FLOAT64]), st.binary(min_size=8, max_size=8), st.booleans())
def test_nan_is_whatever_is_no_number(kind: Type, block: bytes, shaped: bool) -> None:
    form = FORMS[kind]
    head = b"\x7f\xff" if shaped else block[:2]
    block = (head + block[2:])[: struct.calcsize(form)]
    wanted, expected = point(kind, "nan"), math.isnan(struct.unpack(form, block)[0])

    assert [marked(twin, wanted, block) for twin in (_refine_c, _refine_py)] == [expected] * 2


RULES = st.builds(
    _refine_py.RULE.pack, st.integers(0, 5), st.integers(0, 6), st.sampled_from([0, 1, 0x1234, 2**64 - 1])
)


@given(
    st.lists(
        st.sampled_from([0, 1, 0x1234, 0x12A4, 0x7FC00000, 0x9999_9999_9999_9999, 0x7FF8 << 48, 2**64 - 1]), max_size=6
    ),
    st.lists(RULES, max_size=6).map(b"".join),
)
def test_the_twins_agree_on_any_rules(slots: list[int], rules: bytes) -> None:
    found = []
    for twin in (_refine_c, _refine_py):
        values = bytearray(b"".join(slot.to_bytes(8, "little") for slot in slots))
        try:
            found.append((twin.refine(values, rules), bytes(values)))
        except ValueError as wrong:
            found.append((str(wrong), bytes(values)))

    assert found[0] == found[1]


@TWINS
@pytest.mark.parametrize(
    ("rules", "values_bytes"),
    [
        (_refine_py.RULE.pack(1, 0, 0), 8),
        (_refine_py.RULE.pack(2**32 - 1, 0, 0), 8),
        (_refine_py.RULE.pack(0, 200, 0), 8),
        (bytes(15), 8),
    ],
)
def test_a_rule_never_leads_outside(twin: ModuleType, rules: bytes, values_bytes: int) -> None:
    with pytest.raises(ValueError, match="rule"):
        twin.refine(bytearray(values_bytes), rules)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [(Type.INT16, ["0x8000"]), (Type.UINT16, ["0xFFFF"]), (Type.FLOAT32, ["nan"]), (Type.BOOL, []), (Type.STRING, [])],
)
def test_one_text_serves_a_table_of_many_types(kind: Type, expected: list[str]) -> None:
    options = Options({"na": "int16:0x8000 uint16:0xFFFF float32:nan"}, "a", 2)

    assert [one.text for one in parse_absent(options, kind)] == expected
    assert options.problems == []


@pytest.mark.parametrize(
    ("kind", "na"),
    [
        (Type.INT32, "0x8000"), (Type.INT16, "0x80000000"), (Type.UINT16, "65536"), (Type.UINT16, "-1"),
        (Type.INT16, "nan"), (Type.INT16, "1.5"), (Type.FLOAT32, "1e39"), (Type.FLOAT32, "none"),
        (Type.BOOL, "0xFFFF"), (Type.STRING, "n/a"), (Type.INT16, "word:0x8000"), (Type.INT16, " ".join(["1"] * 17)),
    ],
)  # fmt: skip
def test_what_is_no_value_of_the_type_is_one_problem_with_a_remedy(kind: Type, na: str) -> None:
    options = Options({"na": na}, "a", 2)

    assert parse_absent(options, kind) == ()
    assert [(p.row, p.column, p.fatal, bool(p.remedy)) for p in options.problems] == [(2, "na", True, True)]


def test_describe_names_them() -> None:
    assert str(point(Type.FLOAT32, "nan -9999")) == "holding 0x0000, 2 registers, float32 ABCD, na nan -9999"


def test_what_is_not_available_is_bad_with_no_data_and_a_slot_of_zero(rig: Any) -> None:
    plc = rig.machine({0: 0x8000, 1: 7, 2: 0x8000, 5: 0xFFFF}, missing={4})
    plain = rig.words(6)
    with_na = Tag("a0", Type.INT16, Type.INT16, "HR0", (("na", "0x8000 0x7FFF"),))
    last = Tag("a5", Type.UINT16, Type.UINT16, "HR5", (("na", "0xFFFF 0"),))
    refused = Tag("a4", Type.UINT16, Type.UINT16, "HR4", (("na", "0"),))
    tags = [with_na, *plain[1:4], refused, last]

    async def story(driver: ModbusDriver, group: Group, peer: Any) -> None:
        frame = await driver.read(group)

        assert rig.statuses(frame) == [
            status.BAD_NO_DATA, 0, 0, 0, status.BAD_CONFIGURATION_ERROR, status.BAD_NO_DATA,
        ]  # fmt: skip
        assert struct.unpack("<6q", frame.values) == (0, 7, 0x8000, 0, 0, 0)
        plc.words[0] = plc.words[5] = 1
        assert rig.bad(await driver.read(group)) == [4]

    rig.against(plc, tags, story)
