"""Which frames lie in a buffer, read straight from its segments. Imports nothing of Tidegate, and trusts no index.

segment   SQLite: meta (epoch), blocks (first, last, codec, crc32, data)
data      codec 0 raw, 1 zlib, 2 zstd of: u32 length, frame, u32 length, frame, ...
frame     byte 0 version, byte 1 kind (1 data, 2 gap), ..., CRC-32 of all before it in the last 4 bytes
"""

import sqlite3
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import zstandard

RAW, ZLIB, ZSTD = 0, 1, 2
FRAME_VERSION, DATA = 1, 1
BLOCK_BYTES_MAX = 64 * 1024 * 1024


def frames_on_disk(state: Path) -> Iterator[tuple[str, int]]:
    """Epoch and number of every data frame in a closed buffer. Raises ValueError where bytes are not as described."""
    for path in sorted((state / "segments").glob("*.db")):
        segment = sqlite3.connect(f"file:{path}?mode=ro&immutable=1", uri=True)
        (epoch,) = segment.execute("select epoch from meta").fetchone()
        for first, last, codec, crc32, data in segment.execute(
            "select first, last, codec, crc32, data from blocks order by first"
        ):
            if zlib.crc32(data) != crc32:
                raise ValueError(f"{path.name}: block {first} has another CRC than its row says")
            frames = list(split(expand(codec, data)))
            if len(frames) != last - first + 1:
                raise ValueError(f"{path.name}: block {first}..{last} holds {len(frames)} frames")
            for number, frame in enumerate(frames, first):
                if frame[0] != FRAME_VERSION or zlib.crc32(frame[:-4]) != struct.unpack("<I", frame[-4:])[0]:
                    raise ValueError(f"{path.name}: frame {number} is damaged")
                if frame[1] == DATA:
                    yield epoch, number
        segment.close()


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
