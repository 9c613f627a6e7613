"""The store itself: `store serve` in a process of its own, on loopback, with the accounts opened.

Laws: the server measured is the one a user starts, with its default options.
"""

import json
import os
import sys
import time
from pathlib import Path
from typing import Any, Final, Self

from bench.load import Load, Measured, run_load
from bench.peers.peer import BenchError, start, stop
from bench.workload import ACCOUNTS, BALANCE
from store.client import connect_sync
from store.server.mint import add_token, mint_token

START_TIME_MAX_S: Final = 60
ACCOUNTS_STEP: Final = 20_000
"""Accounts opened by one call."""


class Tenant:
    """One tenant of our own. `program` is what serves: the store's command, or bench.hosted with further words."""

    name = "store"

    def __init__(
        self, directory: Path, *, accounts: int = ACCOUNTS, hosted: tuple[str | Path, ...] | None = None
    ) -> None:
        self._directory: Final = directory
        self._accounts: Final = accounts
        self._hosted: Final = hosted
        self.data: Final = directory / "data"
        self.peer: Final = "echo" if hosted and "--echo" in hosted else "store"

    @staticmethod
    def installed() -> bool:
        """It is what is measured."""
        return True

    def __enter__(self) -> Self:
        """Start it with a token of its own, and open the accounts."""
        self._directory.mkdir(parents=True, exist_ok=True)
        self.token, line = mint_token("bench")
        self._token_file = self._directory / "tokens"
        add_token(self._token_file, line)
        self.start()
        try:
            self._open_accounts()
        except BaseException:
            self.stop()
            raise
        return self

    def _open_accounts(self) -> None:
        if self.peer == "store":
            self.call_each("open_accounts", [
                (first, min(ACCOUNTS_STEP, self._accounts + 1 - first), BALANCE)
                for first in range(1, self._accounts + 1, ACCOUNTS_STEP)
            ])  # fmt: skip

    def __exit__(self, *_: object) -> None:
        """Stop it in order."""
        self.stop()

    def start(self) -> None:
        """Start the process and wait for its port."""
        log = self._directory / "store.log"
        log.write_bytes(b"")
        if self._hosted is None:
            words = [
                sys.executable, "-m", "store", "serve", "--data", self.data, "--port", "0", "--json",
                "--token-file", self._token_file, "--domain", "reducers.accounts",
            ]  # fmt: skip
        else:
            words = [sys.executable, "-m", "bench.hosted", "--data", self.data, "--token-file", self._token_file]
            words += self._hosted
        # No option of a shell that was used for something else.
        environment = {name: value for name, value in os.environ.items() if not name.startswith("STORE_")}
        self.process = start([str(word) for word in words], log=log, environment=environment)
        began = time.monotonic()
        while (port := _port(log.read_text())) is None:
            if self.process.poll() is not None or time.monotonic() - began > START_TIME_MAX_S:
                raise BenchError(f"the store did not start:\n{log.read_text()}")
            time.sleep(0.01)
        self.port = port

    def stop(self) -> None:
        """Stop the process by its pid."""
        stop(self.process)

    def load(self, load: Load) -> Measured:
        """Put a load on it."""
        return run_load(load, self.process.pid, peer=self.peer, port=self.port, token=self.token)

    def total(self) -> int:
        """The sum of all balances, by the domain's reducer."""
        (total,) = self.call_each("total", [()])
        return int(total)

    def call_each(self, reducer: str, calls: list[tuple[Any, ...]]) -> list[Any]:
        """Call a reducer some times, one after the other."""
        with connect_sync(f"ws://127.0.0.1:{self.port}", self.token) as database:
            return [database.call(reducer, *args) for args in calls]


def _port(told: str) -> int | None:
    """The port among the lines that a server has written so far: JSON with a port, or the bare number."""
    for line in told.splitlines():
        try:
            said = json.loads(line)
        except ValueError:
            continue
        if isinstance(said, int):
            return said
        if isinstance(said, dict) and "port" in said:
            return int(said["port"])
    return None
