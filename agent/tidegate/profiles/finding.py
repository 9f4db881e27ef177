"""Finds the profile of a device that answers: each question is asked once, whichever profiles want it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tidegate.profiles.asking import READ_HOLDING, Asker
from tidegate.profiles.identity import SUNSPEC_BASES, SUNSPEC_MARKER, Ask, Kind, Place, Step
from tidegate.profiles.profile import NoSet, Profile, RegisterSet

VENDOR, PRODUCT, REVISION = 0, 1, 2
# Model 1 of SunSpec behind its id and length: manufacturer, model, options, version, in registers.
SUNSPEC_COMMON, SUNSPEC_LENGTHS = 1, (65, 66)
SUNSPEC_TEXTS = {"vendor": (0, 16), "product": (16, 16), "revision": (40, 8)}


@dataclass(frozen=True, slots=True)
class Match:
    """A profile that a device is of. `set` is None when it has none for this device, and `lacks` says why."""

    profile: Profile
    step: Step
    vendor: str
    answer: str
    firmware: str
    set: RegisterSet | None
    lacks: str = ""

    @property
    def question(self) -> str:
        """What it was told by, as Finding.said has it."""
        return _question(self.step.ask, self.step.place)


@dataclass(frozen=True, slots=True)
class Finding:
    """What a device said of itself, by question, and the profiles that fit."""

    said: tuple[tuple[str, str], ...]
    matches: tuple[Match, ...]


class _Questions:
    """Asks, and remembers what was answered: by question, the parts of the answer, or None."""

    def __init__(self, asker: Asker) -> None:
        self._asker = asker
        self._answers: dict[tuple[Ask, Place | None], Mapping[str, str] | None] = {}

    async def answer(self, ask: Ask, place: Place | None) -> Mapping[str, str] | None:
        if (ask, place) not in self._answers:
            self._answers[ask, place] = await self._new(ask, place)
        return self._answers[ask, place]

    async def text(self, place: Place) -> str | None:
        """What a place says."""
        said = await self.answer(Ask.REGISTERS, place)
        return None if said is None else said["answer"]

    def said(self) -> tuple[tuple[str, str], ...]:
        """All that was answered: question and answer, in the order of asking."""
        return tuple(
            (_question(ask, place), ", ".join(text for text in said.values() if text))
            for (ask, place), said in self._answers.items()
            if said is not None
        )

    async def _new(self, ask: Ask, place: Place | None) -> Mapping[str, str] | None:
        if ask == Ask.DEVICE_ID:
            objects = await self._asker.device_id()
            named = {"vendor": VENDOR, "product": PRODUCT, "revision": REVISION}
            return None if objects is None else {word: objects.get(number, "") for word, number in named.items()}
        if ask == Ask.SERVER_ID:
            text = await self._asker.server_id()
            return None if text is None else {"answer": text}
        if ask == Ask.SUNSPEC:
            return await self._sunspec()
        if ask == Ask.MACHINE:
            return await self._asker.machine()
        assert place is not None
        words = await self._asker.registers(place.function, place.address, place.count)
        return None if words is None else {"answer": place.text(words)}

    async def _sunspec(self) -> Mapping[str, str] | None:
        """The texts of model 1, wherever the marker is."""
        for base in SUNSPEC_BASES:
            head = await self._asker.registers(READ_HOLDING, base, 4)
            if (
                head is None
                or head[:2] != SUNSPEC_MARKER
                or head[2] != SUNSPEC_COMMON
                or head[3] not in SUNSPEC_LENGTHS
            ):
                continue
            words = await self._asker.registers(READ_HOLDING, base + 4, head[3])
            if words is not None:
                places = {k: Place(READ_HOLDING, 0, Kind.STRING, count) for k, (_, count) in SUNSPEC_TEXTS.items()}
                return {k: places[k].text(words[at : at + count]) for k, (at, count) in SUNSPEC_TEXTS.items()}
        return None


async def find(profiles: Sequence[Profile], asker: Asker, in_any_case: bool = True) -> Finding:
    """Ask what these profiles want to be asked, and say which of them the device is of. Raises NotConnected.

    What it says of itself by function 43/14 is asked for `in_any_case`, or where a profile wants it. A device may be of
    several profiles; nobody chooses among them here.
    """
    questions = _Questions(asker)
    if in_any_case:
        await questions.answer(Ask.DEVICE_ID, None)
    matches = []
    for profile in profiles:
        for step in profile.identity:
            said = await questions.answer(step.ask, step.place)
            if said is not None and step.fits(said):
                matches.append(await _matched(profile, step, said, questions))
                break
    return Finding(questions.said(), tuple(matches))


async def _matched(profile: Profile, step: Step, said: Mapping[str, str], questions: _Questions) -> Match:
    text = await questions.text(step.firmware) if step.firmware is not None else said.get("revision", "")
    firmware = step.firmware_of(text or "")
    answer = said.get("answer") or said.get("product", "")
    vendor = said.get("vendor") or profile.vendor
    try:
        return Match(profile, step, vendor, answer, firmware, profile.fitting(answer, firmware))
    except NoSet as none:
        return Match(profile, step, vendor, answer, firmware, None, str(none))


def _question(ask: Ask, place: Place | None) -> str:
    return f"{ask.value}{f' {place}' if place else ''}"
