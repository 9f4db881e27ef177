"""Power cuts at test size, and that the harness sees what it is for: two mutations of the disk's history are caught."""

from pathlib import Path
from random import Random

import pytest

from tests.adversity.disk import Disk, Op, ops
from tests.adversity.power import campaign, record, try_states

STATES = 80


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return record(tmp_path_factory.mktemp("power"))


def test_no_power_cut_loses_what_was_committed(tmp_path: Path) -> None:
    outcome, _ = campaign(STATES, tmp_path, seed=5)

    assert () == outcome.wrong
    assert outcome.frames - outcome.closed > 20 * STATES


def test_the_writer_does_everything_that_a_buffer_does(log: Path) -> None:
    done = list(ops(log))
    renamed = [op for op in done if op.kind == "R"]

    assert {"C", "W", "S", "T", "U", "R"} == {op.kind for op in done}
    assert any("-salvaged" in op.path for op in done)
    assert any("/quarantine/" in op.data.decode() for op in renamed)
    assert [op for op in done if op.kind == "U" and op.path.endswith(".db")] != []


@pytest.mark.parametrize("lost", ["-wal", ".db", "/segments"])
def test_a_writer_that_does_not_sync_is_caught(log: Path, tmp_path: Path, lost: str) -> None:
    """The same history with syncs of one kind of file left out is what a buffer without them would have written."""
    mutant = tmp_path / "log"
    with mutant.open("wb") as file:
        for op in ops(log):
            if op.kind != "S" or not op.path.endswith(lost):
                path = op.path.encode()
                head = op.kind.encode() + len(path).to_bytes(2, "little") + path
                file.write(head + op.offset.to_bytes(8, "little") + len(op.data).to_bytes(4, "little") + op.data)
    total = sum(1 for _ in ops(mutant))

    assert try_states(mutant, list(range(200, total, total // 25)), seed=1).wrong != ()


def test_what_is_not_synced_may_be_lost_and_what_is_stays() -> None:
    disk = Disk()
    for op in (
        Op("C", "/w/a", 0, b""), Op("W", "/w/a", 0, b"safe"), Op("S", "/w/a", 0, b""), Op("S", "/w", 0, b""),
        Op("W", "/w/a", 4, b"more"), Op("C", "/w/b", 0, b""), Op("R", "/w/a", 0, b"/w/c"),
    ):  # fmt: skip
        disk.do(op)
    states = [disk.after_cut(Random(seed)) for seed in range(200)]
    contents = {content for files in states for path, content in files.items() if path != "/w/b"}

    assert {b"safe", b"safemore"} == contents
    assert {"/w/a", "/w/c"} == {path for files in states for path in files} - {"/w/b"}
    assert all(("/w/a" in files) != ("/w/c" in files) for files in states)
    assert {True, False} == {"/w/b" in files for files in states}


def test_half_of_a_rename_between_folders_may_be_lost() -> None:
    states: set[frozenset[str]] = set()
    for synced in ("", "/w", "/w/q"):
        disk = Disk()
        for op in (
            Op("C", "/w/a", 0, b""),
            Op("S", "/w/a", 0, b""),
            Op("S", "/w", 0, b""),
            Op("R", "/w/a", 0, b"/w/q/a"),
        ):
            disk.do(op)
        disk.do(Op("S", synced, 0, b""))
        found = {frozenset(disk.after_cut(Random(seed))) for seed in range(100)}
        states |= found
        assert synced != "/w" or all("/w/a" not in files for files in found)
        assert synced != "/w/q" or all("/w/q/a" in files for files in found)

    assert {frozenset(files) for files in ([], ["/w/a"], ["/w/q/a"], ["/w/a", "/w/q/a"])} == states
