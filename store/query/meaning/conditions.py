"""Conditions: comparisons, AND and OR, IS, IN; with SQL's three values True, False and None.

Laws: every function takes operands of one kind already. AND and OR look at their terms from left to right, and no
further than they must.
"""

import operator
from collections.abc import Callable, Sequence
from typing import Any, Final

from store.query.meaning.expressions import Evaluate, Expression, folded, strict, value
from store.query.types.kinds import Kind

COMPARISONS: Final[dict[str, Callable[[Any, Any], bool]]] = {
    "=": operator.eq,
    "<>": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
FLIPPED: Final = {"=": "=", "<>": "<>", "<": ">", "<=": ">=", ">": "<", ">=": "<="}
"""A comparison with its sides exchanged."""


def comparison(op: str, left: Expression, right: Expression, position: int) -> Expression:
    """A comparison; a constant goes to the right, so that the same comparison is the same however it was written."""
    if left.is_value and not right.is_value:
        op, left, right = FLIPPED[op], right, left
    function = COMPARISONS[op]
    if not right.is_value or right.detail is None or left.is_value:
        return strict(op, Kind.BOOL, function, (left, right), position)
    get, fixed = left.evaluate, right.detail

    def evaluate(row: Any) -> Any:
        one = get(row)
        return None if one is None else function(one, fixed)

    return Expression(Kind.BOOL, op, (left, right), None, evaluate, position)


def distinct(left: Expression, right: Expression, position: int) -> Expression:
    """IS DISTINCT FROM: never NULL."""
    first, second = left.evaluate, right.evaluate

    def evaluate(row: Any) -> bool:
        one, two = first(row), second(row)
        if one is None or two is None:
            return one is not two
        return bool(one != two)

    return folded(Expression(Kind.BOOL, "is distinct", (left, right), None, evaluate, position))


def conjunction(terms: Sequence[Expression], position: int) -> Expression:
    """AND."""
    flat = _flat("and", terms)
    if any(each.is_value and each.detail is False for each in flat):
        return value(Kind.BOOL, False, position)
    flat = [each for each in flat if not (each.is_value and each.detail)] or flat[:1]
    if len(flat) == 1:
        return flat[0]
    return folded(Expression(Kind.BOOL, "and", tuple(flat), None, _all([each.evaluate for each in flat]), position))


def disjunction(terms: Sequence[Expression], position: int) -> Expression:
    """OR."""
    flat = _flat("or", terms)
    if any(each.is_value and each.detail for each in flat):
        return value(Kind.BOOL, True, position)
    flat = [each for each in flat if not (each.is_value and each.detail is False)] or flat[:1]
    if len(flat) == 1:
        return flat[0]
    return folded(Expression(Kind.BOOL, "or", tuple(flat), None, _any([each.evaluate for each in flat]), position))


def _flat(op: str, terms: Sequence[Expression]) -> list[Expression]:
    return [inner for each in terms for inner in (each.args if each.op == op else (each,))]


def _all(terms: list[Evaluate]) -> Evaluate:
    def evaluate(row: Any) -> bool | None:
        result: bool | None = True
        for term in terms:
            said = term(row)
            if said is False:
                return False
            if said is None:
                result = None
        return result

    return evaluate


def _any(terms: list[Evaluate]) -> Evaluate:
    def evaluate(row: Any) -> bool | None:
        result: bool | None = False
        for term in terms:
            said = term(row)
            if said:
                return True
            if said is None:
                result = None
        return result

    return evaluate


def negation(inner: Expression, position: int) -> Expression:
    """NOT."""
    return strict("not", Kind.BOOL, operator.not_, (inner,), position)


def test(op: str, inner: Expression, position: int) -> Expression:
    """IS NULL, IS TRUE, IS FALSE: never NULL."""
    get = inner.evaluate
    wanted = {"is null": None, "is true": True, "is false": False}[op]

    def evaluate(row: Any) -> bool:
        return get(row) is wanted

    return folded(Expression(Kind.BOOL, op, (inner,), None, evaluate, position))


def among(operand: Expression, elements: Sequence[Expression], position: int) -> Expression:
    """IN of constants."""
    known = {each.detail for each in elements if each.detail is not None}
    missing = None if any(each.detail is None for each in elements) else False
    get = operand.evaluate

    def evaluate(row: Any) -> bool | None:
        one = get(row)
        if one is None:
            return None
        return True if one in known else missing

    ordered = tuple(each for _, each in sorted({repr(each.canonical()): each for each in elements}.items()))
    return folded(Expression(Kind.BOOL, "in", (operand, *ordered), None, evaluate, position))
