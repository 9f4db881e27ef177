"""Tidegate JSON, version 1: what each message of a target says (formats §3). It knows no broker and no lane's order.

<prefix>/<gateway>/<target>/  live  backlog  replay          data: frames and gaps, and the numbers they cover
                              table/<hash>  head  status     retained
                              request  answer                a subscriber asks for numbers again
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from tidegate.clock import ClockState, Trust
from tidegate.model.frame import U32, Frame, Kind, Origin
from tidegate.model.gap import Gap
from tidegate.model.tag import TagTable
from tidegate.proof import Ranges
from tidegate.twins import choose

if TYPE_CHECKING:
    from tidegate.publish.formats import _json_py as twin
else:
    twin = choose("tidegate.publish.formats._json")

VERSION = 1
REQUEST_BYTES_MAX = 65_536
REQUEST_RANGES_MAX = 1_000
REQUEST_ID_CHARACTERS_MAX = 128
EPOCH_CHARACTERS_MAX = 64
NUMBER_MAX = 2**53 - 1
# Room for the numbers in a data message's own keys, over the fixed text.
ENVELOPE_BYTES = 288
# From so many readings on the list of tags of a frame is kept, at most so many lists.
LISTED_MIN, LISTS_MAX = 64, 256


class Lane(StrEnum):
    """The lanes of a target; also the last level of their topics."""

    LIVE = "live"
    BACKLOG = "backlog"
    REPLAY = "replay"


@dataclass(frozen=True, slots=True)
class Piece:
    """What a data message says of one number: its frame or one part of it, its gap, or that it is withheld.

    `data` is the frame's or gap's JSON object, b"" when it is withheld. `part` counts from 1.
    """

    number: int
    data: bytes
    readings: int
    table: bytes | None = None
    gap: bool = False
    part: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class Head:
    """What a target's retained head says."""

    epoch: str
    first: int
    last: int
    since: int
    gaps: int
    older: tuple[tuple[str, int, int], ...]


@dataclass(frozen=True, slots=True)
class Request:
    """A subscriber's wish to get numbers of an epoch again."""

    id: str | int
    epoch: str
    want: Ranges


@dataclass(slots=True)
class Answer:
    """What became of a request. `pending` was not sent again, since it is still on its way for the first time."""

    request: Request
    sent: Ranges = field(default_factory=Ranges)
    gone: list[tuple[Ranges, str]] = field(default_factory=list)
    pending: Ranges = field(default_factory=Ranges)
    refused: str | None = None


class TidegateJson:
    """The messages of one target of one gateway."""

    def __init__(self, gateway: str, target: str, prefix: str) -> None:
        self._gateway = gateway
        self._target = target
        self._stem = f"{prefix}/{gateway}/{target}"
        self._opening = f'{{"v":{VERSION},"gw":{_dumps(gateway)},"target":{_dumps(target)},"epoch":'
        # The part of a frame's object that is the same for all frames of a table.
        self._middles: dict[tuple[bytes, str], bytes] = {}
        # Lists of tags, those that came first.
        self._lists: dict[bytes, bytes] = {}

    def topic(self, leaf: str) -> str:
        """The full topic of `live`, `head`, ...: a Lane is its own leaf."""
        return f"{self._stem}/{leaf}"

    def table_topic(self, table: TagTable) -> str:
        """Where a tag table is retained."""
        return self.topic(f"table/{table.hash.hex()}")

    @property
    def envelope_bytes(self) -> int:
        """An upper bound of what a data message has around its frames and gaps."""
        return len(self._opening.encode()) + ENVELOPE_BYTES

    def pieces(self, number: int, epoch: str, frame: Frame, table: TagTable | None, bytes_max: int) -> list[Piece]:
        """What is to be said of one number, cut by readings into parts of at most `bytes_max` where it is too long.

        `table` may be missing for a gap. Raises ValueError when the frame is not what its table says, or can't be cut
        small enough.
        """
        if frame.kind == Kind.GAP:
            return [self._gap(number, epoch, frame)]
        if table is None:
            raise ValueError(f"frame {number} needs a tag table")
        whole = self._frame(number, frame, table, 0, frame.count, None)
        if len(whole) <= bytes_max:
            return [Piece(number, whole, frame.count, frame.table)]
        parts = -(-len(whole) // bytes_max)
        while parts < frame.count:
            parts += 1
            made = self._parts(number, frame, table, parts)
            if all(len(piece.data) <= bytes_max for piece in made):
                return made
        raise ValueError(f"frame {number} has a reading that does not fit {bytes_max} bytes")

    def _parts(self, number: int, frame: Frame, table: TagTable, parts: int) -> list[Piece]:
        cuts = [frame.count * i // parts for i in range(parts + 1)]
        return [
            Piece(
                number, self._frame(number, frame, table, start, stop, (i + 1, parts)), stop - start,
                frame.table, part=(i + 1, parts),
            )
            for i, (start, stop) in enumerate(pairwise(cuts))
        ]  # fmt: skip

    def _frame(
        self, number: int, frame: Frame, table: TagTable, start: int, stop: int, part: tuple[int, int] | None
    ) -> bytes:
        middle = self._middles.get((frame.table, frame.device))
        if middle is None:
            middle = f',"dev":{_dumps(frame.device)},"table":"{frame.table.hex()}",'.encode()
            self._middles[frame.table, frame.device] = middle
        tail = b"}"
        if frame.clock != ClockState.SET or frame.origin != Origin.LIVE or part is not None:
            tail = _tail(frame, part)
        return twin.frame(
            b'{"seq":%d' % number + middle, tail, table.types, frame.count, start, stop, frame.tags,
            frame.source_us, frame.server_us, frame.status, frame.values, frame.side,
            self._listed(frame) if stop - start == frame.count else b"",
        )  # fmt: skip

    def _listed(self, frame: Frame) -> bytes:
        """The list of a long frame's tags: a group has the same ones each time, and they are half of its numbers."""
        if frame.count < LISTED_MIN or len(frame.tags) != U32.size * frame.count:
            return b""
        listed = self._lists.get(frame.tags)
        if listed is None:
            if len(self._lists) >= LISTS_MAX:
                return b""
            listed = ",".join(str(tag) for (tag,) in U32.iter_unpack(frame.tags)).encode()
            self._lists[frame.tags] = listed
        return listed

    def _gap(self, number: int, epoch: str, frame: Frame) -> Piece:
        try:
            gap = Gap.decode(frame.side)
        except (KeyError, TypeError) as error:
            raise ValueError(f"frame {number} holds no gap: {error!r}") from None
        if gap.targets and self._target not in gap.targets:
            return Piece(number, b"", 0)
        told: dict[str, Any] = {
            "id": gap.id,
            "seq": number,
            "why": gap.why.value,
            "frames": [list(r) for r in gap.frames],
        }
        if gap.frames and gap.epoch not in ("", epoch):
            # Numbers of an older epoch, told in the stream of this one.
            told["epoch"] = gap.epoch
        told |= {
            "dev": gap.device, "tags": list(gap.tags) if gap.tags is not None else None, "t0": gap.t0, "t1": gap.t1,
            "n": gap.n, "n_is": gap.n_is,
        }  # fmt: skip
        if frame.clock != ClockState.SET:
            told |= {"clk": ClockState(frame.clock).name.lower(), "boot": frame.boot, "mono": frame.mono_us}
        return Piece(number, _dumps(told).encode(), 0, gap=True)

    def data(self, lane: Lane, run: int, epoch: str, pieces: Sequence[Piece], last: int, sent_us: int) -> bytes:
        """A data message; `pieces` are of one unbroken stretch of numbers. `last` is the last committed number."""
        withheld = [piece for piece in pieces if not piece.data]
        opening = (
            f'{self._opening}"{epoch}","lane":"{lane.value}","run":{run},"from":{pieces[0].number},'
            f'"to":{pieces[-1].number},"last":{last},"sent":{sent_us},"frames":['
        )
        closing = f'],"withheld":{{"frames":{len(withheld)},"readings":{sum(p.readings for p in withheld)}}}}}'
        frames = b",".join([piece.data for piece in pieces if piece.data and not piece.gap])
        gaps = b",".join([piece.data for piece in pieces if piece.gap])
        return b"".join((opening.encode(), frames, b'],"gaps":[', gaps, closing.encode()))

    def table(self, table: TagTable) -> bytes:
        """A tag table with its hash; without the hash it is byte by byte what was hashed."""
        before, key, after = table.document.partition(b',"tags":[')
        return before + b',"hash":"' + table.hash.hex().encode() + b'"' + key + after

    def head(self, head: Head, now_us: int, boot: int, clock: ClockState | Trust) -> bytes:
        """The head: what exists and what this target is owed of it."""
        said = {
            "v": VERSION, "gw": self._gateway, "target": self._target, "epoch": head.epoch, "first": head.first,
            "last": head.last, "since": head.since, "gaps": head.gaps, "t": now_us, "boot": boot,
            **_clock(clock), "older": [{"epoch": e, "first": a, "last": b} for e, a, b in head.older],
            "chain": None,
        }  # fmt: skip
        return _dumps(said).encode()

    def status(
        self, online: bool, version: str, config: str, clock: ClockState | Trust, backlog_s: float | None = None,
        disk_days: float | None = None, devices: tuple[int, int] | None = None,
    ) -> bytes:  # fmt: skip
        """The status, also the will; `devices` are how many are up and down. What is not known is null."""
        said = {
            "v": VERSION, "online": online, "version": version, "config": config, **_clock(clock),
            "backlog_s": None if backlog_s is None else round(backlog_s, 1),
            "disk_days": None if disk_days is None else round(disk_days, 1),
            "devices": None if devices is None else {"up": devices[0], "down": devices[1]},
        }  # fmt: skip
        return _dumps(said).encode()

    def answer(self, answer: Answer) -> bytes:
        """What became of a request."""
        said = {
            "id": answer.request.id, "epoch": answer.request.epoch, "sent": answer.sent.pairs,
            "gone": [{"frames": ranges.pairs, "why": why} for ranges, why in answer.gone], "withheld": [],
            "pending": answer.pending.pairs, "refused": answer.refused,
        }  # fmt: skip
        return _dumps(said).encode()


def parse_request(payload: bytes) -> Request:
    """A request of a subscriber, whoever that is: untrusted. Raises ValueError that says what is wrong."""
    if len(payload) > REQUEST_BYTES_MAX:
        raise ValueError(f"a request of {len(payload)} bytes; at most {REQUEST_BYTES_MAX}")
    try:
        asked = json.loads(payload)
    except RecursionError:
        raise ValueError("a request nested too deeply") from None
    if not isinstance(asked, dict):
        raise ValueError("a request is a JSON object")
    name, epoch, want = asked.get("id"), asked.get("epoch"), asked.get("want")
    if isinstance(name, bool) or not isinstance(name, (str, int)) or len(str(name)) > REQUEST_ID_CHARACTERS_MAX:
        raise ValueError(f"a request's id is a text or number of at most {REQUEST_ID_CHARACTERS_MAX} characters")
    if not isinstance(epoch, str) or len(epoch) > EPOCH_CHARACTERS_MAX:
        raise ValueError("a request's epoch is a text")
    if not isinstance(want, list) or len(want) > REQUEST_RANGES_MAX:
        raise ValueError(f"a request wants a list of at most {REQUEST_RANGES_MAX} ranges")
    ranges = Ranges()
    for pair in want:
        if not isinstance(pair, list) or len(pair) != 2 or not all(type(n) is int for n in pair):
            raise ValueError("a range is [first, last]")
        if not 0 < pair[0] <= pair[1] <= NUMBER_MAX:
            raise ValueError(f"a range of numbers begins at 1 or above and does not end before it begins: {pair}")
        ranges.add(pair[0], pair[1])
    return Request(name, epoch, ranges)


def last_of_head(payload: bytes, epoch: str) -> int:
    """The last number that a retained head claims for this epoch; 0 when it is of another, or no head at all."""
    try:
        said = json.loads(payload)
        last = said["last"] if said["epoch"] == epoch else 0
    except (ValueError, KeyError, TypeError, RecursionError):
        return 0
    return last if type(last) is int else 0


def _tail(frame: Frame, part: tuple[int, int] | None) -> bytes:
    """The rare keys at the end of a frame's object."""
    keys = ""
    if frame.clock != ClockState.SET:
        keys += f',"clk":"{ClockState(frame.clock).name.lower()}","boot":{frame.boot},"mono":{frame.mono_us}'
    if frame.origin != Origin.LIVE:
        keys += f',"org":"{Origin(frame.origin).name.lower()}"'
    if part is not None:
        keys += f',"part":[{part[0]},{part[1]}]'
    return (keys + "}").encode()


def _clock(clock: ClockState | Trust) -> dict[str, str]:
    """Whether the clock is set, and how well, where that is known."""
    if isinstance(clock, Trust):
        return {"clk": clock.state.name.lower(), "clock": clock.name.lower()}
    return {"clk": clock.name.lower()}


def _dumps(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
