"""A real tenant: a server process on a directory, which a test may kill."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

from typer.testing import CliRunner

from store.cli.app import app

ROOT: Final = Path(__file__).parents[2]
"""The checkout."""


def environment(**more: str) -> dict[str, str]:
    """The environment of a `store` process: the checkout's packages, and none of the caller's options."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("STORE_")}
    return {**kept, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "error", "COLUMNS": "200", **more}


class Ended(NamedTuple):
    """How a command ended."""

    returncode: int
    stdout: str
    stderr: str


def store(*arguments: str, cwd: Path, stdin: str = "", **more: str) -> Ended:
    """Run one `store` command to its end, in this process: starting one costs more than most commands."""
    variables: dict[str, str | None] = {name: None for name in os.environ if name.startswith("STORE_")}
    with contextlib.chdir(cwd):
        ended = CliRunner().invoke(app, list(arguments), input=stdin, env={**variables, "COLUMNS": "200", **more})
    assert ended.exception is None or isinstance(ended.exception, SystemExit), ended.exception
    return Ended(ended.exit_code, ended.stdout, ended.stderr)


def process(*arguments: str, cwd: Path, **more: str) -> Ended:
    """Run one `store` command to its end, in a process of its own."""
    command = [sys.executable, "-m", "store", *arguments]
    ended = subprocess.run(
        command, cwd=cwd, env=environment(**more), capture_output=True, text=True, timeout=60, check=False
    )
    return Ended(ended.returncode, ended.stdout, ended.stderr)


def free_port() -> int:
    """A port nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Tenant:
    """A tenant in a directory: started, killed and started again on the same port."""

    def __init__(self, directory: Path, *options: str, scheme: str = "ws") -> None:
        self.options: Final = options
        self.scheme: Final = scheme
        self.directory: Final = directory
        self.data: Final = directory / "data"
        self.port: Final = free_port()
        self.process: subprocess.Popen[str] | None = None
        self.recovered: dict[str, Any] = {}
        """What the last start said of its recovery."""
        self.listening: dict[str, Any] = {}
        """What it said of where it listens, and for whom."""
        minted = store("token", "mint", "--data", "data", cwd=directory)
        assert minted.returncode == 0, minted.stderr
        self.token: Final = minted.stdout.strip()

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"{self.scheme}://127.0.0.1:{self.port}"

    @property
    def variables(self) -> dict[str, str]:
        """What a command needs to find it."""
        return {"STORE_URL": self.url, "STORE_TOKEN": self.token}

    def start(self) -> None:
        """Start, and return when it listens."""
        assert self.process is None
        with (self.directory / "stderr").open("a") as errors:
            self.process = subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    "store",
                    "serve",
                    "--data",
                    "data",
                    "--port",
                    str(self.port),
                    "--json",
                    *self.options,
                ],
                cwd=self.directory,
                env=environment(),
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )
        assert self.process.stdout is not None
        lines = [self.process.stdout.readline() for _ in range(2)]
        assert all(lines), (self.directory / "stderr").read_text()
        self.recovered, self.listening = map(json.loads, lines)
        assert self.listening["event"] == "listening"

    def kill(self) -> None:
        """SIGKILL, as a crash would."""
        self._end(signal.SIGKILL)

    def stop(self) -> int:
        """SIGTERM, and wait for it to stop in order."""
        return self._end(signal.SIGTERM)

    def _end(self, number: signal.Signals) -> int:
        process, self.process = self.process, None
        assert process is not None
        process.send_signal(number)
        code = process.wait(30)
        assert process.stdout is not None
        process.stdout.close()
        return code


@contextlib.contextmanager
def running(directory: Path) -> Iterator[Tenant]:
    """A tenant that runs, and is killed in the end."""
    tenant = Tenant(directory)
    tenant.start()
    try:
        yield tenant
    finally:
        if tenant.process is not None:
            tenant.kill()
