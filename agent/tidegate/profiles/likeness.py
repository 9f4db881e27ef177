"""Likeness: a simulated device that answers as its profile says, registers, identity and refusals included."""

from collections.abc import Callable, Sequence

from tidegate.profiles.finding import PRODUCT, REVISION, SUNSPEC_COMMON, SUNSPEC_LENGTHS, SUNSPEC_TEXTS, VENDOR
from tidegate.profiles.firmware import Range
from tidegate.profiles.identity import FUNCTIONS, SUNSPEC_BASES, SUNSPEC_MARKER, Ask, Kind, Place, Step, Wanted
from tidegate.profiles.profile import Profile, RegisterSet
from tidegate.profiles.simulated import REGISTERS_MAX, Simulated, Words
from tidegate.profiles.vectors import Vector, rounds

# What a version is tried with where a range names none that is of it.
VERSIONS = ("1.0", "1", "0.1", "2.0", "10.0", "0")


def likeness(
    profile: Profile,
    one: RegisterSet,
    vectors: Sequence[Vector],
    firmware: str,
    now_s: Callable[[], float],
    change_s: float,
) -> Simulated:
    """A device of the profile with this firmware, which shows the vectors' states in turn, each for `change_s`."""
    states = [state.words for state in rounds(vectors)] or [{}]
    identity: dict[tuple[int, int], int] = {}
    # Evenness is of what is measured; codes of models are single registers.
    even = frozenset(vector.function for vector in vectors) if profile.bus.even_only else frozenset()
    device = Simulated(dict, _limit(profile), even)
    for step in profile.identity[:1]:
        identity = _identity(step, _answer(profile, one, step), firmware, device)
    shown = [{**states[0], **state, **identity} for state in states]

    def words() -> Words:
        return shown[int(now_s() / change_s) % len(shown)]

    device.words = words
    return device


def version_of(firmware: Range) -> str:
    """A version within a range: one that it names, where that is of it."""
    named = [bound + ".0" * (sign == "x") for sign, bound in firmware.conditions]
    return next((version for version in (*named, *VERSIONS) if firmware.holds(version)), named[0] if named else "1.0")


def _limit(profile: Profile) -> int:
    text = dict(profile.device).get("registers_max", "")
    return int(text) if text.isdigit() else REGISTERS_MAX


def _answer(profile: Profile, one: RegisterSet, step: Step) -> str:
    """What the device answers to a step that takes one answer: one that means this set and no other."""
    others = [Wanted("answer", other.models) for other in profile.sets if other.models and other is not one]
    patterns = one.models or tuple(p for wanted in step.wanted if wanted.field == "answer" for p in wanted.patterns)
    texts = [Wanted("answer", (pattern,)).example for pattern in patterns]
    return next((text for text in texts if not any(other.fits(text) for other in others)), "")


def _identity(step: Step, answer: str, firmware: str, device: Simulated) -> dict[tuple[int, int], int]:
    """The registers that answer a step; what other functions answer is given to the device."""
    said = {**{wanted.field: wanted.example for wanted in step.wanted}, "answer": answer}
    found: dict[tuple[int, int], int] = {}
    if step.ask == Ask.REGISTERS and step.place is not None:
        found = _put(step.place, said["answer"])
    elif step.ask == Ask.DEVICE_ID:
        texts = (said.get("vendor", ""), said.get("product", ""), firmware)
        device.objects = dict(zip((VENDOR, PRODUCT, REVISION), texts, strict=True))
    elif step.ask == Ask.SERVER_ID:
        device.server_id = said["answer"]
    elif step.ask == Ask.SUNSPEC:
        found = _sunspec({**said, "revision": firmware})
    return {**found, **(_put(step.firmware, firmware) if step.firmware is not None else {})}


def _put(place: Place, text: str) -> dict[tuple[int, int], int]:
    return {(place.function, place.address + i): word for i, word in enumerate(place.words(text))}


def _sunspec(texts: dict[str, str]) -> dict[tuple[int, int], int]:
    holding, base = FUNCTIONS["holding"], SUNSPEC_BASES[0]
    head = (*SUNSPEC_MARKER, SUNSPEC_COMMON, SUNSPEC_LENGTHS[0])
    found = {(holding, base + i): word for i, word in enumerate(head)}
    for field, (at, count) in SUNSPEC_TEXTS.items():
        found.update(_put(Place(holding, base + len(head) + at, Kind.STRING, count), texts.get(field, "")))
    return found
