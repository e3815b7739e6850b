"""CloudWatch: metric math.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/using-metric-math.html
"""

import ast
import math
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

Values = dict[float, float]
"""The values of a series by the beginning of their period."""
Operand = Values | float

_OPERATORS: Mapping[type[ast.AST], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.And: lambda a, b: bool(a) and bool(b),
    ast.Or: lambda a, b: bool(a) or bool(b),
}
_OF_ONE: Mapping[str, Callable[[float], float]] = {
    "ABS": abs,
    "CEIL": math.ceil,
    "FLOOR": math.floor,
}
_OF_SEVERAL: Mapping[str, Callable[[Sequence[float]], float]] = {
    "AVG": lambda values: sum(values) / len(values),
    "MAX": max,
    "MIN": min,
    "SUM": sum,
}
_AS_IN_PYTHON = {"&&": " and ", "||": " or ", "^": "**", "AND": "and", "OR": "or"}


class InvalidExpression(Exception):
    """An expression that is malformed, or that the rehearsal does not support."""


def evaluated(expression: str, series: Mapping[str, Values]) -> Values:
    """Returns the series that an expression makes of others, given by their ids.

    A period for which an operand has no value has none in the result. Raises InvalidExpression.
    """
    result = _evaluate(_parsed(expression), series)
    if isinstance(result, dict):
        return result
    raise InvalidExpression(f"{expression} is a number: an expression has to make a time series")


@cache
def _parsed(expression: str) -> ast.expr:
    text = re.sub(
        r"&&|\|\||\^|\bAND\b|\bOR\b", lambda match: _AS_IN_PYTHON[match[0]], expression
    ).strip()
    try:
        return ast.parse(text, mode="eval").body
    except SyntaxError:
        raise InvalidExpression(f"{expression} is malformed") from None


def _evaluate(node: ast.expr, series: Mapping[str, Values]) -> Operand:
    match node:
        case ast.Constant(value=int() | float() as number):
            return float(number)
        case ast.Name(id=name) if name in series:
            return series[name]
        case ast.Name(id=name):
            raise InvalidExpression(f"no metric has the id {name}")
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return _combined(operator.sub, 0.0, _evaluate(operand, series))
        case ast.BinOp(left=left, op=kind, right=right) if type(kind) in _OPERATORS:
            operands = _evaluate(left, series), _evaluate(right, series)
            return _combined(_OPERATORS[type(kind)], *operands)
        case ast.Compare(left=left, ops=[kind], comparators=[right]) if type(kind) in _OPERATORS:
            operands = _evaluate(left, series), _evaluate(right, series)
            return _combined(_OPERATORS[type(kind)], *operands)
        case ast.BoolOp(op=kind, values=[first, *others]):
            result = _evaluate(first, series)
            for other in others:
                result = _combined(_OPERATORS[type(kind)], result, _evaluate(other, series))
            return result
        case ast.Call(func=ast.Name(id=name), args=arguments, keywords=[]):
            return _called(name, arguments, series)
    raise InvalidExpression(f"the rehearsal does not support {ast.unparse(node)} in metric math")


def _called(name: str, arguments: Sequence[ast.expr], series: Mapping[str, Values]) -> Operand:
    if name in _OF_ONE and len(arguments) == 1:
        of_one = _OF_ONE[name]
        return _combined(lambda value, _: of_one(value), _evaluate(arguments[0], series), 0.0)
    if name == "IF" and len(arguments) == 3:
        condition, yes, no = (_evaluate(argument, series) for argument in arguments)
        if not isinstance(condition, dict):
            return yes if condition else no
        chosen = {moment: _at(yes if holds else no, moment) for moment, holds in condition.items()}
        return {moment: value for moment, value in chosen.items() if value is not None}
    if name == "FILL" and len(arguments) == 2:
        return _filled(_evaluate(arguments[0], series), arguments[1], series)
    if name in _OF_SEVERAL and len(arguments) == 1 and isinstance(arguments[0], ast.List):
        several = [_evaluate(element, series) for element in arguments[0].elts]
        moments = {moment for each in several if isinstance(each, dict) for moment in each}
        combine = _OF_SEVERAL[name]
        return {
            moment: combine([value for each in several if (value := _at(each, moment)) is not None])
            for moment in sorted(moments)
        }
    raise InvalidExpression(f"the rehearsal does not support the function {name} in metric math")


def _filled(values: Operand, filler: ast.expr, series: Mapping[str, Values]) -> Operand:
    """Fills the periods in which another series has a value."""
    moments = sorted({moment for each in series.values() for moment in each})
    if not isinstance(values, dict):
        return values
    if isinstance(filler, ast.Name) and filler.id == "REPEAT":
        result: Values = {}
        last: float | None = None
        for moment in moments:
            last = values.get(moment, last)
            if last is not None:
                result[moment] = last
        return result
    number = _evaluate(filler, series)
    if isinstance(number, dict):
        raise InvalidExpression("FILL takes a number or REPEAT")
    return {moment: values.get(moment, number) for moment in moments}


def _combined(combine: Callable[[float, float], Any], left: Operand, right: Operand) -> Operand:
    moments = [each for each in (left, right) if isinstance(each, dict)]
    if not moments:
        return _number(combine, left, right) or 0.0
    result: Values = {}
    for moment in moments[0]:
        one, other = _at(left, moment), _at(right, moment)
        if one is not None and other is not None:
            value = _number(combine, one, other)
            if value is not None:
                result[moment] = value
    return result


def _number(combine: Callable[[float, float], Any], left: Any, right: Any) -> float | None:
    """A quotient by zero has no value."""
    try:
        return float(combine(left, right))
    except ZeroDivisionError:
        return None


def _at(operand: Operand, moment: float) -> float | None:
    return operand.get(moment) if isinstance(operand, dict) else operand
