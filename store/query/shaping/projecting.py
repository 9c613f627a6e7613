"""What a query's rows consist of: outputs as columns, and a row's values as the bytes that are sent.

Laws: all columns of one table are the row's own bytes; nothing is encoded again. A computed value has the one form that
a column of its type would keep it in.
"""

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any, Final, NamedTuple

from store.query.meaning.compiling import Compiler
from store.query.meaning.expressions import Evaluate, Expression
from store.query.meaning.tables import ResultColumn, TableSource, raw_column, result_column
from store.query.problems import malformed
from store.query.syntax.statement import Aggregate, Call, Column, Output, Value
from store.query.types.kinds import Document, Kind
from store.values import encode, normaliser

OUTPUTS_MAX: Final = 1_024
"""Columns that a query's rows may have."""


class Projected(NamedTuple):
    """One output column."""

    column: ResultColumn
    made: Expression
    store_form: Evaluate
    """From a row to the value in the form a column keeps."""


def outputs(
    said: Sequence[Output], sources: Sequence[TableSource], compiler: Compiler, *, joined: bool
) -> tuple[Projected, ...]:
    """All output columns, stars spelled out. MalformedQuery where there are too many or a type has no column."""
    made: list[Projected] = []
    for each in said:
        if each.value is not None:
            made.append(_computed(each, each.value, sources, compiler, joined=joined))
            continue
        if each.source is not None and all(source.name != each.source for source in sources):
            malformed(each.position, f"no table is called {each.source!r:.80} here")
        for place, source in enumerate(sources):
            if each.source in {None, source.name}:
                for column in source.table.columns:
                    reference = Column(source.name, column.name, each.position)
                    known = compiler.scope.known(reference) or compiler.scope.column(reference)
                    made.append(_projected(column.name, known, sources, joined=joined, place=place))
    if len(made) > OUTPUTS_MAX:
        malformed(said[0].position, f"a query has at most {OUTPUTS_MAX} columns, found {len(made)}")
    return tuple(made)


def _computed(
    output: Output, value: Value, sources: Sequence[TableSource], compiler: Compiler, *, joined: bool
) -> Projected:
    expression = compiler.value(value)
    return _projected(output.alias or _name(value), expression, sources, joined=joined)


def _projected(
    name: str, made: Expression, sources: Sequence[TableSource], *, joined: bool, place: int = 0
) -> Projected:
    assert place < len(sources)
    column = result_column(name, made, sources)
    if made.op == "column":
        source, schema = made.detail
        return Projected(column, made, raw_column(source, schema, joined=joined))
    return Projected(column, made, stored(made))


def stored(made: Expression) -> Evaluate:
    """How a computed value becomes what a column of its type would hold."""
    get = made.evaluate
    form = Document.json if made.kind is Kind.JSONB else normaliser(_WITH_FORMS.get(made.kind))
    if form is None:
        return get

    def formed(row: Any) -> Any:
        said = get(row)
        try:
            return None if said is None else form(said)
        except ValueError as error:
            malformed(made.position, f"the value cannot be returned: {error!s:.200}")

    return formed


_WITH_FORMS: Final = {Kind.NUMERIC: Decimal, Kind.FLOAT8: float}
"""The types whose values have more than one form."""


def _name(value: Value) -> str:
    """What PostgreSQL calls an output without an alias."""
    if isinstance(value, Column):
        return value.name
    if isinstance(value, Aggregate):
        return value.name
    if isinstance(value, Call):
        if value.name.startswith("cast "):
            inner = _name(value.args[0])
            return value.name.removeprefix("cast ") if inner == "?column?" else inner
        if value.name in {"case", "case of"}:
            return "case"
        if value.name.isidentifier():
            return value.name
    return "?column?"


def row_maker(columns: Sequence[Projected]) -> Callable[[Any], bytes]:
    """From a row to its projection as MessagePack."""
    forms = [each.store_form for each in columns]
    return lambda row: encode([form(row) for form in forms])


def is_whole(said: Sequence[Output], sources: Sequence[TableSource]) -> bool:
    """Whether the outputs are all columns of the one table as they are."""
    return len(sources) == len(said) == 1 and said[0].value is None and said[0].source in {None, sources[0].name}
