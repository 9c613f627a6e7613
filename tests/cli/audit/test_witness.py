"""`store audit witness`: a real process, which is killed, and asked from another one."""

import json
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from store.audit.objects.checkpoint import Checkpoint
from store.audit.objects.notes import COSIGNATURE, read_key, sign
from store.audit.signing.cosigning import Cosigner
from store.audit.signing.policy import policy_of
from store.cli.exits import Exit
from store.env.hands import OwnHands
from store.env.ledger_memory import MemoryLedger
from store.env.memory import MemoryClock
from store.env.witness_http import HttpWitness
from tests.audit.scenes import KEY, ORIGIN
from tests.audit.signing.test_cosigning import LEAVES, Tree, leaf_hashes, span_of
from tests.cli.tenant import ROOT, environment, store
from tests.server.upkeep import QUIET, kept, write


@contextmanager
def running(folder: Path) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """A witness in a process of its own: its URL, and the process; killed in the end if it still runs."""
    command = [sys.executable, "-m", "store", "audit", "witness", str(folder), "--port", "0", "--json"]
    with subprocess.Popen(command, env=environment(), stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            said = json.loads(process.stdout.readline())
            assert said["event"] == "ready"
            yield said["url"], process
        finally:
            process.kill()


@pytest.fixture(name="folder")
def _folder(tmp_path: Path) -> Path:
    """A witness that knows one log."""
    made = store("audit", "witness", "w", "--make", "witness.example/w1", cwd=tmp_path)
    assert made.returncode == Exit.DONE, made.stderr
    (tmp_path / "w" / "logs").write_text(f"# The log of a test.\n\n{KEY.key}\n")
    return tmp_path / "w"


def cosigner(url: str) -> Cosigner:
    """Somebody who asks it, and remembers nothing."""
    with urllib.request.urlopen(url, timeout=10) as response:  # noqa: S310  # Our own process.
        key = read_key(response.read().decode())
    policy = policy_of([(key, url)], 1)
    return Cosigner(
        policy, {"w1": HttpWitness(url)}, ledger=MemoryLedger(), trees=Tree(), clock=MemoryClock(), hands=OwnHands()
    )


def collect(asking: Cosigner, size: int, leaves: list[bytes] = LEAVES) -> tuple[bool, str]:
    """Whether it cosigned the tree of these leaves, and what was wrong."""
    checkpoint = Checkpoint(ORIGIN, size, span_of(0, leaves[:size]).root())
    found = asking.collect(checkpoint, sign(checkpoint.text, [KEY]))
    assert found is not None
    assert asking.policy.satisfied_by(found.note) is bool(found.names)
    return bool(found.names), " ".join(found.problems)


def test_a_witness_that_was_killed_remembers(folder: Path) -> None:
    """What goes on is cosigned before and after; another history by the log's own key never is."""
    with running(folder) as (url, process):
        assert collect(cosigner(url), 10)[0]
        assert collect(cosigner(url), 33)[0]
        process.kill()
    fork = leaf_hashes(f"other {each}".encode() for each in range(64))
    with running(folder) as (url, process):
        assert collect(cosigner(url), 64)[0]
        assert not collect(cosigner(url), 64, fork)[0]
        assert not collect(cosigner(url), 40)[0]
        process.send_signal(signal.SIGTERM)
        process.wait()


def test_a_witness_is_made_once(tmp_path: Path) -> None:
    """Its key is printed for a policy; a folder that has one is left alone."""
    made = store("audit", "witness", "w", "--make", "witness.example/w1", "--json", cwd=tmp_path)
    key = read_key(json.loads(made.stdout)["key"])
    assert (key.name, key.algorithm) == ("witness.example/w1", COSIGNATURE)
    before = (tmp_path / "w" / "witness.key").read_bytes()
    again = store("audit", "witness", "w", "--make", "other", cwd=tmp_path)
    assert again.returncode == Exit.CONFIG
    assert "there is a witness" in again.stderr
    assert (tmp_path / "w" / "witness.key").read_bytes() == before


def test_two_processes_are_not_one_witness(folder: Path) -> None:
    """The second is refused: each would cosign a history."""
    with running(folder):
        second = store("audit", "witness", str(folder), "--port", "0", cwd=folder)
        assert second.returncode == Exit.DIRECTORY
        assert "another witness" in second.stderr


def test_what_cannot_be_is_said(tmp_path: Path, folder: Path) -> None:
    """No witness there, no log known, a line that is no key: each with what to do."""
    for arguments, words in (
        ((str(tmp_path / "none"),), "witness.key"),
        ((str(folder), "--log", "nonsense"), "public key"),
    ):
        ended = store("audit", "witness", *arguments, "--port", "0", cwd=tmp_path)
        assert ended.returncode != Exit.DONE
        assert words in ended.stderr
    (folder / "logs").unlink()
    ended = store("audit", "witness", str(folder), "--port", "0", cwd=tmp_path)
    assert "knows no log" in ended.stderr


def test_a_stores_trail_is_cosigned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A real store, a real witness: the independent tool finds its signature, and found none before."""
    with kept(tmp_path, QUIET, monkeypatch=monkeypatch) as tenant:
        write(tenant, 5)
    assert store("audit", "ship", "data", cwd=tmp_path).returncode == Exit.DONE
    shown = store("audit", "keys", "show", "data", "--json", cwd=tmp_path)
    log = json.loads(shown.stdout)["keys"][0]["key"]
    made = store("audit", "witness", "w", "--make", "witness.example/w1", "--json", cwd=tmp_path)
    key = json.loads(made.stdout)["key"]
    (tmp_path / "w" / "logs").write_text(f"{log}\n")
    assert tool(tmp_path, log, "--witness", key) != 0
    with kept(tmp_path, QUIET, monkeypatch=monkeypatch) as tenant:
        write(tenant, 5)
    with running(tmp_path / "w") as (url, process):
        wanted = ("--set", f"audit.witnesses={url}={key}", "--set", "audit.witnesses_min=1")
        done = store("audit", "ship", "data", *wanted, cwd=tmp_path)
        assert done.returncode == Exit.DONE, done.stderr
        process.kill()
    assert tool(tmp_path, log, "--witness", key) == 0


def tool(folder: Path, key: str, *more: str) -> int:
    """What the independent tool ends with."""
    command = [sys.executable, str(ROOT / "tools" / "verify_audit.py"), str(folder / "data.audit" / "bucket")]
    return subprocess.run([*command, "--key", key, *more], capture_output=True, check=False).returncode
