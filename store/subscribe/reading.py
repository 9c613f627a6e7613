"""Queries that are asked once: who may, at which offset, within which bounds.

Laws: an answer is of one moment, the last applied offset; nothing changes while it is made. What reads a table that is
declared sensitive is a record in the log first, and the answer waits for that record to be durable, as it waits anyway.
"""

from collections.abc import Sequence
from contextlib import suppress
from typing import Any, NamedTuple

from store.engine.engine import Engine
from store.engine.identity import Caller
from store.errors import Denied, MalformedQuery
from store.ids import Offset
from store.query.asking import compile_question
from store.query.budget import Budget
from store.query.syntax.parsing import parse
from store.query.syntax.statement import tables_of
from store.subscribe.messages import ColumnInfo, TableInfo
from store.subscribe.options import Options
from store.values import encode


class Reading(NamedTuple):
    """A query's answer."""

    offset: Offset
    table: TableInfo
    """What the rows are; `key` is -1 where they have no primary key."""
    rows: list[bytes]
    """MessagePack arrays."""


def read(engine: Engine, caller: Caller, sql: str, params: Sequence[Any], options: Options) -> Reading:
    """Answer a query. Denied, MalformedQuery, or Overloaded where it is past a bound."""
    if not caller.may_read:
        raise Denied("reading needs the scope read", hint="Use a token that has it")
    database = engine.database
    question = compile_question(
        sql, params, database.schema, operate=caller.may_operate, length_max=options.query_length_max
    )
    note_reading(engine, caller, "query", sql, params)
    rows = question.answer(database, Budget(options.query, engine.world.clock.monotonic))
    columns = tuple(ColumnInfo(name=each.name, type=each.type, nullable=each.nullable) for each in question.columns)
    return Reading(engine.write_path.last_offset, TableInfo(question.name, question.key, columns), rows)


def note_reading(engine: Engine, caller: Caller, act: str, sql: str, params: Sequence[Any], table: str = "") -> None:
    """Log who is about to read which sensitive tables; nothing where it reads none, or only asks for the plan.

    `table` is one that it is known to read; the text may name more, in joins and subqueries. Overloaded where nothing
    may be written now, MalformedQuery where it says more than a record may hold.
    """
    sensitive = engine.domain.sensitive
    if not sensitive:
        return
    names = {table}
    with suppress(MalformedQuery):  # What is followed may be said in words that only one table's queries know.
        names.update(() if (statement := parse(sql)).explain else tables_of(statement))
    tables = sorted(sensitive & names)
    if tables:
        engine.write_path.read(caller, act, encode([sql, list(params)]), tables)
