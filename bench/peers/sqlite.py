"""SQLite: in process, WAL and synchronous=FULL, one transaction a transfer.

Laws: no socket and no second process, so this is what a transfer costs where nobody else asks; every commit is synced
before the next begins, since one caller cannot group.
"""

import sqlite3
import time
from pathlib import Path
from typing import Final, Self

from bench.load import Load, Measured
from bench.machine import percentile
from bench.peers.peer import BenchError
from bench.workload import ACCOUNTS, BALANCE, transfers

_PAGES_BEFORE_CHECKPOINT: Final = 1_000
"""SQLite's own default: the WAL goes back into the file every so many pages."""


class Sqlite:
    """A database file of our own."""

    name = "sqlite"

    def __init__(self, directory: Path, *, accounts: int = ACCOUNTS) -> None:
        self.path: Final = directory / "accounts.sqlite"
        self._accounts: Final = accounts

    @staticmethod
    def installed() -> bool:
        """Python brings it."""
        return True

    def __enter__(self) -> Self:
        """Create the file and open the accounts."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._connection = sqlite3.connect(self.path, isolation_level=None)
        run = self._connection.execute
        run("PRAGMA journal_mode = WAL")
        run("PRAGMA synchronous = FULL")
        run(f"PRAGMA wal_autocheckpoint = {_PAGES_BEFORE_CHECKPOINT}")
        run("CREATE TABLE accounts (id INTEGER PRIMARY KEY, owner TEXT NOT NULL, balance INTEGER NOT NULL)")
        run("BEGIN")
        rows = ((number, f"owner {number}", BALANCE) for number in range(1, self._accounts + 1))
        self._connection.executemany("INSERT INTO accounts VALUES (?, ?, ?)", rows)
        run("COMMIT")
        run("CREATE INDEX accounts_owner ON accounts (owner)")
        run("PRAGMA wal_checkpoint(TRUNCATE)")
        return self

    def __exit__(self, *_: object) -> None:
        """Close the file."""
        self._connection.close()

    def load(self, load: Load) -> Measured:
        """One transfer after the other."""
        calls = list(transfers(load.calls, load.keys, load.seed))
        run, latencies, refused = self._connection.execute, [], 0
        began, used = time.perf_counter(), time.process_time()
        for call in calls:
            sent = time.perf_counter()
            run("BEGIN IMMEDIATE")
            debited = run(
                "UPDATE accounts SET balance = balance - ? WHERE id = ? AND balance >= ?",
                (call.amount, call.source, call.amount),
            )
            if debited.rowcount:
                run("UPDATE accounts SET balance = balance + ? WHERE id = ?", (call.amount, call.target))
                run("COMMIT")
            else:
                run("ROLLBACK")
            latencies.append(time.perf_counter() - sent)
            if bool(debited.rowcount) != call.succeeds:
                raise BenchError(f"sqlite answered {call} with {debited.rowcount} rows")
            refused += not call.succeeds
        return Measured(
            calls=len(calls),
            refused=refused,
            seconds=time.perf_counter() - began,
            p50_us=percentile(latencies, 0.50) * 1e6,
            p99_us=percentile(latencies, 0.99) * 1e6,
            server_us=(time.process_time() - used) / len(calls) * 1e6,
        )

    def total(self) -> int:
        """The sum of all balances."""
        (total,) = self._connection.execute("SELECT sum(balance) FROM accounts").fetchone()
        return int(total)

    def file_bytes(self) -> int:
        """Bytes of the database file, its index included."""
        return self.path.stat().st_size


def version() -> str:
    """What the library in this Python is."""
    return f"sqlite {sqlite3.sqlite_version}"
