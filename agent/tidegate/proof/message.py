"""Message: what of a target's messages (Tidegate JSON, version 1) bears on the proof. All that comes in is untrusted.

It reads numbers, parts, gaps and coverage, and nothing of the values.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tidegate.proof.ranges import Ranges

VERSION = 1
NUMBER_MAX = 2**53 - 1
TEXT_CHARACTERS_MAX = 256
PARTS_MAX = 65_536
# Lists with an item a reading, or one value for all.
COLUMNS = ("t", "st", "ts")


class ProofError(ValueError):
    """A message or a saved state that proves nothing: it is not what the format says."""


class UnknownVersion(ProofError):
    """A message of a version that this reader does not know; what it says must not be guessed."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A frame, or part `part` (from 1) of the `of` parts that it was cut into; a gap is a piece without readings."""

    number: int
    readings: int
    part: int = 1
    of: int = 1


@dataclass(frozen=True, slots=True)
class Told:
    """A gap: numbers of `epoch` in `closes` will not come; without such, `readings` never got a number."""

    id: int
    why: str
    epoch: str
    closes: Ranges
    readings: int


@dataclass(frozen=True, slots=True)
class Data:
    """A data message: `first`..`to` is what it claims to cover, `last` the last committed number.

    `oldest_us` is the earliest time of a reading whose clock was right (µs UTC), None where there is none.
    """

    gateway: str
    target: str
    epoch: str
    lane: str
    run: int
    first: int
    to: int
    last: int
    pieces: tuple[Piece, ...]
    gaps: tuple[Told, ...]
    withheld_frames: int
    withheld_readings: int
    oldest_us: int | None


@dataclass(frozen=True, slots=True)
class Head:
    """A head: this target is owed since..last of `epoch`, of which `first` is the lowest number that is still kept.

    `older` is (epoch, first, last) of what still drains.
    """

    gateway: str
    target: str
    epoch: str
    since: int
    first: int
    last: int
    older: tuple[tuple[str, int, int], ...]


@dataclass(frozen=True, slots=True)
class Answer:
    """What an answer says will not come: `gone` with the reason, and what policy withholds."""

    epoch: str
    gone: tuple[tuple[str, Ranges], ...]
    withheld: Ranges


def parse(payload: bytes) -> dict[str, Any]:
    """The JSON object of a payload, up to the first line feed (after it there may be a seal). Raises ProofError."""
    try:
        body = json.loads(payload.split(b"\n", 1)[0])
    except (ValueError, RecursionError) as error:
        raise ProofError(f"a message that is not JSON: {error}") from None
    if not isinstance(body, dict):
        raise ProofError("a message that is not a JSON object")
    return body


def read(body: Mapping[str, Any]) -> Data | Head | Answer | None:
    """What a message says about coverage; None when it says nothing of that (status, table, request, receipt).

    Raises UnknownVersion, or ProofError when it is not as the format says.
    """
    try:
        if "id" in body and "sent" in body:
            return _answer(body)
        if "id" in body and "want" in body:
            return None
        if body.get("v") != VERSION or isinstance(body["v"], bool):
            raise UnknownVersion(f"a message of version {body.get('v')!r}; this reader knows version {VERSION}")
        if "frames" in body:
            return _data(body)
        return _head(body) if "since" in body else None
    except ProofError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ProofError(f"a message that is not as the format says: {error!r}") from None


def pairs(value: Any) -> Ranges:
    """Ranges as messages and files have them: [[first, last], ...]. Raises ProofError, TypeError or ValueError."""
    return Ranges((whole(first), whole(last)) for first, last in value)


def whole(value: Any, least: int = 0) -> int:
    """A number of the numbering. Raises ProofError."""
    if type(value) is not int or not least <= value <= NUMBER_MAX:
        raise ProofError(f"{value!r} is no whole number from {least}")
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= TEXT_CHARACTERS_MAX:
        raise ProofError(f"{value!r} is no name")
    return value


def _data(body: Mapping[str, Any]) -> Data:
    epoch, first, to = _text(body["epoch"]), whole(body["from"], 1), whole(body["to"], 1)
    if to < first:
        raise ProofError(f"a message that covers {first}..{to}")
    frames, gaps = body["frames"], body.get("gaps", ())
    pieces = [_piece(frame) for frame in frames] + [Piece(whole(gap["seq"], 1), 0) for gap in gaps]
    if not all(first <= piece.number <= to for piece in pieces):
        raise ProofError(f"a message of {first}..{to} that holds other numbers")
    withheld = body.get("withheld") or {"frames": 0, "readings": 0}
    return Data(
        _text(body["gw"]), _text(body["target"]), epoch, _text(body["lane"]), whole(body["run"]), first, to,
        whole(body["last"]), tuple(pieces), tuple(_told(gap, epoch) for gap in gaps), whole(withheld["frames"]),
        whole(withheld["readings"]), _oldest_us(frames),
    )  # fmt: skip


def _piece(frame: Mapping[str, Any]) -> Piece:
    number, readings = whole(frame["seq"], 1), len(frame["tags"])
    columns = [frame[name] for name in COLUMNS if isinstance(frame.get(name), list)]
    if len(frame["v"]) != readings or any(len(column) != readings for column in columns):
        raise ProofError(f"frame {number}: lists of unequal length")
    if "part" not in frame:
        return Piece(number, readings)
    part, of = frame["part"]
    if not 1 <= whole(part, 1) <= whole(of, 1) <= PARTS_MAX:
        raise ProofError(f"part {part} of {of}")
    return Piece(number, readings, part, of)


def _told(gap: Mapping[str, Any], epoch: str) -> Told:
    closes = pairs(gap.get("frames") or ())
    readings = 0 if closes else whole(gap["n"])
    return Told(whole(gap["id"], 1), _text(gap["why"]), _text(gap.get("epoch", epoch)), closes, readings)


def _oldest_us(frames: Any) -> int | None:
    oldest: int | None = None
    for frame in frames:
        t = frame["t"]
        earliest = min(t, default=None) if isinstance(t, list) else t
        if earliest is not None and "clk" not in frame and (oldest is None or earliest < oldest):
            oldest = earliest
    return oldest


def _head(body: Mapping[str, Any]) -> Head:
    older = tuple((_text(e["epoch"]), whole(e["first"]), whole(e["last"])) for e in body.get("older", ()))
    return Head(
        _text(body["gw"]), _text(body["target"]), _text(body["epoch"]), whole(body["since"]), whole(body["first"]),
        whole(body["last"]), older,
    )  # fmt: skip


def _answer(body: Mapping[str, Any]) -> Answer:
    gone = tuple((_text(entry["why"]), pairs(entry["frames"])) for entry in body.get("gone", ()))
    return Answer(_text(body["epoch"]), gone, pairs(body.get("withheld", ())))
