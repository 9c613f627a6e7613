"""Tables as an author declares them."""

from typing import Annotated

import pytest
from msgspec import Meta

from store.schema import AUTO_INCREMENT, Table, column
from store.values import Json


class BuildStep(Table, public=True):
    """A table with everything a declaration can say."""

    id: int = column(primary_key=True, default=AUTO_INCREMENT)
    name: str = column(unique=True)
    owner: str | None = column(index=True, default=None)
    weight: float = 1


def test_a_declaration_becomes_a_schema() -> None:
    """Name, columns, types, defaults, key and indexes are as declared; ids of columns count from 1."""
    schema = BuildStep.__table__
    assert (schema.name, schema.public, schema.key_name, schema.auto_increment) == ("build_step", True, "id", True)
    assert [(each.id, each.name, each.type, each.nullable) for each in schema.columns] == [
        (1, "id", "int", False),
        (2, "name", "str", False),
        (3, "owner", "str", True),
        (4, "weight", "float", False),
    ]
    assert [(each.column, each.unique) for each in schema.indexes] == [(2, True), (3, False)]
    assert [each.default for each in schema.columns] == [b"\x00", None, b"\xc0", b"\xcb\x3f\xf0" + bytes(6)]


def test_a_text_beside_a_column_s_type_is_passed_over() -> None:
    """Annotated may say what a column is for."""

    class Said(Table):
        id: Annotated[int, "who it is"] = column(primary_key=True)
        names: tuple[Annotated[str, "each of them"], ...] | None = None

    assert [(each.type, each.nullable) for each in Said.__table__.columns] == [("int", False), ("str[]", True)]
    assert Said(id=1, names=("a",)).names == ("a",)


def test_a_row_is_a_frozen_value() -> None:
    """Rows compare by value and never change."""
    row = BuildStep(name="lint")
    assert row == BuildStep(id=0, name="lint", owner=None, weight=1.0)
    with pytest.raises(AttributeError):
        row.name = "test"


def test_a_private_table_is_the_default() -> None:
    """A table that says nothing is private, and its name is the class name in snake_case."""

    class HTTPRequest(Table):
        id: int = column(primary_key=True)

    assert (HTTPRequest.__table__.public, HTTPRequest.__table__.name) == (False, "http_request")


def _two_keys() -> None:
    class Bad(Table):
        a: int = column(primary_key=True)
        b: int = column(primary_key=True)


def _no_key() -> None:
    class Bad(Table):
        a: int


def _nullable_key() -> None:
    class Bad(Table):
        a: int | None = column(primary_key=True)


def _float_key() -> None:
    class Bad(Table):
        a: float = column(primary_key=True)


def _list_column() -> None:
    class Bad(Table):
        a: int = column(primary_key=True)
        b: list[int]


def _wrong_default() -> None:
    class Bad(Table):
        a: int = column(primary_key=True)
        b: int = column(default="x")


def _counting_text() -> None:
    class Bad(Table):
        a: str = column(primary_key=True, default=AUTO_INCREMENT)


def _counting_elsewhere() -> None:
    class Bad(Table):
        a: int = column(primary_key=True)
        b: int = column(default=AUTO_INCREMENT)


def _bounded_column() -> None:
    class Bad(Table):
        a: int = column(primary_key=True)
        b: tuple[Annotated[int, Meta(ge=0)], ...] | None = None


def _empty_tuple() -> None:
    class Bad(Table):
        a: int = column(primary_key=True)
        b: tuple[()] = ()


def _indexed_json() -> None:
    class Bad(Table):
        a: int = column(primary_key=True)
        b: Json = column(index=True)


def _bad_name() -> None:
    class Bad(Table, name="No Spaces"):
        a: int = column(primary_key=True)


def _bad_column() -> None:
    class Bad(Table):
        a: int = column(primary_key=True)
        B: int


def _inherited() -> None:
    class Bad(BuildStep):
        extra: int = 0


@pytest.mark.parametrize(
    ("declare", "says"),
    [
        (_two_keys, "exactly one primary key column, found 2"),
        (_no_key, "exactly one primary key column, found 0"),
        (_nullable_key, "Bad.a: a primary key is"),
        (_float_key, "Bad.a: a primary key is"),
        (_list_column, "Bad.b: a column is one of"),
        (_bounded_column, "Bad.b: a column has no bounds, reducers hold them; found"),
        (_empty_tuple, "Bad.b: a column is one of"),
        (_wrong_default, "Bad.b: the default 'x' is no int"),
        (_counting_text, "Bad.a: AUTO_INCREMENT"),
        (_counting_elsewhere, "Bad.b: AUTO_INCREMENT"),
        (_indexed_json, "Bad.b: a json column cannot be indexed"),
        (_bad_name, "a table's name matches"),
        (_bad_column, "Bad.B: a column's name matches"),
        (_inherited, "tables do not inherit"),
    ],
)
def test_a_wrong_declaration_says_what_is_wrong(declare, says: str) -> None:
    """A declaration that cannot be kept is a TypeError that names the column."""
    with pytest.raises(TypeError, match=says):
        declare()
