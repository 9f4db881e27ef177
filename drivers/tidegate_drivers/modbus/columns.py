"""Columns: what replies come to in the columns of a frame. It asks nothing, and knows no status but those of values."""

from collections.abc import Iterable

from tidegate.model.frame import U32
from tidegate.model.status import BAD_DECODING_ERROR
from tidegate_drivers.modbus import codec
from tidegate_drivers.modbus.plan import Plan, Request


def fill(request: Request, block: bytes, values: bytearray, side: bytearray, marks: list[tuple[int, int]]) -> None:
    """Decode the reply to a request into the slots of its tags; what can't be decoded is marked."""
    codec.decode(block, request.steps, values)
    for slot, place, point in request.texts:
        if not codec.decode_text(block, place, point, values, slot, side):
            marks.append((slot, BAD_DECODING_ERROR))
    for slot, place, point in request.clocks:
        if mark := codec.decode_clock(block, place, point, values, slot):
            marks.append((slot, mark))
    if request.rules:
        marks += [request.marks[i] for i in codec.refine(values, request.rules)]


def spread(plan: Plan, items: list[bytes]) -> bytes:
    """A column: for each run of slots the item of its request."""
    return b"".join([items[index] * length for index, length in plan.runs])


def marked(status: bytes, count: int, marks: Iterable[tuple[int, int]]) -> bytes:
    """A status column with marks at some slots."""
    column = bytearray(status * count if len(status) == U32.size else status)
    for slot, mark in marks:
        U32.pack_into(column, U32.size * slot, mark)
    return bytes(column)
