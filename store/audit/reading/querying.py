"""Events as a table, for SQL: which columns there are, and where in an event each one lies.

Laws: the table is derived, and says so where it is kept; the evidence is the lines. What an event does not say is NULL.
DuckDB reads the batches as they are; it is an optional part of an installation (`commitstore[audit]`).
"""

from collections.abc import Mapping, Sequence
from typing import Final

from store.audit.objects.batches import SIZE_LIMIT

_USER: Final = 'STRUCT("user" STRUCT(uid VARCHAR, domain VARCHAR), session STRUCT(uid VARCHAR))'
_OURS: Final = (
    'STRUCT(kind VARCHAR, "offset" BIGINT, epoch VARCHAR, "timestamp" BIGINT, schema_version INTEGER, '
    "args JSON, writes JSON, reason VARCHAR, record_sha256 VARCHAR)"
)
SHAPE: Final[Mapping[str, str]] = {
    "class_uid": "INTEGER",
    "activity_id": "INTEGER",
    "metadata": "STRUCT(sequence BIGINT, uid VARCHAR)",
    "actor": _USER,
    "src_endpoint": "STRUCT(ip VARCHAR, port INTEGER)",
    "api": "STRUCT(operation VARCHAR)",
    "status_id": "INTEGER",
    "status_code": "VARCHAR",
    "status_detail": "VARCHAR",
    "unmapped": _OURS,
}
"""What is read of each line: its members, and their types."""

COLUMNS: Final[Mapping[str, str]] = {
    "seq": "metadata.sequence",
    "moment": "make_timestamp(unmapped.timestamp)",
    "kind": "unmapped.kind",
    "operation": "api.operation",
    "subject": 'actor."user".uid',
    "issuer": 'actor."user".domain',
    "session": "actor.session.uid",
    "ip": "src_endpoint.ip",
    "port": "src_endpoint.port",
    "committed": "status_id = 1",
    "code": "status_code",
    "reason": "unmapped.reason",
    "detail": "status_detail",
    "args": "unmapped.args",
    "writes": "unmapped.writes",
    '"offset"': 'unmapped."offset"',
    "epoch": "unmapped.epoch",
    "schema_version": "unmapped.schema_version",
    "class_uid": "class_uid",
    "activity_id": "activity_id",
    "record_sha256": "unmapped.record_sha256",
}
"""The columns of the table `events`, and what each is of an event. `moment` is in UTC, to the microsecond."""


def view(files: Sequence[str]) -> str:
    """The statement that makes the view `events` over batches, by their paths."""
    shape = ", ".join(f"{_quoted(name)}: {_quoted(kind)}" for name, kind in SHAPE.items())
    columns = ", ".join(f"{expression} AS {name}" for name, expression in COLUMNS.items())
    listed = ", ".join(map(_quoted, files))
    options = f"format = 'newline_delimited', compression = 'zstd', maximum_object_size = {SIZE_LIMIT}"
    source = f"read_json([{listed}], {options}, columns = {{{shape}}})"
    return f"CREATE VIEW events AS SELECT {columns} FROM {source}"  # noqa: S608  # Paths are quoted, all else is ours.


def parquet(path: str, metadata: Mapping[str, str]) -> str:
    """The statement that writes all events to a Parquet file, which says of itself what it is derived from."""
    said = ", ".join(f"{name}: {_quoted(value)}" for name, value in metadata.items())
    options = f"FORMAT parquet, COMPRESSION zstd, KV_METADATA {{{said}}}"
    return f"COPY (SELECT * FROM events ORDER BY seq) TO {_quoted(path)} ({options})"  # noqa: S608  # As above.


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
