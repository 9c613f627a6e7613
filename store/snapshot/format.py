"""What a snapshot is made of, where its parts lie, and what they add up to. FORMAT.md is the page of its bytes.

Laws: a block's name is the SHA-256 of its file. The fingerprint does not depend on how rows are cut into blocks; the
hash over the blocks' names does.
"""

import hashlib
import re
from collections.abc import Sequence
from typing import Final

import msgspec

from store.errors import CorruptionError, DirectoryError
from store.fingerprint import show_sum, sum_rows
from store.ids import Epoch, Key, Offset, TableId, Timestamp

SNAPSHOT_VERSION: Final = 1
"""Of the manifest and of the blocks it names."""
SNAPSHOT_FOLDER: Final = "snapshot"
BLOCK_FOLDER: Final = "block"
NEW_SUFFIX: Final = ".new"
"""Behind the name of a file that is still being written."""
NAME: Final = re.compile(r"[0-9]{20}")
"""A snapshot's name: its offset."""
DIGEST: Final = re.compile(r"[0-9a-f]{64}")
MANIFEST_SIZE_MAX: Final = 1 << 30
"""Bytes of a manifest: three million blocks."""
HINT: Final = "Use an older snapshot, or `store salvage`"
KEY_TYPES: Final = ({int}, {str}, {bytes})
"""A table's keys are of one of them."""


class BlockRef(msgspec.Struct, frozen=True):
    """One block, as a manifest names it."""

    file: str
    """The SHA-256 of the file, as 64 hexadecimal digits: its name."""
    size: int
    """Bytes of the file."""
    rows: int
    first: Key
    last: Key
    sum: str
    """The block's part of the fingerprint, as 64 hexadecimal digits."""


class SystemRef(msgspec.Struct, frozen=True):
    """The block that holds what is no row."""

    file: str
    size: int


class TableContent(msgspec.Struct, frozen=True):
    """One table's rows, in blocks by rising key."""

    table: TableId
    name: str
    rows: int
    next_key: int
    blocks: tuple[BlockRef, ...]


class Manifest(msgspec.Struct, frozen=True):
    """A snapshot: the canonical state at `offset`, by the blocks that hold it."""

    store: Epoch
    """The epoch that the store began with: whose history this is."""
    epoch: Epoch
    """In force at `offset`."""
    offset: Offset
    timestamp: Timestamp
    """Of the transaction at `offset`."""
    taken: Timestamp
    """The wall clock when this was written."""
    chain: bytes
    """Of the log, behind the batch that ends at `offset`."""
    schema: bytes
    """The schema in force, as a schema record holds it."""
    tables: tuple[TableContent, ...]
    system: SystemRef
    fingerprint: str
    """Of all rows, in any order: the sum over the blocks."""
    content: str
    """Of all rows, in this order: the hash over the blocks' names."""

    @property
    def rows(self) -> int:
        """Rows of all tables."""
        return sum(each.rows for each in self.tables)

    @property
    def size(self) -> int:
        """Bytes of all its blocks."""
        return self.system.size + sum(block.size for each in self.tables for block in each.blocks)


def snapshot_name(offset: Offset) -> str:
    """The name of the snapshot at an offset."""
    return f"{offset:020d}"


def manifest_file(name: str) -> str:
    """Where a snapshot's manifest lies in the data directory."""
    return f"{SNAPSHOT_FOLDER}/{name}.json"


def block_file(digest: str) -> str:
    """Where a block lies in the data directory."""
    return f"{BLOCK_FOLDER}/{digest}.blk"


def fingerprint_of(tables: Sequence[TableContent]) -> str:
    """The fingerprint of all rows, from the blocks' parts."""
    return show_sum(sum(int(block.sum, 16) for each in tables for block in each.blocks))


def content_of(tables: Sequence[TableContent], system: SystemRef) -> str:
    """The hash over the names of all blocks in order, the system's last."""
    digest = hashlib.sha256()
    for each in tables:
        digest.update(each.table.to_bytes(4, "big"))
        for block in each.blocks:
            digest.update(bytes.fromhex(block.file))
    digest.update(bytes.fromhex(system.file))
    return digest.hexdigest()


def row_sum(table: TableId, rows: Sequence[bytes]) -> str:
    """The part of the fingerprint that these rows are: Σ SHA-256(table id, row) modulo 2^256."""
    return show_sum(sum_rows(table, rows))


def damaged(message: str, file: str, position: int) -> CorruptionError:
    """The error for bytes that are not what was written."""
    return CorruptionError(message, file=file, position=position, hint=HINT)


def newer(what: str) -> DirectoryError:
    """The error for bytes that a newer version wrote."""
    return DirectoryError(
        f"{what}, this store reads up to {SNAPSHOT_VERSION}", hint="Use the newer version of the store"
    )
