"""A tenant as an operator runs it: a server process of its own, on a real disk, that tests start, stop and kill."""

import json
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from store.server.mint import add_token, mint_token

ROOT = Path(__file__).resolve().parents[2]
STOP_LIMIT_S = 30


class Tenant:
    """One tenant's data directory, token and address; at most one server process at a time."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.data = folder / "data"
        self.port = 0
        """0 until the first start; the same from then on."""
        self.starts = 0
        self._options = options
        self._tokens = folder / "tokens"
        self._log = folder / "server.log"
        self._process: subprocess.Popen[bytes] | None = None
        folder.mkdir(parents=True, exist_ok=True)
        self.token, line = mint_token("tester")
        add_token(self._tokens, line)

    @property
    def url(self) -> str:
        """Where clients connect."""
        return f"ws://127.0.0.1:{self.port}"

    def start(self) -> dict[str, Any]:
        """Start the server, and return what it says once it listens."""
        assert self._process is None
        words = ("serve", "--port", str(self.port), "--data", str(self.data), "--token-file", str(self._tokens))
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                command(*words, *self._options),
                cwd=self.data.parent,
                env=environment(),
                stdout=subprocess.PIPE,
                stderr=log,
            )
        assert self._process.stdout is not None
        for line in self._process.stdout:
            said: dict[str, Any] = json.loads(line)
            if said["event"] == "listening":
                self.port = said["port"]
                self.starts += 1
                return said
        raise AssertionError(f"the server did not start (exit {self.wait()}): {self.complaint}")

    def limit_files(self, size: int) -> None:
        """Let the kernel refuse to grow any file of the running server past `size` bytes, as a full disk does."""
        assert self._process is not None
        resource.prlimit(self._process.pid, resource.RLIMIT_FSIZE, (size, size))

    def kill(self) -> None:
        """End the server without a warning, as a power cut ends it."""
        self._signal(signal.SIGKILL)
        assert self.wait() == -signal.SIGKILL

    def stop(self) -> None:
        """Ask the server to stop in order: it ends well, or by the signal itself, raised again once all is closed."""
        self._signal(signal.SIGTERM)
        status = self.wait()
        assert status in {0, -signal.SIGTERM}, f"exit {status}: {self.complaint}"

    def wait(self) -> int:
        """Wait until the server has ended, and return its exit status."""
        assert self._process is not None
        process, self._process = self._process, None
        with process:
            return process.wait(STOP_LIMIT_S)

    def close(self) -> None:
        """Leave no process behind."""
        if self._process is not None:
            self.kill()

    @property
    def complaint(self) -> str:
        """What the server said on stderr, over all starts."""
        return self._log.read_text(errors="replace")

    def verify(self, *options: str) -> dict[str, Any]:
        """What `store log verify` finds in the stopped tenant's log; its exit status must be 0."""
        done = run("log", "verify", str(self.data), *options, folder=self.data.parent)
        assert done.returncode == 0, done.stderr
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    def _signal(self, number: int) -> None:
        assert self._process is not None
        self._process.send_signal(number)


def run(*words: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run one command of `store` with --json in a folder, to its end."""
    return subprocess.run(
        command(*words), cwd=folder, env=environment(), capture_output=True, text=True, check=False, timeout=120
    )


def command(*words: str) -> list[str]:
    """The command line."""
    return [sys.executable, "-m", "store", *words, "--json"]


def environment() -> dict[str, str]:
    """The environment of a command: this tree, and no settings of whoever runs the tests."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("STORE_")}
    return {**kept, "PYTHONPATH": str(ROOT)}
