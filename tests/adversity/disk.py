"""Disk: what a power cut may leave of recorded file operations. It knows no database and nothing of the buffer.

    inode    content that is safe, and writes and cuts since its last sync: none, a prefix, any, torn at 512 bytes
    folder   entries that are safe, and makings, unlinks and renames since its last sync: a prefix, or any of them

A rename within a folder is one step; from one to another it is two entries, each of which may be lost until its folder
is synced. What SQLite keeps in `-shm` it makes anew after a crash.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from struct import Struct

HEAD = Struct("<cH")
PLACE = Struct("<qI")
SECTOR = 512


@dataclass(frozen=True, slots=True)
class Op:
    """One recorded operation; see recorder.c."""

    kind: str
    path: str
    offset: int
    data: bytes


def ops(log: Path) -> Iterator[Op]:
    """The recorded operations, in order."""
    content, at = log.read_bytes(), 0
    while at < len(content):
        kind, length = HEAD.unpack_from(content, at)
        at += HEAD.size
        path = content[at : at + length].decode()
        at += length
        offset, size = PLACE.unpack_from(content, at)
        at += PLACE.size
        yield Op(kind.decode(), path, offset, content[at : at + size])
        at += size


@dataclass(slots=True, eq=False)
class Inode:
    """A file, whatever it is called."""

    safe: bytearray = field(default_factory=bytearray)
    since: list[Op] = field(default_factory=list)

    def sync(self) -> None:
        for op in self.since:
            _apply(self.safe, op)
        self.since.clear()

    def after_cut(self, random: Random) -> bytes:
        """Its content as a power cut may leave it."""
        content = bytearray(self.safe)
        chosen = list(self.since)
        match random.choice(("none", "all", "prefix", "any", "torn")):
            case "none":
                chosen = []
            case "prefix":
                chosen = chosen[: random.randint(0, len(chosen))]
            case "any":
                chosen = [op for op in chosen if random.random() < 0.5]
            case "torn":
                chosen = [_torn(op, random) for op in chosen]
        for op in chosen:
            _apply(content, op)
        return bytes(content)


def _torn(op: Op, random: Random) -> Op:
    sectors = len(op.data) // SECTOR
    if op.kind != "W" or not sectors or random.random() < 0.5:
        return op
    return Op(op.kind, op.path, op.offset, op.data[: SECTOR * random.randint(0, sectors)])


def _apply(content: bytearray, op: Op) -> None:
    end = op.offset + len(op.data)
    if op.kind == "T":
        del content[op.offset :]
    if len(content) < end:
        content.extend(bytes(end - len(content)))
    content[op.offset : end] = op.data


@dataclass(frozen=True, slots=True)
class _Entry:
    """A change of a folder's entries: made (of `inode`), unlinked, or renamed to `to`."""

    kind: str
    path: str
    inode: Inode | None = None
    to: str = ""

    def folders(self) -> set[str]:
        return {str(Path(p).parent) for p in (self.path, self.to) if p}

    def apply(self, entries: dict[str, Inode]) -> None:
        if self.kind == "C" and self.inode is not None:
            entries[self.path] = self.inode
        elif self.kind == "U":
            entries.pop(self.path, None)
        elif self.path in entries:
            entries[self.to] = entries.pop(self.path)


class Disk:
    """A disk to which operations happen, one by one."""

    def __init__(self) -> None:
        self._seen: dict[str, Inode] = {}
        self._safe: dict[str, Inode] = {}
        self._since: list[_Entry] = []

    def do(self, op: Op) -> None:
        """One more operation."""
        match op.kind:
            case "C":
                self._seen[op.path] = Inode()
                self._since.append(_Entry("C", op.path, self._seen[op.path]))
            case "U":
                self._seen.pop(op.path, None)
                self._since.append(_Entry("U", op.path))
            case "R":
                to = op.data.decode()
                inode = self._seen[to] = self._seen.pop(op.path)
                if Path(to).parent == Path(op.path).parent:
                    self._since.append(_Entry("R", op.path, to=to))
                else:
                    # Each folder's half is its own: what neither kept is gone, what both kept is there twice.
                    self._since += [_Entry("C", to, inode), _Entry("U", op.path)]
            case "S" if op.path in self._seen:
                self._seen[op.path].sync()
            case "S":
                self._sync_folder(op.path)
            case _ if op.path in self._seen:
                self._seen[op.path].since.append(op)

    def _sync_folder(self, folder: str) -> None:
        left = []
        for entry in self._since:
            if folder in entry.folders():
                entry.apply(self._safe)
            else:
                left.append(entry)
        self._since = left

    def after_cut(self, random: Random) -> dict[str, bytes]:
        """Files by path, as a power cut now may leave them."""
        entries = dict(self._safe)
        match random.choice(("none", "all", "prefix", "any")):
            case "none":
                chosen = []
            case "prefix":
                chosen = self._since[: random.randint(0, len(self._since))]
            case "any":
                chosen = [entry for entry in self._since if random.random() < 0.5]
            case _:
                chosen = self._since
        for entry in chosen:
            entry.apply(entries)
        contents: dict[Inode, bytes] = {}
        for inode in entries.values():
            if inode not in contents:
                contents[inode] = inode.after_cut(random)
        return {path: contents[inode] for path, inode in entries.items() if not path.endswith("-shm")}
