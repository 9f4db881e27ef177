"""Option texts into typed values: everything wrong is found in one pass, and nothing right is refused."""

import pytest

from tidegate.model.option import Options, duration_s


@pytest.mark.parametrize(
    ("text", "expected"),
    [("100ms", 0.1), ("1s", 1.0), ("1.5 s", 1.5), ("10min", 600.0), ("1h", 3600.0), ("2D", 172_800.0)],
)
def test_a_duration_is_a_number_and_its_unit(text: str, expected: float) -> None:
    assert duration_s(text) == pytest.approx(expected)


@pytest.mark.parametrize("text", ["1", "s", "-1s", "1e3s", "1 second", "１s", ""])
def test_what_is_no_duration_is_refused_with_the_way_to_write_one(text: str) -> None:
    with pytest.raises(ValueError, match="100ms"):
        duration_s(text)


def test_an_absent_or_empty_option_is_its_default() -> None:
    options = Options({"a": "", "b": " "}, "m1", 3)
    found = (
        options.text("a", "x"), options.duration_s("b", 2.0, 0.0, 9.0), options.whole("c", 4, 0, 9),
        options.word("a", "high", ("low", "high")),
    )  # fmt: skip
    options.refuse_unknown()

    assert found == ("x", 2.0, 4, "high")
    assert options.problems == []


def test_right_texts_are_read() -> None:
    texts = {"a": "250ms", "b": " 7 ", "c": "HIGH"}
    options = Options(texts, "m1", 3)
    found = (
        options.duration_s("a", 2.0, 0.0, 9.0), options.whole("b", 4, 0, 9), options.word("c", "low", ("low", "high")),
    )  # fmt: skip

    assert found == (0.25, 7, "high")
    assert options.problems == []


def test_every_wrong_text_is_one_problem_with_its_place_and_a_remedy() -> None:
    options = Options({"a": "10s", "b": "10", "c": "middle", "d": "1"}, "m1", 3)
    options.duration_s("a", 2.0, 0.0, 9.0)
    options.whole("b", 4, 0, 9)
    options.word("c", "low", ("low", "high"))
    options.refuse_unknown()

    assert [(p.key, p.row, p.column, p.fatal, bool(p.remedy)) for p in options.problems] == [
        ("m1", 3, column, True, True) for column in "abcd"
    ]
