"""Computed tags: expressions, windows and alarms over what a device reads. A step that takes a frame and gives a frame.

What is computed comes in the frame that brought an input of it, after what was read; a window in the first frame
after its end. History (backfill) is passed on as it is. Nothing here runs for a device without formulas.
"""

import math
from struct import Struct

from tidegate.clock import ClockState
from tidegate.model import status
from tidegate.model.frame import I64, U32, Frame, Origin, pack_value, place, unpack_value
from tidegate.model.tag import INTEGERS, Type
from tidegate.shape.formula import Alarm, Expression, Window
from tidegate.shape.recipe import Recipe, Step
from tidegate.shape.sum import Sum
from tidegate.shape.watch import Watch
from tidegate.shape.window import Span

# Frames of one group have one column of tags; where a driver brings others each time, they are looked through anew.
PLANS_MAX = 64
EMPTY_SLOT = bytes(8)
NEVER_US = -1

Out = tuple[int, int, int, bytes]  # tag, source time in µs, status, slot


class Computer:
    """The computed tags of one device, and what they remember."""

    def __init__(self, recipe: Recipe) -> None:
        self.recipe = recipe
        self._hash = recipe.kept.hash
        self._types = [tag.type for tag in recipe.kept.tags]
        self._wanted = frozenset(tag for step in recipe.steps for tag in step.inputs)
        self._plans: dict[tuple[bytes, int], tuple[tuple[int, int], ...]] = {}
        # Of every tag its last number, status, source time and monotonic time.
        count = len(recipe.kept.tags)
        self._numbers = [0.0] * count
        self._codes = [status.BAD_WAITING_FOR_INITIAL_DATA] * count
        self._sources_us = [0] * count
        self._seen_us = [NEVER_US] * count
        self._sums = {step.tag: Sum(step.formula) for step in recipe.steps if isinstance(step.formula, Expression)}
        self._spans = {
            step.tag: Span(step.formula.function, round(step.formula.length_s * 1e6), recipe.ages_us[step.inputs[0]])
            for step in recipe.steps
            if isinstance(step.formula, Window)
        }
        self._watches = {
            step.tag: Watch(step.formula, recipe.ages_us[step.inputs[0]])
            for step in recipe.steps
            if isinstance(step.formula, Alarm)
        }

    def compute(self, frame: Frame) -> Frame:
        """The scaled frame under the kept table, with what follows from it."""
        if frame.origin != Origin.LIVE:
            return _extended(frame, self._hash, [])
        fresh = self._take(frame)
        out: list[Out] = []
        for step in self.recipe.steps:
            given = not fresh.isdisjoint(step.inputs)
            if step.tag in self._spans:
                self._window(step, frame, given, fresh, out)
            elif given:
                number, code = self._alarm(step, frame) if step.tag in self._watches else self._expression(step, frame)
                source_us = max(self._sources_us[tag] for tag in step.inputs)
                self._report(step, frame, number, code, source_us, fresh, out)
        return _extended(frame, self._hash, out)

    def _take(self, frame: Frame) -> set[int]:
        """Remember what the frame brings of the inputs, of several readings of a tag the last; gives these tags."""
        key = frame.tags, frame.count
        plan = self._plans.get(key)
        if plan is None:
            if len(self._plans) >= PLANS_MAX:
                self._plans.clear()
            tags = [U32.unpack_from(frame.tags, place(frame.tags, i, 4))[0] for i in range(frame.count)]
            plan = tuple((i, tag) for i, tag in enumerate(tags) if tag in self._wanted)
            self._plans[key] = plan
        for i, tag in plan:
            code = U32.unpack_from(frame.status, place(frame.status, i, 4))[0]
            number = 0.0
            if not status.is_bad(code):
                at = place(frame.values, i, 8)
                number = _number(self._types[tag], frame.values[at : at + 8])
                if not math.isfinite(number):
                    number, code = 0.0, status.BAD_OUT_OF_RANGE
            source_us = I64.unpack_from(frame.source_us, place(frame.source_us, i, 8))[0]
            self._remember(tag, number, code, source_us, frame.mono_us)
        return {tag for _, tag in plan}

    def _remember(self, tag: int, number: float, code: int, source_us: int, mono_us: int) -> None:
        self._numbers[tag], self._codes[tag] = number, code
        self._sources_us[tag], self._seen_us[tag] = source_us, mono_us

    def _status(self, tags: tuple[int, ...], mono_us: int) -> int:
        """The worst status of the inputs: the first of the highest severity; one that is too old is Bad."""
        worst = status.GOOD
        for tag in tags:
            code = self._codes[tag]
            if self._seen_us[tag] != NEVER_US and mono_us - self._seen_us[tag] > self.recipe.ages_us[tag]:
                code = status.BAD_NO_COMMUNICATION
            if code >> 30 > worst >> 30:
                worst = code
        return worst

    def _expression(self, step: Step, frame: Frame) -> tuple[float, int]:
        code = self._status(step.inputs, frame.mono_us)
        if status.is_bad(code):
            return 0.0, code
        number = self._sums[step.tag].of([self._numbers[tag] for tag in step.inputs])
        return (0.0, status.BAD_OUT_OF_RANGE) if number is None else (number, code)

    def _alarm(self, step: Step, frame: Frame) -> tuple[float, int]:
        tag = step.inputs[0]
        return self._watches[step.tag].take(frame.mono_us, self._numbers[tag], self._codes[tag])

    def _window(self, step: Step, frame: Frame, given: bool, fresh: set[int], out: list[Out]) -> None:
        span, tag = self._spans[step.tag], step.inputs[0]
        for closed in span.advance(frame.mono_us, frame.gateway_us, frame.clock != ClockState.UNSET):
            self._report(step, frame, closed.number, closed.status, closed.end_us, fresh, out)
        if given:
            span.take(frame.mono_us, self._numbers[tag], self._codes[tag])

    def _report(
        self, step: Step, frame: Frame, number: float, code: int, source_us: int, fresh: set[int], out: list[Out]
    ) -> None:
        slot = EMPTY_SLOT
        if not status.is_bad(code):
            try:
                slot = _slot(step.type, number)
            except (OverflowError, ValueError):
                code = status.BAD_OUT_OF_RANGE
        out.append((step.tag, source_us, code, slot))
        if step.tag in self._wanted:
            # What follows from it follows from the value that is published.
            self._remember(step.tag, _number(step.type, slot), code, source_us, frame.mono_us)
            fresh.add(step.tag)


_BITS = {Type.BOOL: 1, Type.INT8: 7, Type.INT16: 15, Type.INT32: 31, Type.INT64: 63, Type.FLOAT32: 0, Type.FLOAT64: 0}
_BITS |= {Type.UINT8: 8, Type.UINT16: 16, Type.UINT32: 32, Type.UINT64: 64}


def _number(kind: Type, slot: bytes) -> float:
    value = unpack_value(kind, slot)
    return float(value) if isinstance(value, (bool, int, float)) else math.nan


def _slot(kind: Type, number: float) -> bytes:
    """The slot of a number in its tag's type. Raises OverflowError where it does not fit; a bool is 0 or not."""
    if kind == Type.BOOL:
        return pack_value(kind, number != 0, bytearray())
    if kind not in INTEGERS:
        return pack_value(kind, number, bytearray())
    whole = round(number)
    low = 0 if kind.word.startswith("u") else -(1 << _BITS[kind])
    if not low <= whole < 1 << _BITS[kind]:
        raise OverflowError(f"{whole} is no {kind.word}")
    return pack_value(kind, whole, bytearray())


def _extended(frame: Frame, table: bytes, out: list[Out]) -> Frame:
    """The frame under another table, with readings after its own. Columns that may stay constant do."""
    tags, source_us, codes, values = frame.tags, frame.source_us, frame.status, frame.values
    server_us = frame.server_us
    if out:
        more, n = len(out), frame.count
        tags = _joined(tags, Struct(f"<{more}I").pack(*(one[0] for one in out)), n, 4)
        source_us = _joined(source_us, Struct(f"<{more}q").pack(*(one[1] for one in out)), n, 8)
        codes = _joined(codes, Struct(f"<{more}I").pack(*(one[2] for one in out)), n, 4)
        values = _joined(values, b"".join(one[3] for one in out), n, 8)
        if server_us:
            # Nobody but the gateway has computed it: its own time stands beside the server's.
            server_us = _joined(server_us, I64.pack(frame.gateway_us) * more, n, 8)
    return Frame(
        frame.device, table, frame.count + len(out), frame.boot, frame.mono_us, frame.gateway_us, tags, source_us,
        codes, values, frame.side, server_us, frame.kind, frame.clock, frame.origin,
    )  # fmt: skip


def _joined(column: bytes, more: bytes, count: int, width: int) -> bytes:
    """A column with more items; constant when all of them are the same."""
    if len(column) == width:
        if more == column * (len(more) // width):
            return column
        column = column * count
    return column + more
