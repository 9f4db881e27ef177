"""The time zone of a device's clock: `Europe/Berlin`, `+08:00` or `UTC`, into what Python reckons with."""

import re
from datetime import UTC, timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from tidegate.model.option import Options

COLUMN = "time_zone"
HOW_TO_WRITE = "Write a place as the IANA has it (Europe/Berlin), an offset (+08:00), or UTC"

_OFFSET = re.compile(r"([+-])(\d\d):?(\d\d)", re.ASCII)
OFFSET_MINUTES_MAX = 14 * 60


def zone(text: str) -> tzinfo:
    """The zone of a text. Raises ValueError that says what is wrong with it."""
    offset = _OFFSET.fullmatch(text)
    if offset:
        minutes = int(offset[2]) * 60 + int(offset[3])
        if int(offset[3]) > 59 or minutes > OFFSET_MINUTES_MAX:
            raise ValueError(f"{text} is farther from UTC than any place")
        return timezone(timedelta(minutes=-minutes if offset[1] == "-" else minutes))
    if text.upper() in ("UTC", "Z"):
        return UTC
    try:
        return ZoneInfo(text)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f"this machine knows no time zone {text!r}") from None


def check_zone(options: Options) -> None:
    """Note what is wrong with the time zone of a device, if it has one."""
    text = options.text(COLUMN)
    try:
        if text:
            zone(text)
    except ValueError as wrong:
        options.wrong(COLUMN, str(wrong), f"{HOW_TO_WRITE}. Places are in the system's package tzdata")


def known_zone(text: str) -> tzinfo | None:
    """The zone of a text that may be none: what is wrong with it, `check_zone` tells."""
    try:
        return zone(text.strip()) if text.strip() else None
    except ValueError:
        return None
