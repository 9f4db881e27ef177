"""Figures of the benchmarks: printed for people, and as JSON lines in build/bench.jsonl."""

import json
import statistics
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from time import perf_counter_ns

ROOT = Path(__file__).parent.parent.parent
LINES = ROOT / "build" / "bench.jsonl"


@dataclass(frozen=True, slots=True)
class Figure:
    """One measurement: `ratio` = baseline / value, how many times cheaper than the usual way; None where none is.

    `holds` says whether it is within its limit (None: it has none), `beside` what else is to be said, with the limit.
    """

    name: str
    value: float
    unit: str
    baseline: float | None = None
    ratio: float | None = None
    holds: bool | None = None
    beside: str = ""

    def __str__(self) -> str:
        word = {None: "", True: "ok", False: "FAIL"}[self.holds]
        words = f"  {word:<4}  {self.name:<38} {self.value:>12,.3f} {self.unit:<20}"
        if self.ratio is not None:
            words += f" usual way {self.baseline:>12,.3f}   1/{self.ratio:,.0f}"
        return f"{words} {self.beside}".rstrip()


def against(name: str, unit: str, ours: Sequence[float], usual: Sequence[float]) -> Figure:
    """The figure of interleaved runs: medians, and their ratio."""
    value, baseline = statistics.median(ours), statistics.median(usual)
    return Figure(name, value, unit, baseline, baseline / value)


def keep(figures: Sequence[Figure]) -> None:
    """Append to build/bench.jsonl and print."""
    LINES.parent.mkdir(exist_ok=True)
    with LINES.open("a") as lines:
        for figure in figures:
            lines.write(json.dumps(asdict(figure)) + "\n")
            print(figure, flush=True)


def nanoseconds(work: Callable[[], object], readings: int, rounds: int) -> float:
    """How long one reading takes in `work`, which handles `readings` of them a call: the best of `rounds`."""
    best = float("inf")
    for _ in range(rounds):
        begin = perf_counter_ns()
        work()
        best = min(best, perf_counter_ns() - begin)
    return best / readings
