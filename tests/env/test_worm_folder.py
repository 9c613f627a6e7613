"""What a write-once folder alone can meet: files that were changed, notes that cannot be read, crashes, modes."""

import json
import stat
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from store.env.memory import MemoryClock
from store.env.worm import COMPLIANCE, SECOND, Misconfigured, NoSuchVersion, NotAllowed, Occupied, WormError
from store.env.worm_folder import VERSION_ID_LENGTH, FolderWorm
from store.ids import Timestamp

KEY = "audit/v1/a/batch/0.zst"
DAY = 86_400 * SECOND


@pytest.fixture(name="store")
def _store(tmp_path: Path) -> FolderWorm:
    """A write-once folder without objects."""
    made = FolderWorm(tmp_path / "bucket", MemoryClock())
    made.create(retention_days=1)
    return made


@pytest.fixture(name="path")
def _path(tmp_path: Path) -> Path:
    """Where the object of KEY lies."""
    return tmp_path / "bucket" / KEY


def put(store: FolderWorm, data: bytes = b"hello") -> str:
    """Put these bytes, locked for a day."""
    until = Timestamp((store.now() + DAY) // SECOND * SECOND)
    return store.put(KEY, data, sha256=sha256(data).hexdigest(), retain_until=until)


def write(path: Path, data: bytes | str) -> None:
    """What whoever owns the folder can do."""
    path.unlink(missing_ok=True)
    path.write_bytes(data.encode() if isinstance(data, str) else data)


def test_an_object_is_a_plain_read_only_file(store: FolderWorm, path: Path) -> None:
    """Under its key, its notes beside it: any tool reads both, and none changes them by a slip."""
    version_id = put(store)
    notes = path.with_name(path.name + ".lock")
    assert path.read_bytes() == b"hello"
    assert [stat.S_IMODE(each.stat().st_mode) for each in (path, notes)] == [0o444, 0o444]
    assert sorted(each.name for each in path.parent.iterdir()) == [path.name, notes.name]
    [said] = json.loads(notes.read_bytes())["versions"]
    assert (said["version_id"], said["mode"]) == (version_id, COMPLIANCE)
    assert said["retain_until"] == "2023-11-15T22:13:20Z"
    assert version_id == sha256(b"hello").hexdigest()[:VERSION_ID_LENGTH]


def test_a_crash_before_the_notes_leaves_a_version_without_a_lock(store: FolderWorm, path: Path) -> None:
    """Its id is the one it would have had, and it can be locked."""
    version_id = put(store)
    path.with_name(path.name + ".lock").unlink()
    [found] = store.versions()
    assert (found.version_id, found.size, found.latest) == (version_id, 5, True)
    assert (store.lock_of(KEY, version_id).mode, store.get(KEY, version_id)) == (None, b"hello")
    with pytest.raises(Occupied):
        put(store)
    until = Timestamp(store.now() // SECOND * SECOND + DAY)
    store.extend(KEY, version_id, until)
    assert (store.lock_of(KEY, version_id).mode, store.lock_of(KEY, version_id).retain_until) == (COMPLIANCE, until)


def test_a_crash_before_the_object_leaves_nothing(store: FolderWorm, path: Path) -> None:
    """What was begun is hidden, and no object."""
    path.parent.mkdir(parents=True)
    write(path.parent / ".unfinished-1-aa", b"hel")
    assert list(store.versions()) == []
    assert put(store)


def test_changed_bytes_are_seen(store: FolderWorm, path: Path) -> None:
    """Size and hash are those of what lies there, whatever the notes say."""
    version_id = put(store)
    write(path, b"hullo!")
    lock = store.lock_of(KEY, version_id)
    assert (lock.size, lock.sha256) == (6, sha256(b"hullo!").hexdigest())


def test_removed_bytes_are_said(store: FolderWorm, path: Path) -> None:
    """The version is known and gone; its key stays taken."""
    version_id = put(store)
    path.unlink()
    assert [each.version_id for each in store.versions()] == [version_id]
    with pytest.raises(NoSuchVersion, match="are gone"):
        store.get(KEY, version_id)
    with pytest.raises(Occupied):
        put(store)


def test_further_versions_are_read(store: FolderWorm, path: Path) -> None:
    """As a copy of a bucket holds them that somebody tampered with: the newest first, the oldest under the key."""
    first = put(store)
    notes = path.with_name(path.name + ".lock")
    [old] = json.loads(notes.read_bytes())["versions"]
    newer = {**old, "version_id": "v2", "size": 3, "mode": None, "retain_until": None, "latest": False}
    marker = {**newer, "version_id": "m", "marker": True, "latest": True}
    write(notes, json.dumps({"v": 1, "versions": [marker, newer, {**old, "latest": False}]}))
    write(path.with_name(f"{path.name}@v2"), b"new")
    assert [(each.version_id, each.marker) for each in store.versions_of(KEY)] == [
        ("m", True),
        ("v2", False),
        (first, False),
    ]
    assert (store.get(KEY, "v2"), store.get(KEY, first)) == (b"new", b"hello")
    assert store.lock_of(KEY, "v2").mode is None
    for version_id in ("m", None):
        with pytest.raises(NoSuchVersion):
            store.get(KEY, version_id)


@settings(deadline=None)  # It syncs a real disk.
@given(data=st.binary(max_size=200) | st.text(max_size=100).map(lambda text: json.dumps({"versions": [text]}).encode()))
def test_notes_that_make_no_sense_are_none(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    """The version is one without a lock then."""
    folder = tmp_path_factory.mktemp("bucket")
    store = FolderWorm(folder, MemoryClock())
    version_id = put(store)
    write(folder / f"{KEY}.lock", data)
    assert [each.version_id for each in store.versions()] == [version_id]
    assert store.lock_of(KEY, version_id).mode is None


@pytest.mark.parametrize("version_id", ["../../etc/passwd", "a/b", "", "\0", "x" * 500, "ä"])
def test_notes_lead_nowhere_else(store: FolderWorm, path: Path, version_id: str) -> None:
    """A version of an impossible name has no bytes."""
    put(store)
    notes = path.with_name(path.name + ".lock")
    [old] = json.loads(notes.read_bytes())["versions"]
    write(notes, json.dumps({"versions": [{**old, "version_id": version_id}, {**old, "latest": False}]}))
    with pytest.raises(NoSuchVersion):
        store.get(KEY, version_id)


@pytest.mark.parametrize("kind", ["folder", "link"])
def test_what_is_no_plain_file_is_no_object(store: FolderWorm, path: Path, kind: str) -> None:
    """Nor is it overwritten."""
    path.parent.mkdir(parents=True)
    if kind == "folder":
        path.mkdir()
    else:
        path.symlink_to("/etc/passwd")
    assert list(store.versions_of(KEY)) == []
    with pytest.raises(Occupied):
        put(store)


def test_a_folder_that_was_not_made_is_said(tmp_path: Path) -> None:
    """With the command that makes it; also where it was made and its note is unreadable."""
    store = FolderWorm(tmp_path / "bucket", MemoryClock())
    with pytest.raises(Misconfigured, match="audit init"):
        store.facts()
    assert list(store.versions()) == []
    store.create(retention_days=7)
    assert (store.facts().default_days, store.facts().enforced) == (7, False)
    write(tmp_path / "bucket" / ".worm.json", b"{}")
    with pytest.raises(Misconfigured, match="was changed"):
        store.facts()


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    """It is said, by whatever is asked first."""
    write(tmp_path / "bucket", b"")
    store = FolderWorm(tmp_path / "bucket", MemoryClock())
    for act in (store.facts, lambda: store.create(retention_days=1), lambda: put(store)):
        with pytest.raises(Misconfigured):
            act()


def test_trouble_of_the_disk_is_a_worm_error(store: FolderWorm, monkeypatch: pytest.MonkeyPatch) -> None:
    """Which its asker knows how to treat: permission is somebody's to give, anything else is tried again."""

    def failing(error: OSError) -> None:
        def fail(*_: object, **__: object) -> None:
            raise error

        monkeypatch.setattr("store.env.worm_folder.write_new", fail)

    failing(PermissionError(13, "Permission denied"))
    with pytest.raises(NotAllowed, match="Permission denied"):
        put(store)
    failing(OSError(28, "No space left on device"))
    with pytest.raises(WormError, match="No space left"):
        put(store)
    with pytest.raises(WormError, match="Make room"):
        put(store)


def test_a_folder_that_is_there_is_not_written_to_again(store: FolderWorm, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever begins on a full disk can say what waits, and go on when there is room."""
    before = store.facts()

    def fail(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("store.env.worm_folder.write_new", fail)
    store.create(retention_days=9)
    assert store.facts() == before
