"""Redis: appendfsync always, an account a hash, the transfer a Lua script called by its hash.

Laws: no snapshots and no rewrites of its log while it is measured; everything else is as it comes. Redis answers a
pipeline after one sync of its log, as the store does a group.
"""

import shutil
import socket
import subprocess
import time
from pathlib import Path
from typing import Final, Self

from bench.load import Load, Measured, run_load
from bench.peers.peer import BenchError, free_port, start, stop
from bench.wire import command
from bench.workload import ACCOUNTS, BALANCE

START_TIME_MAX_S: Final = 60
_PIPELINE: Final = 1_000
"""Commands sent at once while accounts are opened."""

TRANSFER: Final = """
local debit = redis.call('HGET', KEYS[1], 'balance')
local amount = tonumber(ARGV[1])
if not debit or redis.call('EXISTS', KEYS[2]) == 0 then return redis.error_reply('unknown_account') end
if tonumber(debit) < amount then return 0 end
redis.call('HINCRBY', KEYS[1], 'balance', -amount)
redis.call('HINCRBY', KEYS[2], 'balance', amount)
return 1
"""
_SUM: Final = """
local sum = 0
for number = ARGV[1], ARGV[2] do sum = sum + redis.call('HGET', 'a:' .. string.format('%d', number), 'balance') end
return string.format('%d', sum)
"""


class Redis:
    """A redis-server of our own."""

    name = "redis"

    def __init__(self, directory: Path, *, accounts: int = ACCOUNTS) -> None:
        self._directory: Final = directory
        self._accounts: Final = accounts
        self.port: Final = free_port()

    @staticmethod
    def installed() -> bool:
        """Whether redis-server is on the path."""
        return shutil.which("redis-server") is not None

    def __enter__(self) -> Self:
        """Start it, wait until it has loaded, open the accounts."""
        self._directory.mkdir(parents=True, exist_ok=True)
        self.start()
        try:
            self.open_accounts(self._accounts)
            self.script = self.ask(b"SCRIPT", b"LOAD", TRANSFER.encode()).decode()
        except BaseException:
            self.stop()
            raise
        return self

    def open_accounts(self, count: int) -> None:
        """Accounts 1 to `count`."""
        for first in range(1, count + 1, _PIPELINE):
            last = min(first + _PIPELINE, count + 1)
            self.ask_all([_open_account(number) for number in range(first, last)])

    def __exit__(self, *_: object) -> None:
        """Stop it; nothing is saved but its log."""
        self.stop()

    def start(self) -> float:
        """Start the process; returns the seconds until it answers, its log loaded."""
        options = {
            "port": self.port, "bind": "127.0.0.1", "dir": self._directory, "save": "", "appendonly": "yes",
            "appendfsync": "always", "auto-aof-rewrite-percentage": 0, "aof-use-rdb-preamble": "yes",
            "daemonize": "no", "maxclients": 20_000,
        }  # fmt: skip
        words = [str(word) for name, value in options.items() for word in (f"--{name}", value)]
        began = time.monotonic()
        self.process = start(["redis-server", *words], log=self._directory / "redis.log")
        while True:
            try:
                self._socket = socket.create_connection(("127.0.0.1", self.port))
                self._file = self._socket.makefile("rb")
                if self.ask(b"PING") == b"PONG":
                    return time.monotonic() - began
            except (OSError, BenchError):  # Not there yet, or loading.
                if self.process.poll() is not None or time.monotonic() - began > START_TIME_MAX_S:
                    raise BenchError(f"redis did not start: see {self._directory / 'redis.log'}") from None
                time.sleep(0.005)

    def stop(self) -> None:
        """Stop the process by its pid."""
        self._file.close()
        self._socket.close()
        stop(self.process)

    def load(self, load: Load) -> Measured:
        """Put a load on it."""
        return run_load(load, self.process.pid, peer="redis", port=self.port, script=self.script)

    def total(self) -> int:
        """The sum of all balances, by a script."""
        return int(self.ask(b"EVAL", _SUM.encode(), b"0", b"1", b"%d" % self._accounts))

    def save(self) -> float:
        """Write all data to a file in the background (BGSAVE); returns the seconds until that is done."""
        return self._in_background(b"BGSAVE", "rdb_bgsave_in_progress", "rdb_last_bgsave_status")

    def rewrite(self) -> float:
        """Begin the log anew behind a snapshot (BGREWRITEAOF); returns the seconds until that is done."""
        return self._in_background(b"BGREWRITEAOF", "aof_rewrite_in_progress", "aof_last_bgrewrite_status")

    def _in_background(self, order: bytes, working: str, outcome: str) -> float:
        began = time.monotonic()
        self.ask(order)
        while (state := self.persistence())[working] != "0":
            time.sleep(0.01)
        if state[outcome] != "ok":
            raise BenchError(f"redis answered {order.decode()} with {state[outcome]!r}")
        return time.monotonic() - began

    def persistence(self) -> dict[str, str]:
        """What Redis says of its files."""
        lines = self.ask(b"INFO", b"persistence").decode().splitlines()
        return {name: value for name, _, value in (line.partition(":") for line in lines)}

    def saved_bytes(self) -> int:
        """The size of the file that `save` has written."""
        return (self._directory / "dump.rdb").stat().st_size

    def used_memory(self) -> int:
        """Bytes that Redis says its data and its allocator hold."""
        lines = self.ask(b"INFO", b"memory").decode().splitlines()
        return next(int(line.partition(":")[2]) for line in lines if line.startswith("used_memory:"))

    def ask(self, *words: bytes) -> bytes:
        """One command and its answer; BenchError with Redis' own words if it is an error."""
        return self.ask_all([command(*words)])[0]

    def ask_all(self, commands: list[bytes]) -> list[bytes]:
        """Many encoded commands in one pipeline."""
        self._socket.sendall(b"".join(commands))
        return [self._answer() for _ in commands]

    def _answer(self) -> bytes:
        line = self._file.readline().rstrip()
        if line[:1] in {b"-", b""}:
            raise BenchError(f"redis answered {line.decode()!r}")
        return self._file.read(int(line[1:]) + 2)[:-2] if line[:1] == b"$" else line[1:]


def version() -> str:
    """What redis-server says it is."""
    told = subprocess.run(["redis-server", "--version"], capture_output=True, text=True, check=True).stdout
    return "redis " + told.partition("v=")[2].partition(" ")[0]


def _open_account(number: int) -> bytes:
    return command(b"HSET", b"a:%d" % number, b"owner", b"owner %d" % number, b"balance", b"%d" % BALANCE)
