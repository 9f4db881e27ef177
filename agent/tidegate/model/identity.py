"""Who this gateway is: its name, the box it runs on, and the random ids of its numberings."""

import hashlib
import re
import secrets
from pathlib import Path

# One level of an MQTT topic and one part of a file name, whatever the broker or the file system.
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")

BOX_SOURCES = (
    "/sys/firmware/devicetree/base/serial-number",
    "/sys/class/dmi/id/product_uuid",
    "/etc/machine-id",
)


def new_epoch() -> str:
    """A random epoch id: 16 lower-case hex digits."""
    return secrets.token_hex(8)


def kernel_boot() -> str:
    """The kernel's random id of this start of the machine ("" where there is none)."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def box() -> str:
    """A hash that stays the same on this box and differs on another: 16 hex digits.

    Made of what the hardware says where it says anything (serial number of a Raspberry Pi, DMI of a PC), and of the
    system's machine id; each that can't be read is left out.
    """
    digest = hashlib.sha256(b"tidegate box")
    for source in BOX_SOURCES:
        try:
            digest.update(Path(source).read_bytes())
        except OSError:
            continue
    return digest.hexdigest()[:16]
