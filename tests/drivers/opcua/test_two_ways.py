"""The compiled decoder and the slow way say the same of every value: which of them it goes is nobody's business."""

import pytest
from asyncua import ua
from asyncua.ua.ua_binary import struct_to_binary
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.drivers.opcua.messages import KINDS, SCALARS, VALUES, read_responses
from tidegate.model.frame import I64, U32, place
from tidegate.model.status import is_bad
from tidegate.model.tag import Type
from tidegate_drivers.opcua import notice
from tidegate_drivers.opcua.asking import samples
from tidegate_drivers.opcua.plain import time_us
from tidegate_drivers.opcua.structures import Types
from tidegate_drivers.opcua.values import Part, reading
from tidegate_drivers.opcua.wire import Reader, Sample

WHOLE = [ua.VariantType(number) for number in range(ua.VariantType.SByte, ua.VariantType.Float)]
NUMBERS = [
    ua.VariantType.Boolean, *WHOLE, ua.VariantType.Float, ua.VariantType.Double, ua.VariantType.DateTime,
    ua.VariantType.StatusCode,
]  # fmt: skip


def _text(slot: bytes, side: bytes, kind: int) -> bytes:
    """What a slot says, wherever its text lies."""
    offset, length = U32.unpack(slot[:4])[0], U32.unpack(slot[4:])[0]
    return bytes(side[offset : offset + length]) if kind == Type.STRING else slot


def _compare(body: bytes, kinds: bytes) -> None:
    """Each row that the decoder gives of a ReadResponse is what the slow way says."""
    answer, slow = notice.read(body, 0, kinds), samples(body)
    told = answer.columns
    if is_bad(answer.result):
        return

    assert answer.count == len(slow) == told.count + len(told.odd)
    for row in range(told.count):
        [handle] = U32.unpack_from(told.handles, 4 * row)
        [source] = I64.unpack_from(told.source_us, place(told.source_us, row, 8))
        [server] = I64.unpack_from(told.server_us, place(told.server_us, row, 8)) if told.server_us else [0]
        [status] = U32.unpack_from(told.status, place(told.status, row, 4))
        slot, side = told.values[8 * row : 8 * row + 8], bytearray()
        mine, said = reading(Part(kinds[handle]), slow[handle], side, Types())

        assert (source, server) == (time_us(slow[handle].source), time_us(slow[handle].server))
        assert (status, _text(slot, told.side, kinds[handle])) == (said, _text(mine, bytes(side), kinds[handle]))


@given(read_responses(), KINDS)
def test_a_value_is_the_same_whichever_way_it_goes(response: object, kinds: bytes) -> None:
    _compare(struct_to_binary(response), kinds)


@settings(max_examples=20)
@pytest.mark.parametrize("builtin", NUMBERS, ids=lambda one: one.name)
@given(st.data())
def test_a_number_is_the_same_in_a_tag_of_each_type(builtin: ua.VariantType, data: st.DataObject) -> None:
    # Small ones fit into most types.
    small = [0, 1, 100] if builtin in WHOLE else []
    for value in [data.draw(SCALARS[builtin]), *small]:
        response = ua.ReadResponse()
        response.Results = [ua.DataValue(ua.Variant(value, builtin))] * Type.STRING

        _compare(struct_to_binary(response), bytes(range(1, Type.STRING + 1)))


@given(read_responses())
def test_what_the_decoder_leaves_aside_is_found_where_it_says(response: object) -> None:
    body = struct_to_binary(response)
    answer, slow = notice.read(body, 0, b""), samples(body)
    if is_bad(answer.result):
        return
    found: list[Sample] = [Reader(body, one.at, one.at + one.length).sample() for one in answer.columns.odd]

    # As text, since a NaN is not even itself.
    assert [repr(one) for one in slow] == [repr(one) for one in found]


@given(VALUES, st.sampled_from(Type))
def test_every_value_has_a_slot_or_a_bad_status_and_never_both(values: list[object], kind: Type) -> None:
    for value in values:
        side = bytearray(b"before")
        slot, status = reading(Part(kind), Reader(struct_to_binary(value)).sample(), side, Types())

        assert not is_bad(status) or (slot, side) == (bytes(8), b"before")
