"""Draws the demo: a live picture in a terminal, a line a second elsewhere. It knows nothing that a Watch does not."""

import time
from collections.abc import Iterable
from dataclasses import dataclass

from rich.console import Console, Group
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from demo.watch import Value, Watch

BARS = " ▁▂▃▄▅▆▇█"
SPARK_COLUMNS = 60
# What stands beside the bars of the backlog, and the frame around both.
BACKLOG_WORDS_COLUMNS = 48
# Below it, as in a terminal of 80 columns, the tables move together.
WIDE_COLUMNS = 100
PLAIN_INTERVAL_S = 1.0
# What is shown of each machine: enough to see it live.
SHOWN = (
    ("main-meter", 4), ("oven-meter", 4), ("press-7", 7),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Scene:
    """What the one who runs the demo knows: seconds since the start, what happens now, whether the broker is there."""

    at_s: float
    now: str
    broker: str
    broker_up: bool


class View:
    """A picture that is drawn again and again. Use as a context manager."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = Live(console=console, refresh_per_second=4, transient=False) if console.is_terminal else None
        self._said_at = 0.0
        self._said_now = ""

    def __enter__(self) -> "View":
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()

    def draw(self, scene: Scene, watch: Watch) -> None:
        """What is so now."""
        if self._live is not None:
            self._live.update(picture(scene, watch, self._console.width))
            return
        if scene.now != self._said_now:
            self._said_now = scene.now
            self._console.print(scene.now, highlight=False, soft_wrap=True)
        if time.monotonic() - self._said_at >= PLAIN_INTERVAL_S:
            self._said_at = time.monotonic()
            self._console.print(plain(scene, watch), highlight=False, soft_wrap=True)


def plain(scene: Scene, watch: Watch) -> str:
    """One line of text."""
    report = watch.report
    return (
        f"{scene.at_s:5.0f} s  broker {'up  ' if scene.broker_up else 'DOWN'}  received {report.readings:7,}  "
        f"missing {report.missing}  asked again {report.asked}  duplicates {report.duplicates}  "
        f"delay {delay(report.delay_ms)}  waiting in the buffer {watch.backlog}"
    )


def delay(delay_ms: float | None) -> str:
    """How long a reading took from the machine to the subscriber."""
    return "-" if delay_ms is None else f"{delay_ms / 1000:.2f} s"


def picture(scene: Scene, watch: Watch, columns: int) -> Group:
    """The whole screen, of so many columns; 24 rows are enough for it from 80 columns up."""
    now = Text(f" {scene.now}", "bold")
    return Group(_way(scene, watch), _proof(watch, columns), _backlog(watch, columns), _values(watch, columns), now)


def _way(scene: Scene, watch: Watch) -> Panel:
    up = sum(state == "up" for _, state in watch.devices)
    state, why = watch.target
    parts = [
        ("plant", f"{up} of {len(watch.devices) or 3} machines read", up == len(watch.devices) > 0),
        ("gateway", f"{state} {why}".strip() or "starting", state == "connected"),
        (scene.broker, "up" if scene.broker_up else "STOPPED", scene.broker_up),
        ("subscriber", "proves" if watch.report.complete else "waits", watch.report.complete),
    ]
    line = Text()
    for i, (name, words, well) in enumerate(parts):
        line.append(" ──▶ " if i else " ", "dim")
        line.append("● ", "green" if well else "red")
        line.append(name, "bold")
        line.append(f" {words}", "dim" if well else "red")
    return Panel(line, title=f"Tidegate demo, {scene.at_s:.0f} s", title_align="left")


def _proof(watch: Watch, columns: int) -> Panel:
    report = watch.report
    table = Table.grid(padding=(0, 3 if columns >= WIDE_COLUMNS else 2))
    for _ in range(6):
        table.add_column(justify="right")
    names = ("readings received", "missing", "asked for again", "duplicates", "gaps told", "delay")
    table.add_row(*(Text(name, "dim") for name in names))
    table.add_row(
        Text(f"{report.readings:,}", "bold"),
        Text(f"{report.missing}", "bold green" if report.missing == 0 else "bold red"),
        Text(f"{report.asked}", "bold"),
        Text(f"{report.duplicates}", "bold"),
        Text(f"{report.gaps}", "bold"),
        Text(delay(report.delay_ms), "bold"),
    )
    lanes = ", ".join(f"{lane} {count}" for lane, count in sorted(watch.lanes.items()))
    return Panel(Group(table, Text(f"messages by lane: {lanes or 'none yet'}", "dim")),
                 title="what a separate subscriber process received and can prove", title_align="left")  # fmt: skip


def _backlog(watch: Watch, columns: int) -> Panel:
    bars = min(SPARK_COLUMNS, max(1, columns - BACKLOG_WORDS_COLUMNS))
    line = Text(spark(list(watch.backlogs)[-bars:]), "yellow")
    line.append(f"  {watch.backlog} frames wait in the gateway's buffer", "bold" if watch.backlog else "dim")
    return Panel(line, title="backlog", title_align="left")


def spark(numbers: list[int]) -> str:
    """Numbers as bars, the highest at full height."""
    top = max([*numbers, 1])
    return "".join(BARS[-(-n * (len(BARS) - 1) // top)] for n in numbers)


def _values(watch: Watch, columns: int) -> Panel:
    table = Table.grid(padding=(0, 2 if columns >= WIDE_COLUMNS else 1))
    for justify in ("left", "left", "right", "left") * 2:
        table.add_column(justify="right" if justify == "right" else "left")
    rows = [cells for device, count in SHOWN for cells in _of(watch.values.values(), device, count)]
    half = (len(rows) + 1) // 2
    for i in range(half):
        table.add_row(*rows[i], *(rows[half + i] if half + i < len(rows) else ()))
    return Panel(table, title="last values at the subscriber", title_align="left")


def _of(values: Iterable[Value], device: str, count: int) -> list[tuple[Text, Text, Text, Text]]:
    found = [value for value in values if value.device == device][:count]
    return [
        (Text(v.device, "dim"), Text(v.tag), Text(shown(v), "bold" if v.status == 0 else "red"), Text(v.unit, "dim"))
        for v in found
    ]


def shown(value: Value) -> str:
    """A value as a person reads it."""
    if value.value is None:
        return f"bad (0x{value.status:08X})"
    return f"{value.value:,.2f}" if isinstance(value.value, float) else str(value.value)
