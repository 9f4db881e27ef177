"""Decodes every golden file and compares what it finds with what was put in. Imports nothing of Tidegate.

    python tests/golden/decode.py [FOLDER] [--print]

A second, independent reading of docs/formats.md. It needs the standard library, and zstandard for segments that were
packed with it. Exits 1 when a file is not as documented, or does not hold what its expected JSON says.

    frame/*.bin      one frame each                           frame/<name>.json   what is in it
    disk/            control.db and segments/ of a buffer     disk/expected.json
    wire/*.json      one message each, as it was sent         wire/expected.json
"""

import hashlib
import json
import sqlite3
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path
from struct import Struct
from typing import Any

HEADER = Struct("<BBBBBBHII16s8sIIqq")
KINDS = {1: "data", 2: "gap", 3: "event"}
CLOCKS = ("set", "unset", "corrected")
ORIGINS = ("live", "backfill", "substituted")
# Name, width, and how one item is read. The value column is read by the tag's type.
COLUMNS = (("tags", "<I"), ("source", "<q"), ("server", "<q"), ("status", "<I"), ("values", "<8s"))
NO_SERVER_TIME = 0x80
FLOATS = {"float32": ("<f", 4), "float64": ("<d", 8)}
BLOCK_ROW = "first, last, frames, readings, t0, t1, codec, crc32, prev, data"
BLOCK_BYTES_MAX = 64 << 20


class Wrong(Exception):
    """Bytes that are not as documented."""


def demand(so: bool, what: str) -> None:
    """Raise Wrong unless it is so."""
    if not so:
        raise Wrong(what)


# Values: [type, value], and for floats the bits too, since -0.0 and NaN don't compare.


def floating(kind: str, raw: bytes) -> list[Any]:
    """A float of so many little-endian bytes."""
    (value,) = Struct(FLOATS[kind][0]).unpack(raw)
    return [kind, repr(value), raw[::-1].hex()]


def value_of(kind: str, slot: bytes, side: bytes) -> list[Any]:
    """The value in an 8-byte slot of a frame."""
    if kind in FLOATS:
        width = FLOATS[kind][1]
        demand(not any(slot[width:]), f"a {kind} slot with something after its {width} bytes")
        return floating(kind, slot[:width])
    if kind == "string":
        offset, length = Struct("<II").unpack(slot)
        demand(offset + length <= len(side), "a string that ends after the side bytes")
        return [kind, side[offset : offset + length].decode("utf-8")]
    if kind == "bool":
        return [kind, any(slot)]
    return [kind, int.from_bytes(slot, "little", signed=not kind.startswith("u"))]


# Frames


def decode_frame(data: bytes) -> dict[str, Any]:
    """Header and columns of a frame, constants spread out to lists."""
    demand(len(data) >= HEADER.size + 4, "shorter than a header")
    (
        version, kind, clock, origin, constant, zero, name_bytes, count, side_bytes, zeros, table, boot, zero32, mono,
        gateway,
    ) = HEADER.unpack_from(data)  # fmt: skip
    demand(version == 1, f"frame version {version}")
    demand(int.from_bytes(data[-4:], "little") == zlib.crc32(data[:-4]), "wrong checksum")
    demand(not (zero or zero32 or any(zeros)), "reserved bytes that are not zero")
    at = HEADER.size
    frame: dict[str, Any] = {
        "kind": KINDS[kind], "device": data[at : at + name_bytes].decode("utf-8"), "table": table.hex(),
        "clock": CLOCKS[clock], "origin": ORIGINS[origin], "boot": boot, "mono_us": mono, "gateway_us": gateway,
    }  # fmt: skip
    at += name_bytes
    for bit, (name, layout) in enumerate(COLUMNS):
        if name == "server" and constant & NO_SERVER_TIME:
            frame[name] = [None] * count
            continue
        item = Struct(layout)
        stored = 1 if constant >> bit & 1 and count > 1 else count
        column = [item.unpack_from(data, at + i * item.size)[0] for i in range(stored)]
        frame[name] = column * count if stored < count else column
        at += stored * item.size
    frame["side"] = data[at : at + side_bytes]
    demand(at + side_bytes + 4 == len(data), "a length that is not what the header says")
    return frame


def frame_content(data: bytes, tables: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """What a frame says, with names instead of indexes."""
    frame = decode_frame(data)
    columns = [frame.pop(name) for name, _ in COLUMNS]
    side = frame.pop("side")
    if frame["kind"] == "gap":
        return frame | {"gap": json.loads(side)}
    tags = tables[frame["table"]]["tags"]
    readings = []
    for tag, source, server, status, slot in zip(*columns, strict=True):
        value = value_of(tags[tag]["type"], slot, side)
        readings.append([tags[tag]["name"], source, server, status, value])
    return frame | {"readings": readings}


# Tables


def table_of(document: bytes, digest: str) -> dict[str, Any]:
    """A tag table; its hash is the first half of a SHA-256's first half."""
    demand(hashlib.sha256(document).hexdigest()[:16] == digest, f"table {digest} has another hash")
    return dict(json.loads(document))


# Segments and control.db


def unpack(codec: int, data: bytes) -> bytes:
    """A block's bytes before they were packed."""
    if codec == 2:
        import zstandard

        return bytes(zstandard.ZstdDecompressor().decompress(data, max_output_size=BLOCK_BYTES_MAX))
    demand(codec in (0, 1), f"codec {codec}")
    return zlib.decompress(data) if codec == 1 else data


def split(plain: bytes) -> Iterator[bytes]:
    """The frames of a block."""
    at = 0
    while at < len(plain):
        length = int.from_bytes(plain[at : at + 4], "little")
        demand(0 < length <= len(plain) - at - 4, "a frame that is longer than its block")
        yield plain[at + 4 : at + 4 + length]
        at += 4 + length


def opened(path: Path, newest: int = 1) -> sqlite3.Connection:
    """A database that nobody changes, of version 1 up to the newest."""
    demand(not path.with_name(path.name + "-wal").exists(), f"{path.name} has a journal")
    db = sqlite3.connect(path.absolute().as_uri() + "?mode=ro&immutable=1", uri=True)
    (version,) = db.execute("PRAGMA user_version").fetchone()
    demand(1 <= version <= newest, f"{path.name} is of version {version}")
    db.row_factory = sqlite3.Row
    return db


def segment(path: Path) -> dict[str, Any]:
    """Everything in a sealed segment, each block proven: CRC, count, numbers, chain of hashes."""
    db = opened(path)
    epoch, first, before, _ = db.execute("SELECT epoch, first, before, made_us FROM meta").fetchone()
    demand(path.name == f"{epoch}-{first}.db", f"{path.name} says {epoch}-{first}")
    tables = {
        digest.hex(): table_of(document, digest.hex())
        for digest, document in db.execute("SELECT hash, document FROM tables")
    }
    frames: dict[int, dict[str, Any]] = {}
    number, chain = first, before
    for row in db.execute(f"SELECT {BLOCK_ROW} FROM blocks ORDER BY first"):
        where = f"{path.name}, block {row['first']}"
        demand(row["first"] == number, f"{where}: the block before ended at {number - 1}")
        demand(zlib.crc32(row["data"]) == row["crc32"], f"{where}: wrong checksum")
        demand(row["prev"] == chain, f"{where}: is not chained to the block before")
        listed = [frame_content(frame, tables) for frame in split(unpack(row["codec"], row["data"]))]
        demand(len(listed) == row["frames"] == row["last"] - row["first"] + 1, f"{where}: wrong count")
        readings = sum(len(frame.get("readings", ())) for frame in listed)
        times = [frame["gateway_us"] for frame in listed]
        demand((readings, min(times), max(times)) == (row["readings"], row["t0"], row["t1"]), f"{where}: wrong sums")
        frames |= dict(enumerate(listed, number))
        number = row["last"] + 1
        fixed = Struct("<qqqqqqII").pack(*(row[name] for name in BLOCK_ROW.split(", ")[:8]))
        chain = hashlib.sha256(row["prev"] + fixed + row["data"]).digest()
    return {"epoch": epoch, "first": first, "last": number - 1, "before": before, "hash": chain, "frames": frames}


def proven(row: sqlite3.Row, *names: str) -> dict[str, Any]:
    """These columns of a row that carries a CRC-32 of them as text."""
    text = "\n".join(str(row[name]) for name in names)
    demand(zlib.crc32(text.encode()) == row["crc32"], f"a row with a wrong checksum: {text!r}")
    return {name: row[name] for name in names}


def control(path: Path) -> dict[str, Any]:
    """Epochs, cursors, boots and the ledger. Version 2 has one table more."""
    db = opened(path, newest=2)
    cursors = [proven(row, "target", "epoch", "since", "upto", "above") for row in db.execute("SELECT * FROM cursors")]
    for cursor in cursors:
        cursor["above"] = json.loads(cursor["above"])
    ledger = [dict(row) for row in db.execute("SELECT * FROM ledger ORDER BY id")]
    for row in ledger:
        for name in ("frames", "targets", "tags"):
            row[name] = None if row[name] is None else json.loads(row[name])
    for digest, document in db.execute("SELECT hash, document FROM tables"):
        table_of(document, digest.hex())
    return {
        "epochs": [
            proven(row, "ordinal", "epoch", "floor") for row in db.execute("SELECT * FROM epochs ORDER BY ordinal")
        ],
        "cursors": cursors,
        "ledger": ledger,
        "boots": [dict(row) for row in db.execute("SELECT boot, wall_us, mono_us, clock FROM boots ORDER BY boot")],
        "clean": db.execute("SELECT clean FROM box").fetchone()[0],
        "segments": [dict(row) for row in db.execute("SELECT * FROM segments ORDER BY epoch, first")],
    }


def disk(folder: Path) -> dict[str, Any]:
    """A closed buffer, with every reference between its files followed."""
    known = control(folder / "control.db")
    frames: dict[int, dict[str, Any]] = {}
    chain = bytes(32)
    for row in known.pop("segments"):
        found = segment(folder / "segments" / f"{row['epoch']}-{row['first']}.db")
        demand(found["before"] == chain, f"segment {row['first']} is not chained to the one before")
        told = (row["sealed"], row["last"], row["hash"], row["frames"])
        demand(told == (1, found["last"], found["hash"], len(found["frames"])), f"segment {row['first']}: wrong row")
        frames, chain = frames | found["frames"], found["hash"]
    for row in known["ledger"]:
        carried = frames[row["carrier"]]
        demand(carried["kind"] == "gap" and carried["gap"]["id"] == row["id"], f"gap {row['id']}: wrong carrier")
    return known | {"frames": [[number, frames[number]] for number in sorted(frames)]}


# Messages


def wire_value(kind: str, value: Any) -> list[Any] | None:
    """A value of a message, exactly."""
    if value is None:
        return None
    if kind in FLOATS:
        return floating(kind, Struct(FLOATS[kind][0]).pack(value))
    if kind not in ("bool", "string"):
        demand(isinstance(value, str) == (abs(int(value)) > 2**53 - 1), f"{value!r} is written in the wrong way")
        return [kind, int(value)]
    return [kind, value]


def spread(value: Any, count: int) -> list[Any]:
    """A list as it is, one value for all."""
    demand(not isinstance(value, list) or len(value) == count, "lists of unequal length")
    return value if isinstance(value, list) else [value] * count


def message_rows(body: dict[str, Any], tables: dict[str, dict[str, Any]]) -> Iterator[list[Any]]:
    """A row a reading: epoch, seq, part, device, tag, t, ts, status, clk, org, value."""
    for frame in body["frames"]:
        tags, count = tables[frame["table"]]["tags"], len(frame["tags"])
        columns = [spread(frame.get(name, absent), count) for name, absent in (("t", 0), ("ts", None), ("st", 0))]
        part = frame.get("part", [1, 1])
        for tag, value, t, ts, st in zip(frame["tags"], frame["v"], *columns, strict=True):
            demand(value is None or st < 0x80000000, "a bad value that looks like a good one")
            exact = wire_value(tags[tag]["type"], value)
            clk, org = frame.get("clk", "set"), frame.get("org", "live")
            yield [body["epoch"], frame["seq"], part, frame["dev"], tags[tag]["name"], t, ts, st, clk, org, exact]


def held(body: dict[str, Any]) -> int:
    """How many of its numbers from..to a data message holds or withholds. Raises Wrong when that is not all."""
    numbers = {entry["seq"] for entry in (*body["frames"], *body["gaps"])}
    demand(all(body["from"] <= number <= body["to"] <= body["last"] for number in numbers), "a number outside")
    claimed, found = body["to"] - body["from"] + 1, len(numbers) + body["withheld"]["frames"]
    demand(claimed == found, f"claims {claimed} numbers and holds {found}")
    return claimed


def wire(folder: Path) -> dict[str, Any]:
    """All messages in the order of their names."""
    tables: dict[str, dict[str, Any]] = {}
    rows, gaps, covered, kinds = [], [], 0, []
    for path in sorted(folder.glob("[0-9]*.json")):
        payload = path.read_bytes().split(b"\n", 1)[0]
        body = json.loads(payload)
        kinds.append(path.stem.split("-")[1])
        demand(kinds[-1] in ("request", "answer") or body["v"] == 1, f"{path.name}: version {body.get('v')}")
        if kinds[-1] == "table":
            digest = body["hash"]
            tables[digest] = table_of(payload.replace(f'"hash":"{digest}",'.encode(), b"", 1), digest)
        elif "frames" in body:
            demand(body["lane"] == kinds[-1], f"{path.name}: lane {body['lane']}")
            covered += held(body)
            rows += message_rows(body, tables)
            gaps += body["gaps"]
    return {"kinds": kinds, "covered": covered, "gaps": gaps, "readings": rows}


# The command


def contents(root: Path) -> Iterator[tuple[Path, Any]]:
    """What was decoded, with the file that says what it should be."""
    tables = {}
    for path in sorted((root / "frame").glob("table-*.json")):
        digest = path.stem.removeprefix("table-")
        tables[digest] = table_of(path.read_bytes(), digest)
    for path in sorted((root / "frame").glob("*.bin")):
        yield path.with_suffix(".json"), frame_content(path.read_bytes(), tables)
    yield root / "disk" / "expected.json", disk(root / "disk")
    yield root / "wire" / "expected.json", wire(root / "wire")


def difference(expected: Any, found: Any, at: str = "") -> str:
    """Where two JSON values differ first; "" when they don't."""
    if isinstance(expected, dict) and isinstance(found, dict) and expected.keys() == found.keys():
        return next((d for key in expected if (d := difference(expected[key], found[key], f"{at}.{key}"))), "")
    if isinstance(expected, list) and isinstance(found, list) and len(expected) == len(found):
        pairs = enumerate(zip(expected, found, strict=True))
        return next((d for i, (a, b) in pairs if (d := difference(a, b, f"{at}[{i}]"))), "")
    same = type(expected) is type(found) and expected == found
    return "" if same else f"at {at}: expected {expected!r}, found {found!r}"


def main(arguments: list[str]) -> int:
    """Decode and compare; the exit code."""
    folders = [argument for argument in arguments if not argument.startswith("--")]
    root = Path(folders[0]) if folders else Path(__file__).parent
    wrong = count = 0
    try:
        for path, found in contents(root):
            count += 1
            unlike = difference(json.loads(path.read_text("utf-8")), json.loads(json.dumps(found)))
            wrong += bool(unlike)
            print(f"{'WRONG' if unlike else 'ok   '}  {path.relative_to(root)}  {unlike}".rstrip())
            if "--print" in arguments:
                print(json.dumps(found, ensure_ascii=False, indent=1))
    except (Wrong, ValueError, KeyError, IndexError, TypeError, sqlite3.Error, zlib.error) as error:
        print(f"WRONG  {type(error).__name__}: {error}")
        wrong += 1
    print(f"{count} golden files decoded, {wrong} wrong")
    return 1 if wrong or not count else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
