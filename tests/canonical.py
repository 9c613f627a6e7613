"""All that follows from the log, as one plain value: two states are the same exactly if these are equal."""

from typing import Any

import msgspec

from store.engine.idempotency import Windows
from store.engine.state import State
from store.tables.table import StoredTable
from store.values import ENCODER


def canonical(state: State) -> dict[str, Any]:
    """A state in the form in which it is compared."""
    return {
        "last offset": state.last_offset,
        "last timestamp": state.last_timestamp,
        "epochs": list(state.epochs),
        "identities": dict(state.identities),
        "schema": msgspec.msgpack.encode(state.database.schema),
        "fingerprint": state.database.fingerprint(),
        "tables": {table.schema.name: canonical_table(table) for table in state.database.tables.values()},
        "windows": canonical_windows(state.windows),
    }


def canonical_table(table: StoredTable) -> dict[str, Any]:
    """Rows, their order, indexes and the next key."""
    return {
        "rows": dict(table.rows),
        "order": list(table.ordered_keys()),
        "next key": table.next_key,
        "indexes": {
            index.name: {ENCODER.encode(value): sorted(index.keys(value)) for value in index._buckets}
            for index in table.indexes
        },
    }


def canonical_windows(windows: Windows) -> dict[str, Any]:
    """Every first answer, by whose it is."""
    return {
        "clients": {
            name: (window.acknowledged, window.size, window.last, dict(window.answers))
            for name, window in windows._clients.items()
        },
        "keys": dict(windows._keys),
        "order of keys": list(windows._keys),
        "size of keys": windows._keys_size,
        "sweep at": windows.sweep_at,
    }


def check_indexes(table: StoredTable) -> None:
    """The indexes are exactly what the rows say."""
    for index in table.indexes:
        expected: dict[Any, list[Any]] = {}
        for key in table.ordered_keys():
            expected.setdefault(getattr(table.codec.decode(table.rows[key]), index.name), []).append(key)
        assert {value: sorted(index.keys(value)) for value in index._buckets} == expected
