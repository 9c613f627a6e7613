"""What only a ledger on disk can meet: damage, other processes, a full disk, being killed."""

import errno
import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import lmdb
import pytest

from store.env.ledger import LedgerDamaged, LedgerFull
from store.env.lmdb import SIZE_MIN, LmdbLedger
from store.env.lmdb_check import DATA_NAME
from store.errors import DirectoryError

ROUNDS = 40
VALUES: dict[bytes, bytes | None] = {b"row/%03d" % number: bytes((number,)) * 900 * number for number in range(30)}


@pytest.fixture(name="path")
def _path(tmp_path: Path) -> Path:
    """Where the ledger lies."""
    return tmp_path / "a" / "ledger"


def opened(path: Path) -> LmdbLedger:
    """The ledger that lies there."""
    return LmdbLedger(path, size_max=SIZE_MIN)


def filled(path: Path) -> bytes:
    """A closed ledger that was changed a few times; its file's bytes."""
    ledger = opened(path)
    ledger.commit(VALUES)
    for number in range(8):
        ledger.commit({b"row/%03d" % number: None, b"more/%d" % number: bytes(5_000)})
    ledger.close()
    return (path / DATA_NAME).read_bytes()


def content(ledger: LmdbLedger) -> dict[bytes, bytes]:
    """All that it holds."""
    return dict(ledger.items())


@pytest.fixture(name="writer")
def _writer(path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Another process that commits number after number, and says each when it is committed."""
    program = (
        "import sys; from pathlib import Path; from store.env.lmdb import LmdbLedger\n"
        f"ledger = LmdbLedger(Path({str(path)!r}), size_max={SIZE_MIN})\n"
        "for number in range(1_000_000):\n"
        "    ledger.commit({b'n': b'%d' % number, b'data/%d' % (number % 7): bytes(number % 9_000)})\n"
        "    print(number, flush=True)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE)
    yield process
    process.kill()
    process.wait()


def test_it_lies_in_a_folder_of_its_own(path: Path) -> None:
    """That only its owner may read."""
    opened(path).close()
    assert [path.stat().st_mode & 0o777, (path / DATA_NAME).stat().st_mode & 0o777] == [0o700, 0o600]


def test_what_a_killed_process_committed_is_there(path: Path, writer: subprocess.Popen[bytes]) -> None:
    """All that it had said, wherever it was; the folder is free at once."""
    assert writer.stdout is not None
    for _ in range(50):
        said = int(writer.stdout.readline())
    with pytest.raises(DirectoryError, match="in use by another process"):
        opened(path)
    os.kill(writer.pid, signal.SIGKILL)
    said = max(said, *map(int, writer.communicate()[0].split() or [said]))
    ledger = opened(path)
    assert ledger.damaged == ""
    assert said <= int(ledger.get(b"n") or b"") <= said + 1
    ledger.close()


def test_damage_is_found_before_it_is_opened(path: Path) -> None:
    """What was written is read, or the file is set aside, said, and another begun: never anything else."""
    whole = filled(path)
    ledger = opened(path)
    expected = content(ledger)
    ledger.close()
    dice, found = random.Random(5), 0  # noqa: S311  # The same damage each time.
    for _ in range(ROUNDS):
        damaged = bytearray(whole)
        for _ in range(dice.choice([1, 1, 4])):
            damaged[dice.randrange(len(damaged))] ^= 1 << dice.randrange(8)
        (path / DATA_NAME).write_bytes(damaged)
        ledger = opened(path)
        assert content(ledger) == ({} if ledger.damaged else expected)
        found += bool(ledger.damaged)
        ledger.close()
    assert found > ROUNDS // 4
    assert len(list(path.glob("damaged-*.mdb"))) == found


@pytest.mark.parametrize("size", [0, 1, 100, 4_096, 8_192, 20_000])
def test_a_cut_file_is_set_aside(path: Path, size: int) -> None:
    """Where it lies now is said; the new ledger takes commits."""
    whole = filled(path)
    (path / DATA_NAME).write_bytes(whole[:size])
    ledger = opened(path)
    if size:
        assert "damaged-1.mdb" in ledger.damaged
        assert (path / "damaged-1.mdb").read_bytes() == whole[:size]
    ledger.commit({b"a": b"1"})
    assert content(ledger) == {b"a": b"1"}
    ledger.close()


def test_a_file_that_is_none_is_set_aside(path: Path) -> None:
    """Whatever it holds."""
    path.mkdir(parents=True)
    (path / DATA_NAME).write_bytes(b"no database at all\n" * 1_000)
    ledger = opened(path)
    assert ledger.damaged
    assert content(ledger) == {}
    ledger.close()


def test_a_changed_value_is_never_handed_out(path: Path) -> None:
    """Also where it changed after the check."""
    ledger = opened(path)
    ledger.commit({b"a": b"hello"})
    with ledger._environment.begin(write=True) as writing:
        writing.put(b"a", writing.get(b"a")[:-1] + b"!")
    with pytest.raises(LedgerDamaged, match="value of a"):
        ledger.get(b"a")
    with pytest.raises(LedgerDamaged):
        content(ledger)
    ledger.close()


def test_a_failing_disk_is_an_os_error(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With what the engine says of it."""
    ledger = opened(path)
    environment = ledger._environment

    class Failing:
        """Fails."""

        def begin(self, **_: object) -> object:
            """As a disk that is full does."""
            raise lmdb.DiskError("mdb_txn_commit: No space left on device")

    monkeypatch.setattr(ledger, "_environment", Failing())
    with pytest.raises(LedgerFull, match="No space left"):
        ledger.commit({b"a": b"1"})
    monkeypatch.setattr(ledger, "_environment", environment)
    ledger.close()


@pytest.mark.parametrize(
    ("number", "known", "words"),
    [
        (errno.ENOSPC, LedgerFull, "No space left"),
        (errno.EDQUOT, LedgerFull, "quota"),
        (errno.EIO, OSError, "fails, or is full"),
        (errno.EBADF, OSError, "Bad"),
    ],
)
def test_a_full_disk_is_told_from_a_failing_one(
    path: Path, monkeypatch: pytest.MonkeyPatch, number: int, known: type[Exception], words: str
) -> None:
    """A ledger on a full disk is a full ledger: the chosen policy holds. What may be either is said to be."""
    ledger = opened(path)
    environment = ledger._environment

    class Failing:
        """Fails."""

        def begin(self, **_: object) -> object:
            """As the engine says it."""
            raise lmdb.Error(f"mdb_txn_commit: {os.strerror(number)}")

    monkeypatch.setattr(ledger, "_environment", Failing())
    with pytest.raises(known, match=words):
        ledger.commit({b"a": b"1"})
    monkeypatch.setattr(ledger, "_environment", environment)
    ledger.close()


def test_the_engines_own_bound_is_full_too(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is said in the same words, and nothing was written."""
    monkeypatch.setattr("store.env.lmdb.RESERVE_SIZE", 0)
    ledger = opened(path)
    with pytest.raises(LedgerFull, match=r"audit\.ledger_size_max"):
        ledger.commit({b"a": bytes(2 * SIZE_MIN)}, reserve=True)
    assert content(ledger) == {}
    ledger.commit({b"a": b"1"})
    ledger.close()


def test_freed_room_is_used_again(path: Path) -> None:
    """The file stays near its bound, however much goes through it."""
    ledger = opened(path)
    for number in range(200):
        ledger.commit({b"data/%d" % number: bytes(60_000), b"data/%d" % (number - 10): None})
    ledger.close()
    assert (path / DATA_NAME).stat().st_size < 2 * SIZE_MIN
