"""All that follows from the log: what a replay rebuilds, byte for byte, and what a live call changes.

Laws: a transaction changes the state as `absorb` does. A replay may take in a batch at once, through `absorb_batch`,
and a live call does it itself (write_path.py, step 5): tests hold both to the same. Nothing here reads a clock. What
is added here is added to the system part of a snapshot in the same change (snapshot/FORMAT.md, "The system part").
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec

from store.codec import RowCodec, row_struct
from store.engine.idempotency import Windows
from store.engine.identity import STORE_IDENTITY, Identity, decode_identity
from store.engine.remembered import Remembered, dump_windows, load_windows
from store.ids import Epoch, IdentityReference, Offset, Timestamp
from store.schema import Schema, Table, TableSchema
from store.tables.batch_moves import BatchMoves
from store.tables.database import Database
from store.transaction import Kind, Transaction


class EpochRecord(msgspec.Struct, frozen=True, array_like=True):
    """What an epoch record holds in its args."""

    epoch: Epoch
    parent: Epoch
    """The epoch before, or b"" at the log's start."""
    first_offset: Offset
    reason: str
    """new: a store begins; copy: the directory found itself somewhere else than it last was; unmarked: nothing says
    where it was, as after a first start that was cut short, so it may be a copy; restore, clone, salvage: what made the
    directory."""


BEGINS_STORE: Final = "new"
"""The reason of an epoch that a store begins with: the first of a log, and that which a clone is named by."""
SYSTEM_VERSION: Final = 1
"""Of the system part of a snapshot: the newest that this code reads, and the one it writes."""


class System(msgspec.Struct, frozen=True, array_like=True):
    """The system part of a snapshot: all of a state but its schema and rows. New fields go last, with defaults."""

    version: int
    last_offset: Offset
    last_timestamp: Timestamp
    epochs: tuple[EpochRecord, ...]
    """Oldest first."""
    identities: tuple[tuple[IdentityReference, Identity], ...]
    """In the order in which they were logged; without the store's own."""
    remembered: Remembered


decode_epoch: Final = msgspec.msgpack.Decoder(EpochRecord).decode
decode_schema: Final = msgspec.msgpack.Decoder(Schema).decode
decode_system: Final = msgspec.msgpack.Decoder(System).decode
"""A snapshot's system part. msgspec.ValidationError or DecodeError where it is none."""


class State:
    """The canonical state at `last_offset`."""

    def __init__(self, row_types: Mapping[str, type[Table]], database: Database | None = None) -> None:
        """Rows are of these types where they are declared as logged. Another `database` may keep less than all rows."""
        self._row_types: Final = row_types
        self.database: Final = Database(self._codec) if database is None else database
        self.windows: Final = Windows()
        self.identities: Final[dict[IdentityReference, Identity]] = {IdentityReference(0): STORE_IDENTITY}
        self.epochs: Final[list[EpochRecord]] = []
        self.last_offset = Offset(0)
        self.last_timestamp = Timestamp(0)

    @property
    def next_offset(self) -> Offset:
        """What the next transaction will have."""
        return Offset(self.last_offset + 1)

    @property
    def epoch(self) -> Epoch:
        """The epoch in force; b"" before the first record."""
        return self.epochs[-1].epoch if self.epochs else Epoch(b"")

    @property
    def store(self) -> Epoch:
        """What tells this store from all others: the epoch it began with; b"" before the first record.

        Restores and copies go on in epochs of their own, and are the same store; a clone is another one.
        """
        began = (each.epoch for each in reversed(self.epochs) if each.reason == BEGINS_STORE)
        return next(began, self.epochs[0].epoch if self.epochs else Epoch(b""))

    def absorb(self, transaction: Transaction, record: bytes | None) -> None:
        """Take one transaction in. `record` is its bytes, needed where it has a key."""
        offset = transaction.offset
        assert offset == self.next_offset
        assert transaction.timestamp > self.last_timestamp
        self.last_offset = offset
        self.last_timestamp = transaction.timestamp
        if transaction.writes:
            self.database.apply(transaction.writes)
        if transaction.call_key is not None:
            assert record is not None
            self.windows.keep(self.identities[transaction.identity].sender, transaction, record)
        elif transaction.kind in _RARE:
            self._absorb_rare(transaction)

    def absorb_batch(
        self, transactions: Sequence[Transaction], records: Iterable[bytes | None], moves: BatchMoves
    ) -> None:
        """Take in, in order, what `absorb` would one by one; each with its record as `absorb` wants it.

        They bring no tables: what they move in the indexes is found out for all of them, in the tables that are there.
        """
        writes = [write for each in transactions for write in each.writes]
        self.database.apply(writes, moves.of(writes))
        offset, timestamp = self.last_offset, self.last_timestamp
        for transaction, record in zip(transactions, records, strict=False):  # There may be Nones without end.
            assert transaction.offset == offset + 1
            assert transaction.timestamp > timestamp
            offset, timestamp = transaction.offset, transaction.timestamp
            if transaction.call_key is not None:
                assert record is not None
                self.windows.keep(self.identities[transaction.identity].sender, transaction, record)
            elif transaction.kind in _RARE:
                assert transaction.kind != Kind.SCHEMA
                self._absorb_rare(transaction)
        self.last_offset, self.last_timestamp = offset, timestamp

    def _absorb_rare(self, transaction: Transaction) -> None:
        if transaction.kind == Kind.SCHEMA:
            self.database.adopt(decode_schema(transaction.args))
        elif transaction.kind == Kind.EPOCH:
            self.epochs.append(decode_epoch(transaction.args))
        elif transaction.kind == Kind.IDENTITY:
            self.identities[IdentityReference(transaction.offset)] = decode_identity(transaction.args)

    def dump_system(self) -> bytes:
        """All but schema and rows, as MessagePack: the same state has the same bytes."""
        return _encode(
            System(
                version=SYSTEM_VERSION,
                last_offset=self.last_offset,
                last_timestamp=self.last_timestamp,
                epochs=tuple(self.epochs),
                identities=tuple((reference, each) for reference, each in self.identities.items() if reference),
                remembered=dump_windows(self.windows),
            )
        )

    def load_system(self, system: System) -> None:
        """Take in what `dump_system` wrote, into a state that is fresh."""
        assert not self.last_offset
        assert system.version == SYSTEM_VERSION
        self.last_offset = system.last_offset
        self.last_timestamp = system.last_timestamp
        self.epochs.extend(system.epochs)
        self.identities.update(system.identities)
        load_windows(self.windows, system.remembered)

    def _codec(self, table: TableSchema) -> RowCodec[Any]:
        """Rows are of the author's class where it is declared as logged, else of a struct made from the schema."""
        declared = self._row_types.get(table.name)
        same = declared is not None and msgspec.structs.replace(declared.__table__, id=table.id) == table
        return RowCodec(table, declared if declared is not None and same else row_struct(table))


_encode: Final = msgspec.msgpack.Encoder().encode
_RARE: Final = frozenset({int(Kind.SCHEMA), int(Kind.EPOCH), int(Kind.IDENTITY)})
