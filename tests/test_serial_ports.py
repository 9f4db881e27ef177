"""Serial ports out of fake trees of /dev, /sys and /proc: names that stay, who has them, and rules."""

import json
import os
from pathlib import Path

import pytest
from click.testing import CliRunner

from tidegate.cli.ports import as_document, as_rules, as_text, command
from tidegate.serial_ports import GROUP, Machine, SerialPort

FTDI = {"idVendor": "0403", "idProduct": "6001", "manufacturer": "FTDI", "product": "FT232R USB UART"}
CH340 = {"idVendor": "1a86", "idProduct": "7523", "product": "USB Serial"}


class Tree:
    """A machine of files."""

    def __init__(self, root: Path) -> None:
        self.dev, self.sys, self.proc = root / "dev", root / "sys", root / "proc"
        for folder in (self.dev, self.sys / "class/tty", self.proc):
            folder.mkdir(parents=True)

    def port(self, name: str, device: Path, driver: str) -> None:
        """A tty whose device lies there."""
        device.mkdir(parents=True, exist_ok=True)
        drivers = self.sys / "bus/drivers" / driver
        drivers.mkdir(parents=True, exist_ok=True)
        (device / "driver").symlink_to(drivers)
        (self.sys / "class/tty" / name).mkdir()
        (self.sys / "class/tty" / name / "device").symlink_to(device)
        (self.dev / name).touch()

    def usb(self, name: str, socket: str, driver: str, by_id: str = "", interface: str = "00", **texts: str) -> None:
        """An adapter in a socket, with the links that udev makes of it."""
        adapter = self.sys / "devices/usb1" / socket
        self.port(name, adapter / f"{socket}:1.{int(interface)}" / name, driver)
        for file, text in texts.items():
            (adapter / file).write_text(text + "\n")
        (adapter / f"{socket}:1.{int(interface)}" / "bInterfaceNumber").write_text(interface + "\n")
        (adapter / f"{socket}:1.{int(interface)}" / name / "port_number").write_text("0\n")
        self.link("by-path", f"pci-0000:00:14.0-usb-0:{socket[2:]}:1.{int(interface)}-port0", name)
        if by_id:
            self.link("by-id", by_id, name)

    def link(self, folder: str, link: str, name: str) -> None:
        made = self.dev / "serial" / folder / link
        made.parent.mkdir(parents=True, exist_ok=True)
        made.unlink(missing_ok=True)
        made.symlink_to(self.dev / name)

    def ports(self) -> dict[str, SerialPort]:
        return {Path(port.device).name: port for port in Machine(self.dev, self.sys, self.proc).ports()}

    def listed(self, group: str = GROUP) -> list[SerialPort]:
        return Machine(self.dev, self.sys, self.proc).ports(group)


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return Tree(tmp_path)


def test_an_adapter_with_a_serial_number_is_known_by_it(tree: Tree) -> None:
    tree.usb("ttyUSB0", "1-1.2", "ftdi_sio", "usb-FTDI_FT232R_USB_UART_A50285BI-if00-port0", serial="A50285BI", **FTDI)
    port = tree.ports()["ttyUSB0"]

    assert (port.vendor, port.product, port.driver, port.serial) == ("FTDI", "FT232R USB UART", "ftdi_sio", "A50285BI")
    assert port.stays == str(tree.dev / "serial/by-id/usb-FTDI_FT232R_USB_UART_A50285BI-if00-port0")
    assert port.rule == (
        'SUBSYSTEM=="tty", ATTRS{idVendor}=="0403", ATTRS{idProduct}=="6001", ATTRS{serial}=="A50285BI", '
        'SYMLINK+="tidegate-A50285BI", GROUP="dialout", MODE="0660", ENV{ID_MM_PORT_IGNORE}="1"'
    )


def test_an_adapter_without_a_serial_number_is_known_by_its_socket(tree: Tree) -> None:
    tree.usb("ttyUSB0", "1-1.3", "ch341-uart", "usb-1a86_USB_Serial-if00-port0", **CH340)
    port = tree.ports()["ttyUSB0"]

    assert port.stays == str(tree.dev / "serial/by-path/pci-0000:00:14.0-usb-0:1.3:1.0-port0")
    assert "no serial number" in port.why
    assert 'ENV{ID_PATH}=="pci-0000:00:14.0-usb-0:1.3:1.0", ENV{.ID_PORT}=="0", SYMLINK+="tidegate-pci-' in port.rule


def test_of_two_adapters_with_one_serial_number_each_is_known_by_its_socket(tree: Tree) -> None:
    """udev has one link for the two, and it leads to whichever came last."""
    for name, socket in (("ttyUSB0", "1-1.2"), ("ttyUSB1", "1-1.3")):
        tree.usb(name, socket, "cp210x", "usb-Silicon_Labs_CP2102_0001-if00-port0", serial="0001", **FTDI)
    ports = tree.ports()

    assert {Path(port.stays).parent.name for port in ports.values()} == {"by-path"}
    assert len({port.stays for port in ports.values()}) == len({port.rule for port in ports.values()}) == 2
    assert all("same serial number" in port.why for port in ports.values())


def test_the_ports_of_one_adapter_are_told_apart(tree: Tree) -> None:
    for number in range(4):
        tree.usb(f"ttyUSB{number}", "1-1", "ftdi_sio", f"usb-FTDI_Quad_FT1-if0{number}-port0", f"0{number}",
                 serial="FT1", **FTDI)  # fmt: skip
    ports = tree.ports()

    assert [Path(port.stays).name for port in ports.values()] == [f"usb-FTDI_Quad_FT1-if0{n}-port0" for n in range(4)]
    assert 'ENV{ID_USB_INTERFACE_NUM}=="02", SYMLINK+="tidegate-FT1-if02"' in ports["ttyUSB2"].rule


def test_ports_of_the_board_have_names_that_stay_and_those_without_hardware_are_none(tree: Tree) -> None:
    for name, kind in (("ttyS0", "4"), ("ttyS1", "0")):
        tree.port(name, tree.sys / "devices/platform" / name, "serial8250")
        (tree.sys / "class/tty" / name / "type").write_text(kind + "\n")
    (tree.sys / "class/tty/tty1").mkdir()
    (tree.dev / "tty1").touch()
    ports = tree.ports()

    assert list(ports) == ["ttyS0"]
    assert ports["ttyS0"].stays == str(tree.dev / "ttyS0")
    assert ports["ttyS0"].rule.startswith('SUBSYSTEM=="tty", KERNEL=="ttyS0", SYMLINK+="tidegate-ttyS0"')


def test_ports_come_in_the_order_of_their_numbers(tree: Tree) -> None:
    for number in (10, 2, 1):
        tree.usb(f"ttyUSB{number}", f"1-{number}", "ch341-uart", **CH340)

    assert list(tree.ports()) == ["ttyUSB1", "ttyUSB2", "ttyUSB10"]


def test_who_has_a_port_open_and_locked_is_seen(tree: Tree) -> None:
    tree.usb("ttyUSB0", "1-1.3", "ch341-uart", **CH340)
    for pid, target in ((4711, tree.dev / "ttyUSB0"), (12, tree.dev / "null")):
        (tree.proc / str(pid) / "fd").mkdir(parents=True)
        (tree.proc / str(pid) / "fd" / "3").symlink_to(target)
        (tree.proc / str(pid) / "comm").write_text("minicom\n")
    node = (tree.dev / "ttyUSB0").stat()
    place = f"{os.major(node.st_dev):02x}:{os.minor(node.st_dev):02x}:{node.st_ino}"
    (tree.proc / "locks").write_text(
        f"1: POSIX  ADVISORY  WRITE 9 {place} 0 EOF\n2: FLOCK  ADVISORY  WRITE 4711 {place} 0 EOF\n"
        f"2: -> FLOCK  ADVISORY  WRITE 15 {place} 0 EOF\n"
    )
    port = tree.ports()["ttyUSB0"]

    assert [(one.pid, one.name) for one in port.holders] == [(4711, "minicom")]
    assert port.lock_pid == 4711
    assert "open by   minicom (4711)" in as_text(tree.listed())


def test_an_adapter_that_means_harm_adds_nothing_to_a_rule_or_the_terminal(tree: Tree) -> None:
    serial = 'x", RUN+="/bin/sh -c evil'
    tree.usb("ttyUSB0", "1-1.3", "ch341-uart", "usb-x", **{**CH340, "product": "\x1b[2Jgood", "serial": serial})
    said, port = as_rules(tree.listed()), tree.ports()["ttyUSB0"]

    assert 'ENV{ID_PATH}=="pci-0000:00:14.0-usb-0:1.3:1.0"' in port.rule
    assert "RUN" not in port.rule
    assert [line for line in said.splitlines() if not line.startswith("#")] == [port.rule]
    assert "\x1b" not in said + as_text(tree.listed())


def test_a_group_that_is_none_makes_no_rule(tree: Tree) -> None:
    tree.usb("ttyUSB0", "1-1.3", "ch341-uart", **CH340)

    assert "there is no rule" in as_rules(tree.listed('x", RUN+="y'))


def test_the_command_prints_names_rules_or_json(tree: Tree) -> None:
    tree.usb("ttyUSB0", "1-1.2", "ftdi_sio", "usb-FTDI_A1-if00-port0", serial="A1", **FTDI)
    shown, rules = as_text(tree.listed()), as_rules(tree.listed())
    plain = json.loads(as_document(tree.listed()))

    assert f"{tree.dev}/ttyUSB0: FTDI FT232R USB UART (0403:6001, ftdi_sio), serial number A1" in shown
    assert "1 port;" in shown
    assert rules.splitlines()[1] == plain["ports"][0]["rule"]
    assert plain["ports"][0]["stays"].endswith("by-id/usb-FTDI_A1-if00-port0")


def test_a_machine_without_ports_says_so(tree: Tree) -> None:
    assert "no serial port" in as_text(tree.listed())
    assert json.loads(as_document(tree.listed())) == {"ports": []}


@pytest.mark.parametrize("words", [[], ["--rules"], ["--json"]], ids=["text", "rules", "json"])
def test_this_machine_can_be_looked_at(words: list[str]) -> None:
    assert CliRunner().invoke(command, words, catch_exceptions=False).exit_code == 0
