"""Each stage by itself against the usual way of writing it, nanoseconds a reading; interleaved, medians.

The material is one poll of a load unit, a u32 and 123 words, and for shaping 125 words with a scale and a deadband.
"""

import asyncio
import dataclasses
import json
import pickle
import random
import sqlite3
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from struct import pack

from pymodbus.client import AsyncModbusTcpClient

from tests.bench.figures import Figure, against, nanoseconds
from tidegate.buffer.buffer import Buffer
from tidegate.buffer.settings import BufferSettings
from tidegate.clock import Clock
from tidegate.model.frame import ALL_GOOD, I64, U32, Frame
from tidegate.model.tag import Scale, Tag, TagTable, Type
from tidegate.publish.formats.tidegate_json import Lane, TidegateJson
from tidegate.shape.shaper import Shaper
from tidegate_drivers.modbus import codec
from tidegate_drivers.modbus.point import Function, Point

REGISTERS = 125
ROUNDS = 7
TRIES = 40
FRAMES_A_MESSAGE = 32
FRAMES_A_COMMIT = 32
COMMITS = 10
NOW_US = 1_800_000_000_000_000

Stage = tuple[Callable[[], object], Callable[[], object], int]


@dataclass
class UsualReading:
    """The object a reading usually is."""

    name: str
    value: float
    timestamp: int
    quality: str


def tags(count: int, **more: object) -> tuple[Tag, ...]:
    """So many words as tags."""
    first = Tag("r000", Type.UINT16, Type.UINT16)
    return tuple(dataclasses.replace(first, name=f"r{i:03d}", **more) for i in range(count))  # type: ignore[arg-type]


def frame(table: TagTable, values: list[int]) -> Frame:
    """A poll of these words."""
    return Frame(
        table.device, table.hash, len(values), 1, 1, NOW_US, b"".join(map(U32.pack, range(len(values)))),
        I64.pack(NOW_US), ALL_GOOD, b"".join(map(I64.pack, values)),
    )  # fmt: skip


TABLE = TagTable("unit001", tags(REGISTERS))
NAMES = [f"plant1/line1/unit001/{tag.name}" for tag in TABLE.tags]
WORDS = [random.Random(1).randrange(1 << 16) for _ in range(REGISTERS)]


def readings(values: list[int]) -> list[UsualReading]:
    """The same poll as objects."""
    return [UsualReading(name, value, NOW_US // 1000, "GOOD") for name, value in zip(NAMES, values, strict=True)]


def decode() -> Stage:
    """A reply's bytes into values."""
    block = pack(f">{REGISTERS}H", *WORDS)
    points = [Point(Function.HOLDING, i, 1, Type.UINT16) for i in range(REGISTERS)]
    steps = b"".join(codec.step(i, point, 0) for i, point in enumerate(points))
    values = bytearray(8 * REGISTERS)
    kind, convert = AsyncModbusTcpClient.DATATYPE.UINT16, AsyncModbusTcpClient.convert_from_registers
    return (
        lambda: codec.decode(block, steps, values),
        lambda: [convert(WORDS[i : i + 1], kind) for i in range(REGISTERS)],
        REGISTERS,
    )


def shape() -> Stage:
    """Scale by 0.1 and a deadband, every value of which has changed enough to be reported."""
    table = TagTable("unit001", tags(REGISTERS, type=Type.FLOAT64, scale=Scale(1, 10), deadband=0.5))
    shaper = Shaper([table])
    words = [[(word + 997 * turn) % 65536 for word in WORDS] for turn in range(2)]
    turns = [frame(table, values) for values in words]
    last: dict[str, float] = {}
    at = [0]

    def ours() -> Frame | None:
        at[0] ^= 1
        return shaper.shape(turns[at[0]])

    def usual() -> list[UsualReading]:
        at[0] ^= 1
        kept = []
        for name, word in zip(NAMES, words[at[0]], strict=True):
            value = round(word * 0.1, 3)
            if name not in last or abs(value - last[name]) > 0.5:
                last[name] = value
                kept.append(UsualReading(name, value, NOW_US // 1000, "GOOD"))
        return kept

    return ours, usual, REGISTERS


def keep_bytes() -> Stage:
    """To bytes and back, as between two stages with a disk in between."""
    whole, objects = frame(TABLE, WORDS), readings(WORDS)
    return lambda: Frame.decode(whole.encode()), lambda: pickle.loads(pickle.dumps(objects)), REGISTERS


def encode() -> Stage:
    """Messages: many frames in one, against a message a reading."""
    whole = frame(TABLE, WORDS)
    form = TidegateJson("g1", "cloud", "tidegate")

    def ours() -> bytes:
        pieces = [piece for i in range(FRAMES_A_MESSAGE) for piece in form.pieces(i, "aa", whole, TABLE, 1 << 20)]
        return form.data(Lane.LIVE, 1, "aa", pieces, FRAMES_A_MESSAGE, NOW_US)

    objects = readings(WORDS)

    def usual() -> list[str]:
        return [json.dumps(dataclasses.asdict(r)) for _ in range(FRAMES_A_MESSAGE) for r in objects]

    return ours, usual, FRAMES_A_MESSAGE * REGISTERS


def commits(folder: Path) -> tuple[float, float]:
    """Nanoseconds of CPU a reading, put and committed with FULL: ours and a row a reading, a transaction a poll."""
    frames = [frame(TABLE, [(word + 31 * turn) % 65536 for word in WORDS]) for turn in range(COMMITS * FRAMES_A_COMMIT)]
    ours_ns = asyncio.run(_put_all(folder / "ours", frames))
    begin = time.process_time_ns()
    _rows(folder / "usual.db")
    return ours_ns / (len(frames) * REGISTERS), (time.process_time_ns() - begin) / (COMMITS * REGISTERS)


async def _put_all(folder: Path, frames: list[Frame]) -> int:
    settings = BufferSettings(folder=folder, commit_readings=FRAMES_A_COMMIT * REGISTERS)
    buffer = Buffer.open(settings, Clock(), ["cloud"])
    buffer.know(TABLE)
    await buffer.start()
    begin = time.process_time_ns()
    for i, each in enumerate(frames, 1):
        await buffer.put(each)
        if i % FRAMES_A_COMMIT == 0:
            await buffer.flush()
    spent_ns = time.process_time_ns() - begin
    await buffer.close()
    return spent_ns


def _rows(path: Path) -> None:
    rows = sqlite3.connect(path, isolation_level=None)
    rows.execute("pragma journal_mode = wal")
    rows.execute("pragma synchronous = full")
    rows.execute("create table reading (id integer primary key, name text, ts integer, value real, q text)")
    for _ in range(COMMITS):
        rows.execute("begin")
        for r in readings(WORDS):
            row = (r.name, r.timestamp, r.value, r.quality)
            rows.execute("insert into reading (name, ts, value, q) values (?, ?, ?, ?)", row)
        rows.execute("commit")
    rows.close()


def measure() -> list[Figure]:
    """All figures of the stages."""
    figures = []
    for name, made in (
        ("decode 125 registers", decode()),
        ("shape: scale and deadband", shape()),
        ("frame to bytes and back", keep_bytes()),
        ("encode to JSON", encode()),
    ):
        ours, usual, count = made
        pairs = [(nanoseconds(ours, count, TRIES), nanoseconds(usual, count, TRIES // 4)) for _ in range(ROUNDS)]
        figures.append(against(name, "ns a reading", [a for a, _ in pairs], [b for _, b in pairs]))
    both = []
    for _ in range(ROUNDS):
        with tempfile.TemporaryDirectory(prefix="tidegate-bench-") as folder:
            both.append(commits(Path(folder)))
    figures.append(against("commit with FULL", "ns CPU a reading", [a for a, _ in both], [b for _, b in both]))
    return figures
