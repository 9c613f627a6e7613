"""Where the children of a nursery are forked: everything a command or a worker needs is imported here, once.

python -m tests.crash.nest DESCRIPTOR        (of the socket to the nursery)
"""

import json
import mmap
import os
import signal
import socket
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from store.cli import app
from tests.crash import worker
from tests.crash.nursery import REQUEST_SIZE_MAX

STEPS = (
    "open", "write", "pwrite", "fsync", "fdatasync", "ftruncate", "rename", "replace", "link", "unlink", "remove",
    "mkdir", "rmdir", "utime",
)  # fmt: skip
"""What a process may ask of the file system, by the functions of `os` that ask it: the places to die at."""


class Steps:
    """Counts what this process asks of the file system, for its parent to read, and dies at one of them."""

    def __init__(self, shared: mmap.mmap, last: int) -> None:
        self._shared = shared
        self._last = last
        self._count = 0
        for name in STEPS:
            setattr(os, name, self._counted(getattr(os, name)))

    def _counted(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def ask(*args: Any, **options: Any) -> Any:
            self._count += 1
            self._shared[:8] = self._count.to_bytes(8, "big")
            if self._count == self._last:
                os.kill(os.getpid(), signal.SIGKILL)
            return function(*args, **options)

        return ask


def main(descriptor: int) -> None:
    """Fork whoever is asked for, until nobody asks any more."""
    counts: dict[int, mmap.mmap] = {}
    with socket.socket(fileno=descriptor) as asker:
        while True:
            data, descriptors, _, _ = socket.recv_fds(asker, REQUEST_SIZE_MAX, 3)
            if not data:
                return
            request = json.loads(data)
            if "reap" in request:
                pid = request["reap"]
                status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
                answer = {"status": status, "steps": int.from_bytes(counts.pop(pid)[:8], "big")}
            elif "ready" in request:
                answer = {"ready": True}
            else:
                shared = mmap.mmap(-1, 8)
                pid = os.fork()
                if not pid:
                    asker.close()
                    act = _command(app.main, request) if "store" in request else _work(worker.main, request)
                    _live(act, shared, request["step"], descriptors)
                counts[pid] = shared
                answer = {"pid": pid}
            for each in descriptors:
                os.close(each)
            asker.sendall(json.dumps(answer).encode())


def _command(main_: Callable[[], None], request: dict[str, Any]) -> Callable[[], int]:
    def act() -> int:
        sys.argv = ["store", *request["store"]]
        main_()
        return 0

    return act


def _work(main_: Callable[[str], int], request: dict[str, Any]) -> Callable[[], int]:
    def act() -> int:
        if not request["synced"]:
            for name in ("fsync", "fdatasync"):
                setattr(os, name, lambda _descriptor: None)
        return main_(request["work"])

    return act


def _live(act: Callable[[], int], shared: mmap.mmap, step: int, descriptors: list[int]) -> None:
    """What a child does; it never comes back."""
    status = 70
    try:
        os.dup2(descriptors[0], 1)
        os.dup2(descriptors[1], 2)
        for each in descriptors[:2]:
            os.close(each)  # The last one stays: while it is open, this process lives.
        Steps(shared, step)
        status = act()
    except SystemExit as said:
        status = said.code if isinstance(said.code, int) else int(said.code is not None)
    except BaseException:  # noqa: BLE001  # The end of the process: it is told, and nobody is there to catch it.
        traceback.print_exc()
    finally:
        with suppress(OSError, ValueError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(status)


if __name__ == "__main__":
    main(int(sys.argv[1]))
