"""Queries that are asked once: who may, at which offset, within which bounds.

Laws: an answer is of one moment, the last applied offset; nothing changes while it is made.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from store.engine.engine import Engine
from store.engine.identity import Caller
from store.errors import Denied
from store.ids import Offset
from store.query.asking import compile_question
from store.query.budget import Budget
from store.subscribe.messages import ColumnInfo, TableInfo
from store.subscribe.options import Options


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
    rows = question.answer(database, Budget(options.query, engine.world.clock.monotonic))
    columns = tuple(ColumnInfo(name=each.name, type=each.type, nullable=each.nullable) for each in question.columns)
    return Reading(engine.write_path.last_offset, TableInfo(question.name, question.key, columns), rows)
