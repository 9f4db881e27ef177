"""Durations, sizes, scales and bounds are read exactly, or refused with what to write instead."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.config import quantities
from tidegate.config.quantities import Unfit
from tidegate.model.tag import Scale


@pytest.mark.parametrize(
    ("text", "expected"),
    [("100ms", 0.1), ("1s", 1.0), ("1.5 s", 1.5), ("10min", 600.0), ("1h", 3600.0), ("1d", 86400.0), ("10MS", 0.01)],
)
def test_a_duration_is_read_exactly(text: str, expected: float) -> None:
    assert expected == quantities.seconds(text, 0, 1e6)


@pytest.mark.parametrize("text", ["", "1", "s", "-1s", "1 week", "1s 2ms", "１s", 5, None, True])
def test_what_is_no_duration_is_refused_with_how_to_write_one(text: object) -> None:
    with pytest.raises(Unfit) as refused:
        quantities.seconds(text, 0, 1e6)

    assert "100ms" in refused.value.remedy


def test_a_duration_out_of_bounds_names_the_bounds_as_one_would_write_them() -> None:
    with pytest.raises(Unfit) as refused:
        quantities.seconds("1ms", 0.01, 86400)

    assert refused.value.remedy == "Use 10ms to 1d"


@pytest.mark.parametrize(
    ("text", "expected"),
    [("8MB", 8_000_000), ("8MiB", 8 << 20), ("2GB", 2 * 10**9), ("262144B", 262144), ("1.5kB", 1500)],
)
def test_a_size_is_read_exactly(text: str, expected: int) -> None:
    assert expected == quantities.size_bytes(text, 0, 10**12)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("0.1", (1, 10)), ("1/3", (1, 3)), ("10", (10, 1)), ("1e-3", (1, 1000)), ("-0.5", (-1, 2)), ("0.1 / 3", (1, 30))],
)
def test_a_scale_is_the_ratio_that_was_written(text: str, expected: tuple[int, int]) -> None:
    assert Scale(*expected) == quantities.scale(text, 0.0)


@given(st.integers(1, 10**9), st.integers(0, 3))
def test_every_decimal_scale_is_exact(number: int, places: int) -> None:
    text = f"{number // 10**places}.{number % 10**places:0{places}d}" if places else str(number)
    found = quantities.scale(text, 0.0)

    assert Fraction(number, 10**places) == Fraction(found.numerator, found.denominator)


@pytest.mark.parametrize("text", ["0", "1/0", "a", "1/", "nan", "inf", "1e300", "0,1", "1/3/5", "9" * 50])
def test_what_is_no_scale_is_refused(text: str) -> None:
    with pytest.raises(Unfit):
        quantities.scale(text, 0.0)


def test_a_decimal_comma_counts_only_where_the_file_says_so() -> None:
    assert Scale(1, 10) == quantities.scale("0,1", 0.0, decimal_comma=True)
    with pytest.raises(Unfit):
        quantities.number("0,1", decimal_comma=False)


def test_a_deadband_in_per_cent_is_of_the_range() -> None:
    assert quantities.deadband("1%", (-20.0, 80.0)) == 1.0
    assert quantities.deadband("0.5", None) == 0.5
    with pytest.raises(Unfit, match="low and high"):
        quantities.deadband("1%", None)
    with pytest.raises(Unfit, match="negative"):
        quantities.deadband("-1", None)


def test_labels_may_be_written_in_chinese() -> None:
    assert quantities.label("重要") == "important"
    with pytest.raises(Unfit, match="internal"):
        quantities.label("secret")


@given(st.text(max_size=60))
def test_any_text_is_read_or_refused_and_nothing_else(text: str) -> None:
    for read in (
        lambda: quantities.seconds(text, 0, 1e9),
        lambda: quantities.size_bytes(text, 0, 1 << 60),
        lambda: quantities.scale(text, 0.0, True),
        lambda: quantities.deadband(text, (0, 1), True),
        lambda: quantities.whole(text),
        lambda: quantities.label(text),
    ):
        remedy = "none is needed"
        try:
            read()
        except Unfit as unfit:
            remedy = unfit.remedy

        assert remedy
