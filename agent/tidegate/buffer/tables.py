"""Tag tables as the buffer keeps them: in control.db, and in each segment those that its frames need.

A table's key is its hash: a document that changed by itself is never used. Then one of the segments has it.
"""

import hashlib
import logging
import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress

from tidegate.buffer.segment import look
from tidegate.buffer.state import State, faults

log = logging.getLogger(__name__)


def proven_tables(db: sqlite3.Connection) -> dict[bytes, bytes]:
    """Of a segment, the tag tables (hash, document) that are what their hashes say."""
    found: dict[bytes, bytes] = {}
    with suppress(sqlite3.DatabaseError):
        for key, document in db.execute("SELECT hash, document FROM tables"):
            if is_table(key, document):
                found[key] = document
    return found


def is_table(key: object, document: object) -> bool:
    """Whether a document is what its key says: the first 8 bytes of SHA-256 over it."""
    return isinstance(document, bytes) and hashlib.sha256(document).digest()[:8] == key


def stored_table(state: State, key: bytes) -> bytes | None:
    """The document of a tag table, mended in control.db where it was damaged; None when no file has it as it was.

    For the writer's thread. Raises BufferFault.
    """
    with faults("tag table"):
        document = state.control.table(key)
        if document is not None and is_table(key, document):
            return document
        for tables in _of_segments(state):
            if key in tables:
                with state.transaction():
                    state.control.mend_table(key, tables[key])
                log.warning("tag table %s was damaged in control.db; a segment had it", key.hex())
                return tables[key]
    return None


def _of_segments(state: State) -> Iterator[dict[bytes, bytes]]:
    """The tables of each segment, the newest first."""
    if state.active is not None:
        yield proven_tables(state.active.db)
    for numbering in reversed(state.catalog.numberings):
        for entry in reversed(state.catalog.sealed(numbering.epoch)):
            with suppress(sqlite3.Error), closing(look(state.catalog.path(entry))) as db:
                yield proven_tables(db)
