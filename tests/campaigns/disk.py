"""What lies in a buffer that nobody runs, read straight from its files. Imports nothing of Tidegate, trusts no index.

segment   SQLite: meta (epoch), blocks (first, last, codec, crc32, data)
data      codec 0 raw, 1 zlib, 2 zstd of: u32 length, frame, u32 length, frame, ...
frame     byte 0 version, byte 1 kind (1 data, 2 gap), ..., CRC-32 of all before it in the last 4 bytes
control   SQLite: epochs (epoch, floor), ledger (why, epoch, frames as JSON ranges or null, carrier)
"""

import json
import sqlite3
import struct
import zlib
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import zstandard

RAW, ZLIB, ZSTD = 0, 1, 2
FRAME_VERSION, DATA = 1, 1
BLOCK_BYTES_MAX = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the ledger: why, the numbers that it closes (none: it tells of readings without one), announced."""

    why: str
    epoch: str
    frames: tuple[tuple[int, int], ...]
    announced: bool


def frames_on_disk(state: Path) -> Iterator[tuple[str, int]]:
    """Epoch and number of every data frame in a closed buffer. Raises ValueError where bytes are not as described."""
    for epoch, number, frame in contents(state):
        if frame[1] == DATA:
            yield epoch, number


def contents(state: Path) -> Iterator[tuple[str, int, bytes]]:
    """Epoch, number and bytes of every frame in a closed buffer. Raises ValueError where bytes are not as described."""
    for path in sorted((state / "segments").glob("*.db")):
        with closing(sqlite3.connect(f"file:{path}?mode=ro&immutable=1", uri=True)) as segment:
            (epoch,) = segment.execute("select epoch from meta").fetchone()
            for first, last, codec, crc32, data in segment.execute(
                "select first, last, codec, crc32, data from blocks order by first"
            ):
                yield from ((epoch, number, frame) for number, frame in _block(path, first, last, codec, crc32, data))


def _block(path: Path, first: int, last: int, codec: int, crc32: int, data: bytes) -> Iterator[tuple[int, bytes]]:
    if zlib.crc32(data) != crc32:
        raise ValueError(f"{path.name}: block {first} has another CRC than its row says")
    frames = list(split(expand(codec, data)))
    if len(frames) != last - first + 1:
        raise ValueError(f"{path.name}: block {first}..{last} holds {len(frames)} frames")
    for number, frame in enumerate(frames, first):
        if frame[0] != FRAME_VERSION or zlib.crc32(frame[:-4]) != struct.unpack("<I", frame[-4:])[0]:
            raise ValueError(f"{path.name}: frame {number} is damaged")
        yield number, frame


def floors(state: Path) -> dict[str, int]:
    """Of each epoch the lowest number that is kept."""
    with closing(_control(state)) as control:
        return dict(control.execute("select epoch, floor from epochs").fetchall())


def ledger(state: Path) -> list[Row]:
    """All rows of the ledger."""
    with closing(_control(state)) as control:
        rows = control.execute("select why, epoch, frames, carrier from ledger order by id").fetchall()
    return [
        Row(why, epoch, tuple((a, b) for a, b in json.loads(frames or "[]")), carrier is not None)
        for why, epoch, frames, carrier in rows
    ]


def _control(state: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"file:{state / 'control.db'}?mode=ro", uri=True)


def expand(codec: int, data: bytes) -> bytes:
    """A block's bytes before compression."""
    if codec == ZSTD:
        return zstandard.ZstdDecompressor().decompress(data, max_output_size=BLOCK_BYTES_MAX)
    return zlib.decompress(data) if codec == ZLIB else data


def split(block: bytes) -> Iterator[bytes]:
    """The frames of a block."""
    at = 0
    while at < len(block):
        (length,) = struct.unpack_from("<I", block, at)
        yield block[at + 4 : at + 4 + length]
        at += 4 + length
