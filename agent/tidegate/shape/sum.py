"""Sum: one expression, evaluated. The only file that knows the evaluator, which is given what formula.py rebuilt."""

import math

from simpleeval import InvalidExpression, SimpleEval  # type: ignore[import-untyped]  # it brings no types

from tidegate.shape.formula import Expression
from tidegate.shape.functions import FUNCTIONS, OPERATORS


class Sum:
    """One expression with its evaluator, which knows numbers, our functions and our operators, and nothing else."""

    def __init__(self, expression: Expression) -> None:
        self._text = expression.text
        self._tree = expression.tree
        self._names = expression.inputs
        calls = {name: function.call for name, function in FUNCTIONS.items()}
        self._evaluator = SimpleEval(operators=OPERATORS, functions=calls, names={})

    def of(self, numbers: list[float]) -> float | None:
        """The result, finite; None when there is none: a division by zero, an overflow, a root of less than 0."""
        self._evaluator.names = dict(zip(self._names, numbers, strict=True))
        try:
            result = float(self._evaluator.eval(self._text, self._tree))
        except (ArithmeticError, ValueError, TypeError, InvalidExpression):
            return None
        return result if math.isfinite(result) else None
