"""LocalStack's S3: a second server that keeps locks, where a Python is at hand that it runs on.

It is a program of its own in an environment of its own, made once in the user's cache: what it needs does not go with
what the store needs. It binds every address where it is told an IPv4 one, so it is told [::1].
"""

import os
import shutil
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

PYTHONS: Final = ("python3.14", "python3.13")
"""What its newest release runs on."""
PACKAGES: Final = (
    "localstack-core[runtime]==2026.3.0", "cbor2<5.9", "pyopenssl==25.1.0", "cryptography<46", "service-identity<25"
)  # fmt: skip
MODULE: Final = "localstack.runtime.main"
_INSTALL_MAX_S: Final = 300.0
_START_MAX_S: Final = 60.0
_STOP_MAX_S: Final = 10.0


def localstack_python() -> Path:
    """The interpreter of its environment, which is made where it is not there. Skips where that cannot be."""
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
    folder = cache / "commitstore-tests" / "localstack-2026.3.0"
    python, whole = folder / "bin" / "python", folder / "whole"
    if whole.exists():
        return python
    made = next(filter(_runs, _found()), None)
    if made is None:
        pytest.skip(f"LocalStack needs one of {', '.join(PYTHONS)}; apt-get install python3.13, where there is one")
    shutil.rmtree(folder, ignore_errors=True)
    for words in ([made, "-m", "venv", str(folder)], [str(python), "-m", "pip", "install", "-q", *PACKAGES]):
        done = subprocess.run(words, capture_output=True, text=True, timeout=_INSTALL_MAX_S, check=False)
        if done.returncode:
            pytest.skip(f"LocalStack cannot be installed: {done.stderr.strip()[-300:]}")
    whole.touch()
    return python


@contextmanager
def localstack_server(folder: Path) -> Iterator[str]:
    """A server in an empty folder; its URL. Everything is gone afterwards."""
    python, port = localstack_python(), _free_port()
    url = f"http://[::1]:{port}"
    environment = {
        "PATH": os.defpath, "HOME": str(folder), "SERVICES": "s3", "DNS_ADDRESS": "0", "DISABLE_EVENTS": "1",
        "GATEWAY_LISTEN": f"[::1]:{port}",
    }  # fmt: skip
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [python, "-m", MODULE], cwd=folder, env=environment, stdout=log, stderr=log, start_new_session=True
        )
    try:
        _await_answer(url, process, folder / "log")
        yield url
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(_STOP_MAX_S)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _found() -> Iterator[str]:
    """Interpreters on the path, and those that pyenv keeps beside it."""
    for name in PYTHONS:
        yield from filter(None, [shutil.which(name)])
    kept = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    for name in PYTHONS:
        yield from map(str, sorted(kept.glob(f"*/bin/{name}")))


def _runs(python: str) -> bool:
    """A name on the path may stand for an interpreter that is not chosen."""
    return subprocess.run([python, "-c", ""], capture_output=True, check=False).returncode == 0


def _free_port() -> int:
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as free:
        return int(free.getsockname()[1])


def _await_answer(url: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    limit = time.monotonic() + _START_MAX_S
    while time.monotonic() < limit and process.poll() is None:
        try:
            with urllib.request.urlopen(f"{url}/_localstack/health", timeout=2):  # noqa: S310  # Our own, on loopback.
                return
        except OSError:
            time.sleep(0.1)
    pytest.fail(f"LocalStack did not start: {log.read_text(errors='replace')[-2_000:]}")
