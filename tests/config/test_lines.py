"""A key of a TOML file is found on the line that it stands on."""

import tomllib

from tidegate.config.lines import Lines, Path

TEXT = '''# a comment = 1
[gateway]
name = "g" # [not] = a header
about = """
[gateway]
name = "no"
"""
"quoted.key" = 1

[groups.fast]
interval = "1s"
[groups]
slow.interval = "5s"

[[target]]
name = "a"
list = [
  "x", # a ] in a comment
  "[y]",
]
[target.more]
deep = 1
[[target]]
inline = { a = 1, b = [1, 2] }
after = 2
'''


def at(*path: str | int) -> int | None:
    return Lines(TEXT).of(path)


def test_the_text_is_toml() -> None:
    assert tomllib.loads(TEXT)["target"][1]["after"] == 2


def test_keys_are_found_where_they_stand() -> None:
    expected: dict[Path, int] = {
        ("gateway",): 2,
        ("gateway", "name"): 3,
        ("gateway", "about"): 4,
        ("gateway", "quoted.key"): 8,
        ("groups", "fast", "interval"): 11,
        ("groups", "slow", "interval"): 13,
        ("target", 0): 15,
        ("target", 0, "name"): 16,
        ("target", 0, "list"): 17,
        ("target", 0, "more", "deep"): 22,
        ("target", 1): 23,
        ("target", 1, "inline"): 24,
        ("target", 1, "after"): 25,
    }

    assert {path: at(*path) for path in expected} == expected


def test_a_key_that_is_not_there_is_told_at_what_is_around_it() -> None:
    assert at("target", 1, "url") == 23
    assert at("target", 1, "inline", "b") == 24
    assert at("nothing") is None
