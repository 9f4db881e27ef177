"""The board: which one this is, its serial ports and who speaks on them, its watchdog, memory limits and swap."""

from collections.abc import Collection, Iterator
from fnmatch import fnmatchcase
from pathlib import Path

from tidegate.doctor.finding import Finding, ok, warning
from tidegate.profiles.board import Board, boards, recognise

ROOT = Path("/")


def examine_board(used: Collection[str] = (), root: Path = ROOT) -> Iterator[Finding]:
    """What is to be said of this machine; `used` are the serial ports of the configuration, as paths. It opens none."""
    board, said = recognise(boards(), root)
    if board is None:
        if said:
            yield ok("board", f"{said}: nothing particular is known of it")
        return
    yield ok("board", f"{said}: {board.name} (gateways/{board.id}.toml)")
    yield from _ports(board, root, used)
    yield from _watchdog(board, root)
    yield from _memory(board, root)
    yield from _swap(board, root)


def _ports(board: Board, root: Path, used: Collection[str]) -> Iterator[Finding]:
    there = sorted(path.name for path in (root / "dev").glob("tty*") if board.port(path.name) is not None)
    wanted = {_name(root, path) for path in used}
    consoles = _consoles(root)
    for name in there:
        port = board.port(name)
        if port is None or (name not in wanted and (port.limit or name in consoles)):
            # What nobody uses may be as it is.
            continue
        if name in consoles:
            what = f"{name} is a device's, and the console of this machine speaks on it as well"
            yield warning("serial port", what, board.console)
        elif port.limit:
            yield warning("serial port", f"{name} ({port.uart}): {port.limit}", port.remedy)
        else:
            yield ok("serial port", f"{name}: {port.uart}")


def _name(root: Path, path: str) -> str:
    """The port's own name behind links such as /dev/serial0."""
    place = root / path.lstrip("/")
    return place.resolve().name if place.exists() else place.name


def _consoles(root: Path) -> set[str]:
    words = _text(root / "proc/cmdline").split()
    named = {word.removeprefix("console=").partition(",")[0] for word in words if word.startswith("console=")}
    return {_name(root, f"/dev/{name}") for name in named}


def _watchdog(board: Board, root: Path) -> Iterator[Finding]:
    place = root / "sys/class/watchdog/watchdog0"
    if not place.exists() and not (root / "dev/watchdog0").exists():
        yield warning("watchdog", "there is no hardware watchdog: a machine that hangs stays so", board.watchdog.enable)
        return
    state, timeout = _text(place / "state"), _text(place / "timeout")
    if state == "active":
        yield ok("watchdog", f"it is fed, and resets this machine after {timeout} s")
    elif state:
        what = f"there is one (at most {board.watchdog.timeout_s_max} s), and nobody has started it"
        yield warning("watchdog", what, board.watchdog.arm)
    else:
        how = "systemctl show -p RuntimeWatchdogUSec"
        yield ok("watchdog", f"there is one; this kernel does not say whether it runs: {how}")


def _memory(board: Board, root: Path) -> Iterator[Finding]:
    controllers = _text(root / "sys/fs/cgroup/cgroup.controllers").split()
    if board.unlimited and "memory" not in controllers and board.unlimited in _text(root / "proc/cmdline").split():
        what = f"the kernel was started with {board.unlimited}: MemoryHigh= and MemoryMax= of the service do nothing"
        yield warning("memory", what, board.limited)


def _swap(board: Board, root: Path) -> Iterator[Finding]:
    files = [line.split()[0] for line in _text(root / "proc/swaps").splitlines()[1:] if line.strip()]
    mounts = [line.split() for line in _text(root / "proc/mounts").splitlines()]
    disks = {Path(fields[0]).name for fields in mounts if fields[1:2] == ["/"]}
    on_flash = any(fnmatchcase(disk, board.flash) for disk in disks)
    worn = [f for f in files if fnmatchcase(Path(f).name, board.flash) or (on_flash and not f.startswith("/dev/"))]
    if board.flash and worn:
        yield warning("swap", f"{worn[0]} lies on flash, and swapping wears it", board.swap)


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace").strip()
    except OSError:
        return ""
