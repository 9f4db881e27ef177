"""The doctor knows the board by what its kernel says, and names what stands in a gateway's way there."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tidegate.doctor.board import examine_board
from tidegate.doctor.finding import Finding, Level
from tidegate.profiles.board import boards, recognise

RPI4 = "Raspberry Pi 4 Model B Rev 1.4\0"
Machine = Callable[..., Path]


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """Writes what a kernel says below a folder, and gives that."""

    def write(**said: str) -> Path:
        names = {"model": "proc/device-tree/model", "cmdline": "proc/cmdline", "swaps": "proc/swaps",
                 "mounts": "proc/mounts", "vendor": "sys/class/dmi/id/sys_vendor",
                 "product": "sys/class/dmi/id/product_name", "controllers": "sys/fs/cgroup/cgroup.controllers",
                 "watchdog": "sys/class/watchdog/watchdog0/state",
                 "timeout": "sys/class/watchdog/watchdog0/timeout"}  # fmt: skip
        for word, text in said.items():
            place = tmp_path / names[word] if word in names else tmp_path / "dev" / word
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(text)
        return tmp_path

    return write


def about(root: Path, what: str, used: tuple[str, ...] = ()) -> list[Finding]:
    return [finding for finding in examine_board(used, root) if finding.about == what]


@pytest.mark.parametrize(
    ("model", "id"),
    [
        (RPI4, "rpi4"),
        ("Raspberry Pi 400 Rev 1.0\0", "rpi4"),
        ("Raspberry Pi Compute Module 4 Rev 1.1\0", "cm4"),
        ("Raspberry Pi 5 Model B Rev 1.0\0", "rpi5"),
        ("Raspberry Pi 3 Model B Plus Rev 1.3\0", None),
    ],
)
def test_a_board_is_known_by_the_model_of_its_device_tree(machine: Machine, model: str, id: str | None) -> None:
    board, said = recognise(boards(), machine(model=model))

    assert (board.id if board else None) == id
    assert said == model.rstrip("\0")


def test_a_pc_is_known_by_its_vendor_and_what_says_nothing_is_unknown(machine: Machine, tmp_path: Path) -> None:
    assert recognise(boards(), tmp_path / "nothing") == (None, "")
    board, said = recognise(boards(), machine(vendor="Advantech\n", product="UNO-2271G\n"))

    assert board is not None
    assert (board.id, said) == ("x86", "Advantech UNO-2271G")


def test_every_fact_of_every_board_has_a_source_that_is_named() -> None:
    found = boards()

    assert [board.id for board in found] == ["cm4", "rpi4", "rpi5", "x86"]
    assert [b.id for b in found if not b.sources or any(not port.sources for port in b.serial)] == []
    assert [b.id for b in found if any(bool(port.limit) != bool(port.remedy) for port in b.serial)] == []


def test_a_device_on_the_mini_uart_is_told_that_it_has_no_parity(machine: Machine) -> None:
    root = machine(model=RPI4, ttyS0="", ttyAMA0="")
    (found,) = (f for f in about(root, "serial port", ("/dev/ttyS0",)) if f.level is Level.WARNING)

    assert "it has no parity" in found.what
    assert "dtoverlay=disable-bt" in found.remedy


def test_a_port_that_nobody_uses_is_no_trouble(machine: Machine) -> None:
    root = machine(model=RPI4, ttyS0="", ttyAMA0="", cmdline="console=serial0,115200 console=tty1")

    assert [finding.level for finding in about(root, "serial port")] == [Level.OK]


def test_a_console_on_the_port_of_a_device_is_found_behind_its_link(machine: Machine) -> None:
    root = machine(model="Raspberry Pi 5 Model B Rev 1.0\0", ttyAMA0="", cmdline="console=serial0,115200 root=/dev/x")
    (root / "dev/serial0").symlink_to("ttyAMA0")
    (found,) = about(root, "serial port", ("/dev/ttyAMA0",))

    assert (found.level, found.what) == (
        Level.WARNING, "ttyAMA0 is a device's, and the console of this machine speaks on it as well",
    )  # fmt: skip
    assert "raspi-config" in found.remedy


@pytest.mark.parametrize(
    ("said", "level", "remedy"),
    [
        ({}, Level.WARNING, "dtparam=watchdog=on"),
        ({"watchdog": "inactive\n", "timeout": "15\n"}, Level.WARNING, "RuntimeWatchdogSec=15s"),
        ({"watchdog": "active\n", "timeout": "15\n"}, Level.OK, ""),
        ({"watchdog0": ""}, Level.OK, ""),
    ],
    ids=["none", "not started", "fed", "a kernel that does not say"],
)
def test_the_watchdog_is_looked_at(machine: Machine, said: dict[str, str], level: Level, remedy: str) -> None:
    (found,) = about(machine(model=RPI4, **said), "watchdog")

    assert found.level is level
    assert remedy in found.remedy


def test_a_kernel_without_memory_limits_is_told(machine: Machine) -> None:
    root = machine(model=RPI4, cmdline="cgroup_disable=memory console=tty1", controllers="cpuset cpu io pids")
    (found,) = about(root, "memory")

    assert "MemoryMax= of the service do nothing" in found.what
    assert "cgroup_enable=memory" in found.remedy
    assert about(machine(controllers="cpu memory"), "memory") == []


@pytest.mark.parametrize(
    ("swap", "disk", "worn"),
    [
        ("/var/swap file 102396 0 -2", "/dev/mmcblk0p2", True),
        ("/dev/mmcblk0p3 partition 102396 0 -2", "/dev/sda1", True),
        ("/dev/zram0 partition 102396 0 100", "/dev/mmcblk0p2", False),
        ("/var/swap file 102396 0 -2", "/dev/sda1", False),
    ],
)
def test_swap_on_a_card_is_told(machine: Machine, swap: str, disk: str, worn: bool) -> None:
    root = machine(model=RPI4, swaps=f"Filename Type Size Used Priority\n{swap}\n", mounts=f"{disk} / ext4 rw 0 0\n")

    assert bool(about(root, "swap")) == worn


@pytest.mark.parametrize("text", ["name = 1", "nonsense", 'name = "x"\nsources = []\nserial = []'])
def test_a_board_that_can_not_be_read_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "odd.toml").write_text(text)

    with pytest.raises(ValueError, match=r"gateways/odd\.toml: "):
        boards(tmp_path)
