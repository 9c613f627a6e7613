"""A write-once store in a folder: the embedded default, so that a trail is kept from the first call on.

What it keeps: nothing here overwrites an object, removes one before its lock is over or under a hold, shortens a lock
or loses one in a crash; files and notes are read-only (0444). What it cannot: whoever may write to the folder can
change every byte of it, and so can root. That it was done is found (hashes, signatures), not prevented. Where that is
not enough, name a bucket with Object Lock.

Layout, for whoever reads it without us. `<key>` holds the bytes of the oldest version. `<key>.lock` holds what is known
of the versions, newest first: {"v": 1, "versions": [{"version_id", "size", "sha256", "stored_at", "marker", "latest",
"mode", "retain_until", "legal_hold", "event_hold"}, …]}, moments in RFC 3339. `<key>@<version_id>` holds the bytes of a
later version: none is ever made here; a copy of a bucket that was tampered with may have some. An object without
readable notes is a version without a lock; its id is the first 32 hex digits of the SHA-256 of its bytes, as it is of
every version that is put here. What is hidden (begins with ".") is no object.
"""

import errno
import fcntl
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from hashlib import sha256 as sha256_of
from pathlib import Path
from typing import Final

import msgspec

from store.env.folder import FolderObjects, link_new, make_folder, open_plain, sync_folder, unfinished_beside, write_new
from store.env.world import Clock
from store.env.worm import (
    COMPLIANCE,
    LOCK_SUFFIX,
    BucketFacts,
    Garbled,
    Lock,
    Misconfigured,
    NoSuchVersion,
    NotAllowed,
    Occupied,
    Protected,
    Unreachable,
    Version,
    WormError,
    check_worm_put,
    is_key,
)
from store.ids import Timestamp

VERSION_ID_LENGTH: Final = 32
"""Hex digits of a version's id: enough of its SHA-256 to name it."""
_ABOUT: Final = ".worm.json"
"""What says that the folder is a write-once store, and its default retention."""
_READ_ONLY: Final = 0o444
_VERSION_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,128}", re.ASCII)


class _Note(msgspec.Struct, frozen=True):
    """What is known of one version."""

    version_id: str
    size: int
    sha256: str
    stored_at: datetime
    marker: bool = False
    latest: bool = True
    mode: str | None = None
    retain_until: datetime | None = None
    legal_hold: bool | None = False
    event_hold: bool | None = None


class _Notes(msgspec.Struct, frozen=True):
    """What lies beside an object: its versions, newest first."""

    versions: list[_Note]
    v: int = 1


class _About(msgspec.Struct, frozen=True):
    """What the folder says of itself."""

    retention_days: int
    v: int = 1


class FolderWorm:
    """Locked versions as files below one folder (WormStore)."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self._path = path.absolute()
        self._clock = clock
        self._objects = FolderObjects(path)

    @property
    def url(self) -> str:
        """Where this is: the path."""
        return str(self._path)

    def facts(self) -> BucketFacts:
        """What it was made as."""
        with self._said(""):
            try:
                about = msgspec.json.decode((self._path / _ABOUT).read_bytes(), type=_About)
            except (FileNotFoundError, NotADirectoryError):
                raise Misconfigured(f"{self._path} is no write-once folder", hint=_MAKE_IT) from None
            except (msgspec.DecodeError, UnicodeDecodeError):
                raise Misconfigured(f"{self._path / _ABOUT} cannot be read: it was changed", hint=_MAKE_IT) from None
        days = about.retention_days
        return BucketFacts(versioning=True, lock=True, default_mode=COMPLIANCE, default_days=days, enforced=False)

    def create(self, *, retention_days: int) -> None:
        """Make the folder, with those it lies in."""
        with self._said(""):
            if (self._path / _ABOUT).exists():
                return
            make_folder(self._path)
            unfinished = unfinished_beside(self._path / _ABOUT)
            write_new(unfinished, msgspec.json.encode(_About(retention_days)), mode=_READ_ONLY)
            try:
                link_new(unfinished, self._path / _ABOUT)
                sync_folder(self._path)
            finally:
                unfinished.unlink(missing_ok=True)

    def now(self) -> Timestamp:
        """This machine's clock: a folder has no other."""
        return self._clock.wall()

    def put(self, key: str, data: bytes, *, sha256: str, retain_until: Timestamp) -> str:
        """Link the bytes to their name, then note the lock: after a crash between, it is a version without one."""
        check_worm_put(key, data, sha256, retain_until)
        if sha256_of(data).hexdigest() != sha256:
            raise Garbled(f"{key} did not arrive as it was sent")
        if retain_until <= self.now():
            raise Misconfigured(f"{key} would be locked until a moment that is past", hint="Is the clock right?")
        path = self._path / key
        with self._said(key):
            if os.path.lexists(path) or os.path.lexists(_notes_path(path)):
                raise Occupied(f"{key} is taken in {self._path}")
            make_folder(path.parent)
            unfinished = unfinished_beside(path)
            try:
                write_new(unfinished, data, mode=_READ_ONLY)
                if not link_new(unfinished, path):
                    raise Occupied(f"{key} is taken in {self._path}")
            finally:
                unfinished.unlink(missing_ok=True)
            sync_folder(path.parent)
            note = _Note(
                version_id=sha256[:VERSION_ID_LENGTH],
                size=len(data),
                sha256=sha256,
                stored_at=_moment(self.now()),
                mode=COMPLIANCE,
                retain_until=_moment(retain_until),
            )
            with _alone(path.parent):
                self._note(path, [note])
        return note.version_id

    def versions(self, prefix: str = "") -> Iterator[Version]:
        """Every version that there are bytes or notes of."""
        with self._said(prefix):
            names = self._objects.names(prefix)
        keys = {name.removesuffix(LOCK_SUFFIX) for name in names}
        for key in sorted(each for each in keys if each.startswith(prefix) and is_key(each)):
            yield from self.versions_of(key)

    def versions_of(self, key: str) -> Iterator[Version]:
        """Every version of one key."""
        with self._said(key):
            known = self._known(key)
        for each in known:
            yield Version(
                key=key,
                version_id=each.version_id,
                size=0 if each.marker else each.size,
                marker=each.marker,
                latest=each.latest,
                stored_at=_timestamp(each.stored_at),
            )

    def lock_of(self, key: str, version_id: str) -> Lock:
        """Its notes; size and hash are those of the bytes that lie there."""
        with self._said(key):
            note = self._find(key, version_id)
            data = self._read(key, note)
        return Lock(
            size=len(data),
            sha256=sha256_of(data).hexdigest(),
            mode=note.mode,
            retain_until=None if note.retain_until is None else _timestamp(note.retain_until),
            legal_hold=note.legal_hold,
            visible=True,
            event_hold=note.event_hold,
        )

    def get(self, key: str, version_id: str | None = None) -> bytes:
        """The bytes that lie there, whatever the notes say of them."""
        with self._said(key):
            return self._read(key, self._find(key, version_id))

    def extend(self, key: str, version_id: str, until: Timestamp) -> None:
        """Note a later date."""
        with self._said(key), self._changing(key):
            note = self._find(key, version_id)
            moment = _moment(until)
            if note.mode == COMPLIANCE and note.retain_until is not None and moment < note.retain_until:
                raise Protected(f"{key} is locked until {note.retain_until:%Y-%m-%dT%H:%M:%SZ}, which is later")
            self._renote(key, note, mode=COMPLIANCE, retain_until=moment)

    def hold(self, key: str, version_id: str, *, on: bool) -> None:
        """Note that there is a hold, or is none."""
        with self._said(key), self._changing(key):
            self._renote(key, self._find(key, version_id), legal_hold=on)

    def remove(self, key: str) -> None:
        """Remove an object that is not locked any more, with all its versions; nothing where there is none.

        Its notes go last: after a crash between, they say what is to be removed. Protected: a lock or a hold forbids.
        """
        with self._said(key), self._changing(key):
            path, now = self._path / key, _moment(self.now())
            for each in (known := self._known(key)):
                if each.legal_hold or each.event_hold:
                    raise Protected(f"{key} is under a hold")
                if each.retain_until is None or each.retain_until >= now:
                    raise Protected(f"{key} is locked, or nothing says until when")
            for each in known[:-1]:
                if _VERSION_ID.fullmatch(each.version_id):
                    path.with_name(f"{path.name}@{each.version_id}").unlink(missing_ok=True)
            path.unlink(missing_ok=True)
            sync_folder(path.parent)
            _notes_path(path).unlink(missing_ok=True)
            sync_folder(path.parent)

    def close(self) -> None:
        """There is nothing to let go of."""

    def _known(self, key: str) -> list[_Note]:
        """All versions of a key, newest first; of bytes without readable notes one without a lock."""
        assert is_key(key), key
        path = self._path / key
        try:
            notes = msgspec.json.decode(_read_file(_notes_path(path)), type=_Notes).versions
        except (FileNotFoundError, msgspec.DecodeError, UnicodeDecodeError):
            notes = []
        if notes:
            return notes
        try:
            data, stored_at = _read_file(path), path.lstat().st_mtime_ns // 1_000
        except FileNotFoundError:
            return []
        digest = sha256_of(data).hexdigest()
        return [_Note(digest[:VERSION_ID_LENGTH], len(data), digest, _moment(Timestamp(stored_at)))]

    def _find(self, key: str, version_id: str | None) -> _Note:
        for each in self._known(key):
            if (each.latest if version_id is None else each.version_id == version_id) and not each.marker:
                return each
        raise NoSuchVersion(f"there is no version {version_id or ''} of {key} in {self._path}")

    def _read(self, key: str, note: _Note) -> bytes:
        """The oldest version lies under the key, others beside it."""
        oldest = [each for each in self._known(key) if not each.marker][-1]
        path = self._path / key
        if note.version_id != oldest.version_id:
            if not _VERSION_ID.fullmatch(note.version_id):
                raise NoSuchVersion(f"{key} has a version of an impossible name in {self._path}", hint=_TAMPERED)
            path = path.with_name(f"{path.name}@{note.version_id}")
        try:
            return _read_file(path)
        except FileNotFoundError:
            raise NoSuchVersion(f"the bytes of version {note.version_id} of {key} are gone", hint=_TAMPERED) from None

    @contextmanager
    def _changing(self, key: str) -> Iterator[None]:
        """One at a time changes notes in a folder."""
        folder = (self._path / key).parent
        if not folder.is_dir():
            raise NoSuchVersion(f"there is no {key} in {self._path}")
        with _alone(folder):
            yield

    def _renote(self, key: str, changed: _Note, **fields: object) -> None:
        notes = [
            msgspec.structs.replace(each, **fields) if each.version_id == changed.version_id else each
            for each in self._known(key)
        ]
        self._note(self._path / key, notes)

    def _note(self, path: Path, notes: list[_Note]) -> None:
        """Write the notes anew, whole or not at all."""
        unfinished = unfinished_beside(path)
        try:
            write_new(unfinished, msgspec.json.encode(_Notes(notes)), mode=_READ_ONLY)
            unfinished.replace(_notes_path(path))
        finally:
            unfinished.unlink(missing_ok=True)
        sync_folder(path.parent)

    @contextmanager
    def _said(self, key: str) -> Iterator[None]:
        """What the disk says, in the words of a write-once store."""
        try:
            yield
        except WormError:
            raise
        except PermissionError as error:
            hint = "Whoever ships the audit trail needs to read and write there."
            raise NotAllowed(f"{self._path} does not let us ({error.strerror}){_named(key)}", hint=hint) from None
        except (NotADirectoryError, IsADirectoryError, FileExistsError) as error:
            why = f"{self._path} is not a folder of objects ({error.strerror}){_named(key)}"
            raise Misconfigured(why, hint="Name a folder of its own.") from None
        except OSError as error:
            hint = "Make room on that disk; it is tried again." if error.errno in _FULL else ""
            raise Unreachable(f"the disk of {self._path} fails: {error.strerror}{_named(key)}", hint=hint) from None


def _named(key: str) -> str:
    """An object's name at the end of an error, where one was asked for."""
    return f": {key}" if key else ""


def _notes_path(path: Path) -> Path:
    return path.with_name(path.name + LOCK_SUFFIX)


def _read_file(path: Path) -> bytes:
    """A plain file's bytes. FileNotFoundError: there is none, or something else has the name."""
    with os.fdopen(open_plain(path, path.name), "rb") as file:
        return file.read()


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Between processes: an operator's hold and a shipper's extension do not lose each other."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _moment(timestamp: Timestamp) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=timestamp)


def _timestamp(moment: datetime) -> Timestamp:
    since = moment.replace(tzinfo=moment.tzinfo or UTC) - datetime(1970, 1, 1, tzinfo=UTC)
    return Timestamp(since // timedelta(microseconds=1))


_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
_MAKE_IT: Final = "`store audit init` makes one."
_TAMPERED: Final = "Nothing here removes an object and leaves its notes: somebody did. Verify the trail."
