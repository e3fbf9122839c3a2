"""The part of KEDA's formula language that a sum of lanes needs: names, numbers, + - * /, min and max.

KEDA evaluates `scalingModifiers.formula` with expr-lang; what is written here means the same there.
"""

import ast
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass

BINARY: Mapping[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}
FUNCTIONS: Mapping[str, Callable[[list[float]], float]] = {"min": min, "max": max}


class FormulaError(ValueError):
    """What in the formula is not understood."""


@dataclass(frozen=True)
class Formula:
    text: str

    def __post_init__(self) -> None:
        odd = {name: 1.37 + 0.71 * place for place, name in enumerate(sorted(self.names))}
        _evaluate(self._tree(), odd)

    @property
    def names(self) -> frozenset[str]:
        """The triggers it speaks of."""
        return frozenset(
            node.id
            for node in ast.walk(self._tree())
            if isinstance(node, ast.Name) and node.id not in FUNCTIONS
        )

    def value(self, lags: Mapping[str, float]) -> float:
        return _evaluate(self._tree(), lags)

    def _tree(self) -> ast.expr:
        try:
            return ast.parse(self.text, mode="eval").body
        except SyntaxError as error:
            raise FormulaError(f"{self.text!r} is no expression") from error


def _evaluate(node: ast.expr, lags: Mapping[str, float]) -> float:
    match node:
        case ast.Constant(value=int() | float() as number) if not isinstance(number, bool):
            return float(number)
        case ast.Name(id=name) if name in lags:
            return float(lags[name])
        case ast.BinOp(left=left, op=operation, right=right) if type(operation) in BINARY:
            return _apply(BINARY[type(operation)], _evaluate(left, lags), _evaluate(right, lags))
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_evaluate(operand, lags)
        case ast.Call(func=ast.Name(id=name), args=[_, *_] as values, keywords=[]) if name in FUNCTIONS:
            return FUNCTIONS[name]([_evaluate(value, lags) for value in values])
    raise FormulaError(f"{ast.unparse(node)!r} is not understood here")


def _apply(operation: Callable[[float, float], float], left: float, right: float) -> float:
    try:
        return operation(left, right)
    except ZeroDivisionError as error:
        raise FormulaError("divides by zero") from error
