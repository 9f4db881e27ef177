"""`tidegate profile` lists, shows, compares and tries profiles, and its exit code says what it found."""

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tidegate.cli.main import group
from tidegate.config.tables import profiles
from tidegate.errors import ConfigError

PROFILE = """vendor = "Acme"
model = "M1"
description = "A meter"
evidence = "single source"

[[sources]]
id = "manual"
document = "Acme M1, manual"
place = "p. 7"

[[set]]
name = "old"
firmware = "<1.14"
registers = "old.csv"

[[set]]
name = "new"
firmware = ">=1.14"

[table]
registers = "input"
"""
NEW = "name,address,type,scale,unit,source\nU,0x0000,float32,,V,manual\nE,0x0020,uint32,0.1,kWh,manual\n"
OLD = NEW.replace("0x0000", "0x0002") + "I,0x08,float32,,A,manual\n"
VECTORS = "tag,at,words,raw,value\nU,input 0x0000,4366 4000,230.25,230.25\nE,input 0x0020,0001 2345,74565,7456.5\n"


@pytest.fixture
def vendors(tmp_path: Path) -> Path:
    place = tmp_path / "acme" / "m1"
    place.mkdir(parents=True)
    for name, text in (("profile.toml", PROFILE), ("registers.csv", NEW), ("old.csv", OLD), ("vectors.csv", VECTORS)):
        (place / name).write_text(text)
    return tmp_path


def profile(*words: str, vendors: Path | None = None) -> Result:
    return CliRunner().invoke(group, ["profile", *words, *(["--from", str(vendors)] if vendors else [])])


def test_list_has_a_line_a_set_with_its_firmware_tags_and_evidence() -> None:
    ran = profile("list")
    lines = ran.output.splitlines()

    assert ran.exit_code == 0
    assert lines[0].split() == ["profile", "for", "tags", "identified", "evidence"]
    (line,) = [line.split() for line in lines if line.startswith("janitza/umg96rm")]
    assert [*line[:3], *line[4:]] == ["janitza/umg96rm", "firmware", ">=1.14", "no", "vendor", "document"]
    assert int(line[3]) > 20
    assert lines[-1] == f"{len(profiles())} profiles, {len(lines) - 2} sets of registers"


def test_show_says_all_that_is_known() -> None:
    ran = profile("show", "abb/b23")

    assert ran.exit_code == 0
    assert "evidence    two sources" in ran.output
    assert "identity    1. registers holding 0x8960 (string, 6 registers): answer is B23* or B24*" in ran.output
    assert any(
        line.split()
        == [
            "P",
            "holding",
            "0x5B14,",
            "2",
            "registers,",
            "int32",
            "ABCD,",
            "na",
            "0x7FFFFFFF",
            "x",
            "1/100",
            "W",
            "mbmd",
            "victron",
            "Active",
            "power",
            "in",
            "total",
        ]
        for line in ran.output.splitlines()
    )


def test_diff_shows_what_two_firmwares_read_otherwise(vendors: Path) -> None:
    ran = profile("diff", "acme/m1@1.9", "acme/m1@1.14", vendors=vendors)

    assert ran.exit_code == 1
    assert ran.output.splitlines() == [
        "U",
        "  acme/m1@1.9   input 0x0002, 2 registers, float32 ABCD, V",
        "  acme/m1@1.14  input 0x0000, 2 registers, float32 ABCD, V",
        "I",
        "  acme/m1@1.9   input 0x0008, 2 registers, float32 ABCD, A",
        "  acme/m1@1.14  not there",
        "2 tags in both, 1 of them differ; 1 in one only",
    ]


def test_diff_of_a_set_with_itself_finds_nothing() -> None:
    ran = profile("diff", "eastron/sdm630", "eastron/sdm630@any")

    assert (ran.exit_code, ran.output) == (0, "26 tags in both, 0 of them differ; 0 in one only\n")


def test_every_shipped_profile_passes_its_test() -> None:
    ran = profile("test", "--all")
    last = ran.output.splitlines()[-5:]

    assert ran.exit_code == 0, ran.output
    assert [line[:4] for line in last] == ["ok  "] * 5
    assert "0 of them without a vector" in last[1]
    assert "0 whose own device is not found" in last[2]
    assert "0 that another firmware does not lock" in last[3]
    assert "0 read wrongly" in last[4]


def test_a_wrong_vector_and_a_tag_without_one_fail_the_test(vendors: Path) -> None:
    ran = profile("test", "acme/m1", vendors=vendors)

    assert ran.exit_code == 1
    assert "FAIL  acme/m1@old: 3 tags, 2 vectors, 1 wrong" in ran.output
    assert "      I has no vector" in ran.output
    assert "      row 2 U: raw 0.0 instead of 230.25; value 0.0 instead of 230.25" in ran.output
    assert ran.output.splitlines()[-4:] == [
        "FAIL  2 sets of registers with 5 tags, 1 of them without a vector (limit 0)",
        "ok    0 sets with an identity, 0 whose own device is not found (limit 0)",
        "ok    0 sets with an identity, 0 that another firmware does not lock (limit 0)",
        "FAIL  4 vectors, 1 read wrongly (limit 0)",
    ]


def test_an_identity_that_does_not_find_its_own_device_fails_the_test(vendors: Path) -> None:
    place = vendors / "acme" / "m1"
    step = '[[identity]]\nask = "registers"\nat = "input 0x0000"\nis = "7"\nfirmware = {{ at = "{}" }}\n\n[table]'
    (place / "registers.csv").write_text(NEW)
    (place / "profile.toml").write_text(PROFILE.replace("[table]", step.format("input 0x0030")))
    ran = profile("test", "acme/m1@new", vendors=vendors)

    assert ran.exit_code == 1
    assert "FAIL  acme/m1@new: 2 tags, 2 vectors, 0 wrong" in ran.output
    assert "      firmware 1.14 is read as 1" in ran.output
    assert "FAIL  1 set with an identity, 1 whose own device is not found (limit 0)" in ran.output


def test_where_there_is_no_profile_nothing_passes(tmp_path: Path) -> None:
    ran = profile("test", "--all", vendors=tmp_path)

    assert ran.exit_code == 1
    assert "there is no profile in" in ran.output


def test_one_set_is_tried_when_it_is_named(vendors: Path) -> None:
    ran = profile("test", "acme/m1@1.20", vendors=vendors)

    assert ran.exit_code == 0, ran.output
    assert "ok    acme/m1@new: 2 tags, 2 vectors, 0 wrong" in ran.output


def test_a_profile_that_can_not_be_used_fails_and_the_others_go_on(vendors: Path) -> None:
    (vendors / "acme" / "m2").mkdir()
    (vendors / "acme" / "m2" / "profile.toml").write_text('vendor = "Acme"\n')
    ran = profile("test", "acme/m2", "acme/m1@new", vendors=vendors)

    assert ran.exit_code == 1
    assert "FAIL  acme/m2: it can't be used" in ran.output
    assert 'profile acme/m2 profile.toml model: it is missing. Write model = "..."' in ran.output
    assert "ok    acme/m1@new" in ran.output
    assert "FAIL  2 profiles, 1 that can't be used (limit 0)" in ran.output


def test_what_the_driver_can_not_read_is_told_with_file_and_row(vendors: Path) -> None:
    (vendors / "acme" / "m1" / "registers.csv").write_text(NEW.replace("0x0020", "0x1FFFF"))
    ran = profile("show", "acme/m1@new", vendors=vendors)

    assert isinstance(ran.exception, ConfigError)
    assert str(ran.exception).startswith("profile acme/m1 registers.csv:3 [address] E: '0x1FFFF' is no Modbus address")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("show", "eastron/sdm63"), "Did you mean `eastron/sdm630`?"),
        (("show", "janitza/umg96rm@1.2"), "it has no set of registers for firmware 1.2"),
        (("test",), "name profiles, or give --all"),
        (("test", "--all", "eastron/sdm630"), "name profiles, or give --all"),
    ],
)
def test_what_is_not_there_is_told_with_what_is(words: tuple[str, ...], told: str) -> None:
    ran = profile(*words)

    assert ran.exit_code == 2
    assert told in ran.output.replace("\n", " ")
