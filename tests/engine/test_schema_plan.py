"""How declared tables continue the logged ones."""

from typing import Any

import pytest

from store.engine.schema_plan import plan_schema
from store.errors import SchemaMismatch
from store.schema import AUTO_INCREMENT, EMPTY_SCHEMA, Table, column


class Account(Table, public=True):
    """A table as it was first declared."""

    id: int = column(primary_key=True)
    owner: str = column(index=True)
    balance: int = 0


class Task(Table):
    """Another table."""

    id: int = column(primary_key=True, default=AUTO_INCREMENT)


def test_the_first_plan_gives_ids_in_order() -> None:
    """Tables are numbered from 1, and it is version 1."""
    planned = plan_schema(EMPTY_SCHEMA, [Account, Task])
    assert (planned.version, [(each.id, each.name) for each in planned.tables]) == (1, [(1, "account"), (2, "task")])


def test_what_is_unchanged_is_the_same_schema() -> None:
    """In whatever order it is declared: no record is written."""
    planned = plan_schema(EMPTY_SCHEMA, [Account, Task])
    assert plan_schema(planned, [Task, Account]) is planned


def test_a_new_table_takes_the_next_id() -> None:
    """Those that are there keep theirs; the version counts on."""
    first = plan_schema(EMPTY_SCHEMA, [Task])
    second = plan_schema(first, [Account, Task])
    assert (second.version, [(each.id, each.name) for each in second.tables]) == (2, [(1, "task"), (2, "account")])


def test_a_table_that_is_not_declared_any_more_is_refused() -> None:
    """Its rows would be out of reach: the error names it and the way out."""
    planned = plan_schema(EMPTY_SCHEMA, [Account, Task])
    with pytest.raises(SchemaMismatch, match=r"no loaded domain declares: account.*--domain"):
        plan_schema(planned, [Task])


class Private(Table, name="account"):
    """The account table, and nobody reads it."""

    id: int = column(primary_key=True)
    owner: str = column(index=True)
    balance: int = 0


class Retyped(Table, name="account", public=True):
    """With columns of other types; a default that reads otherwise is told with its type alone."""

    id: int = column(primary_key=True)
    owner: str | None = column(index=True)
    balance: float = 0.5


class Counting(Table, name="account", public=True):
    """With a key that is given by the table."""

    id: int = column(primary_key=True, default=AUTO_INCREMENT)
    owner: str = column(index=True)
    balance: int = 0


class Unindexed(Table, name="account", public=True):
    """With other indexes."""

    id: int = column(primary_key=True)
    owner: str
    balance: int = column(unique=True, default=0)


class Grown(Table, name="account", public=True):
    """With a column more, one less, and another default."""

    id: int = column(primary_key=True)
    note: str = "x" * 100
    balance: int = 7


class Turned(Table, name="account", public=True):
    """With its columns in another order."""

    owner: str = column(index=True)
    id: int = column(primary_key=True)
    balance: int = 0


class Keyed(Table, name="account", public=True):
    """With another primary key."""

    id: int
    owner: str = column(primary_key=True)
    balance: int = 0


@pytest.mark.parametrize(
    ("declared", "says"),
    [
        (Private, ("it was public, is private",)),
        (
            Retyped,
            (
                "column owner: was str, is str | None",
                "column balance: was int, is float",
                "column balance: default was 0, is 0.5",
            ),
        ),
        (
            Counting,
            (
                "its primary key was given by the caller, is counted up by the table (AUTO_INCREMENT)",
                "column id: default was none, is 0",
            ),
        ),
        (Unindexed, ("column owner: index was plain, is none", "column balance: index was none, is unique")),
        (
            Grown,
            (
                "column owner was str, is not declared any more",
                "column balance: default was 0, is 7",
                "column note was not there, is str",
            ),
        ),
        (Turned, ("its columns were in the order id, owner, balance, are in the order owner, id, balance",)),
        (Keyed, ("its primary key was id, is owner", "column owner: index was plain, is none")),
    ],
)
def test_a_table_that_is_declared_otherwise_is_refused(declared: type[Table], says: tuple[str, ...]) -> None:
    """The error names the table and the column, how it was and how it is, in an author's words, and what to do."""
    planned = plan_schema(EMPTY_SCHEMA, [Account])
    with pytest.raises(SchemaMismatch) as caught:
        plan_schema(planned, [declared])
    assert caught.value.message == f"table account is declared otherwise than it is logged: {'; '.join(says)}"
    assert caught.value.hint.startswith("Declare it as it was")


def test_a_default_that_is_long_is_shown_by_its_beginning() -> None:
    """A refusal stays a line."""
    planned = plan_schema(EMPTY_SCHEMA, [Grown])

    class Other(Table, name="account", public=True):
        id: int = column(primary_key=True)
        note: str = "short"
        balance: int = 7

    with pytest.raises(SchemaMismatch, match=r"column note: default was 'x{58}…, is 'short'\."):
        plan_schema(planned, [Other])


def test_a_table_that_differs_in_everything_is_told_in_part() -> None:
    """The first ten differences, and how many more there are."""
    planned = plan_schema(EMPTY_SCHEMA, [_named("wide", int)])
    with pytest.raises(SchemaMismatch, match=r"c9: was int, is str; and 5 more\."):
        plan_schema(planned, [_named("wide", str)])


def _named(name: str, kind: type) -> type[Table]:
    """A table of a key and fifteen columns of that type."""
    columns = {f"c{number}": kind for number in range(15)}
    body = {"__annotations__": {"id": int, **columns}, "__module__": __name__, "id": column(primary_key=True)}
    metaclass: Any = type(Table)
    made: type[Table] = metaclass("Wide", (Table,), body, name=name)
    return made
