"""Serial ports of this machine: what each is, its name that stays, who has it open. It opens none and asks no device.

Sources: Linux, Documentation/ABI/testing/sysfs-tty and sysfs-bus-usb; udev(7); proc(5) on locks and fd.
"""

import grp
import os
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

# What a rule of udev may hold: a device says its texts itself, and they end up in a file that root reads.
PLAIN = re.compile(r"[A-Za-z0-9._:+@-]+")
NO_NAME = re.compile(r"[^A-Za-z0-9._-]+")
BY_PATH = re.compile(r"(.+?)(?:-port(\d+))?")
# The type of a ttyS that has no hardware.
NO_UART = "0"
TEXT_CHARS_MAX = 200
PARENTS_MAX = 16
GROUP = "dialout"


@dataclass(frozen=True, slots=True)
class Holder:
    """A process that has a port open."""

    pid: int
    name: str


@dataclass(frozen=True, slots=True)
class SerialPort:
    """One port. `device` is its name of now; texts are "" where the system has none.

    `stays` is the name to write into a configuration, `why` it is that one. `lock_pid` is 0 when nobody has locked it.
    """

    device: str
    driver: str = ""
    vendor_id: str = ""
    product_id: str = ""
    vendor: str = ""
    product: str = ""
    serial: str = ""
    interface: str = ""
    number: str = ""
    by_id: tuple[str, ...] = ()
    by_path: tuple[str, ...] = ()
    group: str = ""
    holders: tuple[Holder, ...] = ()
    lock_pid: int = 0
    stays: str = ""
    why: str = ""
    rule: str = ""


@dataclass(slots=True)
class Machine:
    """Where a machine shows its ports; tests have trees of their own."""

    dev: Path = Path("/dev")
    sys: Path = Path("/sys")
    proc: Path = Path("/proc")
    _links: dict[str, dict[str, list[str]]] = field(default_factory=dict)

    def ports(self, group: str = GROUP) -> list[SerialPort]:
        """All serial ports with hardware behind them, in the order of their names; ptys are none."""
        self._links = {folder: self._linked(self.dev / "serial" / folder) for folder in ("by-id", "by-path")}
        names = sorted(self._names(), key=_natural)
        found = [self._port(name) for name in names]
        twins = Counter(_identity(port) for port in found)
        return [_named(port, twins[_identity(port)] > 1, group) for port in found]

    def _names(self) -> Iterator[str]:
        """Ports that have a device behind them, and a node."""
        folder = self.sys / "class" / "tty"
        for entry in folder.iterdir() if folder.is_dir() else ():
            if not (entry / "device").exists() or not (self.dev / entry.name).exists():
                continue
            if entry.name.startswith("ttyS") and _text(entry / "type") == NO_UART:
                continue
            yield entry.name

    def _port(self, name: str) -> SerialPort:
        node, entry = self.dev / name, self.sys / "class" / "tty" / name
        device = (entry / "device").resolve()
        interface, usb = "", None
        for parent in [device, *device.parents][:PARENTS_MAX]:
            interface = interface or _text(parent / "bInterfaceNumber")
            if (parent / "idVendor").is_file():
                usb = parent
                break

        def said(file: str) -> str:
            return _text(usb / file) if usb is not None else ""

        driver = (device / "driver").resolve() if (device / "driver").exists() else None
        return SerialPort(
            str(node),
            driver.name if driver else "",
            said("idVendor"),
            said("idProduct"),
            said("manufacturer"),
            said("product"),
            said("serial"),
            interface=interface,
            number=_text(device / "port_number"),
            by_id=tuple(self._links["by-id"].get(name, ())),
            by_path=tuple(self._links["by-path"].get(name, ())),
            group=_group(node),
            holders=tuple(self._holders(node)),
            lock_pid=self._lock_pid(node),
        )

    def _linked(self, folder: Path) -> dict[str, list[str]]:
        """By the port that they lead to, the links of a folder."""
        found: dict[str, list[str]] = {}
        for link in sorted(folder.iterdir()) if folder.is_dir() else ():
            target = link.resolve()
            if target.parent == self.dev.resolve():
                found.setdefault(target.name, []).append(str(link))
        return found

    def _holders(self, node: Path) -> Iterator[Holder]:
        """Processes that have it open, as far as this user may see: only root sees those of others."""
        for process in sorted(self.proc.glob("[0-9]*"), key=lambda path: _natural(path.name)):
            try:
                descriptors = list((process / "fd").iterdir())
            except OSError:
                continue
            for descriptor in descriptors:
                try:
                    target = os.readlink(descriptor)
                except OSError:
                    continue
                if target == str(node):
                    yield Holder(int(process.name), _text(process / "comm"))
                    break

    def _lock_pid(self, node: Path) -> int:
        """Who holds its flock, as /proc/locks says: `1: FLOCK ADVISORY WRITE 4711 00:05:341 0 EOF`."""
        try:
            found = node.stat()
            lines = (self.proc / "locks").read_text().splitlines()
        except OSError:
            return 0
        place = f"{os.major(found.st_dev):02x}:{os.minor(found.st_dev):02x}:{found.st_ino}"
        for line in lines:
            words = line.split()
            # A line with an arrow is one who waits.
            if len(words) >= 6 and words[1] == "FLOCK" and words[5] == place and words[4].isdigit():
                return int(words[4])
        return 0


def _identity(port: SerialPort) -> tuple[str, ...]:
    """What tells one adapter's port from another's."""
    if not port.vendor_id:
        return (port.device,)
    return port.vendor_id, port.product_id, port.serial, port.interface, port.number


def _named(port: SerialPort, twin: bool, group: str) -> SerialPort:
    """With its name that stays, the reason, and a rule of udev that gives it one of ours."""
    if not port.vendor_id:
        stays, why = port.device, "a port of the board, whose name stays"
    elif port.serial and not twin:
        stays = port.by_id[0] if port.by_id else port.device
        why = "the adapter has a serial number: the name goes with it"
    else:
        stays = port.by_path[0] if port.by_path else port.device
        reason = "another adapter has the same serial number" if port.serial else "the adapter has no serial number"
        why = f"{reason}: the name goes with the socket that it is plugged into"
    if port.vendor_id and stays == port.device:
        why = "udev gives it no name that stays: is it running? This one changes with the order of plugging"
    own = port.serial if port.serial and not twin and PLAIN.fullmatch(port.serial) else ""
    return replace(port, stays=stays, why=why, rule=_rule(port, own, group))


def _rule(port: SerialPort, serial: str, group: str) -> str:
    """One line for /etc/udev/rules.d; "" where nothing is known that such a rule could go by."""
    name = Path(port.device).name
    if not port.vendor_id:
        matches, own = [f'KERNEL=="{name}"'], name
    elif serial:
        matches = [
            f'ATTRS{{idVendor}}=="{port.vendor_id}"', f'ATTRS{{idProduct}}=="{port.product_id}"',
            f'ATTRS{{serial}}=="{serial}"',
        ]  # fmt: skip
        own = serial
        if port.interface and port.interface != "00":
            matches.append(f'ENV{{ID_USB_INTERFACE_NUM}}=="{port.interface}"')
            own += f"-if{port.interface}"
        if port.number and port.number != "0":
            matches.append(f'ENV{{.ID_PORT}}=="{port.number}"')
            own += f"-port{port.number}"
    elif port.by_path:
        place = BY_PATH.fullmatch(Path(port.by_path[0]).name)
        assert place is not None
        matches = [f'ENV{{ID_PATH}}=="{place[1]}"']
        matches += [f'ENV{{.ID_PORT}}=="{place[2]}"'] if place[2] else []
        own = Path(port.by_path[0]).name
    else:
        return ""
    if not all(PLAIN.fullmatch(match.split('"')[1]) for match in matches) or not PLAIN.fullmatch(group):
        return ""
    link = "tidegate-" + NO_NAME.sub("-", own)
    # A modem manager would send its commands over the line.
    sets = [f'SYMLINK+="{link}"', f'GROUP="{group}"', 'MODE="0660"', 'ENV{ID_MM_PORT_IGNORE}="1"']
    return ", ".join(['SUBSYSTEM=="tty"', *matches, *sets])


def _natural(name: str) -> list[tuple[int, str]]:
    """ttyUSB2 before ttyUSB10."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", name)]


def _text(path: Path) -> str:
    """The text of a file of /sys or /proc; "" when it is not there. A device says it: it may be anything."""
    try:
        return path.read_bytes()[:TEXT_CHARS_MAX].decode(errors="replace").strip()
    except OSError:
        return ""


def _group(node: Path) -> str:
    try:
        number = node.stat().st_gid
    except OSError:
        return ""
    try:
        return grp.getgrgid(number).gr_name
    except KeyError:
        return str(number)
