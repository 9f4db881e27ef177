"""The clock, as the gateway will judge it, and whether anything keeps it right."""

from collections.abc import Callable

from tidegate.clock import NTP, Clock, Trust, kernel_synchronised
from tidegate.doctor.finding import Finding, fault, ok, warning

ABOUT = "clock"


def examine_clock(clock: Clock, synchronised: Callable[[], bool | None] = kernel_synchronised) -> list[Finding]:
    """Whether times are trusted, and what the kernel says of NTP (adjtimex) where that adds something."""
    # Its words end with what to do where it is not trusted.
    what, _, remedy = clock.words.partition("; ")
    trust = clock.trust
    if trust is Trust.UNSET:
        judged = fault(ABOUT, f"not known: {what}", _sentence(remedy))
    elif trust is Trust.HOLDOVER:
        judged = warning(ABOUT, f"trusted for now: {what}", _sentence(NTP))
    else:
        judged = ok(ABOUT, f"trusted: {what}")
    said = synchronised()
    if said:
        return [judged, ok("ntp", "the kernel says that NTP or PTP steers its clock")]
    if said is None:
        return [judged, warning("ntp", "the kernel can't be asked whether NTP steers its clock", _sentence(NTP))]
    return [judged]


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]
