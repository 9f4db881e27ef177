"""The tree of errors. Every message names device and tag, or file and key, and says what to do.

    TidegateError
    ├── ConfigError           the configuration can't be used; carries every problem found
    ├── DriverError           a device, one read of it            (again: see below)
    │   ├── NotConnected      the bus is gone; the poller alone reopens it
    │   ├── NoAnswer          one unit was silent past its deadline
    │   ├── InvalidReply      an answer that does not belong to the question
    │   └── Refused           the device answered that it will not
    ├── BufferFault           the buffer on disk
    │   ├── BufferLocked      another process holds it
    │   ├── BufferDamaged     bytes that are not what was written
    │   └── Shed              a frame that found no room in time
    ├── PublishError          one target
    │   ├── NoSession         no connection to the broker, or it ended
    │   └── TargetRefused     the broker said no; asking again does not help until somebody acts
    └── FrameDamaged          bytes that are not a frame of a version we know

`again` says whether trying again, unchanged, can help.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar


class TidegateError(Exception):
    """Root of all errors that Tidegate raises on purpose."""

    again: ClassVar[bool] = False


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong in the configuration: where, what, and what to do.

    `row` is the line of a text file or the row of a sheet, counted from 1; `column` is a column's name.
    """

    file: str
    key: str
    what: str
    remedy: str
    row: int | None = None
    column: str | None = None
    fatal: bool = True

    def __str__(self) -> str:
        where = self.file
        if self.row is not None:
            where += f":{self.row}"
        if self.column is not None:
            where += f" [{self.column}]"
        if self.key:
            where += f" {self.key}"
        return f"{where}: {self.what}. {self.remedy}"


class ConfigError(TidegateError):
    """The configuration can't be used. `problems` holds all that was found, not only the first."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(p) for p in self.problems))


class DriverError(TidegateError):
    """A device did not give what was asked. `device` is its configured name."""

    again = True

    def __init__(self, device: str, what: str) -> None:
        self.device = device
        self.what = what
        super().__init__(f"{device}: {what}" if device else what)


class NotConnected(DriverError):
    """The bus is not open any more. The poller reopens it, with back-off; a driver never does."""


class NoAnswer(DriverError):
    """One unit stayed silent past its deadline; the bus itself may be well."""


class InvalidReply(DriverError):
    """A reply that fails validation: transaction, unit, function or length is not that of the request."""


class Refused(DriverError):
    """The device answered with a refusal (Modbus exception, OPC UA service fault)."""

    def __init__(self, device: str, what: str, code: int) -> None:
        super().__init__(device, what)
        self.code = code


class BufferFault(TidegateError):
    """The buffer on disk can't do what was asked."""


class BufferLocked(BufferFault):
    """Another process holds the lock of this buffer."""


class BufferDamaged(BufferFault):
    """Bytes on disk that are not what was written: CRC, hash chain, or a hole between segments."""


class Shed(BufferFault):
    """A frame found no room in the buffer's queue within its deadline and was dropped; the ledger says so."""

    again = True


class PublishError(TidegateError):
    """A target could not be served just now; its data is kept."""

    again = True


class NoSession(PublishError):
    """There is no connection to the broker, or it ended."""


class TargetRefused(PublishError):
    """The broker refused: credentials, authorisation, protocol. `code` is the MQTT reason code."""

    again = False

    def __init__(self, what: str, code: int) -> None:
        super().__init__(what)
        self.code = code


class FrameDamaged(TidegateError):
    """Bytes that are not a frame of a version that this build knows, or whose checksum is wrong."""
