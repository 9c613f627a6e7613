"""The rules of `store audit query`: SQL over what was verified, and an honest word where it cannot be had."""

import sys
from pathlib import Path

import pytest

from tests.audit.attacks import one_bit
from tests.audit.small_trails import FIRST_KEY, small_trail
from tests.cli.history import error, events, run

pytest.importorskip("duckdb")
KEY = ("--key", FIRST_KEY.vkey)


def test_events_are_asked_in_sql(tmp_path: Path) -> None:
    """Rows on stdout, the verdict beside it."""
    small_trail().write(tmp_path)
    sql = "SELECT operation, count(*) AS n, max(seq) AS last FROM events GROUP BY operation"
    assert events("audit", "query", ".", sql, *KEY, cwd=tmp_path) == [
        {"event": "row", "operation": "transfer", "n": 10, "last": 9}
    ]
    plain = run("audit", "query", ".", sql, *KEY, cwd=tmp_path)
    assert "transfer" in plain.stdout
    assert "VERIFIED: 10 of 10 events proven" in plain.stderr


def test_a_trail_that_does_not_hold_is_asked_all_the_same(tmp_path: Path) -> None:
    """Without the batch that does not hold, and the exit code says so."""
    one_bit().trail.write(tmp_path)
    said = events("audit", "query", ".", "SELECT count(*) AS n FROM events", *KEY, cwd=tmp_path, exit_code=1)
    assert [each.get("n") for each in said if each["event"] == "row"] == [9]
    assert any(each.get("kind") == "TAMPER" for each in said)


def test_parquet_is_written_anew_and_marked(tmp_path: Path) -> None:
    """Never over another file."""
    small_trail().write(tmp_path)
    run("audit", "query", ".", "--parquet", "out.parquet", *KEY, cwd=tmp_path)
    data = (tmp_path / "out.parquet").read_bytes()
    assert b"this file proves nothing" in data
    assert (
        "already"
        in error("audit", "query", ".", "--parquet", "out.parquet", *KEY, cwd=tmp_path, exit_code=4)["message"]
    )
    assert (tmp_path / "out.parquet").read_bytes() == data


@pytest.mark.parametrize("arguments", [[], ["SELECT 1", "--parquet", "x"], ["SELECT nothing FROM events"], ["DROP"]])
def test_what_cannot_be_asked_is_said(arguments: list[str], tmp_path: Path) -> None:
    """With the columns there are."""
    small_trail(1).write(tmp_path)
    assert error("audit", "query", ".", *arguments, *KEY, cwd=tmp_path, exit_code=4)["hint"]


def test_without_duckdb_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And how the batches are read without it."""
    small_trail(1).write(tmp_path)
    monkeypatch.setitem(sys.modules, "duckdb", None)  # type: ignore[arg-type]  # As documented: it cannot be imported.
    said = error("audit", "query", ".", "SELECT 1", *KEY, cwd=tmp_path, exit_code=4)
    assert "commitstore[audit]" in said["hint"]
    assert "zstdcat" in said["hint"]
