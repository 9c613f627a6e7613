"""The rules of rows: keys, folding, types."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from store.client.rows import LiveRows, Row, ViewDelta, fold, reader_of
from store.errors import SchemaMismatch
from store.ids import Offset, QueryId, Timestamp
from store.subscribe.messages import ColumnInfo, Part, TableInfo
from store.values import Json, encode
from tests.client.scenes import ACCOUNTS, anew, raw

steps = st.lists(
    st.tuples(
        st.lists(st.tuples(st.integers(0, 4), st.integers(0, 2)), max_size=3, unique_by=lambda each: each[0]),
        st.sets(st.integers(0, 4), max_size=2),
    ),
    min_size=1,
    max_size=8,
)


def replay(rows: dict[int, Row], delta: ViewDelta[Row]) -> dict[int, Row]:
    """The rows behind a delta, by its changes alone."""
    after = dict(rows)
    for change in delta.changes:
        assert after.get(change.key) == getattr(change, "before", None)
        if hasattr(change, "after"):
            after[change.key] = change.after
        else:
            del after[change.key]
    return after


@settings(derandomize=True, max_examples=150, deadline=None)
@given(steps)
def test_deltas_and_their_fold_lead_to_the_same_rows(script: list[tuple[list[tuple[int, int]], set[int]]]) -> None:
    """Each delta leads from the rows before to the rows after; folded, they lead from the first to the last."""
    live: LiveRows[msgspec.Struct] = LiveRows(reader_of(ACCOUNTS, None))
    first = dict(live.rows)
    deltas: list[ViewDelta[msgspec.Struct]] = []
    for number, (changed, gone) in enumerate(script, start=1):
        before = dict(live.rows)
        rows = tuple(raw([key, "x", balance]) for key, balance in changed if key not in gone)
        changes = live.apply(Part(QueryId("q"), rows, tuple(gone)), Offset(number))
        deltas.append(ViewDelta(Offset(number), Timestamp(number), changes))
        assert replay(before, deltas[-1]) == live.rows
    folded = fold(deltas)
    assert replay(first, folded) == live.rows
    assert folded.reset
    assert folded.offset == len(script)
    assert len({change.key for change in folded.changes}) == len(folded.changes)


def test_a_fold_says_that_rows_were_sent_anew() -> None:
    """With the reason of the last time, wherever among the deltas that was."""
    live: LiveRows[msgspec.Struct] = LiveRows(reader_of(ACCOUNTS, None))
    changes = live.apply(Part(QueryId("q"), (raw([1, "x", 1]),), ()), Offset(1))
    deltas = [ViewDelta(Offset(number), Timestamp(0), changes, anew=why) for number, why in enumerate((None, None))]
    assert fold(deltas).anew is None
    deltas[1:1] = [ViewDelta(Offset(5), Timestamp(0), changes, anew=anew(why)) for why in ("future", "past_horizon")]
    assert fold(deltas).anew == anew("past_horizon")


def test_keys_are_values_of_their_column() -> None:
    """A UUID's key is a UUID, in first rows and where a row leaves."""
    info = TableInfo("things", 1, (ColumnInfo("about", "json", True), ColumnInfo("id", "uuid", False)))
    live: LiveRows[msgspec.Struct] = LiveRows(reader_of(info, None))
    key = UUID(int=7)
    live.replace(live.reader.by_key(raw([[Json({"a": 1}), key]])), live.reader, Offset(1))
    assert live.rows[key].about == Json({"a": 1})  # type: ignore[attr-defined]  # A type made at run time.
    (gone,) = live.apply(Part(QueryId("q"), (), (str(key),)), Offset(2))
    assert gone.key == key
    assert live.rows == {}


def test_a_key_is_found_under_whatever_name_it_has() -> None:
    """A query names its columns as it likes: a name that is no attribute, or is taken, becomes its number's."""
    columns = [("id", "int"), ("?column?", "int"), ("id", "str")]
    info = TableInfo("things", 2, tuple(ColumnInfo(name, type_, True) for name, type_ in columns))
    live: LiveRows[msgspec.Struct] = LiveRows(reader_of(info, None))
    live.apply(Part(QueryId("q"), (raw([1, 2, "a"]), raw([1, 3, "b"])), ()), Offset(1))
    assert {key: msgspec.structs.astuple(row) for key, row in live.rows.items()} == {"a": (1, 2, "a"), "b": (1, 3, "b")}


def test_a_reader_is_made_once_for_a_type() -> None:
    """The same table and row type share one reader."""
    assert reader_of(ACCOUNTS, None) is reader_of(ACCOUNTS, None)


def groups(*group: int) -> LiveRows[msgspec.Struct]:
    """Rows that are groups by the columns at these places."""
    types = ["int", "uuid", "decimal", "timestamp", "json", "bytes", "str[]"]
    columns = tuple(ColumnInfo(f"c{place}", type_, True) for place, type_ in enumerate(types))
    return LiveRows(reader_of(TableInfo("things", -1, columns, group), None))


ROW = [5, UUID(int=7), Decimal("1.5"), datetime(2024, 2, 29, 12, tzinfo=UTC), Json({"a": 1}), b"x", ("a", "b")]
WIRE = msgspec.msgpack.decode(encode(ROW))


@pytest.mark.parametrize("group", [(), (0,), (1, 2), (3, 4, 5), (6,), (0, 1, 2, 3, 4, 5, 6)])
def test_a_group_is_found_by_its_values(group: tuple[int, ...]) -> None:
    """By the value where it is one, else by the tuple of them, also none; of whatever types, in rows and in keys."""
    live = groups(*group)
    live.apply(Part(QueryId("q"), (raw(ROW), raw([None] * 7)) if group else (raw(ROW),), ()), Offset(1))
    key: Any = tuple(ROW[place] for place in group)
    key = key[0] if len(group) == 1 else key
    assert msgspec.structs.astuple(live.rows[key]) == tuple(ROW)
    gone = live.apply(Part(QueryId("q"), (), ([WIRE[place] for place in group],)), Offset(2))
    assert [each.key for each in gone] == [key]
    assert len(live.rows) == bool(group)
    live.apply(Part(QueryId("q"), (), ([None] * len(group),)), Offset(3))
    assert live.rows == {}


class Picky(msgspec.Struct, array_like=True):
    """A row type that is never content with what it is made of."""

    a: int

    def __post_init__(self) -> None:
        """KeyError, which is neither a TypeError nor a ValueError."""
        raise KeyError("picky")


def test_what_a_row_type_raises_is_a_mismatch() -> None:
    """A row's own type may raise anything when one of it is made: it is said as SchemaMismatch, with the table."""
    info = TableInfo("things", 0, (ColumnInfo("a", "int", False),))
    with pytest.raises(SchemaMismatch, match=r"a row of things .*picky"):
        reader_of(info, Picky).row(msgspec.Raw(encode([1])))


@pytest.mark.parametrize("said", [5, [], ["x"], "x"])
def test_a_key_that_is_none_is_refused(said: Any) -> None:
    """It names the table."""
    with pytest.raises(SchemaMismatch, match="groups of things"):
        groups(0).apply(Part(QueryId("q"), (), (said,)), Offset(1))
