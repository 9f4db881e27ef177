"""Powers of ten that a device keeps beside its values: the scale's rules and statuses of a frame that brings both.

A device that scales so (SunSpec) changes its powers when it likes, but hardly ever does: the rules are kept until then.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction

from tidegate.model.frame import I64, U32, Frame
from tidegate.model.status import BAD_NO_DATA, BAD_OUT_OF_RANGE, is_bad
from tidegate.model.tag import TagTable
from tidegate.shape._scale_py import RULE

# As far as powers of ten are exact in a float64, so that a value is rounded once.
POWER_MAX = 22
# A device has so many groups, whose frames have the same tags each time.
LAYOUTS_MAX = 256
SEVERITY_SHIFT = 30


@dataclass(frozen=True, slots=True)
class _Power:
    """A power of a frame: the row that has it (-1 = there is none), and (row, tag) of the readings that it scales."""

    row: int
    readings: tuple[tuple[int, int], ...]


class Powers:
    """Makes the rules for the frames of one table out of its plain ones. It keeps what the last frames had."""

    def __init__(self, table: TagTable, rules: bytes) -> None:
        names = {tag.name: index for index, tag in enumerate(table.tags)}
        self._rules = rules
        # For each scaled tag the tag with its power; -1 where the table lacks it.
        self._of = {i: names.get(tag.scale_by, -1) for i, tag in enumerate(table.tags) if tag.scale_by}
        self._ratios = {i: Fraction(table.tags[i].scale.numerator, table.tags[i].scale.denominator) for i in self._of}
        self._layouts: dict[tuple[bytes, int], tuple[_Power, ...]] = {}
        self._last: dict[tuple[bytes, int], tuple[list[int], bytes]] = {}

    def of(self, frame: Frame) -> tuple[bytes, bytes]:
        """The scale's rules for this frame, and its status column, in which what has no good power is not good.

        A reading takes over a status of its power that is worse than its own. Where the frame has no power for it, or
        several, it is BadNoData; where the power is beyond what a number may be scaled by, BadOutOfRange.
        """
        key = (frame.tags, frame.count)
        layout = self._layouts.get(key)
        if layout is None:
            if len(self._layouts) >= LAYOUTS_MAX:
                self._layouts.clear()
                self._last.clear()
            layout = self._layouts[key] = self._layout(frame)
        powers: list[int] = []
        marks: list[tuple[int, _Power]] = []
        for one in layout:
            status, power = BAD_NO_DATA, 0
            if one.row >= 0:
                status = U32.unpack_from(frame.status, 0 if len(frame.status) == U32.size else one.row * U32.size)[0]
                power = I64.unpack_from(frame.values, 0 if len(frame.values) == I64.size else one.row * I64.size)[0]
                if abs(power) > POWER_MAX:
                    status, power = status if is_bad(status) else BAD_OUT_OF_RANGE, 0
            powers.append(power)
            if status:
                marks.append((status, one))
        last = self._last.get(key)
        if last is None or last[0] != powers:
            last = self._last[key] = (powers, self._scaled(layout, powers))
        return last[1], _worse(frame, marks) if marks else frame.status

    def _layout(self, frame: Frame) -> tuple[_Power, ...]:
        tags = [tag for (tag,) in U32.iter_unpack(frame.tags)]
        if len(tags) < frame.count:
            tags *= frame.count
        found: dict[int, list[tuple[int, int]]] = {}
        for row, tag in enumerate(tags):
            if tag in self._of:
                found.setdefault(self._of[tag], []).append((row, tag))
        return tuple(
            _Power(tags.index(power) if tags.count(power) == 1 else -1, tuple(readings))
            for power, readings in found.items()
        )

    def _scaled(self, layout: tuple[_Power, ...], powers: list[int]) -> bytes:
        """The plain rules with these powers in them: up in the numerator, down in the denominator, as ever."""
        rules = bytearray(self._rules)
        for one, power in zip(layout, powers, strict=True):
            for tag in {tag for _, tag in one.readings}:
                _, _, *rest = RULE.unpack_from(self._rules, tag * RULE.size)
                # In lowest terms: a tenth of 10^18 is one multiplication, and rounded once.
                ratio = self._ratios[tag] * Fraction(10) ** power
                RULE.pack_into(rules, tag * RULE.size, float(ratio.numerator), float(ratio.denominator), *rest)
        return bytes(rules)


def _worse(frame: Frame, marks: Iterable[tuple[int, _Power]]) -> bytes:
    """The status column, with these statuses where they are worse than what stands there."""
    column = bytearray(frame.status * frame.count if len(frame.status) == U32.size else frame.status)
    for status, one in marks:
        for row, _ in one.readings:
            if status >> SEVERITY_SHIFT > U32.unpack_from(column, row * U32.size)[0] >> SEVERITY_SHIFT:
                U32.pack_into(column, row * U32.size, status)
    return bytes(column)
