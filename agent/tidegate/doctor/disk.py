"""The disk under the state folder: its room, what it is, and how long it will bear what the gateway writes."""

import os
from collections.abc import Iterator
from pathlib import Path

from tidegate.buffer.retention import SMALL_DISK_SHARE
from tidegate.buffer.settings import BufferSettings
from tidegate.buffer.wear import FULL_WRITES, life_days
from tidegate.config.policy import Policy
from tidegate.doctor.finding import Finding, fault, ok, warning

LIFE_YEARS_MIN = 5.0
# A JEDEC eMMC says its used life in steps of a tenth: 0x01 is up to 10 %, 0x0B is past its end.
WORN_STEPS_MAX = 8
IN_MEMORY = frozenset({"tmpfs", "ramfs"})
FEWER_COMMITS = (
    'Commit more rarely: [buffer] policy = "flash-saver" (a power cut costs up to 5 s then), or poll less often'
)
GB = 1e9


def examine_disk(
    settings: BufferSettings, policy: Policy, system: Path = Path("/sys"), mounts: Path = Path("/proc/self/mountinfo")
) -> list[Finding]:
    """Room for the quota, the kind of file system, wear by the commit policy, and the wear that an eMMC admits."""
    place = nearest(settings.folder)
    device = place.stat().st_dev
    major_minor = f"{os.major(device)}:{os.minor(device)}"
    kind = _file_system(mounts, major_minor)
    return [
        *_kind(place, kind),
        _room(settings, place),
        *([] if kind in IN_MEMORY else [_life(policy, place, _spins(system, major_minor))]),
        *_worn(system, major_minor),
    ]


def nearest(folder: Path) -> Path:
    """The folder, or the one of its parents that is there, and in which it will be made."""
    there = folder.absolute()
    while not there.is_dir() and there != there.parent:
        there = there.parent
    return there


def _kind(place: Path, kind: str) -> Iterator[Finding]:
    if kind in IN_MEMORY:
        yield fault("disk", f"{place} lies in memory ({kind}): a power cut takes all of it", "Name a folder on a disk")
    if os.statvfs(place).f_flag & os.ST_RDONLY:
        yield fault("disk", f"{place} is mounted read-only", f"Mount it for writing: mount -o remount,rw {place}")


def _room(settings: BufferSettings, place: Path) -> Finding:
    disk = os.statvfs(place)
    free, size = disk.f_bavail * disk.f_frsize, disk.f_blocks * disk.f_frsize
    used = _used(settings.folder)
    what = f"{free / GB:.1f} of {size / GB:.1f} GB are free at {place}, the quota is {settings.quota_bytes / GB:.2g} GB"
    kept_free = min(settings.free_bytes_min, size // SMALL_DISK_SHARE)
    if free < kept_free:
        return fault(
            "disk", what, "Make room: the buffer keeps so much free for the rest of the machine, and grows no more"
        )
    if free + used < settings.quota_bytes + kept_free:
        fits = max(0.0, (free + used - kept_free) * 0.9) / GB
        return warning("disk", f"{what}: it will be full before that", f'Set [buffer] quota = "{fits:.1f}GB"')
    return ok("disk", what)


def _used(folder: Path) -> int:
    """What the buffer takes up now; files that go away meanwhile count nothing."""
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            try:
                total += (Path(parent) / name).stat().st_size
            except OSError:
                continue
    return total


def _life(policy: Policy, place: Path, spins: bool) -> Finding:
    disk = os.statvfs(place)
    size = disk.f_blocks * disk.f_frsize
    writes = f"about {policy.bytes_a_day / GB:.2g} GB are written a day ({policy.readings_s:,.4g} readings/s)"
    if spins:
        return ok("wear", f"{writes}; it is no flash disk")
    years = life_days(size, policy.bytes_a_day) / 365
    what = f"{writes}: flash of {size / GB:.0f} GB, good for {FULL_WRITES} full writes, lasts about {_years(years)}"
    return ok("wear", what) if years >= LIFE_YEARS_MIN else warning("wear", what, FEWER_COMMITS)


def _years(years: float) -> str:
    return "more than 50 years" if years > 50 else f"{years:.2g} years"


def _worn(system: Path, major_minor: str) -> Iterator[Finding]:
    """What an eMMC says of itself: two kinds of memory, each with its used life."""
    said = _text(_disk(system, major_minor) / "device/life_time").split()
    steps = [int(word, 16) for word in said if word.lower().startswith("0x")]
    if not any(steps):
        return
    worn = max(steps)
    what = f"the eMMC says that at most {min(worn, 10) * 10} % of its life is used"
    yield (
        ok("wear", what)
        if worn <= WORN_STEPS_MAX
        else warning("wear", what, "Plan for another one, and move the state")
    )


def _spins(system: Path, major_minor: str) -> bool:
    return _text(_disk(system, major_minor) / "queue/rotational").strip() == "1"


def _disk(system: Path, major_minor: str) -> Path:
    """The folder of a disk in sysfs, also where the number is that of one of its partitions."""
    device = (system / "dev/block" / major_minor).resolve()
    return device.parent if (device / "partition").exists() else device


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""


def _file_system(mounts: Path, major_minor: str) -> str:
    """The type of the file system with this number (proc(5), mountinfo); "" when it is not listed."""
    for line in _text(mounts).splitlines():
        fields, _, rest = line.partition(" - ")
        if fields.split()[2] == major_minor:
            return rest.split()[0]
    return ""
