"""Boards that a gateway may run on: what lies in firmware-profiles/gateways, and which of them this machine is."""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

PACKAGE = "tidegate_profiles"
ENDING = ".toml"


@dataclass(frozen=True, slots=True)
class SerialPort:
    """Ports of one kind; `port` is a pattern of names in /dev. With a `limit` they won't do, and `remedy` helps."""

    port: str
    uart: str
    sources: tuple[str, ...]
    limit: str = ""
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class BoardWatchdog:
    """The hardware watchdog: its longest timeout, how its driver comes to be there, and how systemd feeds it."""

    timeout_s_max: int
    enable: str
    arm: str


@dataclass(frozen=True, slots=True)
class Board:
    """One board. `models` are patterns of the device tree's model, `dmi` of the vendor that a PC names.

    `console` is how the console is taken off a port. `unlimited` is a word of the kernel's command line that leaves
    services without a limit of memory, `limited` how to undo that. `flash` is a pattern of disks that wear, `swap` how
    to keep swap off them. "" is what the board has nothing to say of.
    """

    id: str
    name: str
    models: tuple[str, ...]
    dmi: tuple[str, ...]
    sources: Mapping[str, str]
    serial: tuple[SerialPort, ...]
    console: str
    watchdog: BoardWatchdog
    unlimited: str = ""
    limited: str = ""
    flash: str = ""
    swap: str = ""

    def port(self, name: str) -> SerialPort | None:
        """What is known of a port of this name."""
        return next((one for one in self.serial if fnmatchcase(name, one.port)), None)


def boards(folder: Traversable | None = None) -> list[Board]:
    """The boards of a folder, the shipped ones unless told. Raises ValueError that names the file."""
    place = folder if folder is not None else resources.files(PACKAGE).joinpath("gateways")
    files = sorted((file for file in place.iterdir() if file.name.endswith(ENDING)), key=lambda file: file.name)
    return [_board(file.name.removesuffix(ENDING), file.read_text(encoding="utf-8")) for file in files]


def recognise(known: Sequence[Board], root: Path = Path("/")) -> tuple[Board | None, str]:
    """Which board a machine is, and what it calls itself; None for none of them, "" where it does not say."""
    model = _text(root / "proc/device-tree/model")
    if model:
        return next((b for b in known if any(fnmatchcase(model, p) for p in b.models)), None), model
    dmi = root / "sys/class/dmi/id"
    vendor = _text(dmi / "sys_vendor")
    said = " ".join(part for part in (vendor, _text(dmi / "product_name")) if part)
    return next((b for b in known if said and any(fnmatchcase(vendor, p) for p in b.dmi)), None), said


def _board(id: str, text: str) -> Board:
    try:
        tree = tomllib.loads(text)
        sources = {one["id"]: f"{one['document']}; {one['place']}" for one in tree["sources"]}
        watchdog, memory, wear = tree["watchdog"], tree.get("memory", {}), tree.get("wear", {})
        sections = [*tree["serial"], tree["console"], watchdog, *(part for part in (memory, wear) if part)]
        strange = [name for section in sections for name in section["sources"] if name not in sources]
        if strange:
            raise ValueError(f"there is no source {strange[0]!r}")
        return Board(
            id, tree["name"], tuple(tree.get("models", ())), tuple(tree.get("dmi", ())), sources,
            tuple(_port(one) for one in tree["serial"]), tree["console"]["remedy"],
            BoardWatchdog(watchdog["timeout_s_max"], watchdog["enable"], watchdog["arm"]),
            memory.get("unlimited", ""), memory.get("remedy", ""), wear.get("flash", ""), wear.get("swap", ""),
        )  # fmt: skip
    except KeyError as missing:
        raise ValueError(f"gateways/{id}{ENDING}: there is no key {missing}") from None
    except (ValueError, TypeError) as wrong:
        raise ValueError(f"gateways/{id}{ENDING}: {wrong}") from None


def _port(tree: Mapping[str, Any]) -> SerialPort:
    return SerialPort(tree["port"], tree["uart"], tuple(tree["sources"]), tree.get("limit", ""), tree.get("remedy", ""))


def _text(path: Path) -> str:
    """What a file of the kernel says, without the NUL at its end; "" where there is none."""
    try:
        return path.read_bytes().partition(b"\0")[0].decode("utf-8", "replace").strip()
    except OSError:
        return ""
