"""The runner: syncs run inline or on a thread, and when durability is lost the process ends and tells nobody."""

import http.client
import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from store.engine.group_commit import LARGE_GROUP_SIZE
from store.engine.options import EngineOptions
from store.server.ending import EXIT_BUG, EXIT_DURABILITY_LOST
from store.server.metrics import Histogram
from store.server.mint import add_token, mint_token
from store.server.runner import Runner
from tests.server.scenes import LIMIT_S, serving

ROOT = Path(__file__).parents[2]


@contextmanager
def working(folder: Path, fault: str, where: str = "inline") -> Iterator[tuple[subprocess.Popen[str], Any]]:
    """A server process, and how to call it."""
    token, line = mint_token("ada")
    add_token(folder / "tokens", line)
    with subprocess.Popen(
        [sys.executable, "-m", "tests.server.worker", str(folder), fault, where],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    ) as process:
        assert process.stdout is not None
        port = int(process.stdout.readline())

        def ask(reducer: str, *args: Any) -> http.client.HTTPConnection:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=LIMIT_S)
            connection.request("POST", f"/v1/call/{reducer}", json.dumps(args), {"Authorization": f"Bearer {token}"})
            return connection

        try:
            yield process, ask
        finally:
            process.kill()


def break_disk(process: subprocess.Popen[str]) -> None:
    """From now on the server's disk fails."""
    process.send_signal(signal.SIGUSR1)
    assert process.stdout is not None
    assert process.stdout.readline() == "broken\n"


@pytest.mark.parametrize(
    ("fault", "where", "code"),
    [
        ("sync", "inline", EXIT_DURABILITY_LOST),
        ("sync", "thread", EXIT_DURABILITY_LOST),
        ("write", "inline", EXIT_DURABILITY_LOST),
        ("bug", "inline", EXIT_BUG),
    ],
)
def test_stopped(tmp_path: Path, fault: str, where: str, code: int) -> None:
    """After a failed sync or write, or a bug between log and tables, the process ends non-zero and answers nobody."""
    with working(tmp_path, fault, where) as (process, ask):
        before = ask("write", 1, "kept")
        assert before.getresponse().status == 200
        before.close()
        break_disk(process)
        lost = ask("write", 2, "lost")
        with pytest.raises((http.client.RemoteDisconnected, ConnectionError)):
            lost.getresponse()
        lost.close()
        _, complaint = process.communicate(timeout=LIMIT_S)
        assert process.returncode == code
        assert "store: stopped" in complaint
        if code == EXIT_DURABILITY_LOST:
            assert f"failed to {fault}" in complaint
            assert "Traceback" not in complaint


def test_terminated(tmp_path: Path) -> None:
    """At SIGTERM the stop record is written, the directory is free, and the next start has nothing to mend."""
    with working(tmp_path, "none") as (process, ask):
        connection = ask("write", 1, "kept")
        assert json.loads(connection.getresponse().read())["value"] == 1
        connection.close()
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=LIMIT_S)
        assert process.returncode == -signal.SIGTERM
    with working(tmp_path, "none") as (process, ask):
        connection = ask("write", 1, "kept")
        assert json.loads(connection.getresponse().read())["offset"] > 1
        connection.close()


@pytest.mark.parametrize("inline_max_ms", [-1.0, 1e9])
def test_both_ways(tmp_path: Path, inline_max_ms: float) -> None:
    """Inline or on a thread, calls are answered alike."""
    with serving(tmp_path, engine_options=EngineOptions(fsync_inline_max_ms=inline_max_ms)) as tenant:
        assert [tenant.call("write", number, f"note {number}").body["value"] for number in range(5)] == list(range(5))
        assert tenant.on_loop(lambda: tenant.engine.group_commit.inline) == (inline_max_ms > 0)


def test_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The only connection's group begins at once; beside another one it waits for what arrives in the same round."""
    at_once: list[bool] = []
    wake_now = Runner.wake_now

    def noting(self: Runner) -> None:
        wake_now(self)
        at_once.append(not self.engine.feed.waiting and not self.engine.log.unsynced)

    monkeypatch.setattr(Runner, "wake_now", noting)
    with serving(tmp_path) as tenant, tenant.connect() as talk:
        talk.say(["hello", ""])
        assert talk.hear()[0][0] == "welcome"
        talk.say(["call", 1, "write", [1, "alone"]])
        assert talk.hear()[0][:2] == ["result", 1]
        assert tenant.on_loop(lambda: at_once) == [True] * 2  # Its step is over, not just what it told.
        with tenant.connect() as other:
            other.say(["hello", ""])
            assert other.hear()[0][0] == "welcome"
            talk.say(["call", 2, "write", [2, "beside another"]])
            assert talk.hear()[0][:2] == ["result", 2]
            assert tenant.on_loop(lambda: len(at_once)) == 2


def test_alone_behind_a_sync(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The only connection's call has waited since it arrived: not since a sync's end, nor since what wants no sync."""
    with (
        serving(tmp_path, engine_options=EngineOptions(fsync_inline_max_ms=-1.0, vouch_idle_ms=1e9)) as tenant,
        tenant.connect() as talk,
    ):
        talk.say(["hello", ""])
        assert talk.hear()[0][0] == "welcome"
        latency = tenant.service.metrics.call_latency
        waited: list[float] = []

        def noting(histogram: Histogram, value: float, _count: int = 1) -> None:
            if histogram is latency:
                waited.append(value)

        monkeypatch.setattr(Histogram, "observe", noting)
        tenant.gate.shut()
        talk.say(["call", 1, "write", [1, "first"]])
        assert tenant.gate.reached.wait(LIMIT_S)
        talk.say(["call", 2, "write", [2, "behind it"]])
        tenant.wait_until(lambda: tenant.engine.feed.waiting == 1)
        arrived = time.monotonic()
        threading.Event().wait(0.05)
        gone_on = time.monotonic()
        tenant.gate.open()
        assert [talk.hear()[0][1] for _ in range(2)] == [1, 2]
        tenant.wait_until(lambda: len(waited) == 2)
        assert min(waited) >= gone_on - arrived
        tenant.gate.shut()
        talk.say(["call", 3, "write", [3, "third"]])
        assert tenant.gate.reached.wait(LIMIT_S)
        (session,) = tenant.on_loop(lambda: [each._session for each in tenant.service.connections])
        talk.say(["acknowledge", 2])
        tenant.wait_until(lambda: session._acknowledged == 2)
        tenant.gate.open()
        assert talk.hear()[0][1] == 3
        threading.Event().wait(0.05)
        called = time.monotonic()
        talk.say(["call", 4, "write", [4, "fourth"]])
        assert talk.hear()[0][1] == 4
        tenant.wait_until(lambda: len(waited) == 4)
        assert waited[-1] <= time.monotonic() - called


def test_large_groups(tmp_path: Path) -> None:
    """Beside a large group's sync the loop goes on, also where the disk is quick: the next call is taken in."""
    with serving(tmp_path, engine_options=EngineOptions(fsync_inline_max_ms=1e9)) as tenant:
        tenant.gate.shut()
        large = tenant.ask("POST", "/v1/call/write", [1, "x" * LARGE_GROUP_SIZE])
        assert tenant.gate.reached.wait(LIMIT_S)
        small = tenant.ask("POST", "/v1/call/write", [2, "small"])
        tenant.wait_until(lambda: tenant.engine.feed.waiting == 1)
        tenant.gate.open()
        for connection, expected in ((large, 1), (small, 2)):
            assert json.loads(connection.getresponse().read())["value"] == expected
            connection.close()


def test_log_reads(tmp_path: Path) -> None:
    """What RAM does not hold any more is read from the log on another thread, and told to who comes back."""
    with serving(tmp_path, engine_options=EngineOptions(tail_size_max=1)) as tenant, tenant.connect() as talk:
        talk.say(["hello", ""])
        _, _, epoch, offset, _ = talk.hear()[0]
        for number in range(600):
            talk.say(["call", number + 1, "write", [number, f"note {number}"]])
            assert talk.hear()[0][0] == "result"
        talk.say(["subscribe", 1, "SELECT * FROM notes", [], epoch, offset])
        heard = talk.hear()
        while heard[-1][7 if heard[-1][0] == "subscribed" else 4]:
            heard += talk.hear()
        assert heard[0][5:8] == [True, [], True]
        assert [rows[0][0] for chunk in heard[1:] for _, _, rows, _ in chunk[3]] == list(range(600))


def test_vouching(tmp_path: Path) -> None:
    """After a short idle the last batch is vouched for, with nobody asking."""
    with serving(tmp_path, engine_options=EngineOptions(vouch_idle_ms=1.0)) as tenant:
        tenant.call("write", 1, "one")
        tenant.wait_until(lambda: not tenant.engine.log.unvouched and not tenant.engine.log.unsynced)


def test_housekeeping(tmp_path: Path) -> None:
    """While the disk is nearly full calls are refused, and taken again when there is space, with nobody asking."""
    with serving(tmp_path) as tenant:
        with tenant.full_disk():
            assert tenant.call("write", 1, "one").status == 503
        assert tenant.call("write", 1, "one").status == 200


def test_last_calls(tmp_path: Path) -> None:
    """A call whose sync runs when the server stops is answered before it is gone."""
    with serving(tmp_path, engine_options=EngineOptions(fsync_inline_max_ms=-1.0)) as tenant:
        tenant.gate.shut()
        connection = tenant.ask("POST", "/v1/call/write", [1, "late"])
        assert tenant.gate.reached.wait(LIMIT_S)
        tenant.server.stop()
        tenant.gate.open()
        assert json.loads(connection.getresponse().read())["value"] == 1
        connection.close()


def test_abandoned(tmp_path: Path) -> None:
    """A client that goes away while its call waits leaves nothing behind."""
    with serving(tmp_path, engine_options=EngineOptions(fsync_inline_max_ms=-1.0)) as tenant:
        tenant.gate.shut()
        first = tenant.ask("POST", "/v1/call/write", [1, "one"])
        assert tenant.gate.reached.wait(LIMIT_S)
        with tenant.connect() as talk:
            talk.say(["hello", ""])
            tenant.wait_until(lambda: tenant.engine.feed.waiting == 1)
        tenant.wait_until(lambda: tenant.engine.feed.waiting == 0)
        tenant.gate.open()
        assert json.loads(first.getresponse().read())["value"] == 1
        first.close()
