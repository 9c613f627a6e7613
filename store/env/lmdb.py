"""The ledger in LMDB: one file beside the data directory, synced with every commit.

Laws: one process has it (flock on the folder). Before it is opened another process reads all of it, because a damaged
LMDB file can crash whoever maps it; what is damaged is renamed aside, said, and begun anew, to be rebuilt from bucket
and log. Each value is kept with a checksum. A live copy of the folder is no backup: nothing here needs one.
"""

import errno
import fcntl
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import lmdb

from store.env.ledger import LEDGER_KEY_SIZE_MAX, LedgerDamaged, LedgerFull
from store.env.lmdb_check import CHECKSUM_SIZE, DATA_NAME, checksum, damage
from store.errors import DirectoryError

RESERVE_SIZE: Final = 64 << 20
"""Bytes kept beside the bound for the steps that free the ledger."""
SIZE_MIN: Final = 1 << 20
"""Bytes of the smallest bound that makes sense."""
_ASIDE: Final = "damaged-"
_FENCE: Final = b"\x00fence"
"""The one key that is the ledger's own."""


class LmdbLedger:
    """Keys and values in one LMDB file (Ledger)."""

    def __init__(self, path: Path, *, size_max: int) -> None:
        """Open the folder, made where missing. DirectoryError: another process has it. OSError: the disk fails."""
        assert size_max >= SIZE_MIN
        self.damaged = ""
        """What was wrong with the file that was found, and where it lies now; "" if nothing was."""
        self._path, self._size_max = path.absolute(), size_max
        self._lock = _take(self._path)
        try:
            self._set_aside_what_is_damaged()
            self._environment = self._open()
            self._fence = self._count_up()
        except BaseException:
            os.close(self._lock)
            raise

    @property
    def fence(self) -> int:
        """The number of this opening."""
        return self._fence

    @property
    def size_max(self) -> int:
        """The bound."""
        return self._size_max

    def raise_fence(self, fence: int) -> None:
        """Have at least this number."""
        if fence > self._fence:
            self._write({_FENCE: b"%d" % fence}, reserve=True)
            self._fence = fence

    def get(self, key: bytes) -> bytes | None:
        """The value, or None."""
        with _said(self._path), self._environment.begin() as reading:
            found = reading.get(key)
        return None if found is None else _value(key, found)

    def items(self, prefix: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        """All keys that begin with `prefix`, by key, as one reading sees them."""
        with _said(self._path), self._environment.begin() as reading:
            cursor = reading.cursor()
            found = cursor.set_range(prefix) if prefix else cursor.first()
            while found and (key := cursor.key()).startswith(prefix):
                if key != _FENCE:
                    yield key, _value(key, cursor.value())
                found = cursor.next()

    def commit(self, puts: Mapping[bytes, bytes | None], *, reserve: bool = False) -> None:
        """Set and remove, and sync."""
        for key in puts:
            assert 0 < len(key) <= LEDGER_KEY_SIZE_MAX, key
            assert key != _FENCE
        self._write(puts, reserve=reserve)

    def size(self) -> int:
        """Bytes of the pages in use."""
        with _said(self._path), self._environment.begin() as reading:
            return _size(reading)

    def close(self) -> None:
        """Let another process have it; a second time does nothing."""
        if self._lock >= 0:
            self._environment.close()
            os.close(self._lock)
            self._lock = -1

    def _write(self, puts: Mapping[bytes, bytes | None], *, reserve: bool) -> None:
        try:
            with _said(self._path), self._environment.begin(write=True) as writing:
                before = _size(writing)
                for key, value in puts.items():
                    if value is None:
                        writing.delete(key)
                    else:
                        writing.put(key, checksum(key, value) + value)
                if not reserve and before < _size(writing) > self._size_max:
                    raise self._full()
        except lmdb.MapFullError:
            raise self._full() from None

    def _full(self) -> LedgerFull:
        return LedgerFull(
            f"the audit ledger {self._path} is full: {self._size_max} bytes wait to be shipped",
            hint="Is its store reachable (store audit status)? Or give it more room (audit.ledger_size_max).",
        )

    def _set_aside_what_is_damaged(self) -> None:
        data = self._path / DATA_NAME
        if not data.exists():
            return
        if what := damage(self._path):
            aside = next(
                path for number in range(1, 1_000_000) if not (path := self._path / f"{_ASIDE}{number}.mdb").exists()
            )
            data.rename(aside)
            (self._path / "lock.mdb").unlink(missing_ok=True)
            self.damaged = f"the audit ledger was damaged ({what}); it lies in {aside} now"

    def _open(self) -> lmdb.Environment:
        with _said(self._path):
            return lmdb.open(
                str(self._path),
                map_size=self._size_max + self._size_max // 4 + RESERVE_SIZE,
                mode=0o600,
                sync=True,
                metasync=True,
                readahead=False,
                max_readers=16,
            )

    def _count_up(self) -> int:
        found = self.get(_FENCE)
        fence = 1 + (0 if found is None else int(found))
        self._write({_FENCE: b"%d" % fence}, reserve=True)
        return fence


def _take(path: Path) -> int:
    """The folder's descriptor, locked until it is closed or the process ends."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise DirectoryError(
            f"the audit ledger {path} is in use by another process",
            hint="Stop that process first: only one ships a trail.",
        ) from None
    return descriptor


def _value(key: bytes, found: bytes) -> bytes:
    value = found[CHECKSUM_SIZE:]
    if found[:CHECKSUM_SIZE] != checksum(key, value):
        raise LedgerDamaged(
            f"the value of {key.decode('ascii', 'replace')} in the audit ledger is not what was written",
            hint="Stop and start again: what is damaged is set aside then, and the ledger rebuilt.",
        )
    return value


def _size(reading: lmdb.Transaction) -> int:
    found = reading.stat()
    return int(found["psize"] * (found["branch_pages"] + found["leaf_pages"] + found["overflow_pages"]))


@contextmanager
def _said(path: Path) -> Iterator[None]:
    """What the engine says, as the disk would: but that it is full, which is another matter."""
    try:
        yield
    except lmdb.MapFullError:
        raise
    except lmdb.Error as error:
        said = str(error)
        full = next((each for each in (errno.ENOSPC, errno.EDQUOT) if os.strerror(each) in said), None)
        if os.strerror(errno.EIO) in said:  # What it says of a write that was cut short, too.
            said += ": the disk fails, or is full"
        if full is not None:
            raise LedgerFull(
                f"the disk of the audit ledger {path} is full: {os.strerror(full)}",
                hint="Make room on it: what waits to be shipped lies there. Nothing is lost, the log holds it.",
            ) from None
        raise OSError(f"the audit ledger {path} fails: {said}") from None
