"""What the doctor says of clock, disk, permissions and twins, each in a world that the test makes."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fakes.shell import HELD
from tidegate.buffer.settings import BufferSettings
from tidegate.clock import BUILT_US, Clock, Source
from tidegate.config.policy import Policy
from tidegate.doctor.access import examine_secrets, examine_serial, examine_state
from tidegate.doctor.disk import examine_disk
from tidegate.doctor.finding import Finding, Level
from tidegate.doctor.parts import examine_twins
from tidegate.doctor.timekeeping import examine_clock
from tidegate.publish.settings import TargetSettings

ROOT = Path(__file__).parent.parent.parent

LATER_US = BUILT_US + 10**12
QUIET = Policy("normal", 1.0, 4000, 30.0, 1e6)


def clock(now_us: int = LATER_US, *, synchronised: bool = False, rtc: bool = False) -> Clock:
    return Clock(
        lambda: now_us, lambda: 0, source=Source.AUTO, kernel=lambda: synchronised, real_time_clock=lambda _: rtc
    )


def levels(findings: list[Finding]) -> list[Level]:
    return [finding.level for finding in findings]


def worst(findings: list[Finding]) -> Finding:
    return max(findings, key=lambda finding: list(Level).index(finding.level))


def test_a_clock_that_ntp_steers_is_well() -> None:
    assert levels(examine_clock(clock(synchronised=True), lambda: True)) == [Level.OK, Level.OK]


def test_a_clock_that_nothing_ever_set_is_one_fault_with_what_it_means_and_both_remedies() -> None:
    (found,) = examine_clock(clock(), lambda: False)

    assert found.level is Level.FAULT
    assert "readings are sent all the same, marked `unset`" in found.what
    assert "timedatectl set-ntp true" in found.remedy
    assert '[clock] source = "system"' in found.remedy


def test_a_clock_of_1970_is_told_from_one_that_is_not_synchronised() -> None:
    (found,) = examine_clock(clock(0), lambda: False)

    assert "1970-01-01" in found.what
    assert "set the clock" in found.remedy


def test_a_kernel_that_can_not_be_asked_is_a_warning() -> None:
    assert levels(examine_clock(clock(rtc=True), lambda: None)) == [Level.WARNING, Level.WARNING]


def test_a_real_time_clock_is_enough_for_now() -> None:
    (first,) = examine_clock(clock(rtc=True), lambda: False)

    assert first.level is Level.WARNING


def system(folder: Path, place: Path, **files: str) -> tuple[Path, Path]:
    """A sysfs and a mountinfo in which the disk of `place` is what the files say."""
    number = place.stat().st_dev
    name = f"{os.major(number)}:{os.minor(number)}"
    disk = folder / "sys/devices/mmcblk0"
    (disk / "mmcblk0p2").mkdir(parents=True)
    (disk / "mmcblk0p2/partition").write_text("2\n")
    (folder / "sys/dev/block").mkdir(parents=True)
    (folder / "sys/dev/block" / name).symlink_to(disk / "mmcblk0p2")
    for path, text in files.items():
        target = disk / path.replace("__", "/")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
    (folder / "mounts").write_text(f"36 35 {name} / / rw,noatime shared:1 - ext4 /dev/root rw\n")
    return folder / "sys", folder / "mounts"


def settings(folder: Path, quota_bytes: int = 100_000_000) -> BufferSettings:
    return BufferSettings(folder, quota_bytes=quota_bytes)


def test_a_disk_with_room_that_is_written_little_is_well(tmp_path: Path) -> None:
    found = examine_disk(settings(tmp_path / "state"), QUIET, *system(tmp_path, tmp_path))

    assert levels(found) == [Level.OK, Level.OK]
    assert "more than 50 years" in found[1].what


def test_a_quota_that_the_disk_can_not_hold_says_which_it_could(tmp_path: Path) -> None:
    found = examine_disk(settings(tmp_path, 10**15), QUIET, *system(tmp_path, tmp_path))

    assert worst(found).level is Level.WARNING
    assert worst(found).remedy.startswith('Set [buffer] quota = "')


def test_flash_that_will_not_last_says_how_to_spare_it(tmp_path: Path) -> None:
    disk = os.statvfs(tmp_path)
    worn = Policy("strict", 0.1, 4000, 30.0, disk.f_blocks * disk.f_frsize)
    found = worst(examine_disk(settings(tmp_path), worn, *system(tmp_path, tmp_path)))

    assert found.level is Level.WARNING
    assert "lasts about 1.4 years" in found.what
    assert "flash-saver" in found.remedy


def test_a_disk_that_turns_wears_otherwise(tmp_path: Path) -> None:
    turning = system(tmp_path, tmp_path, queue__rotational="1\n")
    found = examine_disk(settings(tmp_path), Policy("", 0.1, 4000, 30.0, 1e15), *turning)

    assert levels(found) == [Level.OK, Level.OK]
    assert "no flash" in found[1].what


@pytest.mark.parametrize(
    ("said", "level", "part"),
    [("0x01 0x02\n", Level.OK, "at most 20 %"), ("0x0a 0x03\n", Level.WARNING, "at most 100 %")],
    ids=["young", "old"],
)
def test_an_emmc_is_asked_for_its_own_word(tmp_path: Path, said: str, level: Level, part: str) -> None:
    found = examine_disk(settings(tmp_path), QUIET, *system(tmp_path, tmp_path, device__life_time=said))

    assert found[-1].level is level
    assert part in found[-1].what


def test_a_state_in_memory_is_at_fault(tmp_path: Path) -> None:
    sysfs, mounts = system(tmp_path, tmp_path)
    mounts.write_text(mounts.read_text().replace("ext4", "tmpfs"))
    found = examine_disk(settings(tmp_path), QUIET, sysfs, mounts)

    assert worst(found).level is Level.FAULT
    assert "tmpfs" in worst(found).what


def test_a_state_folder_that_is_not_there_yet_can_be_made(tmp_path: Path) -> None:
    (found,) = examine_state(tmp_path / "var" / "state")

    assert found.level is Level.OK
    assert "not there yet" in found.what


def test_a_state_folder_that_everybody_may_write_to_is_at_fault(tmp_path: Path) -> None:
    tmp_path.chmod(0o777)

    assert worst(list(examine_state(tmp_path))).remedy == f"chmod 700 {tmp_path}"


def test_readings_that_everybody_may_read_are_a_warning(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    (tmp_path / "segments").mkdir(mode=0o755)
    (tmp_path / "segments").chmod(0o755)
    shown = worst(list(examine_state(tmp_path)))
    (tmp_path / "segments").chmod(0o700)

    assert shown.level is Level.WARNING
    assert levels(list(examine_state(tmp_path))) == [Level.OK]


def test_a_private_key_is_private(tmp_path: Path) -> None:
    key = tmp_path / "gateway.key"
    key.write_text("")
    target = TargetSettings("cloud", "mqtts://b", cert=tmp_path / "gateway.pem", key=key)
    key.chmod(0o640)
    (shown,) = examine_secrets([target])
    key.chmod(0o600)
    (hidden,) = examine_secrets([target])

    assert (shown.level, shown.remedy) == (Level.WARNING, f"chmod 600 {key}, unless its group is there for the gateway")
    assert hidden.level is Level.OK


def test_serial_ports_are_named_when_they_open(tmp_path: Path) -> None:
    (nothing,) = examine_serial(tmp_path)
    (tmp_path / "ttyUSB0").write_text("")
    (there,) = examine_serial(tmp_path)

    assert nothing.what == "this machine has no serial port"
    assert there.what.endswith("may open ttyUSB0")


def test_a_serial_port_that_does_not_open_names_its_group(tmp_path: Path) -> None:
    (tmp_path / "ttyUSB0").write_text("")
    (tmp_path / "ttyUSB0").chmod(stat.S_IRUSR)
    script = (
        "import pathlib, sys; from tidegate.doctor.access import examine_serial\n"
        "for found in examine_serial(pathlib.Path(sys.argv[1])): print(found.level, found.remedy)"
    )
    asked = subprocess.run(
        [*HELD, sys.executable, "-c", script, tmp_path], capture_output=True, text=True, check=True, timeout=60
    )

    assert asked.stdout.startswith("warning sudo usermod -aG ")


def test_twins_of_the_agent_and_of_the_drivers_are_counted() -> None:
    (found,) = examine_twins({"tidegate", "tidegate_drivers"})

    assert found.about == "twins"
    assert f"{sum(1 for room in ('agent', 'drivers') for _ in (ROOT / room).rglob('*.pyx'))} " in found.what
