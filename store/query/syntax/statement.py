"""What a text says, whatever the schema: values that refer to names and parameters, each with its place.

Laws: a statement never changes, so a parse is shared by all who send its text. Places are characters from 0.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple


class Name(NamedTuple):
    """A table's, column's or alias's name as it is looked up."""

    text: str
    position: int


class Column(NamedTuple):
    """A column, perhaps of a named source."""

    source: str | None
    name: str
    position: int


class Constant(NamedTuple):
    """A literal: text and None have no type of their own."""

    value: Any
    position: int


class Parameter(NamedTuple):
    """The parameter at a place, from 0."""

    number: int
    position: int


class Call(NamedTuple):
    """An operator, a function or a construct by its name here, with its arguments."""

    name: str
    args: tuple["Value", ...]
    position: int


class Aggregate(NamedTuple):
    """COUNT, SUM, MIN, MAX or AVG; without an argument it is COUNT(*)."""

    name: str
    argument: "Value | None"
    distinct: bool
    position: int


class Member(NamedTuple):
    """Operand IN (SELECT …)."""

    operand: "Value"
    query: "Select"
    position: int


Value = Column | Constant | Parameter | Call | Aggregate | Member


class Output(NamedTuple):
    """One output: a value with or without a name of its own, or, without a value, all columns (of a source)."""

    value: Value | None
    alias: str | None
    source: str | None
    position: int


class Source(NamedTuple):
    """A table that is read; `on` where it is joined to those before it, `outer` where these stay without it."""

    table: Name
    alias: str | None
    on: Value | None
    outer: bool


class Order(NamedTuple):
    """One sort key."""

    value: Value
    descending: bool
    nulls_first: bool


class Select(NamedTuple):
    """One SELECT."""

    outputs: tuple[Output, ...]
    distinct: bool
    sources: tuple[Source, ...]
    where: Value | None
    group: tuple[Value, ...]
    having: Value | None
    order: tuple[Order, ...]
    limit: Value | None
    offset: Value | None
    position: int


class Statement(NamedTuple):
    """A whole text."""

    select: Select
    parameters: int
    explain: bool
    length: int
    """Characters of the text."""


def tables_of(part: object) -> Iterator[str]:
    """The names of all tables that a statement, or a part of one, reads, subqueries included. One may come twice."""
    if isinstance(part, Source):
        yield part.table.text
    if isinstance(part, tuple):
        for each in part:
            yield from tables_of(each)
