"""Permissions: whether this user may keep the state, whether secrets are private, and whether serial ports open."""

import grp
import os
import pwd
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path

from tidegate.buffer.state import SEGMENTS
from tidegate.config.files import user_name
from tidegate.doctor.disk import nearest
from tidegate.doctor.finding import Finding, fault, ok, warning
from tidegate.publish.settings import TargetSettings

SERIAL = ("ttyUSB*", "ttyACM*", "ttyAMA*")
OTHERS = stat.S_IRWXG | stat.S_IRWXO


def examine_state(folder: Path) -> Iterator[Finding]:
    """Whether the state folder can be made, or written to, by this user."""
    user, place = user_name(), nearest(folder)
    how = f"sudo install -d -m 700 -o {user} {folder}"
    if not os.access(place, os.W_OK | os.X_OK | os.R_OK):
        verb = "write to" if place == folder.absolute() else "make a folder in"
        yield fault("state", f"user {user} may not {verb} {place} ({_owner(place)})", how)
    elif place != folder.absolute():
        yield ok("state", f"{folder} is not there yet; user {user} may make it")
    else:
        yield from _whose(folder, user)


def _whose(folder: Path, user: str) -> Iterator[Finding]:
    found = folder.stat()
    yield ok("state", f"user {user} may write to {folder} ({_owner(folder)})")
    if user == "root" and found.st_uid != os.geteuid():
        remedy = f"Ask again as the gateway's user: sudo -u {_name(found.st_uid)} tidegate doctor"
        yield warning("state", f"root may do everything, but {folder} is not root's", remedy)
    if found.st_mode & stat.S_IWOTH:
        yield fault("state", f"everybody may write to {folder}", f"chmod 700 {folder}")
    elif found.st_mode & stat.S_IXOTH and _shown(folder / SEGMENTS):
        yield warning("state", f"everybody may read the readings in {folder}", f"chmod 700 {folder}")


def _shown(segments: Path) -> bool:
    return segments.is_dir() and bool(segments.stat().st_mode & stat.S_IXOTH)


def examine_secrets(targets: Iterable[TargetSettings]) -> Iterator[Finding]:
    """Passwords were read when the configuration was loaded; private keys must be this user's alone."""
    for target in targets:
        about = f"credentials of {target.name}"
        if target.password is not None:
            yield ok(about, "the password can be read")
        if target.key is None:
            continue
        if not os.access(target.key, os.R_OK):
            how = f"sudo chown {user_name()} {target.key} && sudo chmod 600 {target.key}"
            yield fault(about, f"user {user_name()} may not read {target.key} ({_owner(target.key)})", how)
        elif target.key.stat().st_mode & (OTHERS if target.key.stat().st_uid == os.geteuid() else stat.S_IRWXO):
            how = f"chmod 600 {target.key}, unless its group is there for the gateway"
            yield warning(about, f"others may read the private key {target.key} ({_owner(target.key)})", how)
        else:
            yield ok(about, f"the private key {target.key} is private")


def examine_serial(devices: Path = Path("/dev")) -> Iterator[Finding]:
    """Whether the serial ports of this machine can be opened; their group is often dialout."""
    ports = sorted(port for pattern in SERIAL for port in devices.glob(pattern))
    shut = [port for port in ports if not os.access(port, os.R_OK | os.W_OK)]
    for port in shut:
        group = _group(port.stat().st_gid)
        how = f"sudo usermod -aG {group} {user_name()}, then log in again (or restart the service)"
        yield warning("serial", f"user {user_name()} may not open {port} ({_owner(port)})", how)
    if not shut:
        names = ", ".join(port.name for port in ports)
        yield ok("serial", f"user {user_name()} may open {names}" if ports else "this machine has no serial port")


def _owner(path: Path) -> str:
    found = path.stat()
    return f"{_name(found.st_uid)}:{_group(found.st_gid)} {stat.S_IMODE(found.st_mode):04o}"


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _group(gid: int) -> str:
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)
