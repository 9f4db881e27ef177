"""The shipped vectors see what goes wrong with a register map: word order, sign, address, function, scale."""

import asyncio
from collections.abc import Callable
from dataclasses import replace

import pytest

from tidegate.acquire.registry import drivers
from tidegate.config.problems import Problems
from tidegate.config.profiles import ProfileReader
from tidegate.model.tag import Scale, Tag, Type
from tidegate.profiles import trial
from tidegate.profiles.profile import MODBUS, Bus
from tidegate.profiles.shelf import Shelf
from tidegate.profiles.vectors import Vector

SIGNS = {Type.INT16: Type.UINT16, Type.INT32: Type.UINT32, Type.INT64: Type.UINT64}
OTHERS = {**SIGNS, **{unsigned: signed for signed, unsigned in SIGNS.items()}}
ORDERS = {"ABCD": "CDAB", "CDAB": "ABCD"}
FUNCTIONS = {"holding": "input", "input": "holding"}
SETS = [(profile.name, one.name) for name in Shelf().names()
        if (profile := ProfileReader(Shelf(), Problems()).profile(name)) and profile.driver == MODBUS
        for one in profile.sets]  # fmt: skip

Change = Callable[[Tag], Tag | None]


def read(name: str, chosen: str) -> tuple[tuple[Tag, ...], tuple[Vector, ...]]:
    reader = ProfileReader(Shelf(), Problems())
    profile = reader.profile(name)
    assert profile is not None
    one = profile.choose(chosen)
    found = reader.tags(profile, one)
    assert found is not None
    return found.tags.tags, reader.vectors(profile, one)


def unseen(name: str, chosen: str, change: Change) -> list[str]:
    """The tags that a change does not keep from passing; a change that is None for a tag does not concern it."""
    tags, vectors = read(name, chosen)
    changed = {tag.name: other for tag in tags if (other := change(tag)) is not None}
    if not changed:
        return []
    # What a tag is scaled by is read along, as it was.
    powers = {tag.scale_by for tag in changed.values()} - changed.keys()
    asked = (*changed.values(), *(tag for tag in tags if tag.name in powers))
    wanted = [vector for vector in vectors if vector.tag in changed or vector.tag in powers]
    misses = asyncio.run(trial.run(drivers()["modbus"], asked, {}, Bus(), wanted))
    return sorted(changed.keys() - {miss.vector.tag for miss in misses})


def option(tag: Tag, column: str, words: dict[str, str]) -> Tag:
    texts = dict(tag.options)
    return replace(tag, options=tuple({**texts, column: words[texts[column]]}.items()))


def narrow(tag: Tag) -> bool:
    return tag.raw in (Type.INT16, Type.UINT16)


@pytest.mark.parametrize(("name", "chosen"), SETS)
def test_the_other_word_order_is_seen_in_every_tag_of_several_registers(name: str, chosen: str) -> None:
    assert unseen(name, chosen, lambda tag: None if narrow(tag) else option(tag, "order", ORDERS)) == []


@pytest.mark.parametrize(("name", "chosen"), SETS)
def test_the_other_sign_is_seen_in_every_whole_number(name: str, chosen: str) -> None:
    def other(tag: Tag) -> Tag | None:
        # What is scaled and as wide as that has no digits left for a sign that could be told.
        if tag.raw not in OTHERS or (tag.raw == Type.UINT64 and not tag.scale.neutral):
            return None
        kind = OTHERS[tag.raw]
        return replace(tag, raw=kind, type=kind if tag.scale.neutral else tag.type)

    assert unseen(name, chosen, other) == []


@pytest.mark.parametrize("step", [1, -1])
@pytest.mark.parametrize(("name", "chosen"), SETS)
def test_an_address_that_is_off_by_one_is_seen(name: str, chosen: str, step: int) -> None:
    def off(tag: Tag) -> Tag | None:
        number = int(tag.address, 0) + step
        return None if number < 0 else replace(tag, address=hex(number) if tag.address[:2] == "0x" else str(number))

    assert unseen(name, chosen, off) == []


@pytest.mark.parametrize(("name", "chosen"), SETS)
def test_the_other_kind_of_registers_is_seen(name: str, chosen: str) -> None:
    assert unseen(name, chosen, lambda tag: option(tag, "registers", FUNCTIONS)) == []


@pytest.mark.parametrize(("name", "chosen"), SETS)
def test_another_scale_is_seen(name: str, chosen: str) -> None:
    def tenth(tag: Tag) -> Tag:
        return replace(tag, type=Type.FLOAT64, scale=Scale(tag.scale.numerator, tag.scale.denominator * 10))

    assert unseen(name, chosen, tenth) == []


@pytest.mark.parametrize(("name", "chosen"), SETS)
def test_a_value_that_means_not_available_and_is_forgotten_is_seen(name: str, chosen: str) -> None:
    def without(tag: Tag) -> Tag | None:
        meant = f"{tag.raw.word}:" in tag.option("na")
        return replace(tag, options=tuple(pair for pair in tag.options if pair[0] != "na")) if meant else None

    assert unseen(name, chosen, without) == []
