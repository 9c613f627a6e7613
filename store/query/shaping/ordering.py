"""ORDER BY, LIMIT and OFFSET: what they mean, and the order of rows as something that can be compared.

Laws: NULLs are greater than all else unless it is said otherwise. What ties comes in the order of keys.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

from store.ids import Key
from store.query.meaning.compiling import Compiler
from store.query.meaning.expressions import Expression
from store.query.problems import malformed
from store.query.shaping.projecting import Projected
from store.query.syntax.statement import Column, Constant, Order, Select, Value
from store.query.types.kinds import Kind


class SortKey(NamedTuple):
    """One key of an order."""

    made: Expression
    descending: bool
    nulls_first: bool


def sort_keys(select: Select, shown: Sequence[Projected], compiler: Compiler) -> list[SortKey]:
    """The keys of ORDER BY: each an output by its number or name, else any value. MalformedQuery where it has none."""
    made = [SortKey(_sort_value(each, shown, compiler), each.descending, each.nulls_first) for each in select.order]
    for key, said in zip(made, select.order, strict=True):
        if key.made.kind in {Kind.JSONB, Kind.ARRAY}:
            malformed(said.value.position, f"values of {key.made.kind} have no order here", hint="Cast to text")
    return made


def _sort_value(order: Order, shown: Sequence[Projected], compiler: Compiler) -> Expression:
    said = order.value
    if isinstance(said, Constant):
        return _numbered(said, shown)
    if isinstance(said, Column) and said.source is None:
        named = [each.made for each in shown if each.column.name == said.name]
        if len({repr(meaning(each)) for each in named}) > 1:
            malformed(said.position, f"two outputs are called {said.name}", hint="Order by the output's number")
        if named:
            return named[0]
    return compiler.value(said)


def _numbered(said: Constant, shown: Sequence[Projected]) -> Expression:
    if not isinstance(said.value, int) or isinstance(said.value, bool):
        malformed(said.position, "ORDER BY takes an output's number, its name, or a value of columns")
    if not 1 <= said.value <= len(shown):
        malformed(said.position, f"there is no output {said.value}", hint=f"There are {len(shown)}")
    return shown[said.value - 1].made


def bound(said: Value | None, compiler: Compiler, what: str) -> int | None:
    """LIMIT and OFFSET: a constant, or NULL for none."""
    if said is None:
        return None
    made = compiler.as_kind(said, Kind.INT8, what)
    if not made.is_value:
        malformed(said.position, f"{what} is a constant or a parameter")
    if made.detail is not None and made.detail < 0:
        malformed(said.position, f"{what} must not be negative, found {made.detail}")
    count: int | None = made.detail
    return count


def meaning(made: Expression) -> Any:
    """What is equal where two values of one query are computed alike."""
    return [made.op, [meaning(each) for each in made.args], made.detail]


Rank = tuple[Any, ...]
"""A row's place in an order: it compares with that of any other row, and is no other row's."""


def rank_maker(keys: Sequence[SortKey]) -> Callable[[Any, Key], Rank]:
    """From a row and its key to its rank."""
    parts = [_part_maker(each) for each in keys]

    def rank(row: Any, key: Key) -> Rank:
        return (*[part(row) for part in parts], key)

    return rank


def _part_maker(key: SortKey) -> Callable[[Any], Any]:
    get, null = key.made.evaluate, (0 if key.nulls_first else 2,)
    if not key.descending:
        return lambda row: null if (said := get(row)) is None else (1, said)
    if key.made.kind in _NEGATED:
        return lambda row: null if (said := get(row)) is None else (1, -said)
    return lambda row: null if (said := get(row)) is None else (1, _Descending(said))


_NEGATED: Final = frozenset({Kind.INT4, Kind.INT8, Kind.FLOAT8, Kind.BOOL})


class _Descending:
    """A value that comes before those less than it."""

    __slots__ = ("_value",)

    def __init__(self, value: Any) -> None:
        self._value = value

    def __lt__(self, other: "_Descending") -> bool:
        return bool(other._value < self._value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Descending) and bool(self._value == other._value)

    __hash__ = None  # type: ignore[assignment]  # It is compared, never looked up.
