"""`tidegate buffer ... PLACE`: looks into the buffer on disk or mends it, or asks the agent that holds it."""

import contextlib
import csv
import dataclasses
import json
import math
import os
import sys
import time
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

import click

from tidegate.buffer import lock
from tidegate.buffer.export import INT64_MAX, Exported, Wanted, export
from tidegate.buffer.mend import mend
from tidegate.buffer.state import SEGMENTS
from tidegate.buffer.stored import Stored, look_into
from tidegate.buffer.verify import Report, verify
from tidegate.cli.letters import letters, resubmit
from tidegate.cli.replay import replay
from tidegate.clock import ClockState
from tidegate.config.place import state_folder
from tidegate.errors import BufferFault, BufferLocked
from tidegate.local import ask
from tidegate.plural import counted

EXIT_DAMAGED = 1
EXPORTED = (
    "epoch", "seq", "device", "tag", "value", "unit", "status", "time", "time_us", "server_time_us", "clock",
)  # fmt: skip
SCRUB_DEADLINE_S = 3600.0
LOOK_S = 0.2
PLACE = click.argument("place", type=click.Path(path_type=Path, readable=False))


@click.group()
def command() -> None:
    """Look into the buffer of PLACE: a configuration, or a state folder."""


command.add_command(letters)
command.add_command(resubmit)
command.add_command(replay)


@contextlib.contextmanager
def _held(folder: Path) -> Iterator[bool]:
    """Hold the buffer while looking into it; False when an agent holds it."""
    try:
        if not (folder / SEGMENTS).is_dir():
            raise BufferFault(f"{folder}: there is no buffer here. Name the state folder, or the configuration")
        descriptor = lock.take(folder)
    except BufferLocked:
        yield False
        return
    except OSError as error:
        raise BufferFault(f"{error.filename}: {error.strerror}. Run this as the gateway's user") from None
    try:
        yield True
    finally:
        os.close(descriptor)


@command.command()
@PLACE
@click.option("--json", "as_json", is_flag=True, help="One JSON document instead of text.")
def status(place: Path, as_json: bool) -> None:
    """What the buffer holds, and who still waits for it."""
    folder = state_folder(place)
    with _held(folder) as held:
        if held:
            stored = look_into(folder)
            click.echo(
                _json({"running": False, **dataclasses.asdict(stored)}) if as_json else "\n".join(_stored_lines(stored))
            )
            return
    found = ask(folder, "status")["buffer"]
    click.echo(_json({"running": True, **found}) if as_json else "\n".join(_running_lines(found)))


@command.command(name="verify")
@PLACE
@click.option("--json", "as_json", is_flag=True, help="One JSON document instead of text.")
def verify_command(place: Path, as_json: bool) -> None:
    """Prove every block: checksums, the chain of hashes, no hole without a reason. Exits 1 when it is damaged."""
    folder = state_folder(place)
    with _held(folder) as held:
        report = verify(folder, running=not held)
    click.echo(_json(_report(report)) if as_json else "\n".join(_report_lines(report)))
    if report.damage:
        sys.exit(EXIT_DAMAGED)


@command.command()
@PLACE
def salvage(place: Path) -> None:
    """Keep what is good of damaged segments, name what is not, and put their files aside. Exits 1 when some was lost.

    A running agent does it by itself; it is asked to look now.
    """
    folder = state_folder(place)
    with _held(folder) as held:
        if held:
            mended = mend(folder)
            for one in mended:
                now = f"{counted(one.kept, 'frame')} kept in {one.now}" if one.now else "nothing was good"
                click.echo(f"{one.file}: {one.damage}; {now}, lost numbers: {one.lost}")
            click.echo(counted(len(mended), "damaged segment"))
            if any(one.lost for one in mended):
                sys.exit(EXIT_DAMAGED)
            return
    _scrub_running(folder)


@command.command()
@PLACE
def scrub(place: Path) -> None:
    """Prove every sealed segment now. A running agent does it, and salvages what is damaged; exits 1 when some was."""
    folder = state_folder(place)
    with _held(folder) as held:
        if held:
            report = verify(folder, running=False)
            click.echo("\n".join(_report_lines(report)))
            if report.damage:
                click.echo("`tidegate buffer salvage` keeps what is good of them")
                sys.exit(EXIT_DAMAGED)
            return
    _scrub_running(folder)


class _Time(click.ParamType):  # type: ignore[type-arg]  # generic in newer versions of click only
    """A time as people write it: 2026-11-24T10:00, with an offset or in UTC. Given on in µs UTC."""

    name = "time"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """µs UTC of the text."""
        try:
            at = datetime.fromisoformat(value)
        except ValueError:
            self.fail(f"{value!r} is no time; write 2026-11-24T10:00 (UTC) or 2026-11-24T18:00+08:00", param, ctx)
        return round((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() * 1e6)


@command.command(name="export")
@PLACE
@click.option("--format", "form", type=click.Choice(["csv", "json"]), default="csv", show_default=True)
@click.option("--output", type=click.Path(path_type=Path, dir_okay=False), help="A file; without it, the terminal.")
@click.option("--epoch", default="", help="Of this epoch only.")
@click.option("--from", "first", type=click.IntRange(1), default=1, help="From this number on.")
@click.option("--to", "last", type=click.IntRange(1), default=INT64_MAX, help="Up to this number.", show_default=False)
@click.option("--since", type=_Time(), default=None, help="Taken at this time or later: 2026-11-24T10:00 (UTC).")
@click.option("--until", type=_Time(), default=None, help="Taken at this time or earlier.")
def export_command(
    place: Path, form: str, output: Path | None, epoch: str, first: int, last: int, since: int | None, until: int | None
) -> None:
    """Write readings as CSV or as JSON lines. While an agent runs the newest segment is left out."""
    folder = state_folder(place)
    wanted = Wanted(epoch, first, last, -INT64_MAX if since is None else since, INT64_MAX if until is None else until)
    with _held(folder) as held, _opened(output) as file:
        rows = export(folder, wanted, running=not held)
        count = _write_csv(file, rows) if form == "csv" else _write_json(file, rows)
    left_out = "" if held else "; an agent runs: what its newest segment holds is left out"
    click.echo(f"{counted(count, 'reading')}{left_out}", err=True)


def _opened(output: Path | None) -> contextlib.AbstractContextManager[IO[Any]]:
    try:
        return click.open_file(str(output or "-"), "w", encoding="utf-8")
    except OSError as error:
        raise BufferFault(f"{output}: {error.strerror}. Name another --output") from None


def _row(found: Exported) -> dict[str, Any]:
    reading = found.reading
    at, value = reading.source_us, reading.value
    return {
        "epoch": found.epoch,
        "seq": found.number,
        "device": reading.device,
        "tag": reading.tag,
        "value": None if isinstance(value, float) and not math.isfinite(value) else value,
        "unit": found.unit,
        "status": reading.status,
        "time": datetime.fromtimestamp(at / 1e6, UTC).isoformat(timespec="microseconds"),
        "time_us": at,
        "server_time_us": reading.server_us,
        "clock": ClockState(found.clock).name.lower(),
    }


def _write_csv(file: IO[Any], rows: Iterable[Exported]) -> int:
    writer, count = csv.writer(file, lineterminator="\n"), 0
    writer.writerow(EXPORTED)
    for found in rows:
        writer.writerow(_row(found).values())
        count += 1
    return count


def _write_json(file: IO[Any], rows: Iterable[Exported]) -> int:
    count = 0
    for found in rows:
        file.write(_json(_row(found)) + "\n")
        count += 1
    return count


def _scrub_running(folder: Path) -> None:
    """Ask the agent for a pass, and wait until one that began after now has ended."""
    began = ask(folder, "scrub")
    # A pass that is under way has proven some segments before we asked.
    passes = began["passes"] + (2 if began["now"] else 1)
    deadline_s = time.monotonic() + SCRUB_DEADLINE_S
    while (found := ask(folder, "status")["buffer"]["scrub"])["passes"] < passes:
        if time.monotonic() > deadline_s:
            raise BufferFault(
                f"the scrub goes on ({found['segments']} of {found['of']} segments); see `tidegate status`"
            )
        if not found["now"]:
            ask(folder, "scrub")
        time.sleep(LOOK_S)
    damaged = found["damaged"] - began["damaged"]
    click.echo(
        f"{counted(found['of'], 'sealed segment')} proven, {damaged} damaged, {found['salvaged']} salvaged so far"
    )
    if damaged:
        sys.exit(EXIT_DAMAGED)


def _json(document: dict[str, Any]) -> str:
    return json.dumps(document, ensure_ascii=False)


def _time(us: int) -> str:
    return datetime.fromtimestamp(us / 1e6, UTC).isoformat(timespec="seconds") if us else "never"


def _stored_lines(stored: Stored) -> list[str]:
    how = "shut down cleanly" if stored.clean else "the agent was killed: its next start recovers this"
    lines = [
        f"{stored.folder}: no agent runs; {how}",
        f"{counted(stored.readings, 'reading')} in {counted(stored.segments, 'segment')}, "
        f"{stored.bytes_used / 1e6:.1f} MB, "
        f"{_time(stored.t0)} to {_time(stored.t1)}, {counted(stored.boots, 'start')}",
    ]
    for epoch in stored.epochs:
        lines.append(f"epoch {epoch.epoch}: numbers {epoch.first}..{epoch.last}")
        lines += [f"  {target}: {counted(count, 'frame')} waiting" for target, count in epoch.waiting]
    return [*lines, *(f"gaps {why}: {count}" for why, count in stored.gaps)]


def _running_lines(found: dict[str, Any]) -> list[str]:
    gaps, segments = counted(found["gaps"], "gap"), counted(found["segments"], "segment")
    lines = [
        f"an agent runs; epoch {found['epoch']}, numbers {found['first']}..{found['last']}, {gaps}",
        f"{segments}, {found['bytes_used'] / 1e6:.1f} MB of {found['quota_bytes'] / 1e6:.0f} MB; "
        f"since the start {counted(found['readings'], 'reading')} in {counted(found['commits'], 'commit')}, "
        f"{found['shed_readings']} shed; {found['queue_readings']} wait for the next commit",
        f"last commit {found['commit_ms']} ms, slowest {found['commit_ms_max']} ms",
    ]
    lines += [f"  {target}: {counted(count, 'frame')} waiting" for target, count in found["unacknowledged"]]
    scrub = found["scrub"]
    under_way = f", now {scrub['segments']} of {scrub['of']}" if scrub["now"] else ""
    lines.append(
        f"scrub: {scrub['passes']} passes ended, the last {_time(scrub['ended_us'] or 0)}{under_way}; "
        f"{scrub['damaged']} damaged, {scrub['salvaged']} salvaged since the start"
    )
    return [*lines, *([f"commits fail: {found['fault']}"] if found["fault"] else [])]


def _report(report: Report) -> dict[str, Any]:
    return {
        "whole": report.whole,
        "damaged": bool(report.damage),
        "segments": report.segments,
        "frames": report.frames,
        "readings": report.readings,
        "bytes": report.bytes,
        "damage": report.damage,
        "notes": report.notes,
        "numbers": {epoch: numbers.pairs for epoch, numbers in report.numbers.items()},
    }


def _report_lines(report: Report) -> list[str]:
    verdict = f"{len(report.damage)} damaged" if report.damage else "proven" if report.whole else "proven in part"
    return [
        *(f"damaged: {line}" for line in report.damage),
        *(f"note: {line}" for line in report.notes),
        f"{counted(report.segments, 'segment')}, {counted(report.frames, 'frame')}, "
        f"{counted(report.readings, 'reading')}, "
        f"{report.bytes / 1e6:.1f} MB: {verdict}",
    ]
