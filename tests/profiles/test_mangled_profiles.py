"""Whatever stands in a profile's files, reading it ends with a profile or with problems, never with another error."""

import copy
import tomllib
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tidegate.config.problems import Problems
from tidegate.config.profiles import ProfileReader
from tidegate.errors import Problem
from tidegate.profiles import reading
from tidegate.profiles.profile import NoSet
from tidegate.profiles.shelf import Shelf

DEVICES = Path(str(resources.files("tidegate_profiles"))) / "devices"
NAMES = ("abb/b23", "carlo-gavazzi/em340", "huawei/sun2000", "janitza/umg96pa")
SCALARS = st.one_of(
    st.text(max_size=20), st.integers(-(2**70), 2**70), st.floats(), st.booleans(), st.datetimes(),
    st.sampled_from(["any", ">=1.14", "2.x", "holding 7", "registers", "sunspec", "dotted", "50ms", "(", "V(.)"]),
)  # fmt: skip
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=8), inner, max_size=3)),
    max_leaves=6,
)


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place in a tree."""
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in entries:
        yield (*path, key)
        yield from places(inner, (*path, key))


@given(st.data())
@settings(max_examples=300)
def test_any_value_in_any_place_of_a_profile_is_read_or_told(data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(NAMES))
    tree = tomllib.loads((DEVICES / name / "profile.toml").read_text())
    for _ in range(data.draw(st.integers(1, 3))):
        holder: Any = tree
        *way, last = data.draw(st.sampled_from(list(places(tree))))
        for key in way:
            holder = holder[key]
        if data.draw(st.booleans()):
            holder[last] = copy.deepcopy(data.draw(VALUES))
        else:
            del holder[last]
        if not list(places(tree)):
            return
    problems: list[Problem] = []
    profile = reading.read(name, "file", tree, lambda path: 1, problems.append)

    assert (profile is None) == bool(problems)
    assert all(problem.what and problem.remedy and problem.file == "file" for problem in problems)


@given(st.data())
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_mangled_files_are_read_or_told(tmp_path: Path, data: st.DataObject) -> None:
    place = tmp_path / "acme" / "m1"
    place.mkdir(parents=True, exist_ok=True)
    name = data.draw(st.sampled_from(NAMES))
    for file in (DEVICES / name).glob("*.*"):
        (place / file.name).write_bytes(file.read_bytes())
    victim = data.draw(st.sampled_from(["profile.toml", "registers.csv", "vectors.csv"]))
    content = bytearray((place / victim).read_bytes())
    at = data.draw(st.integers(0, len(content) - 1))
    content[at : at + data.draw(st.integers(0, 20))] = data.draw(st.binary(max_size=20))
    (place / victim).write_bytes(content)
    problems = Problems()
    reader = ProfileReader(Shelf(tmp_path), problems)
    profile = reader.profile("acme/m1")
    for one in profile.sets if profile else ():
        reader.tags(profile, one)
        reader.vectors(profile, one)

    assert profile is not None or problems.faults
    assert all(problem.file.startswith("profile acme/m1 ") and problem.remedy for problem in problems.faults)


@given(st.text(max_size=30))
def test_any_choice_is_a_set_or_is_told(text: str) -> None:
    profile = ProfileReader(Shelf(), Problems()).profile("janitza/umg96rm")
    assert profile is not None
    try:
        found, remedy = profile.choose(text).name, ""
    except NoSet as none:
        found, remedy = "", none.remedy

    assert (found == "1.14") != ("janitza/umg96rm@1.14" in remedy)


@pytest.mark.parametrize("name", ["../../etc", "eastron", "eastron/../eastron/sdm630", "", "/", "eastron/sdm630/x"])
def test_a_name_that_is_no_profile_opens_nothing(name: str) -> None:
    assert name not in Shelf().names()
