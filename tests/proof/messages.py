"""Messages as a target sends them, made by hand; each is checked against its schema."""

import json
from typing import Any

from tests.schemas import check
from tidegate.proof import Proof

EPOCH = "9f3a5c01d2e4b687"
OLDER = "00c0ffee00c0ffee"
T0_US = 1_800_000_000_000_000


def proof_of(*messages: bytes) -> Proof:
    """All of them taken at 0 s."""
    proof = Proof()
    for message in messages:
        proof.take(message, 0.0)
    return proof


def data(
    first: int,
    to: int,
    *,
    lane: str = "live",
    run: int = 1,
    epoch: str = EPOCH,
    last: int | None = None,
    without: tuple[int, ...] = (),
    gaps: tuple[dict[str, Any], ...] = (),
    withheld: tuple[int, int] = (0, 0),
    part: tuple[int, int] | None = None,
    readings: int = 2,
    gw: str = "g1",
) -> bytes:
    """A data message with a frame for every number that is neither in `without` nor a gap's."""
    told = {gap["seq"] for gap in gaps}
    frames = [
        frame(number, readings, part) for number in range(first, to + 1) if number not in without and number not in told
    ]
    body = {
        "v": 1, "gw": gw, "target": "cloud", "epoch": epoch, "lane": lane, "run": run, "from": first, "to": to,
        "last": last or to, "sent": T0_US, "frames": frames, "gaps": list(gaps),
        "withheld": {"frames": withheld[0], "readings": withheld[1]},
    }  # fmt: skip
    return checked(lane, body)


def frame(number: int, readings: int = 2, part: tuple[int, int] | None = None) -> dict[str, Any]:
    """A frame of integers."""
    made: dict[str, Any] = {
        "seq": number, "dev": "meter1", "table": "0123456789abcdef", "t": T0_US + number,
        "tags": list(range(readings)), "v": [number] * readings,
    }  # fmt: skip
    return made | ({"part": list(part)} if part else {})


def gap(
    seq: int, id: int = 1, why: str = "device_down", frames: tuple[tuple[int, int], ...] = (), epoch: str = ""
) -> dict[str, Any]:
    """A gap of 40 readings, or of numbers."""
    told = {
        "id": id, "seq": seq, "why": why, "frames": [list(pair) for pair in frames], "dev": None, "tags": None,
        "t0": T0_US, "t1": T0_US + 1, "n": 40, "n_is": "exact",
    }  # fmt: skip
    return told | ({"epoch": epoch} if epoch else {})


def head(
    last: int, since: int = 1, first: int = 1, epoch: str = EPOCH, older: tuple[tuple[str, int, int], ...] = ()
) -> bytes:
    """A head."""
    return checked("head", {
        "v": 1, "gw": "g1", "target": "cloud", "epoch": epoch, "first": first, "last": last, "since": since, "gaps": 0,
        "t": T0_US, "boot": 1, "clk": "set", "older": [{"epoch": e, "first": a, "last": b} for e, a, b in older],
        "chain": None,
    })  # fmt: skip


def answer(
    gone: tuple[tuple[str, int, int], ...] = (), withheld: tuple[tuple[int, int], ...] = (), epoch: str = EPOCH
) -> bytes:
    """An answer."""
    return checked("answer", {
        "id": "someone-1", "epoch": epoch, "sent": [],
        "gone": [{"frames": [[a, b]], "why": why} for why, a, b in gone],
        "withheld": [list(pair) for pair in withheld], "refused": None,
    })  # fmt: skip


def checked(leaf: str, body: dict[str, Any]) -> bytes:
    """The payload of a message that is as its schema says."""
    payload = json.dumps(body).encode()
    check(f"tidegate/g1/cloud/{leaf}", payload)
    return payload
