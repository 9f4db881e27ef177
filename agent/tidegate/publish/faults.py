"""What a broker's refusal means, and how long to stay away after a fault. It knows no connection.

again    the broker or the way to it is not well: come back, with growing pauses
taken    somebody else connected under our client id: come back, but not at once
smaller  what was sent is too large for it: cut it smaller, come back
poison   it will never take this message, and may well take others: see suspects
quota    nothing is wrong but the amount: the same again, later
parked   somebody has to act (credentials, rights, settings): data is kept, and we knock once in a while
"""

from enum import StrEnum
from random import Random

from tidegate.clock import Clock, Trust
from tidegate.errors import NoSession, PublishError, TargetRefused

FAILURE = 0x80
UNHEARD = 0x10
# Those that a password which was changed can bring, in the numbers of MQTT 5; 4 and 5 of MQTT 3.1.1 are told as these.
CREDENTIALS = frozenset({0x86, 0x87})
RETAIN_NOT_SUPPORTED = 0x9A
BACK_OFF_FACTOR = 1.5
# Two gateways with one client id throw each other out for ever: each time that it happens they pause for longer.
TAKEN_PAUSE_S_MIN = 30.0
TAKEN_FACTOR = 2.0
# MQTT 3.1.1 has no word for it: so many connections in a row that were accepted at the first attempt, and ended by the
# broker before they were good ones, without a reason and with no data in flight that could be one.
EVICTIONS_MAX = 3
# A connection that lived so long was a good one: the next fault begins with a short pause again. Those who fight over a
# client id throw each other out sooner; a broker that crashes every now and then does not.
GOOD_CONNECTION_S = 5.0


class Fault(StrEnum):
    """What to do about a reason code."""

    AGAIN = "again"
    TAKEN = "taken"
    SMALLER = "smaller"
    POISON = "poison"
    QUOTA = "quota"
    PARKED = "parked"


# MQTT 5, 2.4. What is not listed is `again`: a fault that we don't know must not stop the data for good.
FAULTS = {
    0x84: Fault.PARKED,  # unsupported protocol version
    0x85: Fault.PARKED,  # client id not valid
    0x86: Fault.PARKED,  # bad user name or password
    0x87: Fault.PARKED,  # not authorized
    0x8A: Fault.PARKED,  # banned
    0x8C: Fault.PARKED,  # bad authentication method
    0x8E: Fault.TAKEN,  # session taken over
    0x8F: Fault.PARKED,  # topic filter invalid
    0x90: Fault.PARKED,  # topic name invalid
    0x95: Fault.SMALLER,  # packet too large
    0x96: Fault.QUOTA,  # message rate too high
    0x97: Fault.QUOTA,  # quota exceeded
    0x99: Fault.POISON,  # payload format invalid
    0x9A: Fault.PARKED,  # retain not supported
    0x9B: Fault.PARKED,  # QoS not supported
}


class CertificateTime(NoSession):
    """A certificate that is not valid yet, or no longer: by our clock."""


class ClockUnset(NoSession):
    """Certificates seem not valid, since our own clock is not set: over as soon as the time is known."""


class Lost(NoSession):
    """The connection ended, and the broker gave no reason."""


class SessionTaken(PublishError):
    """Another client connected under our client id: two gateways with one identity evict each other for ever."""


class TooLarge(PublishError):
    """The broker does not take a packet of this size."""


def refusal(what: str, code: int, remedy: str = "") -> PublishError:
    """The error for a reason code of a CONNACK, PUBACK or DISCONNECT; `what` names it in words."""
    words = f"{what} (0x{code:02X})" + (f": {remedy}" if remedy else "")
    match FAULTS.get(code, Fault.AGAIN):
        case Fault.PARKED:
            return TargetRefused(words, code)
        case Fault.TAKEN:
            return SessionTaken(f"{words}: is there a second gateway with this client id?")
        case Fault.SMALLER:
            return TooLarge(words)
        case _:
            return PublishError(words)


def by_the_clock(fault: PublishError, clock: Clock) -> PublishError:
    """The fault as it is to be told: a certificate's dates mean nothing while our own clock is not set."""
    if isinstance(fault, CertificateTime) and clock.trust is Trust.UNSET:
        return ClockUnset(f"clock: it is not set, so that certificates seem not valid ({fault}): {clock.words}")
    return fault


class BackOff:
    """Growing pauses with jitter: a thousand gateways must not come back to a broker in the same second."""

    def __init__(self, min_s: float, max_s: float, rng: Random) -> None:
        self._min_s = min_s
        self._max_s = max_s
        self._rng = rng
        self._next_s = min_s

    def pause_s(self, least_s: float = 0.0) -> float:
        """How long to stay away now, at least `least_s`; the next pause is longer."""
        pause_s = max(self._next_s, min(least_s, self._max_s))
        self._next_s = min(self._next_s * BACK_OFF_FACTOR, self._max_s)
        return pause_s * self._rng.uniform(0.5, 1.0)

    def reset(self) -> None:
        """The last connection was a good one."""
        self._next_s = self._min_s
