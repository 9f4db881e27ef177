"""Block: what one commit writes. Frames under one row, compressed, with a CRC and the hash of the block before.

    data, once unpacked:  u32 length, frame bytes, u32 length, frame bytes, …      (little-endian)
    hash of a block:      SHA-256(prev ‖ first last frames readings t0 t1 i64 ‖ codec u32 ‖ crc32 u32 ‖ data as stored)

It knows no file and no SQL.
"""

import hashlib
import threading
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum
from struct import Struct

from tidegate.errors import BufferDamaged, FrameDamaged
from tidegate.model.frame import Frame

try:
    import zstandard
except ImportError:  # No wheel for this machine: zlib does, at 3 times the cost.
    zstandard = None  # type: ignore[assignment]  # mypy: a module may be missing

NO_HASH = bytes(32)
# A block is closed at the commit's byte limit, so it passes it by one frame at most; nothing we wrote is bigger.
BLOCK_BYTES_MAX = 64 << 20
ZSTD_LEVEL = 1
ZLIB_LEVEL = 1

_OF_THREAD = threading.local()

LENGTH = Struct("<I")
CHAINED = Struct("<qqqqqqII")


class Codec(IntEnum):
    """How a block's data is packed."""

    RAW = 0
    ZLIB = 1
    ZSTD = 2


@dataclass(frozen=True, slots=True)
class Block:
    """One row of `blocks`: frames numbered first..last, with `readings` between t0 and t1 (gateway µs).

    `crc32` is over `data` as stored; `prev` is the hash of the block before, over segments too (32 zero bytes for the
    first of an epoch).
    """

    first: int
    last: int
    frames: int
    readings: int
    t0: int
    t1: int
    codec: int
    crc32: int
    prev: bytes
    data: bytes

    @property
    def hash(self) -> bytes:
        """What the next block carries as `prev`."""
        digest = hashlib.sha256(self.prev)
        digest.update(
            CHAINED.pack(self.first, self.last, self.frames, self.readings, self.t0, self.t1, self.codec, self.crc32)
        )
        digest.update(self.data)
        return digest.digest()


@dataclass(frozen=True, slots=True)
class Encoded:
    """A frame and its bytes: encoded once, when it enters the buffer."""

    frame: Frame
    data: bytes


def encode(first: int, frames: Iterable[Encoded], prev: bytes) -> Block:
    """The block of these frames, numbered from `first`."""
    listed = list(frames)
    plain = b"".join(part for f in listed for part in (LENGTH.pack(len(f.data)), f.data))
    codec, data = _pack(plain)
    times = [f.frame.gateway_us for f in listed]
    return Block(
        first,
        first + len(listed) - 1,
        len(listed),
        sum(f.frame.count for f in listed),
        min(times),
        max(times),
        codec,
        zlib.crc32(data),
        prev,
        data,
    )


def decode(block: Block) -> list[tuple[int, bytes]]:
    """Numbers and frame bytes of a block. Raises BufferDamaged when it is not what was written."""
    if zlib.crc32(block.data) != block.crc32:
        raise BufferDamaged(f"block {block.first}..{block.last}: its checksum is wrong")
    plain = _unpack(block)
    listed: list[tuple[int, bytes]] = []
    at = 0
    while at < len(plain):
        end = at + LENGTH.size
        length = LENGTH.unpack_from(plain, at)[0] if end <= len(plain) else len(plain)
        if end + length > len(plain):
            raise BufferDamaged(f"block {block.first}..{block.last}: a frame is longer than what is left")
        listed.append((block.first + len(listed), plain[end : end + length]))
        at = end + length
    if not len(listed) == block.frames == block.last - block.first + 1:
        raise BufferDamaged(f"block {block.first}..{block.last}: holds {len(listed)} frames, not {block.frames}")
    return listed


def prove(block: Block) -> None:
    """Decode every frame and compare with the row. Raises BufferDamaged."""
    try:
        frames = [Frame.decode(data) for _, data in decode(block)]
    except (FrameDamaged, UnicodeDecodeError) as error:
        raise BufferDamaged(f"block {block.first}..{block.last}: {error}") from error
    times = [f.gateway_us for f in frames]
    told = (block.readings, block.t0, block.t1)
    if not frames or told != (sum(f.count for f in frames), min(times), max(times)):
        raise BufferDamaged(f"block {block.first}..{block.last}: its frames are not those of its row")


def _pack(plain: bytes) -> tuple[Codec, bytes]:
    if zstandard is not None:
        codec, packed = Codec.ZSTD, _packer().compress(plain)
    else:
        codec, packed = Codec.ZLIB, zlib.compress(plain, ZLIB_LEVEL)
    return (codec, packed) if len(packed) < len(plain) else (Codec.RAW, plain)


def _packer() -> "zstandard.ZstdCompressor":
    """This thread's: making its tables anew for each block costs as much as packing a small one."""
    if not hasattr(_OF_THREAD, "packer"):
        _OF_THREAD.packer = zstandard.ZstdCompressor(level=ZSTD_LEVEL)
    packer: zstandard.ZstdCompressor = _OF_THREAD.packer
    return packer


def _unpack(block: Block) -> bytes:
    where = f"block {block.first}..{block.last}"
    try:
        if block.codec == Codec.RAW:
            return block.data
        if block.codec == Codec.ZLIB:
            unpacking = zlib.decompressobj()
            plain = unpacking.decompress(block.data, BLOCK_BYTES_MAX)
            if unpacking.unconsumed_tail or not unpacking.eof:
                raise BufferDamaged(f"{where}: its data does not end within {BLOCK_BYTES_MAX} bytes")
            return plain
        if block.codec == Codec.ZSTD and zstandard is not None:
            if not 0 <= zstandard.frame_content_size(block.data) <= BLOCK_BYTES_MAX:
                raise BufferDamaged(f"{where}: its data claims more than {BLOCK_BYTES_MAX} bytes")
            return zstandard.ZstdDecompressor().decompress(block.data)
    except (zlib.error, ValueError) as error:
        raise BufferDamaged(f"{where}: {error}") from error
    except Exception as error:
        if zstandard is not None and isinstance(error, zstandard.ZstdError):
            raise BufferDamaged(f"{where}: {error}") from error
        raise
    raise BufferDamaged(f"{where}: packed with codec {block.codec}, which this build can't read")
