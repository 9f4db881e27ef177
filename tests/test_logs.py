"""What is logged is one record a line, whatever is in it, with the priority that journald and JSON readers want."""

import io
import json
import logging
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate import logs

FORGED = "m1 fell silent\n<0>tidegate: all is well\r\x1b[2J\x85\u2028\u202eright to left 电表"


@pytest.fixture(autouse=True)
def root_logger() -> Iterator[None]:
    """The root logger as it was."""
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    yield
    root.handlers[:] = before
    root.setLevel(level)


def logged(stream: TextIO, path: Path, form: str, env: dict[str, str], message: str = FORGED) -> list[str]:
    logs.set_up(stream, "debug", form, env)
    log = logging.getLogger("tidegate.test")
    log.warning("%s", message)
    try:
        raise ValueError(FORGED)
    except ValueError:
        log.exception("it failed")
    stream.flush()
    return path.read_text().split("\n")[:-1]


@pytest.fixture
def stream(tmp_path: Path) -> Iterator[TextIO]:
    with (tmp_path / "log").open("w", encoding="utf-8", newline="") as stream:
        yield stream


def journal(stream: TextIO) -> dict[str, str]:
    status = os.fstat(stream.fileno())
    return {"JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino}"}


def test_foreign_text_forges_no_line(stream: TextIO, tmp_path: Path) -> None:
    first, *rest = logged(stream, tmp_path / "log", "text", {})

    assert first.endswith(
        "WARNING tidegate.test: m1 fell silent\\n<0>tidegate: all is well"
        "\\r\\x1b[2J\\x85\\u2028\\u202eright to left 电表"
    )
    assert rest[0].endswith("ERROR   tidegate.test: it failed")
    assert [line for line in rest[1:] if not line.startswith("    ")] == []


def test_journald_gets_a_priority_with_every_line_and_stamps_it_itself(stream: TextIO, tmp_path: Path) -> None:
    first, *rest = logged(stream, tmp_path / "log", "text", journal(stream))

    assert first.startswith("<4>tidegate.test: m1 fell silent")
    assert [line for line in rest if not line.startswith("<3>")] == []


@pytest.mark.parametrize("env", [{}, {"JOURNAL_STREAM": "1:2"}, {"JOURNAL_STREAM": "rubbish"}])
def test_who_is_not_connected_to_the_journal_writes_no_priorities(
    stream: TextIO, tmp_path: Path, env: dict[str, str]
) -> None:
    assert [line for line in logged(stream, tmp_path / "log", "text", env) if line.startswith("<")] == []


def test_json_is_one_object_a_line(stream: TextIO, tmp_path: Path) -> None:
    warning, error = map(json.loads, logged(stream, tmp_path / "log", "json", {}))

    assert warning["level"] == "warning"
    assert warning["logger"] == "tidegate.test"
    assert warning["message"] == FORGED
    assert warning["time"].endswith("Z")
    assert "ValueError" in error["trace"]


def test_json_for_journald_has_the_priority_before_it(stream: TextIO, tmp_path: Path) -> None:
    warning, _ = logged(stream, tmp_path / "log", "json", journal(stream))

    assert warning.startswith("<4>{")
    assert json.loads(warning[3:])["message"] == FORGED


@given(st.text())
def test_no_text_at_all_leaves_a_control_character(text: str) -> None:
    shown = logs.visible(text)
    line = json.dumps({"m": text}, ensure_ascii=False).translate(logs.JSON_ESCAPES)

    assert len(shown.splitlines()) <= 1
    assert not any(ord(c) < 0x20 or 0x7F <= ord(c) < 0xA0 for c in shown + line)
    assert json.loads(line)["m"] == text
    assert (shown + line).encode()


def test_a_stream_without_a_descriptor_is_no_journal() -> None:
    stream = io.StringIO()
    logs.set_up(stream, "info", "text", {"JOURNAL_STREAM": "1:2"})
    logging.getLogger("tidegate.test").info("hello")

    assert stream.getvalue().endswith("INFO    tidegate.test: hello\n")


def test_foreign_libraries_are_heard_from_warnings_on() -> None:
    logs.set_up(sys.stderr, "debug", "text", {})

    assert not logging.getLogger("paho").isEnabledFor(logging.INFO)
    assert logging.getLogger("paho").isEnabledFor(logging.WARNING)
