"""The tally of a line that was listened to: what each unit was asked and said, and how busy the line is."""

from collections import Counter, deque
from dataclasses import dataclass, field

from tidegate_drivers.modbus.heard import Frame, Heard, Kind, Missing, Noise
from tidegate_drivers.modbus.line import Line

# Of the answers of a unit so many, the last, make its figures.
SAMPLES_MAX = 2048
# With so many bytes and hardly a frame among them, the settings are wrong.
JUDGED_BYTES_MIN = 64
FRAMES_SHARE_MIN = 0.1


@dataclass(frozen=True, slots=True)
class UnitTally:
    """What was heard of one unit. Times are those at which its replies began, None when none was heard."""

    unit: int
    questions: int
    replies: int
    missing: int
    exceptions: dict[int, int]
    wrong_sums: int
    p50_ms: float | None
    p99_ms: float | None

    def __str__(self) -> str:
        codes = ", ".join(f"{count} of code {code}" for code, count in sorted(self.exceptions.items())) or "0"
        times = "-" if self.p50_ms is None else f"{self.p50_ms:.1f} / {self.p99_ms:.1f} ms"
        return (
            f"unit {self.unit:<3}  questions {self.questions}  replies {self.replies}  missing {self.missing}  "
            f"exceptions {codes}  wrong sums {self.wrong_sums}  answer p50 / p99 {times}"
        )


@dataclass(frozen=True, slots=True)
class Summary:
    """What was heard altogether: `load` is the share of the time in which the line carried bytes."""

    line: str
    seconds: float
    size: int
    unknown: int
    load: float
    units: tuple[UnitTally, ...]
    advice: str

    def __str__(self) -> str:
        lines = [str(unit) for unit in self.units]
        lines.append(
            f"{self.line}: {self.size} bytes in {self.seconds:.1f} s, {self.unknown} of them in no frame; "
            f"line busy {100 * self.load:.1f} % of the time"
        )
        return "\n".join([*lines, f"-> {self.advice}"] if self.advice else lines)


@dataclass(slots=True)
class _Unit:
    """The counts of one unit, while they grow."""

    counts: Counter[str] = field(default_factory=Counter)
    exceptions: Counter[int] = field(default_factory=Counter)
    answers_s: deque[float] = field(default_factory=lambda: deque(maxlen=SAMPLES_MAX))


class Tally:
    """Counts what was heard on one line. It holds a bounded number of answers for each of at most 248 units."""

    def __init__(self) -> None:
        self.frames = 0
        self.size = 0
        self._unknown = 0
        self._units: dict[int, _Unit] = {}

    def came(self, size: int) -> None:
        """So many bytes have come."""
        self.size += size

    def count(self, heard: Heard) -> None:
        """One more thing was heard."""
        if isinstance(heard, Noise):
            self._unknown += heard.size
            if heard.unit is not None:
                self._of(heard.unit).counts["wrong"] += 1
        elif isinstance(heard, Missing):
            self._of(heard.unit).counts["missing"] += 1
        else:
            self._count_frame(heard)

    def _count_frame(self, frame: Frame) -> None:
        self.frames += 1
        unit = self._of(frame.unit)
        unit.counts[frame.kind.value] += 1
        if frame.kind is Kind.EXCEPTION:
            unit.exceptions[frame.data[0]] += 1
        if frame.answer_s is not None:
            unit.answers_s.append(frame.answer_s)

    def _of(self, unit: int) -> _Unit:
        return self._units.setdefault(unit, _Unit())

    @property
    def wrong_settings(self) -> bool:
        """Whether so much was heard, and so little of it is frames, that the line must have other settings."""
        return self.size >= JUDGED_BYTES_MIN and (self.size - self._unknown) < FRAMES_SHARE_MIN * self.size

    def summary(self, line: Line, seconds: float, others: str) -> Summary:
        """All counts. `others` are settings that may be tried instead of those of the line."""
        units = tuple(_tally(unit, kept) for unit, kept in sorted(self._units.items()))
        load = min(1.0, self.size * line.byte_s / seconds) if seconds > 0 else 0.0
        advice = ""
        if not self.size:
            advice = "Nothing was heard: look at the wires (A and B swapped?), and whether anybody asks on this line"
        elif self.wrong_settings:
            advice = f"Hardly a frame among these bytes: the line has other settings. Try {others}, or --auto"
        return Summary(str(line), seconds, self.size, self._unknown, load, units, advice)


def _tally(unit: int, kept: _Unit) -> UnitTally:
    answers = sorted(kept.answers_s)
    p50, p99 = (1000 * answers[int(len(answers) * share)] if answers else None for share in (0.5, 0.99))
    counts = kept.counts
    replies = counts[Kind.REPLY] + counts[Kind.EXCEPTION]
    return UnitTally(
        unit, counts[Kind.QUESTION], replies, counts["missing"], dict(kept.exceptions), counts["wrong"], p50, p99
    )
