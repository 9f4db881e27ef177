"""Reader: pages of sealed segments, in the reader thread. Sealed files never change, so it opens and closes at will."""

import sqlite3
from contextlib import closing
from pathlib import Path

from tidegate.buffer.image import await_bytes
from tidegate.buffer.segment import Damage, Found, collect, look
from tidegate.errors import BufferFault
from tidegate.model.gap import Why

# A read error of a healthy file shows as "malformed" too: look again before believing it.
LOOKS = 3


def page(path: Path, first: int, last: int, bytes_max: int) -> Found:
    """Frames first..last of one sealed segment. Raises BufferFault when the disk refuses just now."""
    found = Found((), first - 1)
    for _ in range(LOOKS):
        found = _once(path, first, last, bytes_max)
        if not found.damaged:
            break
        await_bytes(path)
    return found


def _once(path: Path, first: int, last: int, bytes_max: int) -> Found:
    try:
        with closing(look(path)) as db:
            return collect(db, first, last, bytes_max)
    except sqlite3.OperationalError as error:
        if path.exists():
            raise BufferFault(f"{path.name} can't be read just now: {error}") from error
        return Found((), last, (Damage(first, last, "the segment's file is gone", why=Why.LOST),))
    except sqlite3.DatabaseError as error:
        return Found((), last, (Damage(first, last, str(error)),))
