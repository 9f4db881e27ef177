"""Formulas: what they say, that they compute what Python computes, and that nothing gets out of them."""

import math
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from simpleeval import SimpleEval  # type: ignore[import-untyped]  # it brings no types

from tidegate.shape import formula
from tidegate.shape.formula import Alarm, Expression, Misformed, Window, parse
from tidegate.shape.functions import FUNCTIONS, OPERATORS
from tidegate.shape.sum import Sum

# What has got out of evaluators of this kind, and what would stop a gateway: none may ever be a formula.
ESCAPES = (
    "__import__('os').system('id')",
    "a.__class__.__mro__[1].__subclasses__()",
    "().__class__.__bases__[0].__subclasses__()",
    "abs.__globals__",
    "abs.__self__.__import__('os')",
    "max.__call__(a, 1)",
    "avg.__globals__['math'].__loader__",
    "{x for x in (1).__class__.__base__.__subclasses__()}",
    "list(x for x in (1).__class__.__base__.__subclasses__())",
    "(lambda: a)()",
    "(lambda f: f(f))(lambda f: f(f))",
    "[[a for a in range(10**9)]]",
    "{a: b}",
    "{a}",
    "(a, b)",
    "f'{a.__class__}'",
    "f'{a}'",
    "'a' * 10**9",
    "a + 'x'",
    "b'x'",
    "a['__class__']",
    "a[0]",
    "getattr(a, 'real')",
    "eval('a')",
    "exec('a')",
    "open('/etc/passwd')",
    "print(a)",
    "globals()",
    "vars()",
    "type(a)",
    "format(a, '99999999d')",
    "a.real",
    "a.__add__(1)",
    "(a := 5)",
    "a = 5",
    "a; b",
    "a\nimport os",
    "import os",
    "yield a",
    "await a",
    "a if b else c",
    "not_a_function(a)",
    "abs(*a)",
    "abs(**a)",
    "abs(x=a)",
    "max(a, key=abs)",
    "min(a, default=abs)",
    "abs(a)(b)",
    "if(a, abs, max)(b)",
    "(abs)(a)(b)",
    "a << 99999999",
    "a & 1",
    "~a",
    "a in b",
    "a is b",
    "a @ b",
    "1j * a",
    "1e999 * a",
    "None",
    "...",
    "a + ...",
    "9" * 400 + " * a",
    "(" * 240 + "a" + ")" * 240,
    "-" * 300 + "a",
    "a" + "+a" * 240,
    "abs(" * 60 + "a" + ")" * 60,
    "`a`",
    "a\x00",
    "",
    "1 + 1",
    "#",
    "alarm(a.__class__, high=1)",
    "alarm(a, high=__import__('os'))",
    "alarm(a, high=1e999)",
    "mean(a.__class__, 15min)",
    "mean(a, 15min) + 1",
)


def value(text: str, **tags: float) -> float | None:
    made = parse(text)
    assert isinstance(made, Expression)
    return Sum(made).of([tags[name] for name in made.inputs])


@pytest.mark.parametrize("text", ESCAPES, ids=range(len(ESCAPES)))
def test_nothing_gets_out_of_a_formula(text: str) -> None:
    began_s = time.monotonic()
    with pytest.raises(Misformed) as refused:
        parse(text)

    assert refused.value.what
    assert refused.value.remedy
    assert time.monotonic() - began_s < 5.0


def test_a_comprehension_in_brackets_is_a_name_that_no_tag_has() -> None:
    assert parse("[a for a in range(10**9)]").inputs == ("a for a in range(10**9)",)


@settings(max_examples=500, deadline=None)
@given(st.text(alphabet="ab1. _[]()'\"+-*/%<>=!,:{}~&|^@#\\\nifandorlms", max_size=40))
def test_any_text_is_a_formula_or_refused(text: str) -> None:
    try:
        made = parse(text)
    except Misformed:
        return
    if isinstance(made, Expression):
        result = Sum(made).of([1.5] * len(made.inputs))

        assert result is None or math.isfinite(result)


def test_the_evaluator_knows_our_functions_and_operators_only() -> None:
    made = parse("a + 1")
    assert isinstance(made, Expression)
    evaluator = SimpleEval(operators=OPERATORS, functions={n: f.call for n, f in FUNCTIONS.items()}, names={"a": 1.0})

    assert set(evaluator.functions) == set(FUNCTIONS)
    for text in ("rand()", "int(a)", "str(a)", "a << 2", "a in (1, 2)"):
        with pytest.raises(Exception, match=r"."):
            evaluator.eval(text)


@pytest.mark.parametrize("text", ["a ** a ** a ** a", "exp(exp(exp(a)))", "((a ** 9) ** 9) ** 9", "a * 1e308 * 1e308"])
def test_what_grows_beyond_measure_is_no_number_at_once(text: str) -> None:
    began_s = time.monotonic()

    assert value(text, a=1e9) is None
    assert time.monotonic() - began_s < 1.0


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a + b * 2", 7.0),
        ("= a + b", 5.0),
        ("(a + b) / 2", 2.5),
        ("a // b", 1.0),
        ("a % b", 1.0),
        ("a ** b", 9.0),
        ("-a + +b", -1.0),
        ("abs(b - a)", 1.0),
        ("min(a, b, 1)", 1.0),
        ("max(a, b)", 3.0),
        ("avg(a, b)", 2.5),
        ("round(2.5)", 3.0),
        ("round(-2.5) + a - a", -3.0),
        ("round(a / b, 2)", 1.5),
        ("sqrt(a * 3)", 3.0),
        ("floor(a / b)", 1.0),
        ("ceil(a / b)", 2.0),
        ("clamp(a, 0, 2)", 2.0),
        ("log10(100) + 0 * a", 2.0),
        ("if(a > b, a, b)", 3.0),
        ("if(a == 3 and not b == 3, 1, 0)", 1.0),
        ("if(b - 2, a / (b - 2), 7)", 7.0),
        ("1 < b < a", 1.0),
        ("a and 0", 0.0),
        ("bit(5, 2) or bit(a, 5)", 1.0),
        ("true and a", 1.0),
        ("[a] + [ b ]", 5.0),
    ],
)  # fmt: skip
def test_an_expression_says_what_it_looks_like(text: str, expected: float) -> None:
    if "a" not in text and "b" not in text.replace("bit", ""):
        text += " + 0 * a"

    assert expected == value(text, a=3.0, b=2.0)


@pytest.mark.parametrize(
    "text",
    ["a / b", "a // b", "a % b", "sqrt(-a)", "log(b)", "(-a) ** 0.5", "bit(a / 2, 1)", "exp(a * 1000)", "round(a, 99)"],
)  # fmt: skip
def test_what_has_no_result_has_none(text: str) -> None:
    assert value(text, a=3.0, b=0.0) is None


def test_an_overflow_on_the_way_never_ends_as_a_number() -> None:
    assert value("1 / (a * 1e308)", a=100.0) is None


@pytest.mark.parametrize(
    ("text", "boolean"),
    [("a > 1", True), ("a and b", True), ("not a", True), ("bit(a, 1)", True), ("if(a, b > 1, b < 1)", True),
     ("a + b", False), ("if(a, b, 1)", False), ("(a > 1) * 2", False)],
)  # fmt: skip
def test_a_yes_or_no_is_known_as_one(text: str, boolean: bool) -> None:
    made = parse(text)

    assert isinstance(made, Expression)
    assert boolean == made.boolean


NUMBERS = st.floats(-1e6, 1e6, allow_nan=False).map(lambda v: round(v, 3))


@st.composite
def expressions(draw: st.DrawFn, depth: int = 0) -> str:
    """Texts that mean the same to us and to Python."""
    if depth >= 4 or draw(st.booleans()):
        return draw(st.sampled_from(["a", "b", "c", "2.0", "0.5", "100.0"]))
    one, two = draw(expressions(depth + 1)), draw(expressions(depth + 1))
    shape = draw(st.sampled_from(["({} + {})", "({} - {})", "({} * {})", "({} / {})", "min({}, {})", "max({}, {})"]))
    return shape.format(one, two)


@settings(max_examples=300, deadline=None)
@given(expressions(), NUMBERS, NUMBERS, NUMBERS)
def test_an_expression_computes_what_python_computes(text: str, a: float, b: float, c: float) -> None:
    text = f"{text} + a"
    names = {"a": a, "b": b, "c": c}
    try:
        expected: float | None = eval(text, {"__builtins__": {}, "min": min, "max": max}, names)
    except ZeroDivisionError:
        expected = None
    if expected is not None and not math.isfinite(expected):
        expected = None

    assert expected == value(text, **names)


def test_names_of_several_words_and_scripts_stand_in_brackets() -> None:
    assert value("[Oil pressure 1] * 2 + 温度", **{"Oil pressure 1": 3.0, "温度": 1.0}) == 7.0
    # Unicode has two signs for micro; Python knows one of them only.
    assert parse("\u00b5A * 2").inputs == parse("[\u00b5A] + 0").inputs == (formula.plain("\u00b5A"),)


def test_windows_and_alarms_are_read() -> None:
    assert parse("mean(p_total, 15min)") == Window("mean", ("p_total",), 900.0)
    assert parse("difference( [energy in] , 1 h )") == Window("difference", ("energy in",), 3600.0)
    assert isinstance(parse("min(a, b)"), Expression)
    assert parse("alarm(t, high=80, high_high=95.5, hysteresis=2, on_delay=10s, off_delay=1min)") == Alarm(
        ("t",), high_high=95.5, high=80.0, hysteresis=2.0, on_delay_s=10.0, off_delay_s=60.0
    )


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("mean(a + b, 15min)", "row of its own"),
        ("mean(a, 15min) * 4", "row of its own"),
        ("mean(a, 7min)", "15min"),
        ("mean(a, 2d)", "1d"),
        ("median(a, 15min)", "difference"),
        ("mean(a)", "row of its own"),
        ("alarm(a)", "high_high"),
        ("alarm(a, hi=3)", "high_high"),
        ("alarm(a, high=3, high=4)", "once"),
        ("alarm(a, high=3, low=5)", "fall"),
        ("alarm(a, high=3, low=1, hysteresis=2)", "smaller"),
        ("alarm(a, high=3, on_delay=5)", "10s"),
        ("alarm(a + b, high=3)", "temperature"),
        ("alarm(a, high=x)", "temperature"),
        ("a = b", "=="),
        ("a <> b", "!="),
        ("oil pressure * 2", "brackets"),
        ("summe(a, b)", "avg"),
        ("round(a, 1, 2)", "1 to 2"),
    ],
)
def test_a_slip_is_told_with_what_to_write_instead(text: str, word: str) -> None:
    with pytest.raises(Misformed) as refused:
        parse(text)

    assert word in f"{refused.value.remedy}"
