"""The functions and operators of expressions, over finite float64. One that leaves the finite numbers raises.

Raises ArithmeticError (division by zero, overflow) or ValueError (root of a negative number): never a wrong number.
"""

import ast
import math
import operator
from collections.abc import Callable
from dataclasses import dataclass

ARGUMENTS_MAX = 32
# float64 holds every whole number up to here; the bits of a larger one are not known.
EXACT_MAX = 2**53
BIT_MAX = 52
DIGITS_MAX = 15


@dataclass(frozen=True, slots=True)
class Function:
    """A function that formulas may call: what it does, how many values it takes, whether it is a yes or no."""

    call: Callable[..., float]
    arguments: tuple[int, int]
    boolean: bool = False


def _finite(call: Callable[..., float]) -> Callable[..., float]:
    def checked(*values: float) -> float:
        result = call(*values)
        if math.isfinite(result):
            return result
        raise OverflowError("beyond float64")

    return checked


def _average(*values: float) -> float:
    return sum(values) / len(values)


def _round(value: float, digits: float = 0.0) -> float:
    """Halves go away from zero, as spreadsheets have it; 0 digits give a whole number."""
    if digits != int(digits) or abs(digits) > DIGITS_MAX:
        raise ValueError("digits")
    shift = 10.0 ** int(digits)
    return math.copysign(math.floor(abs(value) * shift + 0.5) / shift, value)


def _bit(word: float, number: float) -> float:
    if word != int(word) or abs(word) > EXACT_MAX or number != int(number) or not 0 <= number <= BIT_MAX:
        raise ValueError("bit")
    return bool(int(word) >> int(number) & 1)


def _clamp(value: float, low: float, high: float) -> float:
    if low > high:
        raise ValueError("clamp")
    return min(max(value, low), high)


FUNCTIONS = {
    "abs": Function(abs, (1, 1)),
    "avg": Function(_finite(_average), (1, ARGUMENTS_MAX)),
    "bit": Function(_bit, (2, 2), boolean=True),
    "ceil": Function(lambda value: float(math.ceil(value)), (1, 1)),
    "clamp": Function(_clamp, (3, 3)),
    "exp": Function(math.exp, (1, 1)),
    "floor": Function(lambda value: float(math.floor(value)), (1, 1)),
    "log": Function(math.log, (1, 1)),
    "log10": Function(math.log10, (1, 1)),
    "max": Function(max, (2, ARGUMENTS_MAX)),
    "min": Function(min, (2, ARGUMENTS_MAX)),
    "round": Function(_finite(_round), (1, 2)),
    "sqrt": Function(math.sqrt, (1, 1)),
}
OPERATORS: dict[type[ast.AST], Callable[..., float]] = {
    ast.Add: _finite(operator.add),
    ast.Sub: _finite(operator.sub),
    ast.Mult: _finite(operator.mul),
    ast.Div: _finite(operator.truediv),
    ast.FloorDiv: _finite(operator.floordiv),
    ast.Mod: _finite(operator.mod),
    ast.Pow: _finite(math.pow),
    ast.USub: operator.neg,
    ast.UAdd: operator.pos,
    ast.Not: operator.not_,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}
