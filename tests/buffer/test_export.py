"""Exported readings: every one, as it was put, by number, time and epoch, and past damage."""

import asyncio
import csv
import io
import json
import struct
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from click.testing import CliRunner

from tests.buffer.world import READINGS, SMALL, World, damage, fill, segments
from tidegate.cli.buffer import EXPORTED, command


def exported(world: World, *arguments: str) -> list[dict[str, Any]]:
    ran = CliRunner().invoke(command, ["export", str(world.folder), "--format", "json", *arguments])
    assert 0 == ran.exit_code, ran.output
    return [json.loads(line) for line in ran.stdout.splitlines()]


def test_every_reading_is_exported_as_it_was_put(world: World) -> None:
    asyncio.run(fill(world, 60, **SMALL))
    rows = exported(world)
    frame = World(world.folder).frame(7)

    assert 60 * READINGS == len(rows)
    assert sorted(rows, key=lambda row: row["seq"]) == rows
    assert list(struct.unpack(f"<{READINGS}q", frame.values)) == [row["value"] for row in rows if row["seq"] == 8]
    assert ("meter", "t3", 0, "set") == tuple(rows[3][key] for key in ("device", "tag", "status", "clock"))


def test_csv_has_the_same_rows(world: World, tmp_path: Path) -> None:
    asyncio.run(fill(world, 5))
    path = tmp_path / "readings.csv"
    ran = CliRunner().invoke(command, ["export", str(world.folder), "--output", str(path)])
    read = list(csv.reader(io.StringIO(path.read_text())))

    assert "100 readings" in ran.stderr
    assert list(EXPORTED) == read[0]
    assert [[str(v if v is not None else "") for v in row.values()] for row in exported(world)] == read[1:]


def test_a_range_of_numbers_and_of_times_is_kept(world: World) -> None:
    asyncio.run(fill(world, 60, **SMALL))
    rows = exported(world)
    at = [next(r["time_us"] for r in rows if r["seq"] == seq) for seq in (11, 20)]
    since, until = (datetime.fromtimestamp(us / 1e6, UTC).isoformat() for us in at)

    assert {*range(11, 21)} == {row["seq"] for row in exported(world, "--from", "11", "--to", "20")}
    assert {*range(11, 21)} == {row["seq"] for row in exported(world, "--since", since, "--until", until)}


def test_an_epoch_is_exported_alone(world: World) -> None:
    asyncio.run(fill(world, 3))
    old = segments(world)[0].stem.split("-")[0]
    world.box = "another box"
    asyncio.run(fill(world, 2, start=100))

    assert {old} == {row["epoch"] for row in exported(world, "--epoch", old)}
    assert 5 * READINGS == len(exported(world))


def test_damage_costs_its_block_alone(world: World) -> None:
    asyncio.run(fill(world, 12))
    damage(segments(world)[0], 4)

    assert {*range(1, 13)} - {5} == {row["seq"] for row in exported(world)}


def test_a_running_agents_sealed_segments_are_exported(world: World) -> None:
    async def run() -> list[dict[str, Any]]:
        async with world.running(**SMALL) as buffer:
            for value in range(60):
                await buffer.put(world.frame(value))
                await buffer.flush()
            return await asyncio.to_thread(exported, world)

    rows = asyncio.run(run())

    assert 0 < len(rows) < 60 * READINGS
    assert [*range(1, rows[-1]["seq"] + 1)] == sorted({row["seq"] for row in rows})
