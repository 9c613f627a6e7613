"""Tables, rows and expressions that the language's tests speak of."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec
from hypothesis import strategies as st

from store.codec import RowCodec
from store.ids import SchemaVersion, TableId
from store.query.live import TableScope
from store.query.meaning.compiling import Compiler
from store.query.meaning.expressions import Expression
from store.query.meaning.tables import find_sources
from store.query.syntax.parsing import parse
from store.schema import Schema, Table, column
from store.tables.database import Database
from store.transaction import Op
from store.values import Json


class Sample(Table, name="sample", public=True):
    """Two columns of the types that meet each other, one of every other."""

    id: int = column(primary_key=True)
    a: int | None = None
    b: int | None = column(index=True, default=None)
    f: float | None = None
    g: float | None = None
    n: Decimal | None = None
    m: Decimal | None = None
    t: str | None = None
    u: str | None = column(index=True, default=None)
    y: bytes | None = None
    d: bool | None = None
    e: bool | None = None
    w: datetime | None = None
    k: UUID | None = None
    j: Json | None = None
    i: Json | None = None


class Other(Table, name="other", public=True):
    """A second table, for joins and membership."""

    key: int = column(primary_key=True)
    a: int | None = column(index=True, default=None)
    b: int | None = None
    u: str | None = None
    n: Decimal | None = None


class Hidden(Table, name="hidden"):
    """A private table."""

    id: int = column(primary_key=True)
    a: int | None = None


TYPES: list[type[Table]] = [Sample, Other, Hidden]
SCHEMA = Schema(
    SchemaVersion(1),
    tuple(msgspec.structs.replace(each.__table__, id=TableId(number)) for number, each in enumerate(TYPES, start=1)),
)

_POSTGRES_TYPES = {
    "int": "bigint",
    "float": "double precision",
    "decimal": "numeric",
    "str": 'text COLLATE "C"',
    "bytes": "bytea",
    "bool": "boolean",
    "timestamp": "timestamptz",
    "uuid": "uuid",
    "json": "jsonb",
}


def create_tables() -> str:
    """The same tables in PostgreSQL."""
    statements = []
    for table in SCHEMA.tables:
        columns = ", ".join(f"{each.name} {_POSTGRES_TYPES[each.type]}" for each in table.columns)
        statements.append(f"DROP TABLE IF EXISTS {table.name}; CREATE TABLE {table.name} ({columns})")
    return ";".join(statements)


def insert(row: Table) -> str:
    """The same row in PostgreSQL."""
    values = ", ".join(_literal(getattr(row, name)) for name in row.__struct_fields__)
    return f"INSERT INTO {type(row).__table__.name} VALUES ({values})"  # noqa: S608  # The tests' own values.


def _literal(value: Any) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, bytes):
        return f"'\\x{value.hex()}'"
    said = value.text if isinstance(value, Json) else value.isoformat() if isinstance(value, datetime) else str(value)
    return "'" + said.replace("'", "''") + "'"


def database(*rows: Table) -> Database:
    """Our tables with these rows."""
    made = Database(lambda table: RowCodec(table, {each.__table__.name: each for each in TYPES}[table.name]))
    made.adopt(SCHEMA)
    for row in rows:
        table = made.table(type(row).__table__.name)
        assert table is not None
        read, data = table.codec.canonical(row)
        made.apply([(table.schema.id, int(Op.INSERT), table.codec.key(read), None, data)])
    return made


def compiled(expression: str, *params: Any) -> Expression:
    """A value over a sample."""
    select = parse(f"SELECT {expression} FROM sample").select  # noqa: S608  # The tests' own SQL.
    scope = TableScope(find_sources(select.sources, SCHEMA, operate=False), SCHEMA, params, operate=False)
    value = select.outputs[0].value
    assert value is not None
    return Compiler(scope, params).value(value)


# Rows.

SMALL_INTS = st.integers(-3, 5)
INTS = st.one_of(SMALL_INTS, st.sampled_from([2**31 - 1, -(2**31), 2**53 + 1, 2**63 - 1, -(2**63)]))
FLOATS = st.one_of(
    st.sampled_from([0.0, 1.0, -2.5, 0.1, 1e15, 1e16, 123456.789, 1e-5, 1e300, -1e300, 5e-324, 9007199254740993.0]),
    st.floats(allow_nan=False, allow_infinity=False).map(lambda each: each + 0.0),
)
DECIMALS = st.one_of(
    st.sampled_from(
        [Decimal(each) for each in ("0", "1", "1.5", "-2.25", "100", "0.001", "1E+3", "12345678901234567890.5")]
    ),
    st.decimals(-1_000, 1_000, places=3, allow_nan=False),
)
TEXTS = st.one_of(
    st.sampled_from(
        ["", "a", "ab", "A", "aB%", "_", "ä", "Zß", "a b ", "x'y", "10", "-7", "1.5", "true", "\\", "🙂b", "{}"]
    ),
    st.text("abAB%_ \\'ä🙂", max_size=5),
)
_LEAVES = st.one_of(st.none(), st.booleans(), st.integers(-2, 3), st.sampled_from([1.5, 1e20, "a", "b", "", "ä", "1"]))
JSONS = st.recursive(
    _LEAVES,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.sampled_from("ab1"), inner)),
    max_leaves=5,
)
MOMENTS = st.sampled_from(
    [
        datetime(2024, 2, 29, 12, tzinfo=UTC),
        datetime(1999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
        datetime(2024, 2, 29, 12, 0, 0, 120_000, tzinfo=UTC),
    ]
)
UUIDS = st.sampled_from([UUID(int=0), UUID("6f1c1d9e-8d57-4b3a-9c56-0d9a3a6b7c11")])


def maybe(values: "st.SearchStrategy[Any]") -> "st.SearchStrategy[Any]":
    """A value, or NULL."""
    return st.one_of(st.none(), values, values, values)


def samples(number: int) -> "st.SearchStrategy[Sample]":
    """A row under that key."""
    return st.builds(
        Sample,
        id=st.just(number), a=maybe(INTS), b=maybe(SMALL_INTS), f=maybe(FLOATS), g=maybe(FLOATS), n=maybe(DECIMALS),
        m=maybe(DECIMALS), t=maybe(TEXTS), u=maybe(TEXTS), y=maybe(st.binary(max_size=4)), d=maybe(st.booleans()),
        e=maybe(st.booleans()), w=maybe(MOMENTS), k=maybe(UUIDS), j=maybe(JSONS.map(Json)), i=maybe(JSONS.map(Json)),
    )  # fmt: skip
