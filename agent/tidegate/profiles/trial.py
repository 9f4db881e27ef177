"""The trial: golden vectors through the real driver, and identity steps, against simulated devices of the profile."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from tidegate.acquire.conversation import Conversation
from tidegate.acquire.driver import Driver
from tidegate.clock import Clock
from tidegate.errors import DriverError
from tidegate.model import status
from tidegate.model.device import Device, Group
from tidegate.model.frame import Frame, Reading, readings
from tidegate.model.tag import Tag, TagTable, Type
from tidegate.profiles.asking import Asker
from tidegate.profiles.finding import find
from tidegate.profiles.firmware import key
from tidegate.profiles.likeness import likeness, version_of
from tidegate.profiles.locks import Locks
from tidegate.profiles.profile import Bus, Profile, RegisterSet
from tidegate.profiles.seen import Forgetful
from tidegate.profiles.shelf import CHOICE
from tidegate.profiles.simulated import READS, REGISTERS_MAX, Server, Simulated
from tidegate.profiles.vectors import BAD, Round, Vector, expected, rounds, same
from tidegate.shape.shaper import Shaper

NAME = "trial"
DEADLINE_S = 20.0
# What an altered device says of itself.
OTHERS = ("2.1", "7.3")
OTHER_CODE = "9"


@dataclass(frozen=True, slots=True)
class Miss:
    """A vector that was not read as it must be, and what was read instead."""

    vector: Vector
    what: str


async def run(
    driver: type[Driver], tags: Sequence[Tag], options: Mapping[str, str], bus: Bus, vectors: Sequence[Vector]
) -> list[Miss]:
    """Read every vector once through `driver`. The device refuses what the profile says that its devices refuse.

    Raises ConfigError when the driver can't use the tags.
    """
    known = {tag.name: index for index, tag in enumerate(tags)}
    strangers = [Miss(vector, "there is no such tag") for vector in vectors if vector.tag not in known]
    states = rounds([vector for vector in vectors if vector.tag in known])
    device, now = _simulated(options, bus), Round({}, {})
    device.words = lambda: now.words
    misses: list[Miss] = []
    async with Server(device) as server:
        table = TagTable(NAME, tuple(tags))
        groups = tuple(
            Group(NAME, f"{number}", DEADLINE_S, DEADLINE_S, tuple(sorted(known[tag] for tag in state.vectors)))
            for number, state in enumerate(states)
        )
        made = Device(NAME, driver.name, f"tcp://127.0.0.1:{server.port}", 1, table, groups, options)
        reader = driver([made], Clock())
        await reader.open()
        try:
            for state, group in zip(states, groups, strict=True):
                now = state
                try:
                    misses += _judged(await reader.read(group), table, state)
                except DriverError as error:
                    misses += [Miss(vector, error.what) for vector in state.vectors.values()]
        finally:
            await reader.close()
    return [*strangers, *misses]


async def recognised(
    driver: type[Driver], profiles: Sequence[Profile], profile: Profile, one: RegisterSet, vectors: Sequence[Vector]
) -> str:
    """Whether a simulated device of this set is found among profiles, alone and with this set: what is wrong, or "".

    A profile without an identity has nothing that could be wrong.
    """
    if not profile.identity:
        return ""
    firmware = version_of(one.firmware)
    device = likeness(profile, one, vectors, firmware, lambda: 0.0, 1.0)
    async with Server(device) as server:
        asked = stranger(driver.name, f"tcp://127.0.0.1:{server.port}", 1, {})
        async with Conversation(driver([asked], Clock()), asked.name) as conversation:
            found = await find(
                [other for other in profiles if other.driver == driver.name], Asker(conversation.ask, 0.0)
            )
    others = [match.profile.name for match in found.matches if match.profile.name != profile.name]
    mine = next((match for match in found.matches if match.profile.name == profile.name), None)
    if mine is None:
        return "its own device is not recognised"
    if others:
        return f"its device is taken for {' and '.join(others)} as well"
    if mine.firmware and key(mine.firmware) != key(firmware):
        return f"firmware {firmware} is read as {mine.firmware}"
    if mine.set is None or mine.set.name != one.name:
        return f"its device is taken for one of the set {mine.set.name if mine.set else 'of none'}"
    return ""


async def locked(driver: type[Driver], profile: Profile, one: RegisterSet, vectors: Sequence[Vector]) -> str:
    """Whether a simulated device of this set is accepted, locked when its firmware is another, and unlocked when it is
    the old one again: what is wrong, or "". Where a device does not tell its firmware, its model is another.
    """  # fmt: skip
    if not profile.identity:
        return ""
    firmware = version_of(one.firmware)
    usual, altered = (likeness(profile, one, vectors, version, lambda: 0.0, 1.0)
                      for version in (firmware, next(v for v in OTHERS if key(v) != key(firmware))))  # fmt: skip
    step = profile.identity[0]
    if step.place is not None and step.firmware is None:
        words, place = usual.words(), step.place
        code = dict(zip(range(place.address, place.address + place.count), place.words(OTHER_CODE), strict=True))
        altered.words = lambda: {**words, **{(place.function, address): word for address, word in code.items()}}
    async with Server(replace(usual)) as server:
        asked = stranger(driver.name, f"tcp://127.0.0.1:{server.port}", 1, {})
        asked = replace(asked, profile=f"{profile.name}{CHOICE}{one.name}")
        locks = Locks([profile], Forgetful(), {})
        lock = locks.lock(asked)
        if lock is None:
            return "its own device has no lock"
        async with Conversation(driver([asked], Clock()), asked.name) as conversation:
            for device, wanted in ((usual, False), (altered, True), (usual, False)):
                server.device.words, server.device.objects = device.words, device.objects
                await locks.inspect(asked, conversation.ask)
                if bool(lock.why) != wanted:
                    return (
                        f"it is locked: {lock.why}" if lock.why else f"another firmware does not lock it: {lock.said}"
                    )
    return ""


def stranger(driver: str, address: str, unit: int | None, options: Mapping[str, str]) -> Device:
    """A device of which only the address is known: nothing of it can be read but who it is."""
    return Device("device", driver, address, unit, TagTable("device", ()), (), options)


def _simulated(options: Mapping[str, str], bus: Bus) -> Simulated:
    limit = options.get("registers_max", "")
    return Simulated(dict, int(limit) if limit.isdigit() else REGISTERS_MAX, READS if bus.even_only else frozenset())


def _judged(frame: Frame, table: TagTable, state: Round) -> list[Miss]:
    """What of one state was read otherwise than it must be, before and after the scale."""
    untouched = TagTable(table.device, tuple(replace(tag, type=tag.raw) for tag in table.tags))
    shaped = Shaper([table]).shape(frame)
    before = {reading.tag: reading for reading in readings(frame, untouched)}
    after = {reading.tag: reading for reading in readings(shaped, table)} if shaped is not None else {}
    misses = []
    for tag in table.tags:
        vector = state.vectors.get(tag.name)
        if vector is None:
            continue
        raw, value = before.get(tag.name), after.get(tag.name)
        wrong = [*_otherwise("raw", raw, vector.raw, tag.raw), *_otherwise("value", value, vector.value, tag.type)]
        if wrong:
            misses.append(Miss(vector, "; ".join(wrong)))
    return misses


def _otherwise(what: str, reading: Reading | None, text: str, kind: Type) -> list[str]:
    """How a reading is otherwise than the text says; empty when it is not."""
    told = [f"{what} {_shown(reading)} instead of {text}"]
    if reading is None:
        return told
    if text == BAD or not status.is_good(reading.status):
        return [] if text == BAD and not status.is_good(reading.status) else told
    try:
        return [] if same(expected(text, kind), reading.value) else told
    except ValueError as wrong:
        return [f"{what} can't be {text}: {wrong}"]


def _shown(reading: Reading | None) -> str:
    if reading is None:
        return "nothing"
    return f"{reading.value!r}" if status.is_good(reading.status) else status.name(reading.status)
