"""The written methods: which way a change goes. That both ways store the same is held in test_overlay.py."""

import dis
from typing import Any
from uuid import UUID

import msgspec
import pytest

from store.codec import ROW_SIZE_MAX, RowCodec
from store.errors import ConstraintViolation
from store.ids import SchemaVersion, TableId
from store.schema import Schema, Table, column
from store.tables.database import Database
from store.tables.methods import Held, make_update
from store.tables.overlay import Overlay, TableView


class Note(Table, name="notes"):
    """Columns of which some can go the short way."""

    id: int = column(primary_key=True)
    owner: str | None = column(index=True, default=None)
    text: str = ""
    count: int | None = 0
    share: float = 0.0


class Device(Table, name="devices"):
    """A table whose key is kept as text."""

    id: UUID = column(primary_key=True)
    name: str = ""


def view_of(row_type: type[Table], *rows: Table) -> tuple[Overlay, TableView[Any], list[dict[str, Any]]]:
    """A view of a table with these rows, and the changes that go the long way in it."""
    planned = msgspec.structs.replace(row_type.__table__, id=TableId(1))
    codec = RowCodec[Any](planned, row_type)
    database = Database(lambda _: codec)
    database.adopt(Schema(version=SchemaVersion(1), tables=(planned,)))
    for row in rows:
        database.tables[TableId(1)].add(codec.key(row), codec.canonical(row)[1])
    overlay = Overlay(database)
    view: TableView[Any] = overlay.view(row_type)
    long_way: list[dict[str, Any]] = []
    update = view._update

    def note(row: Any, changes: dict[str, Any]) -> Any:
        long_way.append(changes)
        return update(row, changes)

    view._update = note  # type: ignore[method-assign]  # That is the test.
    return overlay, view, long_way


@pytest.mark.parametrize(
    ("changes", "is_long"),
    [
        ({"text": "b"}, False),
        ({"text": "b", "count": 2**63 - 1}, False),
        ({"count": None}, False),
        ({}, False),
        ({"share": 0.5}, True),
        ({"owner": "bob"}, True),
        ({"text": "b", "owner": "bob"}, True),
        ({"count": True}, True),
        ({"count": -(2**63)}, False),
        ({"count": 2**63}, True),
        ({"count": -(2**63) - 1}, True),
        ({"id": 1}, True),
    ],
)
def test_a_change_goes_the_way_its_columns_and_values_allow(changes: dict[str, Any], *, is_long: bool) -> None:
    """Plain values in columns without an index go the short one; on the long one goes what was given, and no more."""
    overlay, notes, long_way = view_of(Note, Note(id=1, owner="ada", text="a"))
    row = notes.get(1)
    try:
        changed = notes.update(row, **changes)
    except ConstraintViolation:
        assert changes["count"] in {True, 2**63, -(2**63) - 1}
    else:
        assert changed == msgspec.structs.replace(row, **changes)
        assert [write[4] for write in overlay.write_set()] == (
            [] if changed == row else [msgspec.msgpack.encode(changed)]
        )
    assert long_way == ([changes] if is_long else [])


def test_a_row_that_is_not_as_it_was_read_goes_the_long_way() -> None:
    """One of an earlier state says which row is meant, and what its other columns were."""
    _, notes, long_way = view_of(Note, Note(id=1, text="a"))
    stale = notes.get(1)
    notes.update(stale, text="b")
    assert notes.update(stale, count=5) == Note(id=1, text="a", count=5)
    assert long_way == [{"count": 5}]


def test_what_does_not_fit_is_refused_as_ever() -> None:
    """The long way says why: too large a row, a text that has no bytes."""
    _, notes, long_way = view_of(Note, Note(id=1))
    for text in ("x" * ROW_SIZE_MAX, "\ud800"):
        with pytest.raises(ConstraintViolation, match="notes"):
            notes.update(notes.get(1), text=text)
    assert len(long_way) == 2


def test_a_keyword_that_is_no_column_is_a_type_error() -> None:
    """As of any function, and it names the table."""
    _, notes, _ = view_of(Note, Note(id=1))
    with pytest.raises(TypeError, match=r"notes\.update\(\) got an unexpected keyword argument 'colour'"):
        notes.update(notes.get(1), colour="red")


def test_a_row_is_kept_under_its_own_key() -> None:
    """An equal one was asked for; what follows finds the row without comparing. None is kept under what was asked."""
    _, view, _ = view_of(Note, Note(id=1_000_000))
    asked = int("1000000")
    row = view.get(asked)
    (kept,) = view.seen
    assert kept is row.id
    assert kept is not asked
    assert view.get(asked) is row
    assert view.get(7) is None
    assert list(view.seen.items()) == [(1_000_000, row), (7, None)]


def test_a_key_that_is_a_uuid_has_a_short_way_too() -> None:
    """It is found by its text."""
    key = UUID(int=7)
    _, devices, long_way = view_of(Device, Device(id=key))
    assert devices.update(devices.get(key), name="lamp") == Device(id=key, name="lamp")
    assert (devices.get(key), long_way) == (Device(id=key, name="lamp"), [])


def test_every_table_has_its_own() -> None:
    """Two tables' updates take their own columns, and say whose they are."""
    held = Held({}, {}, {}, print)
    note, device = (make_update(RowCodec(each.__table__, each), held) for each in (Note, Device))
    assert (note.__qualname__, device.__qualname__) == (f"{Note.__table__.name}.update", "devices.update")


class Awkward(Table, name="awkward"):
    """Columns named as what the text might use."""

    str: UUID = column(primary_key=True)
    len: int = 0
    zip: int = 0
    name: bytes = b""
    writes: bool = False


def test_a_column_may_have_the_name_of_anything() -> None:
    """What the text names begins with an underscore, which no column's name does."""
    key = UUID(int=7)
    _, view, long_way = view_of(Awkward, Awkward(str=key))
    row = view.get(key)
    for changes in ({"len": 1}, {"zip": 2, "name": b"x"}, {"writes": True}, {}):
        row = view.update(row, **changes)
    assert row == Awkward(str=key, len=1, zip=2, name=b"x", writes=True)
    assert long_way == []
    names = [
        instruction.argval for instruction in dis.get_instructions(view.update) if instruction.opname == "LOAD_GLOBAL"
    ]
    assert names
    assert all(name.startswith("_") for name in names)


def test_an_ellipsis_is_a_value_as_any_other() -> None:
    """It fits no column, and is not passed over."""
    _, notes, _ = view_of(Note, Note(id=1))
    with pytest.raises(ConstraintViolation, match=r"notes\.text: expected str, found ellipsis"):
        notes.update(notes.get(1), text=...)
