"""A domain whose tables are related: items on lists, lists of people. Whole transactions are said as data."""

from decimal import Decimal

from store.engine.reducer import Context, reducer
from store.schema import Table, column
from store.values import Json


class Person(Table, name="people", public=True):
    """Somebody; a team may have none."""

    name: str = column(primary_key=True)
    team: int | None = None
    guest: bool = False


class Board(Table, name="lists", public=True):
    """A list of items, of somebody or nobody, perhaps below another."""

    id: int = column(primary_key=True)
    owner: str | None = column(index=True, default=None)
    parent: int | None = None
    open: bool = True


class Item(Table, name="items", public=True):
    """On one list, or on none; `list` has no index, `owner` has."""

    id: int = column(primary_key=True)
    list: int | None = None
    owner: str | None = column(index=True, default=None)
    points: int | None = None
    weight: Decimal | None = None
    title: str = ""
    data: Json | None = None


TABLES = {"people": Person, "lists": Board, "items": Item}


@reducer
def change(ctx: Context, changes: Json) -> None:
    """Do all of it in one transaction: [table, key, the row's other values by name, or null to delete it]."""
    for name, key, said in changes.value:
        table = ctx.table(TABLES[name])
        if said is None:
            table.delete(key)
            continue
        values = dict(said)
        if values.get("weight") is not None:
            values["weight"] = Decimal(values["weight"])
        if "data" in values:
            values["data"] = Json(values["data"])
        table.upsert(TABLES[name](**{"name" if name == "people" else "id": key}, **values))
