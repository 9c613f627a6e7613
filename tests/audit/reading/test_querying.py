"""Events as a table: every column is where the events have it, and what they do not say is NULL."""

from pathlib import Path
from typing import Any

import pytest

from store.audit.objects.batches import compress
from store.audit.reading.querying import COLUMNS, parquet, view
from tests.audit.small_trails import EPOCH, LOG, START, canonical, event

duckdb = pytest.importorskip("duckdb")


def asked(folder: Path, sql: str, *lines: bytes) -> list[tuple[Any, ...]]:
    """What DuckDB answers over one batch of these lines, whose path has a quote in it."""
    path = folder / "it's a batch.jsonl.zst"
    path.write_bytes(compress(b"".join(each + b"\n" for each in lines)))
    with duckdb.connect() as connection:
        connection.execute(view([str(path)]))
        answer: list[tuple[Any, ...]] = connection.execute(sql).fetchall()
        return answer


def test_every_column_is_where_the_events_have_it(tmp_path: Path) -> None:
    """Names, kinds, times to the microsecond, arguments as JSON."""
    whole = event(4, status_code="refused", unmapped={"reason": "overdraft"})
    ((seq, moment, kind, *rest),) = asked(tmp_path, "SELECT * FROM events", canonical(whole))
    assert (seq, kind) == (4, "call")
    assert int(moment.timestamp() * 1e6) % 1_000_000 == (START + 4_000_000) % 1_000_000
    said = dict(zip(list(COLUMNS)[3:], rest, strict=True))
    assert (said["operation"], said["subject"], said["issuer"], said["ip"]) == (
        "transfer",
        "alice",
        "test",
        "127.0.0.1",
    )
    assert (said["committed"], said["code"], said["reason"]) == (True, "refused", "overdraft")
    assert (said['"offset"'], said["epoch"], said["args"]) == (5, EPOCH, '{"amount":4}')


def test_what_an_event_does_not_say_is_null(tmp_path: Path) -> None:
    """The store itself has no address, a committed call no code."""
    whole = event(0)
    del whole["src_endpoint"]
    assert asked(tmp_path, "SELECT ip, code, reason FROM events", canonical(whole)) == [(None, None, None)]


def test_a_parquet_file_says_what_it_is_derived_from(tmp_path: Path) -> None:
    """In its own metadata; its rows are in the order of the events."""
    path = tmp_path / "out.parquet"
    asked(tmp_path, parquet(str(path), {"derived_from": "it's " + LOG}), *map(canonical, (event(1), event(0))))
    with duckdb.connect() as connection:
        said = dict(connection.execute(f"SELECT key, value FROM parquet_kv_metadata('{path}')").fetchall())  # noqa: S608
        rows = connection.execute(f"SELECT seq FROM '{path}'").fetchall()  # noqa: S608
    assert said[b"derived_from"] == b"it's " + LOG.encode()
    assert rows == [(0,), (1,)]
