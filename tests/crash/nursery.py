"""Processes to be killed, forked out of one that has imported everything: each begins to work at once.

Laws: a child is a real process with a real disk, and SIGKILL is the only way in which it is stopped. It dies either
when its parent says so, or by itself at the n-th thing it asks of the file system. Nothing it has told before is lost.
"""

import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

ROOT = Path(__file__).resolve().parents[2]
KILLED = -signal.SIGKILL
REQUEST_SIZE_MAX = 1 << 16
LIFE_LIMIT_S = 120.0
"""Seconds after which a child that should have ended counts as hanging."""


@dataclass(frozen=True)
class Ended:
    """How a child ended."""

    status: int
    """Its exit status; KILLED where it was."""
    steps: int
    """How often it has asked something of the file system."""
    said: str
    complaint: str

    @property
    def killed(self) -> bool:
        """Whether it was killed before it came to its end."""
        return self.status == KILLED

    @property
    def events(self) -> list[dict[str, Any]]:
        """The JSON lines it wrote; a last one that is not whole is left out."""
        whole = self.said[: self.said.rfind("\n") + 1]
        return [json.loads(line) for line in whole.splitlines()]

    def event(self, name: str) -> dict[str, Any]:
        """The last event of this name."""
        return [each for each in self.events if each.get("event") == name][-1]


class Child:
    """One process of a nursery."""

    def __init__(self, nursery: "Nursery", pid: int, life: int, said: IO[bytes], complaint: IO[bytes]) -> None:
        self.pid = pid
        self._nursery = nursery
        self._life = life
        self._said = said
        self._complaint = complaint
        self._ended: Ended | None = None

    def lives(self, seconds: float) -> bool:
        """Whether it has not ended in so many seconds."""
        return self._ended is None and not select.select([self._life], [], [], seconds)[0]

    def told(self) -> bytes:
        """What it has written by now."""
        descriptor = self._said.fileno()  # Its position is the child's: nobody else may move it.
        return os.pread(descriptor, os.fstat(descriptor).st_size, 0)

    def kill(self) -> Ended:
        """End it without a warning, if it still lives."""
        if self._ended is None:
            os.kill(self.pid, signal.SIGKILL)  # It is not reaped before `wait`: the id is still its own.
        return self.wait()

    def wait(self) -> Ended:
        """Wait until it ends. It is killed, and AssertionError raised, where that takes too long."""
        if self._ended is not None:
            return self._ended
        hangs = self.lives(LIFE_LIMIT_S)
        if hangs:
            os.kill(self.pid, signal.SIGKILL)
        status, steps = self._nursery.reap(self.pid)
        self._complaint.seek(0)
        said, complaint = self.told().decode(errors="replace"), self._complaint.read().decode(errors="replace")
        self._ended = Ended(status, steps, said, complaint)
        self._said.close()
        self._complaint.close()
        os.close(self._life)
        assert not hangs, f"process {self.pid} hung: {complaint}"
        return self._ended


class Nursery:
    """Starts children. A context: what it started is gone when it ends."""

    def __init__(self) -> None:
        self._children: dict[int, Child] = {}

    def __enter__(self) -> Self:
        ours, theirs = socket.socketpair()
        with theirs:
            theirs.set_inheritable(True)
            command = [sys.executable, "-m", "tests.crash.nest", str(theirs.fileno())]
            kept = {name: value for name, value in os.environ.items() if not name.startswith("STORE_")}
            self._process = subprocess.Popen(
                command, env={**kept, "PYTHONPATH": str(ROOT)}, cwd=ROOT, pass_fds=[theirs.fileno()]
            )
        self._socket = ours
        assert self._ask({"ready": True})["ready"]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for child in list(self._children.values()):
            child.kill()
        self._socket.close()  # It ends when nobody speaks to it any more.
        self._process.wait(LIFE_LIMIT_S)

    def store(self, *words: str | Path, step: int = 0) -> Child:
        """The command `store` with --json; it dies at step number `step`, if that is not 0."""
        return self._start({"store": [*map(str, words), "--json"], "step": step})

    def work(self, said: bytes, *, step: int = 0, synced: bool = True) -> Child:
        """A worker (worker.py); one that is not `synced` has syncs that do nothing."""
        return self._start({"work": said.decode(), "step": step, "synced": synced})

    def reap(self, pid: int) -> tuple[int, int]:
        """(status, steps) of a child that has ended, or will at once."""
        told = self._ask({"reap": pid})
        del self._children[pid]
        return told["status"], told["steps"]

    def _start(self, request: dict[str, Any]) -> Child:
        said, complaint = (tempfile.TemporaryFile() for _ in range(2))  # noqa: SIM115  # The child's, until it is reaped.
        life, held = os.pipe()
        try:
            told = self._ask(request, [said.fileno(), complaint.fileno(), held])
        finally:
            os.close(held)
        child = self._children[told["pid"]] = Child(self, told["pid"], life, said, complaint)
        return child

    def _ask(self, request: dict[str, Any], descriptors: list[int] | None = None) -> dict[str, Any]:
        socket.send_fds(self._socket, [json.dumps(request).encode()], descriptors or [])
        told: dict[str, Any] = json.loads(self._socket.recv(REQUEST_SIZE_MAX))
        return told
