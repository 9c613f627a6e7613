"""Values of rows, said in Python: columns, what is computed of them, conditions on them, aggregates of groups of them.

    col(Task.points) * 2 > Task.limit        ~col(Task.done) | (lower(Task.owner) == "ada")
    col(Task.notes)["at"].text("city")       round(col(Task.price), 2).descending()

Laws: what can be said here is PostgreSQL, and means there what it means there: a comparison with NULL is neither true
nor false, and integers are divided to an integer. Nothing here changes: every word makes a new term. What a value may
be computed with, the server says; type checkers know it for numbers of one type, and for integers beside others.
"""

from collections.abc import Iterable
from typing import Any, ClassVar, Final, NoReturn

from store.expression.arithmetic import Arithmetic, Value
from store.expression.nodes import NUMBER, Node, of_document, operand, path, step, within
from store.expression.orders import Order
from store.expression.rendering import Level, Parameter, Piece, Pieces, listed
from store.values import Json

_HINT_OPERATORS: Final = "Join conditions with & and |, negate with ~, each comparison in parentheses"
_BOOL_FOUND: Final = (
    "expected a condition on columns, found the bool {}: compare the table's column (Task.status), not a row's"
)


class Term(Arithmetic[Value]):
    """One value of each row, of a type, or NULL.

    `== None` is IS NULL, `!= None` IS NOT NULL; `!=` is SQL's <>, so NULL is not among what differs from a value:
    `is_distinct_from` is what Python means by it. TypeError, ValueError: the other side cannot be compared.
    """

    __slots__ = ()
    __iter__: ClassVar[None] = None  # Else Python would try term[0], term[1] and so on, without an end.
    __contains__: ClassVar[None] = None

    # Conditions.

    def __eq__(self, other: object) -> "Condition":  # type: ignore[override]  # A condition, not an answer.
        return self.is_null() if other is None else self._compared("=", other)

    def __ne__(self, other: object) -> "Condition":  # type: ignore[override]  # A condition, not an answer.
        return self.is_not_null() if other is None else self._compared("<>", other)

    __hash__ = object.__hash__

    def __lt__(self, other: "Value | Term[Value]") -> "Condition":
        return self._compared("<", other)

    def __le__(self, other: "Value | Term[Value]") -> "Condition":
        return self._compared("<=", other)

    def __gt__(self, other: "Value | Term[Value]") -> "Condition":
        return self._compared(">", other)

    def __ge__(self, other: "Value | Term[Value]") -> "Condition":
        return self._compared(">=", other)

    def in_(self, values: "Iterable[Value | Term[Value]] | Subquery") -> "Condition":
        """Equal to one of these, or to one value of a selection of one column. Among no values is nothing."""
        if isinstance(values, Subquery):
            return self._tested(" IN (", values.one_column(self), ")")
        if isinstance(values, str | bytes):
            raise TypeError(f"{self!r}: IN wants several values, found one {type(values).__name__}")
        operands: list[Pieces] = [self._operand(each, Level.JOINED) for each in values]
        if not operands:
            return Condition(["FALSE"], Level.ALONE)  # SQL has no empty list.
        return self._tested(" IN (", *listed(operands), ")")

    def between(self, lower: "Value | Term[Value]", upper: "Value | Term[Value]") -> "Condition":
        """At least `lower` and at most `upper`."""
        return self._tested(" BETWEEN ", *self._operand(lower), " AND ", *self._operand(upper))

    def like(self, pattern: "str | Term[str]", *, escape: str | None = None) -> "Condition":
        r"""Text of this pattern: % is any text, _ any character; \, or another escape, takes the next one as it is."""
        return self._like(" LIKE ", pattern, escape)

    def ilike(self, pattern: "str | Term[str]", *, escape: str | None = None) -> "Condition":
        """As `like`, in capitals or not."""
        return self._like(" ILIKE ", pattern, escape)

    def is_null(self) -> "Condition":
        """There is no value."""
        return self._tested(" IS NULL")

    def is_not_null(self) -> "Condition":
        """There is a value."""
        return self._tested(" IS NOT NULL")

    def is_true(self: "Term[bool]") -> "Condition":
        """It is true: neither false nor unknown."""
        return self._tested(" IS TRUE")

    def is_false(self: "Term[bool]") -> "Condition":
        """It is false: neither true nor unknown."""
        return self._tested(" IS FALSE")

    def is_distinct_from(self, other: "Value | Term[Value] | None") -> "Condition":
        """Another value, where NULL is a value like any other: true or false, never unknown."""
        return self.is_not_null() if other is None else self._compared("IS DISTINCT FROM", other)

    def is_not_distinct_from(self, other: "Value | Term[Value] | None") -> "Condition":
        """The same value, where NULL is a value like any other: true or false, never unknown."""
        return self.is_null() if other is None else self._compared("IS NOT DISTINCT FROM", other)

    def __and__(self: "Term[bool]", other: "Term[bool] | bool") -> "Condition":
        return joined("AND", self, other)

    def __rand__(self: "Term[bool]", other: bool) -> "Condition":
        return joined("AND", other, self)

    def __or__(self: "Term[bool]", other: "Term[bool] | bool") -> "Condition":
        return joined("OR", self, other)

    def __ror__(self: "Term[bool]", other: bool) -> "Condition":
        return joined("OR", other, self)

    def __invert__(self: "Term[bool]") -> "Condition":
        return Condition(["NOT (", condition(self), ")"])

    def __bool__(self) -> NoReturn:
        raise TypeError(f"a condition on columns has no truth of its own. {_HINT_OPERATORS}")

    # JSON.

    def __getitem__(self: "Term[Json]", at: "str | int | Term[str] | Term[int]") -> "Term[Json]":
        """An object's value by its name (->), or an array's by its place, from 0, or from -1 at its end."""
        return Term(step(self, " -> ", at), "json", Level.OTHER)

    def text(self: "Term[Json]", at: "str | int | Term[str] | Term[int]") -> "Term[str]":
        """As `[at]`, as text (->>): a string without its quotes; null is NULL."""
        return Term(step(self, " ->> ", at), "str", Level.OTHER)

    def path(self: "Term[Json]", *steps: str | int) -> "Term[Json]":
        """What lies at a path of names and places (#>)."""
        return Term(of_document(self, " #> ", path(steps)), "json", Level.OTHER)

    def path_text(self: "Term[Json]", *steps: str | int) -> "Term[str]":
        """As `path`, as text (#>>)."""
        return Term(of_document(self, " #>> ", path(steps)), "str", Level.OTHER)

    def contains(self: "Term[Json]", part: "Json | dict[str, Any] | list[Any] | Term[Json]") -> "Condition":
        """All of `part` is in it (@>): an object's names with their values, an array's elements in any order."""
        return Condition(of_document(self, " @> ", _document(part)), Level.OTHER)

    def contained_in(self: "Term[Json]", whole: "Json | dict[str, Any] | list[Any] | Term[Json]") -> "Condition":
        """All of it is in `whole` (<@)."""
        return Condition(of_document(self, " <@ ", _document(whole)), Level.OTHER)

    def has_key(self: "Term[Json]", key: "str | Term[str]") -> "Condition":
        """An object has this name, an array this string, or it is this string (?)."""
        return Condition(of_document(self, " ? ", key), Level.OTHER)

    # Orders, and aggregates of groups.

    def ascending(self) -> Order:
        """For `order_by`, where it is said where NULLs come: the least first, NULL as larger than every value."""
        return Order(self)

    def descending(self) -> Order:
        """For `order_by`: the largest first. NULL counts as larger than every value."""
        return Order(self, " DESC")

    def count(self, *, distinct: bool = False) -> "Term[int]":
        """How many rows of a group have a value here; `distinct`: how many different ones."""
        return _aggregate("count", self, "int", distinct=distinct)

    def sum(self, *, distinct: bool = False) -> "Term[Any]":
        """What the values of a group's rows come to; `distinct`: each once."""
        return _aggregate("sum", self, NUMBER, distinct=distinct)

    def avg(self, *, distinct: bool = False) -> "Term[Any]":
        """The average of a group's values; `distinct`: of each once."""
        return _aggregate("avg", self, NUMBER, distinct=distinct)

    def min(self) -> "Term[Value]":
        """The least value of a group's rows."""
        return _aggregate("min", self, self.kind)

    def max(self) -> "Term[Value]":
        """The greatest value of a group's rows."""
        return _aggregate("max", self, self.kind)

    def term(self, pieces: Pieces, kind: str, level: Level) -> "Term[Any]":
        """Another (Arithmetic)."""
        return Term(pieces, kind, level)

    def as_condition(self) -> "Condition":
        """Itself, where a condition is wanted."""
        return Condition([self], self.level)

    def _tested(self, *pieces: "str | Parameter | Piece") -> "Condition":
        return Condition([*within(self, Level.OTHER), *pieces])

    def _compared(self, operator: str, other: Any) -> "Condition":
        return self._tested(f" {operator} ", *self._operand(other))

    def _operand(self, other: Any, level: Level = Level.OTHER) -> Pieces:
        return operand(self, other, level)

    def _like(self, word: str, pattern: Any, escape: str | None) -> "Condition":
        if not isinstance(pattern, str | Term):
            raise TypeError(f"{self!r}: a pattern is text, found {type(pattern).__name__}")
        ending: Pieces = [] if escape is None else [" ESCAPE ", Parameter(escape)]
        return self._tested(word, *operand(self, pattern, Level.ADD), *ending)


class Condition(Term[bool]):
    """What rows must meet: true, false, or unknown where NULL is compared; only what is true is in a query."""

    __slots__ = ("_terms", "_word")

    def __init__(self, pieces: Pieces, level: Level = Level.TEST, *, word: str = "", terms: Pieces = ()) -> None:
        super().__init__(pieces, "bool", level)
        self._word: Final = word
        self._terms: Final = tuple(terms)

    def terms(self, word: str) -> Pieces:
        """What it joins, where it does so with this word: the server bounds how deep parentheses may go."""
        return self._terms if self._word == word else (self,)


class Subquery:
    """What IN takes beside a list of values."""

    __slots__ = ()

    def one_column(self, asker: Node) -> Piece:
        """What it selects for `asker`. ValueError: it is not one column."""
        raise NotImplementedError


def count() -> Term[int]:
    """How many rows a group has: `Task.where().group_by(Task.owner, many=count())`."""
    return Term(["count(*)"], "int", is_aggregate=True)


def _aggregate(function: str, term: Term[Any], kind: str, *, distinct: bool = False) -> Term[Any]:
    return Term([f"{function}({'DISTINCT ' if distinct else ''}", term, ")"], kind, is_aggregate=True)


def _document(said: Any) -> Any:
    return Json(said) if isinstance(said, dict | list) else said


def condition(said: object) -> Condition:
    """What stands where a condition is wanted. A bool is what comparing a row's values gives: never meant."""
    if isinstance(said, Condition):
        return said
    if isinstance(said, Term):
        if said.kind != "bool":
            raise TypeError(f"expected a condition, found the {said.kind} {said!r}: compare it with something")
        return said.as_condition()
    if isinstance(said, bool):
        raise TypeError(_BOOL_FOUND.format(said))
    raise TypeError(f"expected a condition on columns, found {type(said).__name__}")


def joined(word: str, *said: object) -> Condition:
    """Conditions as one, by AND or OR."""
    terms = [term for each in said for term in condition(each).terms(word)]
    pieces = [within(each, Level.TEST) for each in terms if isinstance(each, Term)]
    return Condition(list(listed(pieces, f" {word} ")), Level.JOINED, word=word, terms=terms)
