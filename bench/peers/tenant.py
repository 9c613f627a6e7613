"""The store itself: `store serve` in a process of its own, on loopback, with the accounts opened.

Laws: the server measured is the one a user starts, with its default options, but for the audit trail: no peer writes
one, and what it costs is the case `audit`.
"""

import http.client
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, Self

from bench.load import Load, Measured, run_load
from bench.peers.peer import BenchError, start, stop
from bench.workload import ACCOUNTS, BALANCE
from store.client import connect_sync
from store.server.mint import add_token, mint_token

START_TIME_MAX_S: Final = 60
POST_TIME_MAX_S: Final = 300
ACCOUNTS_STEP: Final = 20_000
"""Accounts opened by one call."""


class Tenant:
    """One tenant of our own. `program` is what serves: the store's command, or bench.hosted with further words."""

    name = "store"

    def __init__(
        self,
        directory: Path,
        *,
        accounts: int = ACCOUNTS,
        hosted: tuple[str | Path, ...] | None = None,
        options: tuple[str, ...] = (),
    ) -> None:
        """`options` are set for `store serve`: SECTION.NAME=VALUE."""
        self._options: Final = ("audit.on=false", *options)
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
                *(word for option in self._options for word in ("--set", option)),
            ]  # fmt: skip
        else:
            words = [sys.executable, "-m", "bench.hosted", "--data", self.data, "--token-file", self._token_file]
            words += self._hosted
        # No option of a shell that was used for something else; and compiled but once, as what is installed is.
        left_out = ("STORE_", "PYTHONDONTWRITEBYTECODE")
        environment = {name: value for name, value in os.environ.items() if not name.startswith(left_out)}
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

    def load(self, load: Load, *, on_begin: Callable[[], object] | None = None) -> Measured:
        """Put a load on it."""
        asked = {"peer": self.peer, "port": self.port, "token": self.token}
        return run_load(load, self.process.pid, on_begin=on_begin, **asked)

    def snapshot(self) -> dict[str, Any]:
        """Have it take one; what its child said of it, once it is done."""
        taken: dict[str, Any] = self._post("/v1/snapshot")["snapshot"]
        return taken

    def get(self, path: str) -> dict[str, Any]:
        """What a door of the operators' answers."""
        return self._ask("GET", path)

    def _post(self, path: str) -> dict[str, Any]:
        return self._ask("POST", path)

    def _ask(self, method: str, path: str) -> dict[str, Any]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=POST_TIME_MAX_S)
        try:
            connection.request(method, path, headers={"Authorization": f"Bearer {self.token}"})
            answer = connection.getresponse()
            said: dict[str, Any] = json.loads(answer.read())
        finally:
            connection.close()
        if answer.status != http.client.OK:
            raise BenchError(f"{path} was answered {answer.status}: {said}")
        return said

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
