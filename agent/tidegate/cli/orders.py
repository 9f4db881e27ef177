"""`tidegate orders CONFIG DEVICE ADDRESS|TAG` or `--hex`: one value in every type and order, the plausible marked."""

import asyncio
import dataclasses
import json
import math
import os
import struct
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import click

from tidegate.acquire.guess import Guess, best, guesses
from tidegate.acquire.once import read_once
from tidegate.acquire.registry import drivers
from tidegate.clock import Clock
from tidegate.config.load import load
from tidegate.config.quantities import did_you_mean
from tidegate.errors import ConfigError, NoAnswer
from tidegate.logs import visible
from tidegate.model import status
from tidegate.model.device import Device, Group
from tidegate.model.frame import readings
from tidegate.model.tag import Tag, TagTable, Type
from tidegate.plural import counted

EXIT_NONE = 3
DEADLINE_S = 5.0
HEX_BYTES_MAX = 250
# The widest first: a device may refuse to give what lies behind its last register.
WIDTHS = ((Type.UINT64, ">Q"), (Type.UINT32, ">I"), (Type.UINT16, ">H"))
# The columns that say where a value lies; the others say how it is read, which is what is to be found out.
PLACES = ("base", "registers")
ROWS_MAX = 6
ZEROS = "Every byte is 0: that says nothing about type and order. Try a value that is not zero just now"


@click.command()
@click.argument("config", type=click.Path(path_type=Path, readable=False), required=False)
@click.argument("device", required=False)
@click.argument("point", metavar="[ADDRESS|TAG]", required=False)
@click.option("--hex", "digits", metavar="BYTES", help="Registers as they came, such as 43669A3C, instead of a device.")
@click.option("--expect", type=float, help="What the machine shows just now: the strongest mark.")
@click.option("--set", "settings", multiple=True, metavar="COLUMN=TEXT", help="Such as base=1 or registers=input.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document instead of text.")
def command(
    config: Path | None,
    device: str | None,
    point: str | None,
    digits: str | None,
    expect: float | None,
    settings: tuple[str, ...],
    as_json: bool,
) -> None:
    """Show what lies at ADDRESS of DEVICE in every type and byte order, and mark what is plausible.

    Up to four registers are read once, through the device's driver. Wide readings take the registers behind along. With
    --hex no machine is asked. Exit 0 when a reading is plausible, else 3; 1 when the device does not answer.
    """
    if (digits is None) == (point is None):
        raise click.UsageError("name CONFIG, DEVICE and an address or a tag of it, or give --hex")
    if digits is not None:
        data, address, columns = _bytes(digits), "", dict[str, str]()
    else:
        assert config is not None
        assert device is not None
        assert point is not None
        data, address, columns = _read(config, device, point, settings)
    found = guesses(data, expect)
    if as_json:
        rows = [{**dataclasses.asdict(guess), "value": _plain(guess)} for guess in found]
        click.echo(json.dumps({"bytes": data.hex(), "guesses": rows}, ensure_ascii=False))
    else:
        _show(data, found, address, columns)
    sys.exit(0 if best(found) else EXIT_NONE)


def _plain(guess: Guess) -> int | float | str:
    """The value as JSON has it: NaN and infinities are texts there."""
    strange = isinstance(guess.value, float) and not math.isfinite(guess.value)
    return str(guess.value) if strange else guess.value


def _bytes(digits: str) -> bytes:
    try:
        data = bytes.fromhex(digits.removeprefix("0x").replace(":", " "))
        if not data or len(data) % 2 or len(data) > HEX_BYTES_MAX:
            raise ValueError(f"{len(data)} bytes")
    except ValueError:
        raise click.BadParameter(f"{digits!r} are no whole registers: write 4 digits for each, such as 43669A3C",
                                 param_hint="--hex") from None  # fmt: skip
    return data


def _read(config: Path, name: str, point: str, settings: Sequence[str]) -> tuple[bytes, str, dict[str, str]]:
    """The registers of a tag or an address as they came, the address, and the columns that say where it lies."""
    loaded = load(config, os.environ)
    device = next((one for one in loaded.devices if one.name == name), None)
    if device is None:
        remedy = did_you_mean(name, [one.name for one in loaded.devices])
        raise click.BadParameter(f"there is no device {name!r} in {config}. {remedy}", param_hint="DEVICE")
    tags = device.table.tags
    tag = next((tag for tag in tags if point in (tag.name, tag.address)), None)
    usual = Counter(option for one in ([tag] if tag else tags) for option in one.options if option[1])
    columns = {column: text for (column, text), _ in reversed(usual.most_common()) if column in PLACES}
    for text in settings:
        column, equals, value = text.partition("=")
        if not equals or column.strip().lower() not in PLACES:
            raise click.BadParameter(f"write {PLACES[0]}=TEXT or {PLACES[1]}=TEXT", param_hint="--set")
        columns[column.strip().lower()] = value.strip()
    address = tag.address if tag else point
    faults: list[str] = []
    for kind, code in WIDTHS:
        made = _narrowed(device, address, kind, columns)
        problems = [problem for problem in drivers()[device.driver].check([made]) if problem.fatal]
        if problems:
            # Wider values may not fit in behind the address; what is wrong with all of them is told at the last.
            continue
        [answer] = asyncio.run(read_once(drivers(), [made], Clock()))
        for taken in answer.taken:
            for reading in readings(taken.frame, made.table):
                if status.is_good(reading.status) and isinstance(reading.value, int):
                    return struct.pack(code, reading.value), address, columns
        faults = list(answer.faults)
        if faults:
            break
    if problems:
        what = f"{device.name}: {address!r} can't be read as registers"
        raise ConfigError([dataclasses.replace(p, file=what, row=None, column=None, key="") for p in problems])
    told = "; ".join(faults) or "it refuses this address: look at the address and at `base`"
    raise NoAnswer(name, f"{address} was not read: {told}")


def _narrowed(device: Device, address: str, kind: Type, columns: dict[str, str]) -> Device:
    """The device with one tag: whole registers, most significant byte first, so that it has the bytes of the wire."""
    table = TagTable(device.name, (Tag(address, kind, kind, address, (*columns.items(), ("order", "ABCD"))),))
    group = Group(device.name, "orders", DEADLINE_S, DEADLINE_S, (0,))
    return dataclasses.replace(device, table=table, groups=(group,), computed=None)


def _show(data: bytes, found: list[Guess], address: str, columns: dict[str, str]) -> None:
    """A row a reading, what speaks for it, and the row of the tag table to write."""
    where = f"{address}: " if address else ""
    click.echo(f"{where}{counted(len(data) // 2, 'register')} as they came: {data.hex(' ', 2).upper()}")
    chosen = best(found)
    top = chosen[0] if chosen and chosen[0].expected is not None else None
    for guess in found:
        mark = "**" if guess is top else "*" if guess.plausible else ""
        kind = f"{guess.type} {guess.coding}".strip()
        line = f"{mark:<2} {kind:<10}  {guess.order:<8}  {visible(guess.shown):>24}  {', '.join(guess.reasons)}"
        click.echo(line.rstrip())
    if not any(data):
        click.echo(f"-> {ZEROS}")
    elif not chosen:
        click.echo("-> No reading is plausible. Look at the address: one off, and every value is nonsense")
    else:
        _advise(chosen[:1] if top else chosen, address, columns)


def _advise(chosen: list[Guess], address: str, columns: dict[str, str]) -> None:
    if len(chosen) > 1:
        click.echo(f"-> {len(chosen)} readings are plausible. Give --expect with what the machine shows, or look again "
                   "when the value has changed: nonsense jumps")  # fmt: skip
    click.echo("-> To write into the tag table:")
    names = ["name", "address", "type", "order", "coding", "scale", "length", *columns]
    rows = []
    for guess in chosen[:ROWS_MAX]:
        length = str(len(str(guess.value)) + len(str(guess.value)) % 2) if guess.type == "string" else ""
        rows.append(["name", address or "HR0", guess.type, guess.order, guess.coding, guess.scale, length,
                     *columns.values()])  # fmt: skip
    used = [at for at, column in enumerate(names) if column in ("name", "address", "type") or any(r[at] for r in rows)]
    for row in [names, *rows]:
        click.echo("   " + ",".join(row[at] for at in used))
    if len(chosen) > ROWS_MAX:
        click.echo(f"   and {len(chosen) - ROWS_MAX} more")
