"""`tidegate ports`: the serial ports of this machine, their names that stay, and rules of udev for names of our own."""

import dataclasses
import json
from collections.abc import Sequence

import click

from tidegate.logs import visible
from tidegate.plural import counted
from tidegate.serial_ports import GROUP, Machine, SerialPort

RULES_FILE = "/etc/udev/rules.d/70-tidegate.rules"


@click.command()
@click.option("--rules", is_flag=True, help=f"Only the rules, for {RULES_FILE}.")
@click.option("--group", default=GROUP, show_default=True, help="Who may open the ports by those rules.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document instead of text.")
def command(rules: bool, group: str, as_json: bool) -> None:
    """List the serial ports of this machine: what each is, the name to write down, and who has it open.

    A name such as /dev/ttyUSB0 goes to whatever is plugged in first. Nothing is opened, and nothing is sent.
    """
    ports = Machine().ports(group)
    show = as_document if as_json else as_rules if rules else as_text
    click.echo(show(ports))


def as_document(ports: Sequence[SerialPort]) -> str:
    """One JSON document."""
    return json.dumps({"ports": [dataclasses.asdict(port) for port in ports]}, ensure_ascii=False)


def as_rules(ports: Sequence[SerialPort]) -> str:
    """A file of rules for udev."""
    return "\n".join(
        f"# {_what(port)}\n{port.rule}" if port.rule else f"# {_what(port)}: there is no rule for it" for port in ports
    )


def as_text(ports: Sequence[SerialPort]) -> str:
    """For people."""
    if not ports:
        return "no serial port: is an adapter plugged in, and its driver there (dmesg)?"
    return "\n".join([
        *(line for port in ports for line in _lines(port)),
        f"{counted(len(ports), 'port')}; names of your own:  tidegate ports --rules | sudo tee {RULES_FILE}",
        "then:  sudo udevadm control --reload && sudo udevadm trigger --subsystem-match=tty",
    ])  # fmt: skip


def _what(port: SerialPort) -> str:
    """`/dev/ttyUSB0: FTDI FT232R USB UART (0403:6001, ftdi_sio), serial number A50285BI`."""
    ids = [f"{port.vendor_id}:{port.product_id}"] if port.vendor_id else []
    inside = ", ".join([*ids, *([port.driver] if port.driver else [])])
    words = [word for word in (port.vendor, port.product) if word] or ["port of the board" if not ids else "adapter"]
    said = " ".join(words) + (f" ({inside})" if inside else "")
    serial = f", serial number {port.serial}" if port.serial else ""
    return visible(f"{port.device}: {said}{serial}")


def _lines(port: SerialPort) -> list[str]:
    lines = [_what(port), f"    name      {visible(port.stays)}", f"              {port.why}"]
    if port.holders:
        lines.append("    open by   " + ", ".join(visible(f"{one.name} ({one.pid})") for one in port.holders))
    if port.lock_pid:
        lines.append(f"    locked by process {port.lock_pid}")
    if port.group:
        lines.append(f"    group     {port.group}")
    if port.rule:
        lines.append(f"    udev rule {port.rule}")
    return lines
