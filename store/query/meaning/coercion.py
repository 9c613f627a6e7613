"""From one type to another while a query is compiled: what is unknown takes a type, what meets becomes of one kind.

Laws: types decide as in PostgreSQL: of two numbers the later type, an unknown literal takes the type of what it meets.
What PostgreSQL has no operator or function for is refused. A parameter is read as the type its place wants; where none
is wanted, as the type it came with.
"""

from collections.abc import Sequence
from typing import Any, Final

from store.query.meaning.expressions import Expression, strict, value
from store.query.problems import SUPPORTED, malformed
from store.query.types import casts, functions
from store.query.types.kinds import NUMBERS, Kind, kind_of_value

UNREADABLE: Final = (ValueError, TypeError, ArithmeticError, RecursionError, AttributeError)
"""What reading somebody else's value may raise."""


def settled(made: Expression) -> Expression:
    """A literal or parameter whose place wants no type: text, or what the parameter came as."""
    if made.kind is not Kind.UNKNOWN:
        return made
    return coerced(made, kind_of_value(made.detail) if made.op == "parameter" else Kind.TEXT)


def coerced(made: Expression, kind: Kind) -> Expression:
    """A value as one of that kind: read, if it was unknown, or widened."""
    if made.kind is kind:
        return made
    if made.kind is Kind.UNKNOWN:
        return _read(made, kind)
    widen = casts.widening(made.kind, kind)
    if widen is None:
        return Expression(kind, made.op, made.args, made.detail, made.evaluate, made.position)
    return strict(f"as {kind}", kind, widen, (made,), made.position)


def _read(made: Expression, kind: Kind) -> Expression:
    if kind is Kind.ARRAY:
        malformed(made.position, "arrays are not compared or computed with", hint=SUPPORTED)
    if made.op == "parameter" and kind is Kind.INT4:
        kind = Kind.INT8
    if made.detail is None:
        return value(kind, None, made.position)
    reader = casts.READERS[kind]
    assert reader is not None
    try:
        if made.op == "parameter":
            return value(kind, casts.read_parameter(kind, made.detail), made.position)
        return value(kind, reader(made.detail), made.position)
    except UNREADABLE as error:
        what = "the parameter" if made.op == "parameter" else "the literal"
        malformed(made.position, f"{what} is read as {kind}, found {show(made.detail)} ({error!s:.200})")


def matched(op: str, left: Expression, right: Expression) -> tuple[Expression, Expression]:
    """Two sides of a comparison, as values of one kind."""
    if left.kind is Kind.UNKNOWN and right.kind is Kind.UNKNOWN:
        if "parameter" in {left.op, right.op}:
            left, right = (settled(each) if each.op == "parameter" else each for each in (left, right))
        else:
            left, right = settled(left), settled(right)
    if left.kind is Kind.UNKNOWN:
        left = coerced(left, right.kind)
    elif right.kind is Kind.UNKNOWN:
        right = coerced(right, left.kind)
    if left.kind in NUMBERS and right.kind in NUMBERS:
        return _matched_numbers(left, right)
    if left.kind is not right.kind or left.kind is Kind.ARRAY:
        malformed(left.position, f"there is no operator {left.kind} {op} {right.kind}", hint="Cast one side")
    if left.kind is Kind.JSONB and op not in {"=", "<>"}:
        malformed(left.position, "JSON values are equal or not, they have no order here", hint=SUPPORTED)
    return left, right


def _matched_numbers(left: Expression, right: Expression) -> tuple[Expression, Expression]:
    """Integers and numerics compare as they are; only constants are converted, so that 5 and $1 mean the same."""
    if Kind.FLOAT8 in {left.kind, right.kind}:
        return coerced(left, Kind.FLOAT8), coerced(right, Kind.FLOAT8)
    kind = Kind.NUMERIC if Kind.NUMERIC in {left.kind, right.kind} else Kind.INT8
    if kind is Kind.INT8 or left.is_value:
        left = coerced(left, kind)
    if kind is Kind.INT8 or right.is_value:
        right = coerced(right, kind)
    return left, right


def common(args: Sequence[Expression], what: str) -> list[Expression]:
    """Alternatives, as values of one kind."""
    known = [each.kind for each in args if each.kind is not Kind.UNKNOWN]
    if not known:
        if not any(each.op == "parameter" for each in args):
            return [coerced(each, Kind.TEXT) for each in args]
        settled = [settled(each) if each.op == "parameter" else each for each in args]
        return common(settled, what)
    kind = max(known, key=NUMBERS.index) if all(each in NUMBERS for each in known) else known[0]
    for each in args:
        if each.kind not in {kind, Kind.UNKNOWN} and not (each.kind in NUMBERS and kind in NUMBERS):
            malformed(each.position, f"the values of {what} are {kind}, found {each.kind}")
    if kind is Kind.ARRAY:
        malformed(args[0].position, "arrays are not compared or computed with", hint=SUPPORTED)
    return [coerced(each, kind) for each in args]


def adopted(op: str, left: Expression, right: Expression) -> tuple[Expression, Expression]:
    """Two sides of an operator, an unknown one as what the other is."""
    left, right = (
        settled(each) if each.op == "parameter" and other.kind is Kind.UNKNOWN else each
        for each, other in ((left, right), (right, left))
    )
    if left.kind is Kind.UNKNOWN and right.kind is Kind.UNKNOWN:
        malformed(left.position, f"of which type the sides of {op} are is unclear", hint="Cast one, as in '5'::int")
    if left.kind is Kind.UNKNOWN:
        left = coerced(left, right.kind)
    elif right.kind is Kind.UNKNOWN:
        right = coerced(right, left.kind)
    return left, right


def boolean(made: Expression, what: str) -> Expression:
    """A value that is a boolean; `what` takes it."""
    if made.kind is Kind.UNKNOWN:
        return coerced(made, Kind.BOOL)
    if made.kind is not Kind.BOOL:
        malformed(made.position, f"{what} takes a boolean, found {made.kind}")
    return made


def read_as(made: Expression, kind: Kind, what: str) -> Expression:
    """A value of exactly this kind, or one that is unknown yet."""
    if made.kind is Kind.UNKNOWN:
        return coerced(made, kind)
    if made.kind is not kind:
        malformed(made.position, f"{what} takes {kind}, found {made.kind}", hint="Cast it")
    return made


def check_known(op: str, *args: Expression) -> None:
    """Refuse what is only of literals without a type: PostgreSQL has it for several, and takes none."""
    if all(each.kind is Kind.UNKNOWN and each.op != "parameter" for each in args):
        malformed(args[0].position, f"which type {op} is of is unclear", hint="Cast it, as in '{}'::jsonb")


def cast(inner: Expression, kind: Kind, position: int) -> Expression:
    """CAST."""
    if inner.kind is Kind.UNKNOWN:
        if inner.op != "parameter" or kind_of_value(inner.detail) in {Kind.TEXT, kind}:
            return coerced(inner, kind)
        inner = settled(inner)
    how = casts.cast(inner.kind, kind)
    if how is None:
        malformed(position, f"cannot cast type {inner.kind} to {kind}", hint=SUPPORTED)
    if inner.kind is kind:
        return inner
    return strict(f"cast {kind}", kind, how, (inner,), position)


def function(name: str, args: Sequence[Expression], position: int) -> Expression:
    """A function of values that fit one of its signatures."""
    if name == "trunc" and len(args) == 1:  # PostgreSQL has one more, of addresses.
        check_known(name, args[0])
    found = functions.find(name, [each.kind for each in args])
    if found is None:
        kinds = ", ".join(map(str, (each.kind for each in args)))
        takes = " or ".join(", ".join(map(str, each.takes)) for each in functions.SIGNATURES[name])
        malformed(position, f"{name} does not take ({kinds})", hint=f"It takes {takes}")
    taken = [coerced(each, kind) for each, kind in zip(args, found.takes, strict=True)]
    return strict(name, found.gives, found.function, taken, position)


def show(said: Any) -> str:
    """A value short enough for an error; of what no column holds, the type alone."""
    name = type(said).__name__
    if isinstance(said, str | bytes):
        return f"{name} {said[:40]!a}"
    return f"{name} {said!a:.60}" if isinstance(said, bool | int | float) else name
