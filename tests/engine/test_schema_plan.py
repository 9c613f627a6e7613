"""How declared tables continue the logged ones."""

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


def otherwise(name: str) -> type[Table]:
    """The account table, declared otherwise."""
    if name == "public":

        class Private(Table, name="account"):
            id: int = column(primary_key=True)
            owner: str = column(index=True)
            balance: int = 0

        return Private
    if name == "columns":

        class Retyped(Table, name="account", public=True):
            id: int = column(primary_key=True)
            owner: str = column(index=True)
            balance: float = 0.0

        return Retyped
    if name == "auto_increment":

        class Counting(Table, name="account", public=True):
            id: int = column(primary_key=True, default=AUTO_INCREMENT)
            owner: str = column(index=True)
            balance: int = 0

        return Counting

    class Unindexed(Table, name="account", public=True):
        id: int = column(primary_key=True)
        owner: str
        balance: int = 0

    return Unindexed


@pytest.mark.parametrize(
    ("change", "says"), [("public", "public"), ("columns", "columns"), ("indexes", "indexes"), ("auto_increment", "co")]
)
def test_a_table_that_is_declared_otherwise_is_refused(change: str, says: str) -> None:
    """The error names the table and what differs, and how it was."""
    planned = plan_schema(EMPTY_SCHEMA, [Account])
    with pytest.raises(SchemaMismatch, match=f"table account is declared otherwise than it is logged: {says}"):
        plan_schema(planned, [otherwise(change)])
