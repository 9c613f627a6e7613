"""Between values and bytes: transactions, batches' bodies, and rows.

Laws: the same value has the same bytes. A row is encoded once; the same bytes serve log, tables, deltas and
snapshots. Bytes are checked where they come in and trusted from there on.
"""

from collections.abc import Callable, Sequence
from decimal import Decimal
from operator import attrgetter
from typing import Any, Final, Generic, TypeVar

import msgspec

from store.errors import ConstraintViolation
from store.ids import INT_MAX, INT_MIN, Key
from store.schema import ColumnSchema, TableSchema
from store.transaction import Transaction
from store.values import ColumnType, constrain, dec_hook, dec_hook_trusted, encode, normaliser

ARRAY32: Final = 0xDD
"""The MessagePack lead byte of a batch's body: an array with a 32-bit count."""

ROW_SIZE_MAX: Final = 1 << 20
"""Bytes one row may have."""

UNSTORABLE: Final = (ValueError, TypeError, OverflowError, RecursionError)
"""What encoding and decoding raise for values that cannot be stored; msgspec's errors are ValueErrors."""

NIL: Final = b"\xc0"
"""None as MessagePack."""

encode_transaction: Final[Callable[[Transaction], bytes]] = msgspec.msgpack.Encoder().encode
"""A transaction as the bytes of its record."""

decode_transaction: Final[Callable[[bytes], Transaction]] = msgspec.msgpack.Decoder(Transaction).decode
"""A record's bytes as its transaction."""

decode_batch: Final[Callable[[bytes], list[Transaction]]] = msgspec.msgpack.Decoder(list[Transaction]).decode
"""A batch's body as its transactions, all at once: replay's hot path."""

split_batch: Final[Callable[[bytes], list[msgspec.Raw]]] = msgspec.msgpack.Decoder(list[msgspec.Raw]).decode
"""A batch's body as the raw bytes of its records."""

Row = TypeVar("Row", bound=msgspec.Struct)


class RowCodec(Generic[Row]):
    """The rows of one table, between struct and bytes.

    `decode` trusts its bytes; `canonical` trusts nothing. `key` is a row's primary key as tables and log keep it: an
    int, str or bytes itself (then `plain_key` is True), a UUID as its text.
    """

    __slots__ = ("_checked", "_normalisers", "decode", "key", "plain_key", "row_type", "table")

    def __init__(self, table: TableSchema, row_type: type[Row]) -> None:
        self.table = table
        self.row_type = row_type
        self.decode: Callable[[bytes], Row] = msgspec.msgpack.Decoder(row_type, dec_hook=dec_hook_trusted).decode
        self._checked: Callable[[bytes], Row] = msgspec.msgpack.Decoder(row_type, dec_hook=dec_hook).decode
        self._normalisers = [
            (each.name, normal)
            for each in table.columns
            if (normal := normaliser(ColumnType(each.type, each.nullable).annotation()))
        ]
        self.plain_key = table.column_by_id(table.primary_key).type != "uuid"
        value_of: Callable[[Row], Any] = attrgetter(table.key_name)
        self.key: Callable[[Row], Key] = value_of if self.plain_key else lambda row: str(value_of(row))

    def canonical(self, row: Row) -> tuple[Row, bytes]:
        """The row as a replay would read it, and its bytes. ConstraintViolation names the column that is wrong."""
        try:
            data = encode(row)
            read = self._checked(data)
            if self._normalisers:
                read, data = self._normalise(read)
        except UNSTORABLE as error:
            raise self._violation(row, error) from None
        if len(data) > ROW_SIZE_MAX:
            raise self._too_large(data)
        return read, data

    def _normalise(self, read: Row) -> tuple[Row, bytes]:
        changes = {name: normal(getattr(read, name)) for name, normal in self._normalisers}
        read = msgspec.structs.replace(read, **changes)
        return read, encode(read)

    def _too_large(self, data: bytes) -> ConstraintViolation:
        return ConstraintViolation(
            f"{self.table.name}: the row has {len(data)} bytes, at most {ROW_SIZE_MAX} are allowed",
            details={"table": self.table.name, "rule": "row_size_max"},
        )

    def key_form(self, value: Any) -> Key:
        """A primary key's value as tables and log keep it: itself, or a UUID's canonical text; of a Decimal its int."""
        if not self.plain_key:
            return str(value)
        if isinstance(value, Decimal) and INT_MIN <= value <= INT_MAX and value == int(value):
            return int(value)  # It finds the row as it is, but nobody could be told it.
        key: Key = value
        return key

    def _violation(self, row: Row, error: Exception) -> ConstraintViolation:
        """Find the column at fault by trying each by itself: errors may take their time."""
        for each in self.table.columns:
            kind = ColumnType(each.type, each.nullable)
            value = getattr(row, each.name, None)
            try:
                kind.encode(value)
            except UNSTORABLE as why:
                return ConstraintViolation(
                    f"{self.table.name}.{each.name}: expected {kind}, found {_show(value)} ({_reason(why)})",
                    details={"table": self.table.name, "column": each.name, "rule": "type"},
                )
        return ConstraintViolation(
            f"{self.table.name}: the row cannot be stored ({_reason(error)})",
            details={"table": self.table.name, "rule": "type"},
        )


def row_struct(table: TableSchema) -> type[msgspec.Struct]:
    """A row type made from a logged schema alone, for readers that do not have the author's class."""
    return msgspec.defstruct(
        table.name,
        [_field(each) for each in table.columns],
        frozen=True,
        array_like=True,
        kw_only=True,
        gc=False,
    )


def _field(each: ColumnSchema) -> tuple[str, Any]:
    return each.name, constrain(ColumnType(each.type, each.nullable).annotation())


def concatenate(items: Sequence[bytes]) -> bytes:
    """Encoded values as one MessagePack array of them."""
    return array_header(len(items)) + b"".join(items)


_SHORT_ARRAYS: Final = tuple(bytes((0x90 | count,)) for count in range(16))


def array_header(count: int) -> bytes:
    """The shortest MessagePack array header for `count` elements."""
    if count < 16:
        return _SHORT_ARRAYS[count]
    if count < 1 << 16:
        return b"\xdc" + count.to_bytes(2, "big")
    return b"\xdd" + count.to_bytes(4, "big")


def _show(value: Any) -> str:
    """A value short enough for an error."""
    text = ascii(value)
    return f"{type(value).__name__} {text if len(text) <= 60 else text[:57] + '...'}"


def _reason(error: Exception) -> str:
    return str(error) or type(error).__name__
