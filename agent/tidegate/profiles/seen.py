"""Seen: who devices said they were, kept in one small file beside the buffer. It judges nothing.

{"crc32": u32 of the devices' text, "devices": {name: {"table", "accepted", "found", "offer"}}}
"""

import json
import logging
import os
import zlib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

FILE = "identities.json"
BYTES_MAX = 16 * 1024 * 1024

log = logging.getLogger("tidegate.profiles")


@dataclass(frozen=True, slots=True)
class Seen:
    """Who a device says it is, and to which question: vendor, model and firmware as it tells them."""

    question: str
    vendor: str
    model: str
    firmware: str

    def __str__(self) -> str:
        named = " ".join(part for part in (self.vendor, self.model) if part) or "of no name"
        return f"{named}, firmware {self.firmware}" if self.firmware else named


@dataclass(frozen=True, slots=True)
class Entry:
    """What is kept of a device: the table that it was accepted under, as whom, and whom it was found to be since."""

    table: str
    accepted: Seen
    found: Seen | None = None
    offer: str = ""


class SeenFile:
    """The file in a state folder. It is written whole, under another name first, and proven when it is read."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE

    def read(self) -> dict[str, Entry]:
        """What is kept. A file that is not what was written is put aside and told: its devices are then seen anew."""
        try:
            if self._path.stat().st_size > BYTES_MAX:
                raise ValueError("it is too large")
            tree = json.loads(self._path.read_bytes())
            if tree["crc32"] != _checksum(tree["devices"]):
                raise ValueError("its checksum is wrong")
            return {name: _entry(one) for name, one in tree["devices"].items()}
        except FileNotFoundError:
            return {}
        except (ValueError, TypeError, KeyError, AttributeError) as wrong:
            self._put_aside(str(wrong))
        except OSError as error:
            log.error("%s can't be read (%s): devices are accepted as they are found now", self._path, error)
        return {}

    def write(self, entries: Mapping[str, Entry]) -> None:
        """Keep these, for good when it returns. Raises OSError."""
        devices = {name: asdict(entry) for name, entry in sorted(entries.items())}
        beside = self._path.with_suffix(".new")
        with beside.open("w", encoding="utf-8") as file:
            json.dump({"crc32": _checksum(devices), "devices": devices}, file, ensure_ascii=False)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, self._path)
        folder = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def _put_aside(self, wrong: str) -> None:
        aside = self._path.with_suffix(".damaged")
        log.error("%s is damaged (%s), and is put aside as %s: devices are accepted as they are found now, so look at "
                  "each with `tidegate profile identify`", self._path, wrong, aside.name)  # fmt: skip
        with suppress(OSError):
            os.replace(self._path, aside)


class Forgetful:
    """Keeps nothing: for whoever only looks."""

    def write(self, entries: Mapping[str, Entry]) -> None:
        """See Keep."""


def _checksum(devices: Any) -> int:
    return zlib.crc32(json.dumps(devices, sort_keys=True).encode())


def _entry(tree: Mapping[str, Any]) -> Entry:
    found = tree["found"]
    return Entry(tree["table"], Seen(**tree["accepted"]), Seen(**found) if found else None, tree["offer"])
