"""Between values and bytes: transactions, batches' bodies, rows."""

from typing import Any
from uuid import UUID

import msgpack  # type: ignore[import-untyped]  # It has no stubs.
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from store.codec import (
    ARRAY32,
    NIL,
    ROW_SIZE_MAX,
    RowCodec,
    array_header,
    concatenate,
    decode_batch,
    decode_transaction,
    encode_transaction,
    row_struct,
    split_batch,
)
from store.errors import ConstraintViolation
from store.ids import (
    INT_MAX,
    INT_MIN,
    ClientId,
    ConnectionId,
    IdentityReference,
    Offset,
    SchemaVersion,
    Sequence,
    TableId,
    Timestamp,
)
from store.schema import Table, column
from store.transaction import Kind, Transaction

texts = st.text(st.characters(codec="utf-8"), max_size=20)
counts = st.integers(0, INT_MAX)
data = st.binary(max_size=40)
writes = st.tuples(
    st.integers(1, 1 << 31).map(TableId),
    st.integers(1, 3),
    st.integers(INT_MIN, INT_MAX) | texts | data,
    st.none() | data,
    st.none() | data,
)
transactions = st.builds(
    Transaction,
    kind=st.sampled_from(Kind),
    offset=counts.map(Offset),
    timestamp=counts.map(Timestamp),
    writes=st.lists(writes, max_size=3).map(tuple),
    call_key=st.none() | st.tuples(texts.map(ClientId), counts.map(Sequence), counts.map(Sequence)),
    identity=counts.map(IdentityReference),
    connection=counts.map(ConnectionId),
    source=texts,
    schema_version=counts.map(SchemaVersion),
    reducer=texts,
    args=data,
    outcome=texts,
    value=data,
    continued=st.booleans(),
)


@given(transactions)
def test_a_transaction_comes_back_as_it_was(transaction: Transaction) -> None:
    """The same value has the same bytes, which are one MessagePack array of 14 fields."""
    record = encode_transaction(transaction)
    assert decode_transaction(record) == transaction
    assert encode_transaction(decode_transaction(record)) == record
    assert len(msgpack.unpackb(record)) == 14


@given(st.lists(transactions, max_size=5))
def test_a_batch_is_its_records_one_after_the_other(batch: list[Transaction]) -> None:
    """Decoded at once or split into raw bytes: the same records."""
    records = [encode_transaction(each) for each in batch]
    body = bytes((ARRAY32,)) + len(records).to_bytes(4, "big") + b"".join(records)
    assert decode_batch(body) == batch
    assert [bytes(raw) for raw in split_batch(body)] == records


@given(st.binary(max_size=60))
def test_bytes_that_are_no_transaction_are_a_decode_error(raw: bytes) -> None:
    """Never anything else, and never a wrong value."""
    try:
        read = decode_transaction(raw)
    except (msgspec.DecodeError, msgspec.ValidationError):
        return
    assert isinstance(read, Transaction)


@pytest.mark.parametrize("count", [0, 1, 15, 16, 17, 65_535, 65_536])
def test_an_array_of_encoded_values_has_the_shortest_header(count: int) -> None:
    """As an encoder of the whole array would write it."""
    expected = msgspec.msgpack.encode([None] * count)
    assert concatenate([NIL] * count) == expected
    assert expected.startswith(array_header(count))


class Note(Table):
    """A table whose key is text."""

    key: str = column(primary_key=True)
    body: bytes = b""
    size: float = 0.0


class Thing(Table):
    """A table whose key is a UUID."""

    id: UUID = column(primary_key=True)


NOTES: RowCodec[Note] = RowCodec(Note.__table__, Note)


@given(texts, st.binary(max_size=10), st.floats(allow_nan=False, allow_infinity=False))
def test_a_row_is_read_back_without_its_class(key: str, body: bytes, size: float) -> None:
    """The schema alone suffices to decode what an author's class wrote, and writes the same bytes."""
    _, encoded = NOTES.canonical(Note(key=key, body=body, size=size))
    from_schema: RowCodec[Any] = RowCodec(Note.__table__, row_struct(Note.__table__))
    row = from_schema.decode(encoded)
    assert (row.key, row.body, row.size) == (key, body, size)
    assert from_schema.canonical(row)[1] == encoded


def test_a_key_is_kept_in_its_plain_form() -> None:
    """An int, str or bytes as it is, a UUID as its text."""
    things: RowCodec[Thing] = RowCodec(Thing.__table__, Thing)
    key = UUID(int=7)
    assert (NOTES.plain_key, NOTES.key(Note(key="k")), NOTES.key_form("k")) == (True, "k", "k")
    assert (things.plain_key, things.key(Thing(id=key)), things.key_form(key)) == (False, str(key), str(key))


def test_a_row_has_a_largest_size() -> None:
    """At the limit it is stored, past it the error names table and rule."""
    room = ROW_SIZE_MAX - len(NOTES.canonical(Note(key=""))[1]) - 3
    assert len(NOTES.canonical(Note(key="", body=bytes(room)))[1]) == ROW_SIZE_MAX
    with pytest.raises(ConstraintViolation, match=f"note: the row has {ROW_SIZE_MAX + 1} bytes") as refused:
        NOTES.canonical(Note(key="", body=bytes(room + 1)))
    assert refused.value.details == {"table": "note", "rule": "row_size_max"}


@pytest.mark.parametrize(
    ("row", "column_name", "found"),
    [
        (Note(key=5), "key", "int 5"),  # type: ignore[arg-type]  # That is the test.
        (Note(key="\ud800"), "key", "str '\\ud800'"),
        (Note(key="k", body="text"), "body", "str 'text'"),  # type: ignore[arg-type]  # That is the test.
        (Note(key="k", size=float("nan")), "size", "float nan"),
        (Note(key="k", size=True), "size", "bool True"),
        (Note(key="k" * 90, size="x" * 90), "size", "str '" + "x" * 56 + "..."),  # type: ignore[arg-type]  # That is the test.
    ],
)
def test_a_wrong_value_is_named_with_its_column(row: Note, column_name: str, found: str) -> None:
    """Table, column, what was expected and, in short, what was found."""
    with pytest.raises(ConstraintViolation) as refused:
        NOTES.canonical(row)
    assert f"note.{column_name}: expected " in str(refused.value)
    assert f"found {found} (" in str(refused.value)
    assert refused.value.details == {"table": "note", "column": column_name, "rule": "type"}
