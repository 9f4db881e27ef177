"""Migrations of control.db: all that was in it is still there; a kill leaves the old one or the new one."""

import asyncio
import json
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from tests.buffer.world import World, everything
from tidegate.buffer.control import FILE, SCHEMA, VERSION, Control
from tidegate.buffer.migrations import NEW, STEPS, migrate
from tidegate.buffer.stored import look_into
from tidegate.buffer.verify import verify
from tidegate.errors import BufferFault
from tidegate.proof import Ranges

# As version 1 was written: epochs, sealed segments, two targets with ranges above, a ledger row with its carrier.
GOLDEN = Path(__file__).parent.parent / "golden" / "disk"
TARGETS = ("cloud", "plant")
SHAPES = "SELECT name, type, ncol, strict FROM pragma_table_list WHERE schema = 'main' ORDER BY name"
INDEXES = "SELECT name, sql FROM sqlite_schema WHERE type = 'index'"

Rows = dict[str, list[tuple[object, ...]]]


@pytest.fixture
def old(tmp_path: Path) -> World:
    """A state folder as version 1 left it."""
    shutil.copytree(GOLDEN, tmp_path / "state")
    (tmp_path / "state" / "expected.json").unlink()
    return World(tmp_path / "state")


def rows(path: Path) -> tuple[int, Rows]:
    """Version and content of a control.db."""
    with closing(sqlite3.connect(path)) as db:
        (version,) = db.execute("PRAGMA user_version").fetchone()
        names = [name for (name,) in db.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
        return version, {name: sorted(db.execute(f"SELECT * FROM {name}").fetchall(), key=repr) for name in names}


def test_everything_that_was_in_it_is_still_there(old: World) -> None:
    _, before = rows(old.folder / FILE)
    Control.open(old.folder / FILE, migrating=True).close()
    version, after = rows(old.folder / FILE)

    assert VERSION == version
    assert {**before, "renewals": [], "unasked": []} == after
    assert all(before[name] for name in ("epochs", "segments", "cursors", "ledger", "boots", "tables", "box"))


def test_what_is_migrated_is_what_is_made_anew(old: World, tmp_path: Path) -> None:
    Control.open(old.folder / FILE, migrating=True).close()
    new = tmp_path / "new.db"
    Control.open(new).close()
    found = []
    for path in (new, old.folder / FILE):
        with closing(sqlite3.connect(path)) as db:
            shapes = [row for row in db.execute(SHAPES).fetchall() if not str(row[0]).startswith("sqlite_stat")]
            columns = {row[0]: db.execute(f"PRAGMA table_xinfo({row[0]})").fetchall() for row in shapes}
            indexes = sorted(
                db.execute("SELECT name, sql FROM sqlite_schema WHERE type = 'index'").fetchall(), key=repr
            )
            found.append((shapes, columns, indexes, db.execute("PRAGMA page_size").fetchone()))

    assert found[0] == found[1]
    assert f"user_version = {VERSION};" in SCHEMA
    assert list(range(1, VERSION)) == sorted(STEPS)


def test_a_buffer_goes_on_where_the_old_build_stopped(old: World) -> None:
    expected = json.loads((GOLDEN / "expected.json").read_text())
    current = expected["epochs"][-1]["epoch"]

    async def main() -> tuple[str, list[int], dict[str, Ranges]]:
        async with old.running(*TARGETS) as buffer:
            numbers = [number for number, _ in await everything(buffer)]
            covered = {target: buffer.cursor(target, buffer.epoch) for target in TARGETS}
            return buffer.epoch, numbers, covered

    old.box = _identity(old.folder)
    stored = {cursor[0]: cursor for cursor in rows(old.folder / FILE)[1]["cursors"]}
    epoch, numbers, covered = asyncio.run(main())

    assert current == epoch
    assert list(range(1, len(numbers) + 1)) == numbers
    assert {target: stored[target][3] for target in TARGETS if target in stored} == {
        target: covered[target].reach(1) for target in TARGETS if target in stored
    }
    assert [] == verify(old.folder, running=False).damage


def _identity(folder: Path) -> str:
    with closing(sqlite3.connect(folder / FILE)) as db:
        return str(db.execute("SELECT identity FROM box").fetchone()[0])


def test_a_kill_at_any_moment_leaves_the_old_or_the_new(old: World, tmp_path: Path) -> None:
    """`tell` comes before each statement and each change of a file: what lies there then is what a kill leaves."""
    left: list[tuple[str, Path]] = []

    def kill(what: str) -> None:
        folder = tmp_path / f"kill{len(left)}"
        shutil.copytree(old.folder, folder)
        left.append((what, folder))

    before = rows(old.folder / FILE)
    migrate(old.folder / FILE, 1, kill)
    after = rows(old.folder / FILE)
    versions = []
    for what, folder in left:
        found = rows(folder / FILE)
        versions.append(found[0])
        Control.open(folder / FILE, migrating=True).close()

        assert found in (before, after), what
        assert after == rows(folder / FILE), what
        assert not list(folder.glob(f"{FILE}{NEW}*")), what
    assert versions == sorted(versions)
    assert {1, VERSION} == set(versions)
    assert any("CREATE TABLE" in what for what, _ in left)


def test_a_journal_of_the_old_one_is_folded_in_and_never_lies_beside_the_new(old: World) -> None:
    """The last run was killed: what it committed last is in the WAL only."""
    with closing(sqlite3.connect(old.folder / FILE, isolation_level=None)) as db:
        db.execute("PRAGMA journal_mode=WAL")
        db.execute("UPDATE box SET wall_us = 4711")
        shutil.copytree(old.folder, old.folder.with_name("killed"))
    killed = old.folder.with_name("killed")
    assert (killed / f"{FILE}-wal").stat().st_size > 0

    migrate(killed / FILE, 1)

    assert 4711 == rows(killed / FILE)[1]["box"][0][3]
    assert not (killed / f"{FILE}-wal").exists()


def test_what_it_was_stays_until_a_clean_run_of_the_new(old: World) -> None:
    async def run() -> None:
        async with old.running(*TARGETS):
            pass

    kept = old.folder / f"{FILE}.version1"
    asyncio.run(run())
    beside = kept.exists(), rows(kept)[0]
    asyncio.run(run())

    assert (True, 1) == beside
    assert not kept.exists()


def test_commands_read_the_old_one_as_it_is(old: World) -> None:
    content = (old.folder / FILE).read_bytes()

    assert look_into(old.folder).boots == 3
    assert [] == verify(old.folder, running=False).damage
    assert rows(old.folder / FILE)[0] == 1
    assert len(content) == (old.folder / FILE).stat().st_size


def test_a_newer_one_is_refused_and_left_alone(old: World) -> None:
    with closing(sqlite3.connect(old.folder / FILE)) as db:
        db.execute(f"PRAGMA user_version = {VERSION + 1}")
    content = (old.folder / FILE).read_bytes()

    with pytest.raises(BufferFault, match=f"newer tidegate .version {VERSION + 1}, this one reads {VERSION}."):
        Control.open(old.folder / FILE, migrating=True)
    assert content == (old.folder / FILE).read_bytes()


@pytest.mark.parametrize(("is_old", "loaded"), [(False, False), (True, True)], ids=["current", "old"])
def test_sqlite_utils_is_loaded_only_when_there_is_something_to_migrate(
    old: World, tmp_path: Path, is_old: bool, loaded: bool
) -> None:
    folder = old.folder if is_old else tmp_path / "fresh"
    folder.mkdir(exist_ok=True)
    script = (
        "import asyncio, sys\nfrom pathlib import Path\nfrom tests.buffer.world import World\n"
        f"world = World(Path({str(folder)!r}))\n"
        "async def main():\n    for _ in range(2):\n        async with world.running() as buffer:\n"
        "            await (await buffer.put(world.frame(1)))\n"
        "asyncio.run(main())\nprint('sqlite_utils' in sys.modules)"
    )
    root = Path(__file__).parent.parent.parent
    ran = subprocess.run([sys.executable, "-c", script], cwd=root, capture_output=True, text=True, check=True)

    assert str(loaded) == ran.stdout.strip()
