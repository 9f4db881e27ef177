"""Single flipped bits at test size, and that the harness knows where the bytes of blocks lie."""

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

from tests.adversity.bitrot import campaign
from tests.adversity.pages import pieces
from tests.buffer.world import World, fill, segments

FLIPS = 6


def test_a_flipped_bit_gives_no_wrong_value_and_is_found_where_it_matters(tmp_path: Path) -> None:
    done = campaign(FLIPS, tmp_path, seed=11)

    assert [] == [one for one in done if one.wrong]
    assert [] == [one for one in done if one.block and not one.found]
    assert any(one.block for one in done)


def test_the_pieces_of_a_block_are_its_bytes(tmp_path: Path) -> None:
    world = World(tmp_path / "state")
    asyncio.run(fill(world, 60))
    [path] = segments(world)
    content = path.read_bytes()
    with closing(sqlite3.connect(path)) as db:
        rows = {first: before + data for first, before, data in db.execute("SELECT first, prev, data FROM blocks")}
    found: dict[int, bytes] = {}
    for piece in pieces(path):
        found[piece.first] = found.get(piece.first, b"") + content[piece.offset : piece.offset + piece.size]

    assert rows.keys() == found.keys()
    assert all(found[first].endswith(row) for first, row in rows.items())
