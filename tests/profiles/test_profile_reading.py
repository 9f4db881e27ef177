"""A profile that can't be used says which key of which file is wrong, on which line, and what to do about it."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tidegate.config.problems import Problems
from tidegate.config.profiles import ProfileReader
from tidegate.profiles.profile import NoSet, Profile
from tidegate.profiles.shelf import Shelf

Folder = Callable[..., Path]


def read(path: Path) -> tuple[Profile | None, list[str]]:
    """The meter's profile with all its files read, and every problem as a person sees it."""
    problems = Problems()
    reader = ProfileReader(Shelf(path), problems)
    profile = reader.profile("acme/m1")
    for one in profile.sets if profile else ():
        reader.tags(profile, one)
        reader.vectors(profile, one)
    return profile, [str(problem) for problem in problems.faults]


def test_a_whole_profile_is_read_without_a_problem(folder: Folder) -> None:
    profile, problems = read(folder())

    assert problems == []
    assert profile is not None
    assert [one.name for one in profile.sets] == ["old", "new"]
    assert profile.bus.unit == 7
    assert str(profile.identity[0].place) == "holding 0x0010 (string, 4 registers)"


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (("evidence = \"single source\"", "evidence = \"hearsay\""), ":4 evidence: 'hearsay' is not known here"),
        (("model = \"M1\"\n", ""), " model: it is missing. Write model = \"...\""),
        (("<1.14", "~1.14"), ":13 set.firmware: '~1.14' is no range of firmware. Write any"),
        (("name = \"old\"", "nane = \"old\""), ":12 set.nane: there is no such key. Use one of: name"),
        (("name = \"old\"\n", ""), "set.name: '' can't be a set's name"),
        (("\"new\"", "\"old\""), " set.name: 'old' stands there twice"),
        (("old.csv", "../old.csv"), ":14 set.registers: '../old.csv' is no CSV file of this folder"),
        (("old.csv", "older.csv"), "there is no older.csv in its folder"),
        (("\"registers\"\nat", "\"gossip\"\nat"), ":22 identity.ask: 'gossip' is not known here. Choose one of"),
        (("holding 0x0010", "coil 1"), ":23 identity.at: 'coil 1' is no place: write holding 0x0302"),
        (("length = 8\n", ""), "identity.at: a string needs its length"),
        (("is = \"M1*\"\n", ""), " identity: it says of no answer that it is right. Add is"),
        (("type = \"dotted\"", "type = \"roman\""), "identity.firmware.at: 'roman' is no type here"),
        (("unit = 7", "unit = 700"), ":30 bus.unit: 700 is none of 0 to 255"),
        (("even_only = true", "even_only = true\nbaud = 9601"), "bus.baud: 9601 is none of"),
        (("[[set]]\nname = \"old\"", "[set]\nname = \"old\""), "Correct the TOML syntax"),
        (("id = \"manual\"", "id = \"The Manual\""), ":7 sources.id: 'The Manual' can't be an id"),
        (("[bus]", "[wheels]"), ":29 wheels: there is no such key. Use one of: vendor"),
        (("order = \"ABCD\"", "order = [1]"), "table.order: it is neither text nor a number"),
    ],
)  # fmt: skip
def test_each_problem_names_file_key_and_remedy(folder: Folder, change: tuple[str, str], told: str) -> None:
    path = folder()
    file = path / "acme/m1/profile.toml"
    text = file.read_text()
    assert change[0] in text
    file.write_text(text.replace(change[0], change[1], 1))

    problems = read(path)[1]

    assert any(told in problem for problem in problems), problems
    assert all(problem.startswith("profile acme/m1 ") for problem in problems)


def test_a_register_whose_source_is_unknown_is_a_problem(folder: Folder) -> None:
    rows = "name,address,type,unit,source\nU,0,float32,V,rumour\nI,2,float32,A,\n"

    problems = read(folder(registers=rows))[1]

    assert problems == [
        "profile acme/m1 registers.csv:2 [source] U: there is no source 'rumour'. "
        "Name ids of [[sources]], with a space between them: manual",
        "profile acme/m1 registers.csv:3 [source] I: it does not say where it was taken from. "
        "Name ids of [[sources]], with a space between them: manual",
    ]


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ("U,coil 3,0001,1,1", "'coil 3' is no place"),
        ("U,input 3,12345,1,1", "'12345' is not made of 1 to 125 registers"),
        ("U,input 3,xyz,1,1", "'xyz' is not made of registers"),
        ("U,input 65535,0001 0002,1,1", "is outside of 0x0000 to 0xFFFF"),
        ("U,input 3,0001,,1", "it does not say what is expected"),
    ],
)
def test_a_vector_that_says_nothing_is_a_problem(folder: Folder, row: str, told: str) -> None:
    problems = read(folder(vectors=f"tag,at,words,raw,value\n{row}\n"))[1]

    assert len(problems) == 1
    assert problems[0].startswith("profile acme/m1 vectors.csv:2 U: ")
    assert told in problems[0]


@pytest.mark.parametrize(
    ("wanted", "name"), [("1.9", "old"), ("1.14", "new"), ("2.0", "new"), ("old", "old"), ("new", "new")]
)
def test_a_set_is_chosen_by_its_name_or_a_firmware(folder: Folder, wanted: str, name: str) -> None:
    profile = read(folder())[0]
    assert profile is not None

    assert profile.choose(wanted).name == name


def test_without_a_firmware_a_profile_of_two_sets_asks_for_one(folder: Folder) -> None:
    profile = read(folder())[0]
    assert profile is not None

    with pytest.raises(
        NoSet, match=r"several sets of registers. Write one of: acme/m1@old \(firmware <1.14\), acme/m1@new"
    ):
        profile.choose()


def test_a_firmware_that_no_set_is_for_is_told(folder: Folder) -> None:
    text = (folder() / "acme/m1/profile.toml").read_text()
    profile = read(folder(profile=text.replace("<1.14", "<1.10")))[0]
    assert profile is not None

    with pytest.raises(NoSet, match=r"no set of registers for firmware 1\.12"):
        profile.choose("1.12")
