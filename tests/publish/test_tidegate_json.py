"""Messages of version 1, key by key; and what a request may not be."""

import hashlib
import json
from struct import pack
from typing import Any

import pytest

from tests.fakes.frames import T0_US, frame, gap_frame, table
from tests.schemas import check
from tidegate.clock import ClockState, Trust
from tidegate.model.frame import Frame, Origin
from tidegate.model.gap import Gap, Why
from tidegate.model.tag import Tag, TagTable, Type
from tidegate.proof import Ranges
from tidegate.publish.formats.tidegate_json import (
    LISTED_MIN,
    LISTS_MAX,
    Answer,
    Head,
    Lane,
    Request,
    TidegateJson,
    last_of_head,
    parse_request,
)

FORMAT = TidegateJson("g1", "cloud", "tidegate")
METER = table()
EPOCH = "9f3a5c01d2e4b687"
ROOM = 100_000


def test_head_and_status_say_how_well_the_time_is_known() -> None:
    head = check("tidegate/g1/cloud/head", FORMAT.head(Head("e" * 16, 1, 2, 1, 0, ()), 77, 3, Trust.HOLDOVER))
    status = check("tidegate/g1/cloud/status", FORMAT.status(True, "0.1", "c0ffee", Trust.UNSET))

    assert (head["clk"], head["clock"]) == ("set", "holdover")
    assert (status["clk"], status["clock"]) == ("unset", "unset")


def test_a_data_message_is_the_one_of_the_format() -> None:
    gap = Gap(Why.EVICTED, 5, 6, 4000, "exact", frames=((20, 90),), epoch=EPOCH, id=12)
    pieces = [
        *FORMAT.pieces(101, EPOCH, frame(METER, 7), METER, ROOM),
        *FORMAT.pieces(102, EPOCH, gap_frame(gap), None, ROOM),
    ]

    assert json.loads(FORMAT.data(Lane.LIVE, 7, EPOCH, pieces, 108, 999)) == {
        "v": 1, "gw": "g1", "target": "cloud", "epoch": EPOCH, "lane": "live", "run": 7, "from": 101, "to": 102,
        "last": 108, "sent": 999,
        "frames": [
            {"seq": 101, "dev": "meter1", "table": METER.hash.hex(), "t": T0_US - 1000, "tags": [0, 1, 2],
             "v": [7, 7, 7]}
        ],
        "gaps": [
            {"id": 12, "seq": 102, "why": "evicted", "frames": [[20, 90]], "dev": None, "tags": None, "t0": 5, "t1": 6,
             "n": 4000, "n_is": "exact"}
        ],
        "withheld": {"frames": 0, "readings": 0},
    }  # fmt: skip


def test_a_gap_for_other_targets_is_withheld_and_counted() -> None:
    gap = Gap(Why.EVICTED, 5, 6, frames=((1, 2),), epoch=EPOCH, targets=("plant",), id=1)
    said = json.loads(FORMAT.data(Lane.LIVE, 1, EPOCH, FORMAT.pieces(3, EPOCH, gap_frame(gap), None, ROOM), 3, 0))

    assert (said["from"], said["to"], said["frames"], said["gaps"]) == (3, 3, [], [])
    assert said["withheld"] == {"frames": 1, "readings": 0}


def test_a_gap_of_an_older_epoch_says_so() -> None:
    gap = Gap(Why.LOST, 5, 6, frames=((1, 2),), epoch="0" * 16, id=1)
    (piece,) = FORMAT.pieces(3, EPOCH, gap_frame(gap), None, ROOM)

    assert json.loads(piece.data)["epoch"] == "0" * 16


def test_an_untrusted_clock_and_another_origin_are_said() -> None:
    (piece,) = FORMAT.pieces(1, EPOCH, frame(METER, clock=ClockState.UNSET, origin=Origin.BACKFILL), METER, ROOM)
    said = json.loads(piece.data)

    assert (said["clk"], said["boot"], said["mono"], said["org"]) == ("unset", 3, 12345, "backfill")


def test_a_frame_that_is_too_long_is_cut_by_readings() -> None:
    wide = table(tags=1000)
    whole = json.loads(FORMAT.pieces(5, EPOCH, frame(wide, 65535), wide, ROOM)[0].data)
    pieces = FORMAT.pieces(5, EPOCH, frame(wide, 65535), wide, 1000)
    parts = [json.loads(piece.data) for piece in pieces]

    assert all(len(piece.data) <= 1000 for piece in pieces)
    assert [part["part"] for part in parts] == [[i + 1, len(parts)] for i in range(len(parts))]
    assert [tag for part in parts for tag in part["tags"]] == whole["tags"]
    assert [value for part in parts for value in part["v"]] == whole["v"]
    assert {part["seq"] for part in parts} == {5}


def test_a_reading_that_fits_no_message_is_told_to_the_caller() -> None:
    notes = table(tags=2, kind=Type.STRING)

    with pytest.raises(ValueError, match="does not fit"):
        FORMAT.pieces(5, EPOCH, frame(notes, "x" * 2000), notes, 1000)  # type: ignore[arg-type]


def test_an_envelope_is_never_larger_than_it_is_said_to_be() -> None:
    empty = FORMAT.pieces(2**53, EPOCH, gap_frame(Gap(Why.SHED, 0, 0, targets=("plant",))), None, ROOM)

    assert len(FORMAT.data(Lane.BACKLOG, 2**53, EPOCH, empty, 2**53, 2**53)) <= FORMAT.envelope_bytes


def test_a_subscriber_can_check_the_hash_of_a_table() -> None:
    quoted = table('me"ter,"tags":[1')
    said = FORMAT.table(quoted)
    body = json.loads(said)
    hashed = said.replace(b',"hash":"' + quoted.hash.hex().encode() + b'"', b"")

    assert list(body) == ["v", "dev", "hash", "tags"]
    assert body["hash"] == hashlib.sha256(hashed).hexdigest()[:16] == quoted.hash.hex()
    assert FORMAT.table_topic(quoted) == f"tidegate/g1/cloud/table/{quoted.hash.hex()}"


def test_the_head_is_the_one_of_the_format() -> None:
    head = Head(EPOCH, 91, 108, 1, 12, (("0" * 16, 5, 9),))

    assert json.loads(FORMAT.head(head, 77, 3, ClockState.UNSET)) == {
        "v": 1, "gw": "g1", "target": "cloud", "epoch": EPOCH, "first": 91, "last": 108, "since": 1, "gaps": 12,
        "t": 77, "boot": 3, "clk": "unset", "older": [{"epoch": "0" * 16, "first": 5, "last": 9}], "chain": None,
    }  # fmt: skip


def test_the_status_is_the_one_of_the_format() -> None:
    assert json.loads(FORMAT.status(True, "0.1", "c0ffee", ClockState.SET, 1.234, 9.876, (59, 1))) == {
        "v": 1, "online": True, "version": "0.1", "config": "c0ffee", "clk": "set", "backlog_s": 1.2, "disk_days": 9.9,
        "devices": {"up": 59, "down": 1},
    }  # fmt: skip


def test_an_answer_is_the_one_of_the_format() -> None:
    answer = Answer(Request("q", EPOCH, Ranges()), Ranges([[20, 22]]), [(Ranges([[23, 30]]), "evicted")])

    assert json.loads(FORMAT.answer(answer)) == {
        "id": "q", "epoch": EPOCH, "sent": [[20, 22]], "gone": [{"frames": [[23, 30]], "why": "evicted"}],
        "withheld": [], "pending": [], "refused": None,
    }  # fmt: skip


def test_a_request_is_read() -> None:
    asked = parse_request(json.dumps({"id": "q", "epoch": EPOCH, "want": [[44, 44], [20, 30]]}).encode())

    assert asked == Request("q", EPOCH, Ranges([[20, 30], [44, 44]]))


def refused() -> list[Any]:
    good = {"id": "q", "epoch": EPOCH, "want": [[1, 2]]}
    bad: list[dict[str, Any]] = [
        {"want": [[2, 1]]}, {"want": [[0, 1]]}, {"want": [[1]]}, {"want": [[1, 2, 3]]}, {"want": [["1", 2]]},
        {"want": [[1, True]]}, {"want": [[1.0, 2]]}, {"want": [[1, 2**60]]}, {"want": {}}, {"want": None},
        {"want": [[1, 1]] * 1001}, {"id": None}, {"id": True}, {"id": "x" * 999}, {"id": []}, {"epoch": 5},
        {"epoch": "x" * 999},
    ]  # fmt: skip
    broken = [b"", b"{", b"[]", b"7", b"\xff", b"[" * 50_000, b" " * 70_000, b'"x"']
    return [*broken, *(json.dumps(good | change).encode() for change in bad)]


@pytest.mark.parametrize("payload", refused(), ids=lambda p: repr(p[:60]))
def test_what_is_no_request_is_refused_in_words(payload: bytes) -> None:
    with pytest.raises(ValueError, match=r".+"):
        parse_request(payload)


@pytest.mark.parametrize(
    "payload", [b"", b"{", b"[]", b"null", b'{"epoch":1}', b"[" * 50_000, b'{"epoch":"%b","last":"9"}']
)
def test_a_head_that_is_none_claims_nothing(payload: bytes) -> None:
    assert last_of_head(payload.replace(b"%b", EPOCH.encode()), EPOCH) == 0


def test_a_head_claims_numbers_of_its_own_epoch_only() -> None:
    head = FORMAT.head(Head(EPOCH, 91, 108, 1, 12, ()), 77, 3, ClockState.SET)

    assert last_of_head(head, EPOCH) == 108
    assert last_of_head(head, "0" * 16) == 0


def test_long_frames_of_several_groups_keep_their_own_tags_however_many_there_are() -> None:
    wide = TagTable("wide", tuple(Tag(f"t{i}", Type.UINT16, Type.UINT16) for i in range(1000)))
    spoken = TidegateJson("g1", "cloud", "tidegate")
    for first in (*range(LISTS_MAX + 20), *range(LISTS_MAX + 20)):
        tags = list(range(first, first + LISTED_MIN))
        long = Frame(
            "wide", wide.hash, LISTED_MIN, 1, 0, T0_US, pack(f"<{LISTED_MIN}I", *tags), pack("<q", T0_US), bytes(4),
            bytes(8 * LISTED_MIN),
        )  # fmt: skip
        (piece,) = spoken.pieces(1, EPOCH, long, wide, ROOM)

        assert json.loads(piece.data)["tags"] == tags
