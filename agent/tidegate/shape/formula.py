"""Formula: the text of a computed tag as an expression, a window or an alarm. It knows the grammar, and no values.

    p1 + p2 + [phase 3]          an expression over tags of the same device; [..] for names that are not one word
    mean(p_total, 15min)         a window over one tag: mean, min, max, last, difference
    alarm(temperature, high=80, high_high=95, hysteresis=2, on_delay=10s)

An expression is rebuilt node by node from a short list of what it may hold: numbers, names of tags, arithmetic,
comparisons and listed functions. What is not on the list can't get past this file, whatever evaluates it later.
"""

import ast
import itertools
import math
import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache

from tidegate.model.option import duration_s
from tidegate.shape.functions import FUNCTIONS

LETTERS_MAX = 500
# Devices of one table share its formulas as they were read.
PARSED_MAX = 1024
NODES_MAX = 200
DEPTH_MAX = 24
DAY_S = 86_400
WINDOW_S_MIN = 1.0
WINDOWS = ("mean", "min", "max", "last", "difference")
LIMITS = ("high_high", "high", "low", "low_low")
DELAYS = ("on_delay", "off_delay")
HINT_WINDOW = "Give the window a row of its own, over one tag: mean(p_total, 15min); other formulas may use its name"
HINT_ALARM = "Write it so: alarm(temperature, high=80, hysteresis=2, on_delay=10s)"
HINT_NAME = "Put a name that is not one word in brackets: [oil pressure]"

ARITHMETIC = (ast.Add, ast.Sub, ast.Mult, ast.Div, ast.FloorDiv, ast.Mod, ast.Pow)
COMPARISONS = (ast.Eq, ast.NotEq, ast.Lt, ast.LtE, ast.Gt, ast.GtE)

_NAME = r"\[[^\[\]]+\]|[^\W\d]\w*"
_SPAN = r"\d+(?:\.\d+)?\s*(?:ms|s|min|h|d)"
_BRACKETS = re.compile(r"\[([^\[\]]+)\]")
_IF = re.compile(r"\bif\s*\(")
_ALARM = re.compile(r"alarm\s*\((.*)\)", re.DOTALL)
_WINDOW = re.compile(rf"(\w+)\s*\(\s*({_NAME})\s*,\s*({_SPAN})\s*\)")
_TIMED = re.compile(rf"(?<!\w){_SPAN}(?!\w)")
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,3})?", re.ASCII)


class Misformed(ValueError):
    """A formula that can't be used: what is wrong, and what to write instead."""

    def __init__(self, what: str, remedy: str) -> None:
        self.what = what
        self.remedy = remedy
        super().__init__(f"{what}. {remedy}")


@dataclass(frozen=True, slots=True)
class Expression:
    """Arithmetic over tags. `inputs` are their names as `plain` has them, `boolean` whether it is a yes or no."""

    text: str
    inputs: tuple[str, ...]
    boolean: bool
    tree: ast.expr = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Window:
    """One function over the time between two boundaries of the wall clock."""

    function: str
    inputs: tuple[str, ...]
    length_s: float


@dataclass(frozen=True, slots=True)
class Alarm:
    """Limits of one tag in its unit, None where there is none; delays in seconds."""

    inputs: tuple[str, ...]
    high_high: float | None = None
    high: float | None = None
    low: float | None = None
    low_low: float | None = None
    hysteresis: float = 0.0
    on_delay_s: float = 0.0
    off_delay_s: float = 0.0


Formula = Expression | Window | Alarm


def plain(name: str) -> str:
    """A tag's name as formulas compare it: Unicode writes some letters in two ways."""
    return unicodedata.normalize("NFKC", name.strip())


@lru_cache(maxsize=PARSED_MAX)
def parse(text: str) -> Formula:
    """What a formula says. Raises Misformed."""
    text = text.strip().removeprefix("=").strip()
    if len(text) > LETTERS_MAX:
        raise Misformed(f"it is longer than {LETTERS_MAX} letters", "Share it out over several computed tags")
    if text.startswith("#"):
        raise Misformed(f"{text!r} is what a spreadsheet made of it", "Write the formula without = before it")
    if found := _ALARM.fullmatch(text):
        return _alarm(found[1])
    if found := _WINDOW.fullmatch(text):
        return _window(found[1], found[2], found[3])
    if _TIMED.search(_BRACKETS.sub("", text)):
        raise Misformed("a time stands where none is expected", HINT_WINDOW)
    return _expression(text)


def _expression(text: str) -> Expression:
    mark = "tag_"
    while mark in text:
        mark += "_"
    named: dict[str, str] = {}

    def place(found: "re.Match[str]") -> str:
        key = f"{mark}{len(named)}"
        named[key] = found[1]
        return f" {key} "

    written = _IF.sub("if_(", _BRACKETS.sub(place, text)).replace("\n", " ").strip()
    try:
        tree = ast.parse(written, mode="eval").body
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        raise Misformed(f"{text!r} can't be read as a formula", _remedy(text)) from None
    builder = _Builder(named)
    made, boolean = builder.build(tree, 0)
    if not builder.inputs:
        raise Misformed("it names no tag", "Use tags of the same device, such as p1 + p2")
    return Expression(text, tuple(builder.inputs), boolean, made)


def _remedy(text: str) -> str:
    if re.search(r"(?<![<>=!])=(?!=)", text):
        return "Compare with == ; a single = has no meaning here"
    if "<>" in text:
        return "Compare with != for unequal"
    if re.search(r"\w\s+\w", text):
        return HINT_NAME
    return "Write it like p1 + p2, if(run, flow * 3.6, 0) or round(sqrt(dp), 2)"


class _Builder:
    """Makes a tree anew of what is allowed, and nothing else. Whole numbers become float64, a call of `if` a branch."""

    def __init__(self, named: dict[str, str]) -> None:
        self.inputs: dict[str, None] = {}
        self._named = named
        self._nodes = 0
        self._makers: dict[type[ast.AST], Callable[..., tuple[ast.expr, bool]]] = {
            ast.Constant: self._constant,
            ast.Name: self._name,
            ast.UnaryOp: self._unary,
            ast.BinOp: self._binary,
            ast.BoolOp: self._logic,
            ast.Compare: self._comparison,
            ast.Call: self._call,
        }

    def build(self, node: ast.AST, depth: int) -> tuple[ast.expr, bool]:
        """The node as it may be evaluated, and whether it is a yes or no."""
        self._nodes += 1
        if self._nodes > NODES_MAX or depth > DEPTH_MAX:
            raise Misformed("it is too long or too deep", "Share it out over several computed tags")
        maker = self._makers.get(type(node))
        if maker is None:
            word = _WORDS.get(type(node), f"{type(node).__name__.lower()} is not allowed here")
            raise Misformed(word, "Use numbers, tags, + - * / // % **, comparisons, and, or, not, and functions")
        return maker(node, depth + 1)

    def _constant(self, node: ast.Constant, depth: int) -> tuple[ast.expr, bool]:
        if isinstance(node.value, bool):
            return ast.Constant(node.value), True
        try:
            number = float(node.value) if isinstance(node.value, (int, float)) else math.nan
        except OverflowError:
            number = math.inf
        if not math.isfinite(number):
            shown = str(node.value)[:40] if isinstance(node.value, (str, bytes)) else "it"
            raise Misformed(f"{shown!r} is not a number that can be used", "Write numbers such as 0.5; no text")
        return ast.Constant(number), False

    def _name(self, node: ast.Name, depth: int) -> tuple[ast.expr, bool]:
        name = plain(self._named.get(node.id, node.id))
        if node.id not in self._named and name.lower() in ("true", "false"):
            return ast.Constant(name.lower() == "true"), True
        self.inputs.setdefault(name)
        return ast.Name(name, ast.Load()), False

    def _unary(self, node: ast.UnaryOp, depth: int) -> tuple[ast.expr, bool]:
        inner, _ = self.build(node.operand, depth)
        if isinstance(node.op, ast.Invert):
            raise Misformed("~ is not allowed here", "Use not, or bit(word, number)")
        negated = isinstance(node.op, ast.Not)
        return ast.UnaryOp(node.op, inner), negated

    def _binary(self, node: ast.BinOp, depth: int) -> tuple[ast.expr, bool]:
        if not isinstance(node.op, ARITHMETIC):
            raise Misformed("bits can't be combined here", "Use bit(word, number), and, or, not; ** for a power")
        left, right = self.build(node.left, depth)[0], self.build(node.right, depth)[0]
        return ast.BinOp(left, node.op, right), False

    def _logic(self, node: ast.BoolOp, depth: int) -> tuple[ast.expr, bool]:
        return ast.BoolOp(node.op, [self._truth(value, depth) for value in node.values]), True

    def _truth(self, node: ast.AST, depth: int) -> ast.expr:
        """A yes or no: a number is yes when it is not 0."""
        made, boolean = self.build(node, depth)
        return made if boolean else ast.Compare(made, [ast.NotEq()], [ast.Constant(0.0)])

    def _comparison(self, node: ast.Compare, depth: int) -> tuple[ast.expr, bool]:
        if not all(isinstance(op, COMPARISONS) for op in node.ops):
            raise Misformed("`in` and `is` are not allowed here", "Compare with == != < <= > >=")
        left = self.build(node.left, depth)[0]
        return ast.Compare(left, node.ops, [self.build(one, depth)[0] for one in node.comparators]), True

    def _call(self, node: ast.Call, depth: int) -> tuple[ast.expr, bool]:
        name = node.func.id if isinstance(node.func, ast.Name) else ""
        if name == "if_":
            name = "if"
        if name in (*WINDOWS, "alarm") and name not in FUNCTIONS:
            raise Misformed(f"{name} does not stand alone", HINT_ALARM if name == "alarm" else HINT_WINDOW)
        if name not in FUNCTIONS and name != "if":
            known = ", ".join(sorted([*FUNCTIONS, "if"]))
            raise Misformed(
                f"there is no function {name!r}" if name else "that can't be called", f"Use one of: {known}"
            )
        low, high = (3, 3) if name == "if" else FUNCTIONS[name].arguments
        if node.keywords or not low <= len(node.args) <= high:
            wanted = f"{low}" if low == high else f"{low} to {high}"
            raise Misformed(f"{name} has {len(node.args)} values in its brackets", f"Give it {wanted}, by commas")
        if name == "if":
            test = self._truth(node.args[0], depth)
            (yes, boolean), (no, other) = self.build(node.args[1], depth), self.build(node.args[2], depth)
            return ast.IfExp(test, yes, no), boolean and other
        made = [self.build(argument, depth)[0] for argument in node.args]
        return ast.Call(ast.Name(name, ast.Load()), made, []), FUNCTIONS[name].boolean


_WORDS: dict[type[ast.AST], str] = {
    ast.IfExp: "a choice is written if(condition, this, that)",
    ast.Attribute: "a dot has no meaning between names",
    ast.Subscript: "brackets hold a tag's name here",
    ast.Tuple: "a comma stands where none is expected",
}


def _window(function: str, name: str, span: str) -> Window:
    function = "mean" if function == "avg" else function
    if function not in WINDOWS:
        raise Misformed(f"there is no window {function!r}", f"Use one of: {', '.join(WINDOWS)}")
    length_s = duration_s(span.replace(" ", ""))
    if not WINDOW_S_MIN <= length_s <= DAY_S or DAY_S * 1000 % round(length_s * 1000):
        raise Misformed(
            f"a window of {span} does not fill a day evenly", "Use 1s to 1d, such as 1min, 15min, 30min, 1h or 1d"
        )
    return Window(function, (plain(name.strip("[]")),), length_s)


def _alarm(inside: str) -> Alarm:
    name, *settings = [part.strip() for part in inside.split(",")]
    if not re.fullmatch(_NAME, name):
        raise Misformed(f"{name!r} is no tag that can be watched", HINT_ALARM)
    values: dict[str, float] = {}
    for setting in settings:
        key, equals, text = (part.strip() for part in setting.partition("="))
        if not equals or key not in (*LIMITS, "hysteresis", *DELAYS) or key in values:
            known = ", ".join((*LIMITS, "hysteresis", *DELAYS))
            raise Misformed(f"{setting!r} is not understood", f"Give each of these once at most: {known}")
        values[key] = _delay(key, text) if key in DELAYS else _limit(key, text)
    _check_limits(values)
    return Alarm(
        (plain(name.strip("[]")),),
        high_high=values.get("high_high"),
        high=values.get("high"),
        low=values.get("low"),
        low_low=values.get("low_low"),
        hysteresis=values.get("hysteresis", 0.0),
        on_delay_s=values.get("on_delay", 0.0),
        off_delay_s=values.get("off_delay", 0.0),
    )


def _limit(key: str, text: str) -> float:
    if not _NUMBER.fullmatch(text) or not math.isfinite(float(text)):
        raise Misformed(f"{key} is {text!r}, which is not a number", HINT_ALARM)
    return float(text)


def _delay(key: str, text: str) -> float:
    try:
        value_s = duration_s(text)
    except ValueError:
        value_s = None
    if value_s is None or not 0 <= value_s <= DAY_S:
        raise Misformed(f"{key} is {text!r}, which is not a time up to a day", "Write it with its unit, such as 10s")
    return value_s


def _check_limits(values: dict[str, float]) -> None:
    given = [values[limit] for limit in LIMITS if limit in values]
    if not given:
        raise Misformed("the alarm has no limit", f"Give it one or more of: {', '.join(LIMITS)}")
    if any(upper <= lower for upper, lower in itertools.pairwise(given)):
        raise Misformed("the limits are not in order", "They must fall from high_high over high and low to low_low")
    hysteresis = values.get("hysteresis", 0.0)
    high, low = values.get("high", values.get("high_high")), values.get("low", values.get("low_low"))
    if hysteresis < 0 or (high is not None and low is not None and high - hysteresis < low + hysteresis):
        raise Misformed("the hysteresis leaves nothing between the limits", "Make it smaller; 0 is none")
