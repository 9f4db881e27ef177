"""Migrations: brings a control.db that an older build wrote to the version of this one, wholly or not at all.

    control.db ──▶ its journal folded in ──▶ a copy, migrated and proven ──▶ synced ──▶ renamed over control.db
                                                    what it was stays beside it until the next clean start

sqlite-utils does the work, and is imported only when there is some (28 MB, 190 ms). Segments are never migrated.
"""

import logging
import os
import shutil
import sqlite3
from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from tidegate.buffer.segment import PAGE_BYTES, sync_folder
from tidegate.errors import BufferFault

if TYPE_CHECKING:
    from sqlite_utils import Database

log = logging.getLogger(__name__)

NEW = ".migrating"
OLD = ".version"


def _restored_images(db: "Database") -> None:
    """To version 2: which numbers have to be given anew is kept, and whom nobody asked. SQL says what columns mean."""
    columns = {"epoch": str, "first": int, "last": int, "moved": int, "into_epoch": str, "after": int, "crc32": int}
    db.create_table("renewals", columns, pk="epoch", not_null=set(columns), strict=True)
    columns = {"target": str, "epoch": str, "first": int, "crc32": int}
    db.create_table("unasked", columns, pk="target", not_null=set(columns), strict=True)


# What brings a database from each version to the next.
STEPS: Mapping[int, "Callable[[Database], None]"] = {1: _restored_images}


def migrate(path: Path, version: int, tell: Callable[[str], None] = log.debug) -> None:
    """Bring control.db from this version to the newest; nobody has it open. `tell` hears of each step before it is.

    A kill at any moment leaves the old one or the new one under its name. Raises BufferFault when what came of it
    can't be proven or sqlite-utils is missing, sqlite3.Error or OSError when the disk refuses.
    """
    tell("fold the journal in")
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        # What is left of a journal must not lie beside the file that comes: SQLite would take it for its own.
        if db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]:
            raise sqlite3.OperationalError(f"{path.name}: somebody reads it, it can't be migrated")
        db.execute("PRAGMA journal_mode=DELETE").fetchone()
    sync_folder(path.parent)
    new = path.with_name(path.name + NEW)
    for leftover in (new, new.with_name(new.name + "-journal")):
        leftover.unlink(missing_ok=True)
    tell("copy it")
    shutil.copy(path, new)
    _raise(path, new, version, tell)
    tell("sync the copy")
    _sync(new)
    tell("keep what it was")
    _keep(path, path.with_name(f"{path.name}{OLD}{version}"))
    tell("rename the copy")
    os.replace(new, path)
    sync_folder(path.parent)
    tell("done")
    log.warning("%s was of version %d and is of version %d now", path.name, version, max(STEPS) + 1)


def forget_old(folder: Path, name: str) -> None:
    """What was kept beside a migrated control.db is not needed any more: the new one has been through a run."""
    for path in folder.glob(f"{name}{OLD}*"):
        with suppress(OSError):
            path.unlink()
            log.info("%s is removed: the migration has proven itself", path.name)


def _raise(path: Path, new: Path, version: int, tell: Callable[[str], None]) -> None:
    """Migrate the copy, and prove that it holds what the old one holds."""
    try:
        from sqlite_utils import Database
    except ImportError as error:
        raise BufferFault(
            f"{path} is of version {version}, and sqlite-utils, which migrates it, is missing: pip install sqlite-utils"
        ) from error
    db = Database(new, execute_plugins=False, tracer=lambda sql, _: tell(sql))
    try:
        before = _counts(db)
        for at in range(version, max(STEPS) + 1):
            STEPS[at](db)
            db.execute(f"PRAGMA user_version = {at + 1}")
        db.execute(f"PRAGMA page_size = {PAGE_BYTES}")
        db.vacuum()
        after = _counts(db)
        if db.execute("PRAGMA quick_check(1)").fetchone() != ("ok",) or before.items() - after.items():
            raise BufferFault(
                f"{path}: its migration from version {version} can't be proven, and it is left as it was: install the "
                "tidegate that wrote it, and report this"
            )
    finally:
        db.close()


def _counts(db: "Database") -> dict[str, int]:
    return {name: int(db.execute(f'SELECT count(*) FROM "{name}"').fetchone()[0]) for name in db.table_names()}


def _keep(path: Path, beside: Path) -> None:
    beside.unlink(missing_ok=True)
    try:
        os.link(path, beside)
    except OSError:
        # Some file systems know no second name for a file.
        shutil.copy(path, beside)
        _sync(beside)


def _sync(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())
