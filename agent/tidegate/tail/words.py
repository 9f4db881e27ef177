"""Words: readings, gaps and reports as lines, for people and as JSON. It knows no broker and keeps nothing."""

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from tidegate.model.names import UNNAMED, Names
from tidegate.model.tag import TIME_UNIT
from tidegate.proof import EpochReport, Ranges, Report, Taken

RANGES_SHOWN_MAX = 20
BAD, UNCERTAIN = 0x80000000, 0x40000000


class Told(NamedTuple):
    """What a tag table told of a tag."""

    name: str
    unit: str
    kind: str = ""
    names: Names = UNNAMED


# By index.
Tags = Sequence[Told]


def time_text(us: int) -> str:
    """µs UTC as ISO 8601; a clock that stands outside the calendar is shown as it is."""
    try:
        return datetime.fromtimestamp(us / 1e6, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    except (OverflowError, ValueError, OSError):
        return f"{us} us"


def quality(status: int) -> str:
    """The severity of an OPC UA StatusCode; its code too where that says more."""
    word = "bad" if status >= BAD else "uncertain" if status >= UNCERTAIN else "good"
    return word if status == 0 else f"{word} 0x{status:08X}"


def reading_lines(body: Mapping[str, Any], new: Ranges, tables: Mapping[str, Tags], as_json: bool) -> Iterator[str]:
    """A line for each reading of a data message whose number is new."""
    for frame in body["frames"]:
        if frame["seq"] not in new:
            continue
        tags, count = tables.get(frame["table"], ()), len(frame["tags"])
        times, statuses = _column(frame["t"], count), _column(frame.get("st", 0), count)
        for index, value, t, status in zip(frame["tags"], frame["v"], times, statuses, strict=True):
            tag = tags[index] if index < len(tags) else Told(f"#{index}", "")
            number = _whole(value) if tag.names else None
            if as_json:
                yield dumps({
                    "device": frame["dev"], "tag": tag.name, "value": value, "unit": tag.unit, "t": t, "status": status,
                    "epoch": body["epoch"], "seq": frame["seq"],
                    **({} if number is None else {"names": tag.names.of_value(number)}),
                })  # fmt: skip
            else:
                shown = "-" if value is None else dumps(value)
                if tag.unit == TIME_UNIT and type(value) is int:
                    shown = time_text(value)
                elif number is not None:
                    shown = tag.names.shown(number, tag.kind)
                words = (time_text(t), frame["dev"], tag.name, shown, tag.unit, quality(status))
                yield "  ".join(word for word in words if word)


def _whole(value: Any) -> int | None:
    """A whole number of a message, which is a text where it is large; None for anything else."""
    try:
        return int(value) if isinstance(value, (int, str)) else None
    except ValueError:
        return None


def _column(value: Any, count: int) -> Sequence[Any]:
    return value if isinstance(value, list) else [value] * count


def gap_lines(body: Mapping[str, Any], taken: Taken) -> Iterator[str]:
    """A line for each gap of a data message that is new."""
    for gap in body["gaps"]:
        if gap["id"] not in taken.gaps:
            continue
        closed = f", numbers {ranges_text(Ranges(gap['frames']))} will not come" if gap["frames"] else ""
        readings = {"exact": f"{gap['n']:,}", "least": f"at least {gap['n']:,}"}.get(gap["n_is"], "unknown how many")
        yield (
            f"gap {gap['id']}: {gap['why']}, {gap['dev'] or 'all devices'}, {readings} readings, "
            f"{time_text(gap['t0'])} to {time_text(gap['t1'])}{closed}"
        )


def ranges_text(ranges: Ranges) -> str:
    """`1..4, 9, 12..20`, cut short where there are many."""
    shown = [f"{a}..{b}" if b > a else str(a) for a, b in list(ranges)[:RANGES_SHOWN_MAX]]
    more = len(ranges) - len(shown)
    return ", ".join(shown) + (f" and {more} more ranges" if more > 0 else "")


def report_json(report: Report, connected: bool, at_us: int, ended: bool) -> str:
    """The report as one JSON object; of what is missing the first RANGES_SHOWN_MAX ranges of each epoch."""
    return dumps({
        "received": report.frames, "readings": report.readings, "missing": report.missing, "waiting": report.waiting,
        "asked": report.asked, "duplicates": report.duplicates, "gaps": report.gaps,
        "closed": dict(report.closed),
        "told": {why: {"gaps": gaps, "readings": readings} for why, gaps, readings in report.told},
        "withheld": {"frames": report.withheld_frames, "readings": report.withheld_readings},
        "unfounded": report.unfounded, "refused": report.refused,
        "delay_ms": None if report.delay_us is None else round(report.delay_us / 1000, 1),
        "epochs": {epoch.epoch: _epoch_json(epoch) for epoch in report.epochs},
        "connected": connected, "at_us": at_us, "ended": ended, "complete": report.complete,
    })  # fmt: skip


def _epoch_json(epoch: EpochReport) -> dict[str, Any]:
    return {
        "since": epoch.since, "last": epoch.last, "missing": epoch.missing.pairs[:RANGES_SHOWN_MAX],
        "waiting": epoch.waiting,
    }  # fmt: skip


def report_line(report: Report) -> str:
    """The report in one line."""
    newest = report.epochs[-1].last if report.epochs else 0
    delay = "" if report.delay_us is None else f"  delay {report.delay_us / 1e6:.1f} s"
    return (
        f"{report.readings:,} readings in {report.frames:,} frames, up to number {newest}  {report.missing} missing  "
        f"{report.asked} asked for  {report.duplicates} duplicates  {report.gaps} gaps{delay}"
    )


def summary(report: Report, name: str, complete: bool) -> Iterator[str]:
    """What is proven in the end, a claim a line."""
    yield f"{name}: {'proven complete' if complete else 'NOT proven complete'}"
    yield f"  received    {report.frames:,} numbers, {report.readings:,} readings; {report.duplicates:,} came again"
    for epoch in report.epochs:
        owed = f"{epoch.since}..{epoch.last}" if epoch.last >= epoch.since else "nothing yet"
        unsure = "" if epoch.certain else " (no head has said since when; reckoned from the first that came)"
        yield f"  owed        {owed} of epoch {epoch.epoch}{unsure}"
        if epoch.missing:
            yield f"  MISSING     {epoch.missing.total:,}: {ranges_text(epoch.missing)}"
        if epoch.waiting:
            yield f"  on its way  {epoch.waiting:,}"
    if report.asked:
        yield f"  asked for   {report.asked:,} again"
    for why, numbers in report.closed:
        yield f"  gone        {numbers:,} numbers: {why}"
    for why, gaps, readings in report.told:
        if readings:
            yield f"  not taken   {readings:,} readings in {gaps:,} gaps: {why}"
    if report.withheld_frames:
        yield f"  withheld    {report.withheld_frames:,} numbers, {report.withheld_readings:,} readings"
    if report.unfounded:
        yield f"  unfounded   {report.unfounded:,} numbers were claimed by messages that did not hold them"
    if report.refused:
        yield f"  refused     {report.refused:,} messages were not as the format says"


def dumps(value: Any) -> str:
    """Compact JSON, with letters of any language as they are."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
