"""What only objects in a folder can meet: half written files, links, other people's files, no room, no leave."""

import errno
import os
from pathlib import Path

import pytest

from store.env.folder import FolderObjects
from store.errors import DirectoryError

DAY_S = 86_400


@pytest.fixture(name="objects")
def _objects(tmp_path: Path) -> FolderObjects:
    """An empty store, its folder not yet made."""
    return FolderObjects(tmp_path / "there" / "backup")


@pytest.fixture(name="folder")
def _folder(tmp_path: Path) -> Path:
    """Where it keeps its objects."""
    return tmp_path / "there" / "backup"


def test_what_was_not_finished_is_no_object(objects: FolderObjects, folder: Path) -> None:
    """A write that fails leaves nothing behind; one whose process died leaves what nobody lists."""
    objects.put("log/a", b"hello", if_absent=True)
    (folder / "log" / ".unfinished-1-00").write_bytes(b"hel")
    assert objects.names() == ["log/a"]
    assert (folder / "log" / ".unfinished-1-00").exists()


def test_what_was_given_up_is_cleared_away(objects: FolderObjects, folder: Path) -> None:
    """A day later."""
    objects.put("log/a", b"hello", if_absent=True)
    left = folder / "log" / ".unfinished-1-00"
    left.write_bytes(b"hel")
    os.utime(left, (left.stat().st_mtime - 2 * DAY_S,) * 2)
    assert objects.names() == ["log/a"]
    assert not left.exists()


def test_a_failed_write_leaves_nothing(objects: FolderObjects, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No name, and no half file."""
    objects.put("log/a", b"hello", if_absent=True)

    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "no space left")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="no space left"):
        objects.put("log/b", b"hello", if_absent=True)
    monkeypatch.undo()
    assert [each.name for each in (folder / "log").iterdir()] == ["a"]


def test_links_are_not_followed(objects: FolderObjects, folder: Path, tmp_path: Path) -> None:
    """They are no objects, so nothing outside is read or listed."""
    objects.put("log/a", b"hello", if_absent=True)
    (tmp_path / "secret").write_bytes(b"secret")
    (folder / "log" / "b").symlink_to(tmp_path / "secret")
    (folder / "out").symlink_to(tmp_path)
    assert objects.names() == ["log/a"]
    assert objects.head("log/b") is None
    with pytest.raises(FileNotFoundError):
        objects.get("log/b")


def test_what_is_no_plain_file_is_no_object(objects: FolderObjects, folder: Path) -> None:
    """A folder, a pipe: nobody waits for one."""
    objects.put("log/a", b"hello", if_absent=True)
    os.mkfifo(folder / "log" / "pipe")
    for name in ("log/pipe", "log", "log/a/b"):
        assert objects.head(name) is None
    assert objects.names() == ["log/a"]


def test_names_that_no_object_may_have_are_left_alone(objects: FolderObjects, folder: Path) -> None:
    """Other people's files."""
    objects.put("a", b"hello", if_absent=True)
    (folder / "my notes.txt").write_bytes(b"")
    (folder / ".hidden").mkdir()
    (folder / ".hidden" / "b").write_bytes(b"")
    assert objects.names() == ["a"]


def test_a_file_system_without_links_works(objects: FolderObjects, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is taken stays."""

    def no_links(*_: object) -> None:
        raise OSError(errno.EPERM, "no links here")

    monkeypatch.setattr(os, "link", no_links)
    assert objects.put("a", b"hello", if_absent=True)
    assert not objects.put("a", b"hello", if_absent=True)
    with pytest.raises(FileExistsError):
        objects.put("a", b"other", if_absent=True)
    assert objects.get("a") == b"hello"


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    """It says so, and what to do."""
    (tmp_path / "file").write_bytes(b"")
    objects = FolderObjects(tmp_path / "file")
    with pytest.raises(DirectoryError, match="cannot use the folder"):
        objects.names()
    with pytest.raises(DirectoryError, match="Name a folder"):
        objects.put("a", b"", if_absent=True)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_leave_is_refused(tmp_path: Path) -> None:
    """An unreadable one is not taken for an empty one."""
    tmp_path.chmod(0o500)
    with pytest.raises(DirectoryError, match="cannot use the folder"):
        FolderObjects(tmp_path / "backup").put("a", b"", if_absent=True)


def test_only_the_owner_may_read(objects: FolderObjects, folder: Path) -> None:
    """Files and folders both."""
    objects.put("log/a", b"hello", if_absent=True)
    assert (folder / "log" / "a").stat().st_mode & 0o777 == 0o600
    assert (folder / "log").stat().st_mode & 0o777 == 0o700
