"""A followed query: what it makes of the rows that it is asked about."""

from typing import Any

import msgspec
import pytest

from store.errors import MalformedQuery
from store.ids import SchemaVersion, TableId
from store.query.live import compile_live
from store.schema import Schema
from store.subscribe.followed import Followed, table_info
from store.subscribe.routes import Write
from tests.query.scenes import SCHEMA, Sample
from tests.subscribe.shelf import Book


def followed(sql: str) -> Followed:
    """The query, followed."""
    return Followed(compile_live(sql, (), SCHEMA))


def write(before: Sample | None, after: Sample | None) -> Write:
    """A row before and after."""
    old, new = (None if each is None else (each, repr(each).encode()) for each in (before, after))
    return old, new


def test_rows_come_change_and_leave() -> None:
    """In it now: the row; in it before and no longer: its key; neither: nothing."""
    query = followed("SELECT * FROM sample WHERE a > 0")
    asked = {
        1: write(None, Sample(id=1, a=1)),
        2: write(Sample(id=2, a=1), Sample(id=2, a=2)),
        3: write(Sample(id=3, a=1), Sample(id=3, a=0)),
        4: write(Sample(id=4, a=1), None),
        5: write(Sample(id=5, a=0), Sample(id=5)),
        6: write(None, None),
    }
    change = query.answer(asked, {})
    assert change is not None
    assert (len(change.rows), change.keys) == (2, [3, 4])
    assert query.answer({5: asked[5]}, {}) is None


def test_a_projection_that_did_not_change_is_not_told() -> None:
    """Other columns may have."""
    query = followed("SELECT id, a FROM sample")
    assert query.answer({1: write(Sample(id=1, a=1, b=1), Sample(id=1, a=1, b=2))}, {}) is None
    assert query.answer({1: write(Sample(id=1, a=1), Sample(id=1, a=2))}, {}) is not None


@pytest.mark.parametrize("sql", ["SELECT * FROM sample WHERE 1 / a > 0", "SELECT id, 1 / a FROM sample"])
def test_a_row_without_a_value_is_an_error(sql: str) -> None:
    """In the condition as in what is made of the row."""
    with pytest.raises(MalformedQuery, match="division by zero"):
        followed(sql).answer({1: write(None, Sample(id=1, a=0))}, {})


def test_whatever_goes_wrong_is_the_querys_affair(monkeypatch: pytest.MonkeyPatch) -> None:
    """An error that no query should have raised ends the query as well."""
    query = followed("SELECT * FROM sample WHERE a > 0")
    bad: Any = object()
    with pytest.raises(MalformedQuery, match="AttributeError"):
        query.answer({1: ((bad, b""), None)}, {})


def test_table_info_says_columns_and_key() -> None:
    """A query's info names its table, its columns, their types, and the place of the key among them."""
    schema = Schema(SchemaVersion(1), (msgspec.structs.replace(Book.__table__, id=TableId(1)),))
    info = table_info(compile_live("SELECT * FROM books", (), schema))
    assert (info.name, info.key, info.columns[0].name, info.columns[3].nullable) == ("books", 0, "id", True)
    projected = table_info(compile_live("SELECT copies * 2 AS twice, id FROM books", (), schema))
    assert (projected.key, [each.name for each in projected.columns]) == (1, ["twice", "id"])
