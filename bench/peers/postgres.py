"""PostgreSQL: synchronous_commit=on, the transfer as a function, prepared, driven by pgbench over loopback.

Laws: its processes share the server's core and pgbench has the generator's, as with every peer. Both rows are locked in
order, so that transfers cannot deadlock. It refuses to run as root, so root runs it as the user its package made.
"""

import os
import pwd
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Final, Self

from bench.load import Load, Measured
from bench.machine import pin
from bench.peers.peer import BenchError, free_port, start, stop
from bench.workload import ACCOUNTS, AMOUNT_MAX, BALANCE, OVERDRAFT, REFUSED_EVERY, ZIPF_EXPONENT

USER: Final = "postgres"
"""Whom Debian's package makes to own databases."""
START_TIME_MAX_S: Final = 60
RATE_EXPECTED: Final = 8_000
"""Transfers a second that turn a load's count of calls into pgbench's whole seconds."""

_OPTIONS: Final = {
    "synchronous_commit": "on",
    "fsync": "on",
    "listen_addresses": "127.0.0.1",
    "max_connections": 100,
    "shared_buffers": "512MB",
    "max_wal_size": "4GB",  # No checkpoint while it is measured.
    "checkpoint_timeout": "1h",
}
_SCHEMA: Final = """
CREATE TABLE accounts (id bigint PRIMARY KEY, owner text NOT NULL, balance bigint NOT NULL);
INSERT INTO accounts SELECT number, 'owner ' || number, :balance FROM generate_series(1, :accounts) AS number;
CREATE INDEX ON accounts (owner);
CREATE FUNCTION transfer(source bigint, target bigint, amount bigint) RETURNS int LANGUAGE plpgsql AS $$
BEGIN
    PERFORM 1 FROM accounts WHERE id IN (source, target) ORDER BY id FOR UPDATE;
    UPDATE accounts SET balance = balance - amount WHERE id = source AND balance >= amount;
    IF NOT FOUND THEN RETURN 0; END IF;
    UPDATE accounts SET balance = balance + amount WHERE id = target;
    RETURN 1;
END $$;
VACUUM ANALYZE accounts;
CHECKPOINT;
"""
_SCRIPT: Final = rf"""
\set source {{draw}}
\set target {{draw}}
\set target case when :target = :source then mod(:target, {{accounts}}) + 1 else :target end
\set dice random(1, {REFUSED_EVERY})
\set amount case when :dice = 1 then {OVERDRAFT} else random(1, {AMOUNT_MAX}) end
SELECT transfer(:source, :target, :amount) AS moved \gset
\if :moved = case when :dice = 1 then 1 else 0 end
SELECT 1 / 0;
\endif
"""


class Postgres:
    """A cluster of our own."""

    name = "postgresql"

    def __init__(self, directory: Path, *, accounts: int = ACCOUNTS) -> None:
        self._directory: Final = directory
        self._accounts: Final = accounts
        self.port: Final = free_port()

    @staticmethod
    def installed() -> bool:
        """Whether the server and pgbench are here, and somebody may run them."""
        return binaries() != Path() and (os.geteuid() != 0 or _user() is not None)

    def __enter__(self) -> Self:
        """Make a cluster, start it, open the accounts."""
        self._directory.mkdir(parents=True, exist_ok=True)
        user = _user() if os.geteuid() == 0 else None
        if user is not None:
            os.chown(self._directory, user.pw_uid, user.pw_gid)
        data = self._directory / "data"
        self._run("initdb", "--pgdata", data, "--auth", "trust", "--username", USER, "--encoding", "UTF8")
        options = [word for name, value in _OPTIONS.items() for word in ("-c", f"{name}={value}")]
        places: list[str | Path] = ["-D", data, "-p", str(self.port), "-k", self._directory]
        words = _as_owner([binaries() / "postgres", *places, *options])
        self.process = start(words, log=self._directory / "postgres.log")
        try:
            self._await_start()
            self._sql(_SCHEMA.replace(":accounts", str(self._accounts)).replace(":balance", str(BALANCE)))
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """A fast shutdown: clients are cut off."""
        stop(self.process, signal.SIGINT)

    def load(self, load: Load) -> Measured:
        """Pgbench for as long as that many calls take; one transfer in flight a connection: a session has no more."""
        draw = f"random(1, {self._accounts})"
        if load.keys == "zipf":
            draw = f"random_zipfian(1, {self._accounts}, {ZIPF_EXPONENT})"
        script = self._directory / f"transfer-{load.keys}.sql"
        script.write_text(_SCRIPT.format(draw=draw, accounts=self._accounts))
        seconds = max(round(load.calls / RATE_EXPECTED), 1)
        told = self._run(
            "pgbench", *self._place(), "--no-vacuum", "--protocol", "prepared", "--client", str(load.connections),
            "--jobs", "1", "--time", str(seconds), "--random-seed", str(load.seed), "--file", script, "postgres",
        )  # fmt: skip
        calls = int(_find(r"number of transactions actually processed: (\d+)", told))
        rate = float(_find(r"tps = ([\d.]+) \(without", told))
        return Measured(calls=calls, refused=0, seconds=calls / rate)

    def total(self) -> int:
        """The sum of all balances."""
        return int(self._sql("SELECT sum(balance) FROM accounts"))

    def table_bytes(self) -> int:
        """Bytes of the table and its indexes."""
        return int(self._sql("SELECT pg_total_relation_size('accounts')"))

    def _await_start(self) -> None:
        began = time.monotonic()
        while True:
            try:
                self._sql("SELECT 1")
            except BenchError:
                if self.process.poll() is not None or time.monotonic() - began > START_TIME_MAX_S:
                    raise
                time.sleep(0.05)
            else:
                return

    def _sql(self, text: str) -> str:
        return self._run("psql", *self._place(), "-v", "ON_ERROR_STOP=1", "-qAtX", "-d", "postgres", given=text).strip()

    def _place(self) -> list[str]:
        return ["--host", "127.0.0.1", "--port", str(self.port), "--username", USER]

    def _run(self, program: str, *words: str | Path, given: str = "") -> str:
        with subprocess.Popen(
            _as_owner([binaries() / program, *words]),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=self._directory,
        ) as process:  # fmt: skip
            pin(process.pid, server=False)
            told, complaint = process.communicate(given)
        if process.returncode:
            raise BenchError(f"{program} failed: {complaint.strip() or told.strip()}")
        return told


def binaries() -> Path:
    """The newest version's programs, or an empty path. Debian keeps them off the PATH."""
    found = [
        path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/pgbench") if (path.parent / "initdb").exists()
    ]
    if found:
        return max(found, key=lambda path: float(path.parent.name))
    here = shutil.which("initdb") and shutil.which("pgbench")
    return Path(here).parent if here else Path()


def version() -> str:
    """What postgres says it is."""
    told = subprocess.run([binaries() / "postgres", "--version"], capture_output=True, text=True, check=True).stdout
    return told.strip().replace("postgres (PostgreSQL)", "postgresql")


def _as_owner(words: list[str | Path]) -> list[str | Path]:
    if os.geteuid() != 0:
        return words
    return ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--init-groups", *words]


def _user() -> pwd.struct_passwd | None:
    try:
        return pwd.getpwnam(USER)
    except KeyError:
        return None


def _find(pattern: str, text: str) -> str:
    found = re.search(pattern, text)
    if found is None:
        raise BenchError(f"pgbench did not say {pattern!r}:\n{text}")
    return found[1]
