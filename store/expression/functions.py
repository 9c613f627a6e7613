"""The functions of the language, by the names that PostgreSQL has for them, with CASE and CAST.

    lower(Task.owner)        coalesce(Task.points, 0)        case((Task.status == "done", 1), default=0)

Laws: each takes a table's column as it is written (`Task.owner`), any term, or a value. They are NULL where an argument
is, but for `coalesce`, `nullif`, `concat`, `greatest`, `least` and `case`, which also take None for NULL. `abs`,
`round`, `-`, and `floor`, `ceil` and `trunc` of math, are Python's own.
"""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, Final, TypeAlias, TypeVar, overload
from uuid import UUID

from store.expression.arithmetic import Value
from store.expression.nodes import NUMBER, PLAIN, integer, kind_of, operand
from store.expression.rendering import Level, Parameter, Piece, Pieces, listed
from store.expression.terms import Condition, Term, condition
from store.values import SCALARS, Json

Sized = TypeVar("Sized", str, bytes)
Whole = TypeVar("Whole", int, Decimal)
Said: TypeAlias = Term[Value] | Value | None
"""A term; a table's column, which type checkers take for what a row has there, perhaps None; or a value."""
Count: TypeAlias = int | Term[int]

TYPES: Final[dict[type, str]] = {
    bool: "boolean",
    int: "bigint",
    float: "double precision",
    Decimal: "numeric",
    str: "text",
    bytes: "bytea",
    datetime: "timestamptz",
    UUID: "uuid",
    Json: "jsonb",
}
"""What PostgreSQL calls the types of columns."""
_KINDS: Final = {type_: name for name, type_ in SCALARS.items()}


def constant(value: Value) -> Term[Value]:
    """A value of a type of its own, for where no column stands beside it that would say which it has."""
    type_ = next((each for each in PLAIN if isinstance(value, each)), None)
    if type_ is None:
        raise TypeError(f"expected one of {', '.join(each.__name__ for each in PLAIN)}, found {type(value).__name__}")
    return _cast(Parameter(value), type_)


def cast(said: Any, type_: type[Value]) -> Term[Value]:
    """A value as one of another type: `cast(Task.points, str)`. Where a row's value has none, that is an error."""
    if type_ not in TYPES:
        names = ", ".join(each.__name__ for each in TYPES)
        raise TypeError(f"expected a type to cast to, one of {names}, found {type_!r:.80}")
    return _cast(said if isinstance(said, Term) else constant(said), type_)


def _cast(said: Piece | Parameter, type_: type) -> Term[Any]:
    return Term(["CAST(", said, f" AS {TYPES[type_]})"], _KINDS[type_])


# Text.


def lower(text: Said[str]) -> Term[str]:
    """With a to z for A to Z, and no other letter changed."""
    return _call("lower", "str", text)


def upper(text: Said[str]) -> Term[str]:
    """With A to Z for a to z, and no other letter changed."""
    return _call("upper", "str", text)


def length(said: Said[Sized]) -> Term[int]:
    """Characters of a text, bytes of bytes."""
    return _call("length", "int", said)


def octet_length(said: Said[Sized]) -> Term[int]:
    """Bytes: of a text in UTF-8."""
    return _call("octet_length", "int", said)


def trim(text: Said[str], characters: Said[str] = " ") -> Term[str]:
    """Without any of these characters at both ends."""
    return _call("btrim", "str", text, characters)


def ltrim(text: Said[str], characters: Said[str] = " ") -> Term[str]:
    """Without any of these characters at its start."""
    return _call("ltrim", "str", text, characters)


def rtrim(text: Said[str], characters: Said[str] = " ") -> Term[str]:
    """Without any of these characters at its end."""
    return _call("rtrim", "str", text, characters)


def substr(text: Said[str], start: Count, count: Count | None = None) -> Term[str]:
    """From the character `start` on, counted from 1: all, or `count` of them."""
    return _counted("substr", text, start) if count is None else _counted("substr", text, start, count)


def left(text: Said[str], count: Count) -> Term[str]:
    """The first characters, or all but the last where the count is negative."""
    return _counted("left", text, count)


def right(text: Said[str], count: Count) -> Term[str]:
    """The last characters, or all but the first where the count is negative."""
    return _counted("right", text, count)


def strpos(text: Said[str], part: Said[str]) -> Term[int]:
    """Where `part` first begins in it, from 1; 0 where it does not occur."""
    return _call("strpos", "int", text, part)


def replace(text: Said[str], old: Said[str], new: Said[str]) -> Term[str]:
    """With each `old` become `new`."""
    return _call("replace", "str", text, old, new)


def reverse(text: Said[str]) -> Term[str]:
    """Its characters from the last to the first."""
    return _call("reverse", "str", text)


def starts_with(text: Said[str], start: Said[str]) -> Condition:
    """It begins so."""
    return Condition([_call("starts_with", "bool", text, start)], Level.ALONE)


def concat(*said: Any) -> Term[str]:
    """All of these as one text, whatever their types; NULLs are left out. `+` is NULL where one of two texts is."""
    pieces = [("NULL",) if each is None else (each if isinstance(each, Term) else constant(each),) for each in said]
    return Term(["concat(", *listed(pieces), ")"], "str")


# Numbers.


@overload
def sign(number: Term[int] | Term[float] | float | None) -> Term[float]: ...  # type: ignore[overload-overlap]  # At None.
@overload
def sign(number: Said[Decimal]) -> Term[Decimal]: ...
def sign(number: Any) -> Term[Any]:
    """-1, 0 or 1."""
    return _call("sign", NUMBER, number)


def mod(number: Said[Whole], divisor: Said[Whole]) -> Term[Whole]:
    """What is left of a division, with the sign of what is divided; % is the same."""
    return _call("mod", NUMBER, number, divisor)


# Choices.


def coalesce(*said: Said[Value]) -> Term[Value]:
    """The first of these that is not NULL."""
    return _choice("coalesce", said)


def nullif(said: Said[Value], other: Said[Value]) -> Term[Value]:
    """NULL where the two are equal, else the first."""
    return _choice("nullif", (said, other))


def greatest(*said: Said[Value]) -> Term[Value]:
    """The largest of these; NULLs do not count."""
    return _choice("greatest", said)


def least(*said: Said[Value]) -> Term[Value]:
    """The least of these; NULLs do not count."""
    return _choice("least", said)


def case(*arms: tuple[Term[bool] | bool, Said[Value]], default: Said[Value] = None) -> Term[Value]:
    """The value beside the first condition that is true, else `default`; no other is computed."""
    if not arms:
        raise ValueError("expected at least one condition with its value, as in case((Task.points > 3, 'many'))")
    *values, otherwise = _alternatives([*(value for _, value in arms), default])
    pieces: list[str | Parameter | Piece] = ["CASE"]
    for (test, _), value in zip(arms, values, strict=True):
        pieces += [" WHEN ", condition(test), " THEN ", *value]
    return Term([*pieces, " ELSE ", *otherwise, " END"], _kind([*(value for _, value in arms), default]))


def _call(name: str, kind: str, said: Any, *args: Any) -> Term[Any]:
    """A function's value. TypeError, ValueError: an argument is None, or no value at all."""
    first = said if isinstance(said, Term) else constant(said)
    pieces = [(first,), *(operand(first, each, Level.JOINED) for each in args)]
    return Term([f"{name}(", *listed(pieces), ")"], kind)


def _counted(name: str, said: Any, *counts: Any) -> Term[str]:
    """As _call, of a text and numbers of characters."""
    text = said if isinstance(said, Term) else constant(said)
    return Term([f"{name}(", text, *(piece for each in counts for piece in (", ", *integer(text, each))), ")"], "str")


def _choice(name: str, said: tuple[Any, ...]) -> Term[Any]:
    return Term([f"{name}(", *listed(_alternatives(said)), ")"], _kind(said))


def _alternatives(said: Sequence[Any]) -> list[Pieces]:
    """Values one of which is chosen: a term says of which type the others are; without one each says so itself."""
    asker = next((each for each in said if isinstance(each, Term)), None)
    return [
        ("NULL",) if each is None else (constant(each),) if asker is None else operand(asker, each, Level.JOINED)
        for each in said
    ]


def _kind(said: Sequence[Any]) -> str:
    known = [each for each in said if each is not None]
    return kind_of(next((each for each in known if isinstance(each, Term)), known[0])) if known else "str"
