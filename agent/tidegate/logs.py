"""Logs: one record a line, as text or JSON, with priorities where journald reads along. It decides nothing about what.

What a device, a broker or a file says may hold control characters; here they become visible escapes, so that no
foreign text can forge a line or steer a terminal.
"""

import json
import logging
import os
import time
from collections.abc import Mapping
from typing import TextIO

FORMATS = ("text", "json")
LEVELS = ("debug", "info", "warning", "error")
# journald reads the priority from the head of a line: sd-daemon(3), numbers of syslog(3).
PRIORITIES = {logging.CRITICAL: 2, logging.ERROR: 3, logging.WARNING: 4, logging.INFO: 6, logging.DEBUG: 7}
RECORD_CHARS_MAX = 16_384
# Lines of a traceback stand indented under their record.
UNDER = "    "
# C0, DEL and C1; line ends that are no \n; what turns the direction of writing; halves of a pair.
_CONTROL = [
    *range(0x20), *range(0x7F, 0xA0), 0x200E, 0x200F, 0x2028, 0x2029, *range(0x202A, 0x202F), *range(0x2066, 0x206A),
    *range(0xD800, 0xE000),
]  # fmt: skip
ESCAPES = {code: f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" for code in _CONTROL}
ESCAPES |= {0x09: "\\t", 0x0A: "\\n", 0x0D: "\\r"}
# Inside JSON every character may be written so; those below 0x20 are already.
JSON_ESCAPES = {code: f"\\u{code:04x}" for code in _CONTROL if code >= 0x20}


def visible(text: str) -> str:
    """The text with every control character as an escape that can be seen."""
    return text.translate(ESCAPES)


class Lines(logging.Formatter):
    """Text: time (unless journald stamps it), level, logger, message; a traceback indented under it."""

    def __init__(self, journal: bool) -> None:
        super().__init__()
        self._journal = journal

    def format(self, record: logging.LogRecord) -> str:
        """One record, without its last line end."""
        text = visible(record.getMessage())[:RECORD_CHARS_MAX]
        head = f"{record.name}: {text}"
        if not self._journal:
            head = f"{_time(record)} {record.levelname:<7} {head}"
        lines = [head, *(UNDER + visible(line) for line in _trace(self, record).splitlines())]
        priority = _priority(record) if self._journal else ""
        return "\n".join(priority + line for line in lines)


class Json(logging.Formatter):
    """One JSON object a line: time (UTC), level, logger, message, and `trace` where there is one."""

    def __init__(self, journal: bool) -> None:
        super().__init__()
        self._journal = journal

    def format(self, record: logging.LogRecord) -> str:
        """One record."""
        said = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage()[:RECORD_CHARS_MAX],
        }
        trace = _trace(self, record)
        if trace:
            said["trace"] = trace
        line = json.dumps(said, ensure_ascii=False).translate(JSON_ESCAPES)
        return (_priority(record) if self._journal else "") + line


def set_up(stream: TextIO, level: str, form: str, env: Mapping[str, str]) -> None:
    """Log to `stream` from now on: `level` one of LEVELS, `form` one of FORMATS."""
    journal = _read_by_journald(stream, env)
    handler = logging.StreamHandler(stream)
    handler.setFormatter(Json(journal) if form == "json" else Lines(journal))
    logging.basicConfig(handlers=[handler], level=level.upper(), force=True)
    # Foreign libraries log whole messages at INFO and below.
    for foreign in ("paho", "asyncio"):
        logging.getLogger(foreign).setLevel(logging.WARNING)


def _read_by_journald(stream: TextIO, env: Mapping[str, str]) -> bool:
    """Whether the stream is the one that systemd connected to the journal (JOURNAL_STREAM is its device:inode)."""
    try:
        status = os.fstat(stream.fileno())
    except (OSError, ValueError):
        return False
    return env.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"


def _priority(record: logging.LogRecord) -> str:
    reached = [number for level, number in PRIORITIES.items() if record.levelno >= level]
    return f"<{min(reached, default=7)}>"


def _time(record: logging.LogRecord) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{int(record.msecs):03d}Z"


def _trace(formatter: logging.Formatter, record: logging.LogRecord) -> str:
    return formatter.formatException(record.exc_info)[-RECORD_CHARS_MAX:] if record.exc_info else ""
