"""Where a condition lets one look for its rows: columns that must equal known values, or lie in a known range.

And where it asks a subquery: which rows that one's values bear on.

Laws: every equality and every range holds for every row that the condition is true of. Values are as rows hold them.
"""

from collections.abc import Iterable, Iterator
from typing import Any, Final, NamedTuple

from store.query.meaning.expressions import Expression
from store.query.meaning.membership import Membership
from store.query.types.kinds import NUMBERS, Kind
from store.schema import ColumnSchema


class Equality(NamedTuple):
    """A column has one of these values; never NULL."""

    source: int
    column: ColumnSchema
    values: tuple[Any, ...]


class Range(NamedTuple):
    """A column lies between bounds, of which one may be None; `above` and `below` say whether the bound counts."""

    source: int
    column: ColumnSchema
    low: Any
    includes_low: bool
    high: Any
    includes_high: bool


class MemberTerm(NamedTuple):
    """A column is among a subquery's values."""

    source: int
    column: ColumnSchema
    membership: Membership


_ROUTABLE: Final = frozenset(Kind) - {Kind.JSONB, Kind.ARRAY, Kind.UNKNOWN}


def terms(where: Expression | None) -> tuple[Expression, ...]:
    """What must all be true."""
    if where is None:
        return ()
    return where.args if where.op == "and" else (where,)


def equalities(where: Expression | None) -> tuple[Equality, ...]:
    """The equalities and INs that stand alone or under AND; an OR counts for columns that each of its branches has."""
    found = [_either(each) if each.op == "or" else _equality(each) for each in terms(where)]
    return tuple(each for some in found for each in some)


def branches(term: Expression) -> tuple[Expression, ...]:
    """What an OR's rows fulfil one of, without what is never true."""
    return tuple(each for each in term.args if not each.is_value or each.detail is True)


def _equality(term: Expression) -> tuple[Equality, ...]:
    if term.op not in {"=", "in"} or not _comparable(term):
        return ()
    source, column = term.args[0].detail
    values = tuple(each.detail for each in term.args[1:] if each.detail is not None)
    return (Equality(source, column, values),)


def _either(term: Expression) -> tuple[Equality, ...]:
    """Columns that have one of known values in each branch of an OR."""
    common: dict[tuple[int, int], Equality] | None = None
    for branch in branches(term):
        found: dict[tuple[int, int], Equality] = {}
        for each in equalities(branch):
            name = each.source, each.column.id
            if name not in found or len(each.values) < len(found[name].values):
                found[name] = each
        if common is not None:
            found = {
                name: each._replace(values=tuple(dict.fromkeys(each.values + found[name].values)))
                for name, each in common.items()
                if name in found
            }
        common = found
    return tuple((common or {}).values())


def _comparable(term: Expression) -> bool:
    """Whether a term compares a column, unconverted, with constants of its own kind."""
    operand, *others = term.args
    if operand.op != "column" or operand.kind not in _ROUTABLE:
        return False
    return all(each.is_value and same_form(operand.kind, each) for each in others)


def same_form(kind: Kind, other: Expression) -> bool:
    """Whether equal values of the two kinds are equal in Python, and hash alike: all numbers but floats do."""
    if kind not in _ROUTABLE:
        return False
    if kind in NUMBERS and other.kind in NUMBERS:
        return (kind is Kind.FLOAT8) == (other.kind is Kind.FLOAT8)
    return kind is other.kind


_BOUNDS: Final = {">": (True, False), ">=": (True, True), "<": (False, False), "<=": (False, True)}


def ranges(where: Expression | None) -> tuple[Range, ...]:
    """The ranges of columns that stand alone or under AND; bounds of one column are one range."""
    found: dict[tuple[int, int], Range] = {}
    for term in terms(where):
        if term.op not in _BOUNDS or not _comparable(term) or term.args[1].detail is None:
            continue
        source, column = term.args[0].detail
        known = found.get((source, column.id), Range(source, column, None, False, None, False))
        found[source, column.id] = _narrowed(known, term.op, term.args[1].detail)
    return tuple(found.values())


def _narrowed(known: Range, op: str, bound: Any) -> Range:
    is_low, included = _BOUNDS[op]
    if is_low:
        if known.low is None or bound > known.low or (bound == known.low and not included):
            return known._replace(low=bound, includes_low=included)
        return known
    if known.high is None or bound < known.high or (bound == known.high and not included):
        return known._replace(high=bound, includes_high=included)
    return known


def member_terms(where: Expression | None) -> tuple[MemberTerm, ...]:
    """The memberships of columns that stand alone or under AND."""
    return tuple(
        MemberTerm(each.args[0].detail[0], each.args[0].detail[1], each.detail)
        for each in terms(where)
        if each.op == "member" and each.args[0].op == "column" and each.args[0].kind in _ROUTABLE - {Kind.FLOAT8}
    )


class MemberUse(NamedTuple):
    """Where a subquery is asked: of which value, and what may follow from its answer."""

    operand: Expression
    membership: Membership
    positive: bool
    """Whether false and NULL are the same there: then what comes and goes bears on rows with just that value. Else the
    first and the last value, and NULL, bear on all rows."""


def member_uses(where: Expression | None, others: Iterable[Expression] = ()) -> tuple[MemberUse, ...]:
    """Every place where a condition, or a value beside it, asks a subquery."""
    found = [*_member_uses(where, positive=True)] if where is not None else []
    for each in others:
        found += _member_uses(each, positive=False)
    return tuple(found)


def _member_uses(made: Expression, *, positive: bool) -> Iterator[MemberUse]:
    if made.op == "member":
        yield MemberUse(made.args[0], made.detail, positive)
    for each in made.args:
        yield from _member_uses(each, positive=positive and made.op in {"and", "or"})
