"""Changes: what remains of a stretch of the log, for a snapshot to continue the one before it."""

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from store.codec import RowCodec, row_struct
from store.ids import Key, SchemaVersion, TableId
from store.schema import AUTO_INCREMENT, Schema, Table, column
from store.tables.changes import Changes
from store.tables.database import Database
from store.transaction import Op, Write


class Counted(Table):
    """A table that counts."""

    id: int = column(primary_key=True, default=AUTO_INCREMENT)
    owner: int = column(index=True, default=0)


class Named(Table):
    """A table that does not, and comes later."""

    key: str = column(primary_key=True)
    body: int = 0


COUNTED, NAMED = TableId(1), TableId(2)
FIRST = Schema(SchemaVersion(1), (msgspec.structs.replace(Counted.__table__, id=COUNTED),))
SECOND = Schema(SchemaVersion(2), (*FIRST.tables, msgspec.structs.replace(Named.__table__, id=NAMED)))


class Writer:
    """Writes to a database as a store does, and keeps what was written."""

    def __init__(self) -> None:
        self.database = Database(lambda table: RowCodec(table, row_struct(table)))
        self.database.adopt(FIRST)
        self.log: list[tuple[Write, ...] | Schema] = []

    def adopt(self, schema: Schema) -> None:
        """Add tables."""
        self.database.adopt(schema)
        self.log.append(schema)

    def put(self, table: TableId, key: Any, value: int) -> None:
        """Insert or update a row."""
        before = self.database.tables[table].get(key)
        row = self.database.tables[table].codec.row_type
        name = self.database.tables[table].schema.key_name
        after = msgspec.msgpack.encode(row(**{name: key, ("owner" if table == COUNTED else "body"): value}))
        self._write((table, Op.INSERT if before is None else Op.UPDATE, key, before, after))

    def delete(self, table: TableId, key: Any) -> None:
        """Delete a row where there is one."""
        before = self.database.tables[table].get(key)
        if before is not None:
            self._write((table, Op.DELETE, key, before, None))

    def _write(self, write: Write) -> None:
        self.database.apply([write])
        self.log.append((write,))

    def rows(self) -> dict[TableId, dict[Key, bytes]]:
        """All rows now."""
        return {table: dict(stored.rows) for table, stored in self.database.tables.items()}

    def next_keys(self) -> dict[TableId, int]:
        """The next key of every table now."""
        return {table: stored.next_key for table, stored in self.database.tables.items()}


writes = st.one_of(
    st.tuples(st.just("put"), st.just(COUNTED), st.integers(1, 6), st.integers(0, 3)),
    st.tuples(st.just("put"), st.just(NAMED), st.sampled_from("abcd"), st.integers(0, 3)),
    st.tuples(st.just("delete"), st.just(COUNTED), st.integers(1, 6)),
    st.tuples(st.just("delete"), st.just(NAMED), st.sampled_from("abcd")),
)


@given(script=st.lists(writes, max_size=20), place=st.integers(0, 20), late=st.booleans())
@settings(max_examples=150, deadline=None)
def test_what_was_there_and_the_changes_are_what_is_there(*, script: list[Any], place: int, late: bool) -> None:
    """Wherever the stretch begins, and whether a table came before it or in it; the next keys, too."""
    writer = Writer()
    writer.adopt(SECOND)
    begin, stored, keys = 0, {}, {}
    if late:  # The stretch begins before anything was stored.
        changes = Changes()
        changes.adopt(FIRST)
    for number, (act, *args) in enumerate(script):
        if number == place and not late:
            begin, stored, keys = len(writer.log), writer.rows(), writer.next_keys()
        getattr(writer, act)(*args)
    if not late:
        changes = Changes(keys)
        changes.adopt(SECOND if stored else FIRST)
    for entry in writer.log[begin:]:
        if isinstance(entry, Schema):
            changes.adopt(entry)
        else:
            changes.apply(entry)
    for table, expected in writer.rows().items():
        found = {**stored.get(table, {}), **changes.net[table]}
        assert {key: row for key, row in found.items() if row is not None} == expected
        assert changes.next_key(table) == writer.database.tables[table].next_key


def test_only_the_net_change_is_kept() -> None:
    """Of a stored table a row that went is None; of one that has no row anywhere else nothing is kept of it."""
    changes = Changes({COUNTED: 5})
    changes.adopt(SECOND)
    for write in (
        (COUNTED, Op.INSERT, 5, None, b"five"),
        (COUNTED, Op.UPDATE, 5, b"five", b"5"),
        (COUNTED, Op.DELETE, 5, b"5", None),
        (COUNTED, Op.UPDATE, 1, b"one", b"1"),
        (NAMED, Op.INSERT, "a", None, b"a"),
        (NAMED, Op.DELETE, "a", b"a", None),
    ):
        changes.apply([write])
    assert changes.net == {COUNTED: {5: None, 1: b"1"}, NAMED: {}}
    assert (changes.next_key(COUNTED), changes.next_key(NAMED)) == (6, 1)


def test_rows_are_not_here() -> None:
    """Nobody can read a table from its changes; no row is ever decoded."""
    changes = Changes()
    changes.adopt(SECOND)
    assert changes.tables == {}
    assert changes.schema == SECOND
    with pytest.raises(AssertionError, match="not here"):
        changes._codec_of(SECOND.tables[0])
