"""Tag tables are proven by their hashes: one that changed by itself is never used, and is found again in a segment."""

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.buffer.world import SMALL, World

OTHER = b"no table at all"


def spoil(path: Path, document: bytes | None = None) -> int:
    """Change each tag table of a database, its unit by default; returns how many there were."""
    with closing(sqlite3.connect(path)) as db, db:
        for key, was in db.execute("SELECT hash, document FROM tables").fetchall():
            now = was.replace(b'"unit"', b'"unid"') if document is None else document
            assert now != was
            db.execute("UPDATE tables SET document = ? WHERE hash = ?", (now, key))
        return int(db.execute("SELECT count(*) FROM tables").fetchone()[0])


async def put(world: World, count: int) -> None:
    async with world.running(**SMALL) as buffer:
        for value in range(count):
            await buffer.put(world.frame(value))
        await buffer.flush()


async def read(world: World) -> bytes:
    """The document, as a gateway with another configuration finds it."""
    async with world.running(**SMALL) as buffer:
        buffer._tables.clear()
        return (await buffer.table(world.table.hash)).document


@pytest.mark.parametrize("document", [None, OTHER], ids=["a letter of it changed", "another text"])
@pytest.mark.parametrize("frames", [4, 200], ids=["in the newest segment", "in sealed segments"])
def test_a_table_that_changed_in_the_control_database_is_found_in_a_segment(
    world: World, frames: int, document: bytes | None
) -> None:
    asyncio.run(put(world, frames))
    assert 1 == spoil(world.folder / "control.db", document)

    assert world.table.document == asyncio.run(read(world))
    # It is mended where it was damaged, too.
    with closing(sqlite3.connect(world.folder / "control.db")) as db:
        assert [(world.table.document,)] == db.execute("SELECT document FROM tables").fetchall()


def test_a_table_that_is_nowhere_as_it_was_is_lost_and_not_guessed(world: World) -> None:
    asyncio.run(put(world, 4))
    spoil(world.folder / "control.db")
    for path in (world.folder / "segments").glob("*.db"):
        spoil(path)

    with pytest.raises(KeyError):
        asyncio.run(read(world))


async def read_while_it_takes_commits(world: World) -> bytes:
    async with world.running() as buffer:
        await buffer.put(world.frame(1))
        await buffer.flush()
        # Exclusively locked: what is in the file changes, as by a flipped bit, in the connection that has it.
        with buffer._state.transaction():
            buffer._state.control.db.execute("UPDATE tables SET document = ?", (OTHER,))
        buffer._tables.clear()
        return (await buffer.table(world.table.hash)).document


def test_a_table_that_changes_while_the_buffer_runs_is_found_in_the_newest_segment(world: World) -> None:
    assert world.table.document == asyncio.run(read_while_it_takes_commits(world))
