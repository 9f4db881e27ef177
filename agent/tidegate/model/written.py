"""Written: what became of one write. A write is sent at most once, so that not every end of it is known."""

from dataclasses import dataclass
from enum import Enum


class Result(Enum):
    """What is known at the end."""

    CONFIRMED = "confirmed"  # Read back, and it is what was written.
    ACCEPTED = "accepted"  # The device says that it was done; it was not, or could not be, read back.
    DIFFERS = "differs"  # The device says that it was done, and holds something else.
    REFUSED = "refused"  # The device refused, with a code.
    UNKNOWN = "unknown"  # It was sent, and nobody knows whether it was done.
    EXPIRED = "expired"  # Its deadline was over before it was sent.
    NOT_SENT = "not sent"  # There is no way to the device now.
    FORBIDDEN = "forbidden"  # It may not, or can't, be written.


@dataclass(frozen=True, slots=True)
class Written:
    """The result, what there is to say of it, and the code of a refusal (0: none)."""

    result: Result
    what: str = ""
    code: int = 0
