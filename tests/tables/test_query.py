"""Queries: what is taken, what is refused and where, and which rows it means."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec
import pytest

from store.codec import RowCodec
from store.errors import Denied, MalformedQuery
from store.ids import ColumnId, SchemaVersion, TableId
from store.schema import IndexSchema, Schema, Table, TableSchema, column
from store.tables.database import Database
from store.tables.query import Query, compile_query, select
from store.tables.sql import PARAMETERS_MAX
from store.transaction import Op
from store.values import Json


class Thing(Table, name="thing", public=True):
    """A column of every type."""

    id: int = column(primary_key=True)
    owner: str = column(index=True, default="")
    size: float = 0.0
    data: bytes = b""
    done: bool = False
    at: datetime | None = None
    price: Decimal = Decimal(0)
    ref: UUID | None = None
    notes: Json = Json.parse("{}")
    tags: tuple[str, ...] = ()


class Select(Table, name="select", public=True):
    """A table whose name is a word of SQL, with a UUID for a key."""

    order: UUID = column(primary_key=True)


class Hidden(Table, name="hidden"):
    """A private table."""

    id: int = column(primary_key=True)


def planned(row_type: type[Table], number: int) -> TableSchema:
    """The table's schema with the id the log would give it."""
    return msgspec.structs.replace(row_type.__table__, id=TableId(number))


TYPES: list[type[Table]] = [Thing, Select, Hidden]
SCHEMA = Schema(SchemaVersion(1), tuple(planned(each, number) for number, each in enumerate(TYPES, start=1)))
AT = datetime(2024, 2, 29, 12, tzinfo=UTC)
REF = UUID("6f1c1d9e-8d57-4b3a-9c56-0d9a3a6b7c11")


def compiled(sql: str, *params: Any) -> Query:
    """The query as a reader's token gets it."""
    return compile_query(sql, params, SCHEMA)


def where(comparison: str) -> str:
    """A query over things."""
    return f"SELECT * FROM thing WHERE {comparison}"  # noqa: S608  # The test itself writes the SQL.


def database(*rows: Table, index: bool = True) -> Database:
    """Tables with these rows, with or without their indexes."""
    made = Database(lambda table: RowCodec(table, {each.__table__.name: each for each in TYPES}[table.name]))
    schema = SCHEMA
    if not index:
        tables = tuple(msgspec.structs.replace(each, indexes=()) for each in SCHEMA.tables)
        schema = Schema(SchemaVersion(1), tables)
    made.adopt(schema)
    for row in rows:
        table = made.table(type(row).__table__.name)
        assert table is not None
        read, data = table.codec.canonical(row)
        made.apply([(table.schema.id, int(Op.INSERT), table.codec.key(read), None, data)])
    return made


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM thing",
        "select  *\n\tfrom thing ;",
        'Select * From "thing"',
        "SELECT * FROM THING",
        "SELECT*FROM thing;",
    ],
)
def test_a_whole_table_may_be_asked_for(sql: str) -> None:
    """Keywords and unquoted names have no case, white space does not matter, a last semicolon is fine."""
    query = compiled(sql)
    assert (query.table.name, query.column, query.id) == ("thing", None, compiled("SELECT * FROM thing").id)


@pytest.mark.parametrize(
    ("sql", "params"),
    [
        ("SELECT * FROM thing WHERE owner = 'o''neil; -- $1 ?'", ()),
        ("select * from thing where OWNER=$1", ("o'neil; -- $1 ?",)),
        ('select * from "thing" where "owner" = ?;', ("o'neil; -- $1 ?",)),
        ("select * from thing where owner =\n$1 ", ("o'neil; -- $1 ?",)),
    ],
)
def test_a_column_may_equal_a_literal_or_a_parameter(sql: str, params: tuple[Any, ...]) -> None:
    """However column and value are written, the same query has the same id."""
    query = compiled(sql, *params)
    assert query.column is not None
    assert (query.column.name, query.value) == ("owner", "o'neil; -- $1 ?")
    assert query.id == compiled("SELECT * FROM thing WHERE owner = ?", "o'neil; -- $1 ?").id


def test_a_quoted_name_may_be_a_word_of_sql() -> None:
    """A quoted name is a name, whatever the word means to SQL; it keeps its case."""
    assert compiled('SELECT * FROM "select" WHERE "order" = ?', REF).value == REF
    with pytest.raises(MalformedQuery, match="no table 'Thing'"):
        compiled('SELECT * FROM "Thing"')


VALUES: list[tuple[str, str, Any]] = [
    ("id", "5", 5),
    ("id", "-5", -5),
    ("id", "'-5'", -5),
    ("id", "9223372036854775807", 2**63 - 1),
    ("size", "1", 1.0),
    ("size", "-1.5", -1.5),
    ("size", ".5", 0.5),
    ("size", "1e3", 1000.0),
    ("size", "-0.0", 0.0),
    ("done", "true", True),
    ("done", "FALSE", False),
    ("price", "1.50", Decimal("1.5")),
    ("price", "'0.1'", Decimal("0.1")),
    ("at", "'2024-02-29T13:00:00+01:00'", AT),
    ("ref", f"'{str(REF).upper()}'", REF),
    ("data", "'aGk='", b"hi"),
    ("owner", "'5'", "5"),
    ("owner", "null", None),
]


@pytest.mark.parametrize(("name", "literal", "value"), VALUES)
def test_a_literal_becomes_the_columns_type(name: str, literal: str, value: Any) -> None:
    """A literal is read as the column's type, in the one form rows hold."""
    query = compiled(where(f"{name} = {literal}"))
    assert (query.value, type(query.value), str(query.value)) == (value, type(value), str(value))
    assert query.id == compiled(where(f"{name} = ?"), value).id


@pytest.mark.parametrize(
    ("name", "param", "value"),
    [
        ("id", "9007199254740993", 2**53 + 1),
        ("size", 2, 2.0),
        ("data", b"hi", b"hi"),
        ("at", AT, AT),
        ("price", 2, Decimal(2)),
    ],
)
def test_a_parameter_becomes_the_columns_type(name: str, param: Any, value: Any) -> None:
    """A parameter may come in either subprotocol's form."""
    query = compiled(where(f"{name} = $1"), param)
    assert (query.value, type(query.value)) == (value, type(value))


WRONG: list[tuple[str, Any]] = [
    ("id", True),
    ("id", 3.0),
    ("id", 2**63),
    ("id", "x"),
    ("id", "9223372036854775808"),
    ("id", []),
    ("size", "1.5"),
    ("size", float("nan")),
    ("size", True),
    ("size", 10**400),
    ("done", 1),
    ("done", "true"),
    ("price", "NaN"),
    ("price", "1e9999"),
    ("at", "2024-02-29T12:00:00"),
    ("at", "yesterday"),
    ("at", 5),
    ("ref", "6f1c"),
    ("data", "not base64!"),
    ("owner", 5),
    ("owner", b"x"),
    ("owner", "\ud800"),
    ("owner", {"x": 1}),
]


@pytest.mark.parametrize(("name", "value"), WRONG)
def test_a_value_of_another_type_is_refused(name: str, value: Any) -> None:
    """A value that the column cannot hold is refused, with the place, the column, what is expected and found."""
    sql = where(f"{name} = $1")
    with pytest.raises(MalformedQuery) as error:
        compiled(sql, value)
    (of_column,) = [each for each in SCHEMA.tables[0].columns if each.name == name]
    assert error.value.details == {"position": sql.index("$") + 1, "column": name}
    assert f"at character {sql.index('$') + 1}: thing.{name} is {of_column.type}, found {type(value).__name__}" in str(
        error.value
    )


def test_an_unknown_table_lists_the_tables() -> None:
    """An unknown table is refused with what there is to read; private tables are not told to readers."""
    with pytest.raises(MalformedQuery, match=r"at character 15: there is no table 'thin'. There are select, thing$"):
        compiled("SELECT * FROM thin")
    with pytest.raises(MalformedQuery, match=r"There are hidden, select, thing$"):
        compile_query("SELECT * FROM thin", (), SCHEMA, operate=True)


def test_an_unknown_column_lists_the_columns() -> None:
    """An unknown column is refused with the table's columns."""
    with pytest.raises(MalformedQuery, match=r"at character 27: thing has no column 'own'. It has id, owner, size,"):
        compiled("SELECT * FROM thing WHERE own = 1")


@pytest.mark.parametrize("name", ["notes", "tags"])
def test_json_and_arrays_have_no_equality(name: str) -> None:
    """A column whose values do not compare as they are written cannot be asked for."""
    with pytest.raises(MalformedQuery, match="no equality"):
        compiled(where(f"{name} = 'x'"))


def test_a_private_table_wants_an_operator() -> None:
    """A private table is Denied by default."""
    with pytest.raises(Denied):
        compiled("SELECT * FROM hidden")
    assert compile_query("SELECT * FROM hidden", (), SCHEMA, operate=True).table.name == "hidden"


@pytest.mark.parametrize(
    ("sql", "params"),
    [
        ("SELECT * FROM thing", (1,)),
        ("SELECT * FROM thing WHERE id = 1", (1,)),
        ("SELECT * FROM thing WHERE id = ?", ()),
        ("SELECT * FROM thing WHERE id = ?", (1, 2)),
        ("SELECT * FROM thing WHERE id = $2", (1, 2)),
        ("SELECT * FROM thing WHERE id = $65", tuple(range(PARAMETERS_MAX + 1))),
    ],
)
def test_parameters_are_numbered_without_gaps(sql: str, params: tuple[Any, ...]) -> None:
    """There are as many values as parameters, no more and no fewer."""
    with pytest.raises(MalformedQuery, match="parameters"):
        compiled(sql, *params)


def test_ids_differ_where_queries_do() -> None:
    """Tables, columns, values, NULL and the whole table all make different ids."""
    queries = [
        compiled("SELECT * FROM thing"),
        compiled('SELECT * FROM "select"'),
        compiled("SELECT * FROM thing WHERE id = 1"),
        compiled("SELECT * FROM thing WHERE id = 2"),
        compiled("SELECT * FROM thing WHERE size = 1"),
        compiled("SELECT * FROM thing WHERE owner = '1'"),
        compiled("SELECT * FROM thing WHERE owner = NULL"),
        compiled("SELECT * FROM thing WHERE size = NULL"),
    ]
    assert len({query.id for query in queries}) == len(queries)


def test_an_id_is_the_same_forever() -> None:
    """A query's id rests on table, column and value alone, so that clients can resume after a restart."""
    assert compiled("SELECT * FROM thing").id == "24rOHBP85Hd7yPaaOEmV"
    assert compiled("SELECT * FROM thing WHERE owner = 'ada'").id == "mukBj7I456nqq8H5OAnQ"


def test_rows_come_in_key_order() -> None:
    """A whole table comes in primary-key order, as the stored bytes."""
    made = database(*(Thing(id=number) for number in (3, 1, 2)))
    table = made.table("thing")
    assert table is not None
    assert select(compiled("SELECT * FROM thing"), made) == [table.rows[key] for key in (1, 2, 3)]


ROWS = [
    Thing(
        id=number,
        owner="ada" if number % 2 else "bob",
        done=number > 3,
        size=number / 2,
        at=AT if number == 1 else None,
    )
    for number in (5, 3, 4, 1, 2)
]


@pytest.mark.parametrize("index", [True, False])
@pytest.mark.parametrize(
    ("sql", "keys"),
    [
        ("SELECT * FROM thing WHERE owner = 'ada'", [1, 3, 5]),
        ("SELECT * FROM thing WHERE owner = 'eve'", []),
        ("SELECT * FROM thing WHERE done = true", [4, 5]),
        ("SELECT * FROM thing WHERE size = 1", [2]),
        ("SELECT * FROM thing WHERE at = '2024-02-29T12:00:00Z'", [1]),
        ("SELECT * FROM thing WHERE at = NULL", []),
        ("SELECT * FROM thing WHERE id = 4", [4]),
        ("SELECT * FROM thing WHERE id = 9", []),
    ],
)
def test_equality_selects_by_key_index_or_scan(sql: str, keys: list[int], *, index: bool) -> None:
    """The same rows in key order, whether a key, an index or a scan finds them; they are those that match."""
    made, query = database(*ROWS, index=index), compiled(sql)
    table = made.table("thing")
    assert table is not None
    assert select(query, made) == [table.rows[key] for key in keys]
    assert [row.id for row in sorted(ROWS, key=lambda row: row.id) if query.matches(row)] == keys


def test_an_indexed_column_is_not_scanned(monkeypatch: pytest.MonkeyPatch) -> None:
    """A column with an index, and the key, are looked up."""
    made = database(*ROWS)
    monkeypatch.setattr("store.tables.query._scan", None)
    assert len(select(compiled("SELECT * FROM thing WHERE owner = 'ada'"), made)) == 3
    assert len(select(compiled("SELECT * FROM thing WHERE id = 1"), made)) == 1
    assert SCHEMA.tables[0].indexes == (IndexSchema(column=ColumnId(2), unique=False),)


def test_a_uuid_key_is_found() -> None:
    """A UUID key is looked up by the form the tables keep."""
    assert len(select(compiled('SELECT * FROM "select" WHERE "order" = ?', str(REF)), database(Select(order=REF)))) == 1
