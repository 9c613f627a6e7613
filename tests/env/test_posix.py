"""The real world's own manners."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from store.env import posix
from store.env.posix import LOCK_NAME, PosixDisk, PosixFile, SystemClock, SystemEntropy
from store.env.world import INODE_BITS, Clock, Disk, Entropy
from store.errors import DirectoryError
from store.ids import Position

START = Position(0)


def test_each_claims_its_protocol(tmp_path: Path) -> None:
    """The types say so; the contract suites hold them to it."""
    world: tuple[Disk, Clock, Entropy] = (PosixDisk(tmp_path), SystemClock(), SystemEntropy())
    assert len(world) == 3


def test_a_missing_directory_is_made(tmp_path: Path) -> None:
    """With what it lies in, for its owner alone."""
    disk = PosixDisk(tmp_path / "a" / "b")
    assert disk.names() == []
    assert (tmp_path / "a" / "b").stat().st_mode & 0o777 == 0o700


def test_a_file_is_for_its_owner_alone(tmp_path: Path) -> None:
    """So is the folder made for it."""
    PosixDisk(tmp_path).create("log/a").close()
    assert (tmp_path / "log" / "a").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "log").stat().st_mode & 0o777 == 0o700


def test_a_path_that_is_no_directory_is_refused(tmp_path: Path) -> None:
    """With the path, the reason and what to check."""
    file = tmp_path / "file"
    file.write_text("")
    for path in (file, file / "below"):
        with pytest.raises(DirectoryError, match="Not a directory") as raised:
            PosixDisk(path)
        assert str(path) in str(raised.value)
        assert "Check the path" in str(raised.value)


def test_a_directory_that_cannot_be_read_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before anything is tried in it."""
    monkeypatch.setattr(posix.os, "access", lambda *_: False)
    with pytest.raises(DirectoryError, match="Permission denied"):
        PosixDisk(tmp_path)


def test_read_only_makes_and_changes_nothing(tmp_path: Path) -> None:
    """A missing directory is an error; every change is refused; the lock is not taken, so a store may run."""
    with pytest.raises(DirectoryError, match="No such file"):
        PosixDisk(tmp_path / "none", read_only=True)
    writer = PosixDisk(tmp_path)
    file = writer.create("log/a")
    file.write(START, b"hello")
    writer.lock()
    reader = PosixDisk(tmp_path, read_only=True)
    reader.lock()
    for act in (
        lambda: reader.create("b"),
        lambda: reader.rename("log/a", "log/b"),
        lambda: reader.remove("log/a"),
        reader.sync_directory,
    ):
        with pytest.raises(OSError, match="for reading only") as raised:
            act()
        assert raised.value.errno == errno.EROFS
    opened = reader.open("log/a")
    assert opened.read(START, 9) == b"hello"
    with pytest.raises(OSError, match="descriptor"):
        opened.write(START, b"x")
    opened.close()
    file.close()
    writer.unlock()


def test_folders_and_links_are_no_files(tmp_path: Path) -> None:
    """Names are those of plain files."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "folder")
    PosixDisk(tmp_path).create("file").close()
    assert PosixDisk(tmp_path).names() == ["file"]


def test_short_writes_and_reads_are_continued(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The system may take and give less than was asked."""
    write, read = os.pwrite, os.pread
    monkeypatch.setattr(posix.os, "pwrite", lambda descriptor, data, at: write(descriptor, bytes(data[:3]), at))
    monkeypatch.setattr(posix.os, "pread", lambda descriptor, length, at: read(descriptor, min(length, 2), at))
    file = PosixDisk(tmp_path).create("a")
    file.write(Position(1), b"hello, world")
    assert file.read(Position(1), 100) == b"hello, world"
    file.close()


def test_a_write_that_takes_nothing_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would never end otherwise."""
    file = PosixDisk(tmp_path).create("a")
    monkeypatch.setattr(posix.os, "pwrite", lambda *_: 0)
    with pytest.raises(OSError, match="wrote nothing"):
        file.write(START, b"hello")
    file.close()


def test_a_failed_sync_is_the_systems_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is raised as it is, and nothing is tried again."""
    tried = []

    def fail(descriptor: int) -> None:
        tried.append(descriptor)
        raise OSError(errno.EIO, "the disk is gone")

    file = PosixDisk(tmp_path).create("a")
    monkeypatch.setattr(posix.os, "fdatasync", fail)
    with pytest.raises(OSError, match="the disk is gone"):
        file.sync()
    assert len(tried) == 1
    file.close()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device here is always full")
def test_what_the_system_refuses_names_the_file() -> None:
    """An operator has several disks: that there is no space left on a device says neither which nor where."""
    file = posix.PosixFile(os.open("/dev/full", os.O_RDWR))
    with pytest.raises(OSError, match="No space left on device: '/dev/full'") as caught:
        file.write(START, b"hello")
    assert (caught.value.errno, caught.value.filename) == (errno.ENOSPC, "/dev/full")
    with pytest.raises(OSError, match="Invalid argument: '/dev/full'"):
        file.sync()
    file.close()


def test_where_there_is_a_fuller_sync_it_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On macOS fsync stops at the drive's cache."""
    asked = []
    monkeypatch.setattr(posix, "_FULL_SYNC", 51)
    monkeypatch.setattr(posix.fcntl, "fcntl", lambda _, command: asked.append(command))
    file = PosixDisk(tmp_path).create("a")
    file.sync()
    assert asked == [51]
    file.close()


def test_syncing_a_folder_syncs_it_and_what_it_lies_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name is no good in a folder that is lost."""
    disk = PosixDisk(tmp_path)
    disk.create("log/a").close()
    synced = []
    monkeypatch.setattr(posix.os, "fsync", lambda descriptor: synced.append(os.fstat(descriptor).st_ino))
    disk.sync_directory("log")
    assert synced == [(tmp_path / "log").stat().st_ino, tmp_path.stat().st_ino]


def test_the_lock_holds_the_process_id_and_the_refusal_names_it(tmp_path: Path) -> None:
    """So that an operator knows whom to stop."""
    disk = PosixDisk(tmp_path)
    disk.lock()
    assert (tmp_path / LOCK_NAME).read_text() == f"{os.getpid()}\n"
    with pytest.raises(DirectoryError, match=f"in use by process {os.getpid()}"):
        PosixDisk(tmp_path).lock()
    disk.unlock()


def test_the_lock_ends_with_its_process(tmp_path: Path) -> None:
    """However it ends: what the file says then is of no account."""
    script = (
        "import os, sys; from store.env.posix import PosixDisk; PosixDisk(sys.argv[1]).lock(); "
        "print('held', flush=True); os.kill(os.getpid(), 9)"
    )
    done = subprocess.run([sys.executable, "-c", script, tmp_path], capture_output=True, text=True, check=False)
    assert (done.stdout, done.returncode) == ("held\n", -9)
    disk = PosixDisk(tmp_path)
    disk.lock()
    disk.unlock()


def test_unlocking_leaves_nothing_behind(tmp_path: Path) -> None:
    """A directory that turned out not to be ours is as it was."""
    disk = PosixDisk(tmp_path)
    disk.lock()
    disk.unlock()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("act", ["unlink", "replace"])
def test_whoever_clears_the_lock_file_lets_nobody_in(tmp_path: Path, act: str) -> None:
    """The directory itself is locked, which nobody deletes; a restored or missing file only names the wrong process."""
    first = PosixDisk(tmp_path)
    first.lock()
    (tmp_path / LOCK_NAME).unlink()
    if act == "replace":
        (tmp_path / LOCK_NAME).write_text("12345\n")
    found = [path.name for path in tmp_path.iterdir()]
    with pytest.raises(DirectoryError, match="in use by process " + ("unknown" if act == "unlink" else "12345")):
        PosixDisk(tmp_path).lock()
    assert [path.name for path in tmp_path.iterdir()] == found
    first.unlock()


def test_a_lock_that_cannot_be_noted_is_not_held(tmp_path: Path) -> None:
    """The failure is the system's, and the next attempt finds the directory free."""
    (tmp_path / LOCK_NAME).mkdir()
    with pytest.raises(IsADirectoryError):
        PosixDisk(tmp_path).lock()
    (tmp_path / LOCK_NAME).rmdir()
    disk = PosixDisk(tmp_path)
    disk.lock()
    disk.unlock()


def test_descriptors_are_closed_on_exec(tmp_path: Path) -> None:
    """A child process neither holds the lock nor a file."""
    disk = PosixDisk(tmp_path)
    disk.lock()
    file = disk.create("a")
    assert isinstance(file, PosixFile)
    assert not os.get_inheritable(file._descriptor)
    assert not os.get_inheritable(disk._locks[""])
    file.close()
    disk.unlock()


def test_two_directories_on_one_filesystem_differ_in_their_inodes(tmp_path: Path) -> None:
    """A copied file is in another place."""
    disk = PosixDisk(tmp_path)
    disk.create("a").close()
    (tmp_path / "b").write_bytes((tmp_path / "a").read_bytes())
    assert disk.place("a")[0] == disk.place("b")[0]
    assert disk.place("a")[1] != disk.place("b")[1]


def test_a_file_that_got_a_deleted_one_s_inode_is_in_another_place(tmp_path: Path) -> None:
    """ext4 gives the number out again at once: `rm -r data && cp -r backup data` must not look like the same file."""
    disk = PosixDisk(tmp_path)
    disk.create("a").close()
    before = disk.place("a")
    if not before[1] >> INODE_BITS:
        pytest.skip("this file system tells no generations")
    assert disk.place("a") == before
    disk.rename("a", "b")
    assert disk.place("b") == before
    for _ in range(100):
        disk.remove("b")
        disk.create("b").close()
        if disk.place("b")[1] % (1 << INODE_BITS) == before[1] % (1 << INODE_BITS):
            break
    assert disk.place("b") != before


def test_a_lock_file_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    """A directory whose file named lock holds no process id is not ours: it is refused, and nothing in it changes."""
    (tmp_path / "lock").write_text("my notes on locks")
    with pytest.raises(DirectoryError, match="expected a process id"):
        PosixDisk(tmp_path).lock()
    assert (tmp_path / "lock").read_text() == "my notes on locks"
    (tmp_path / "lock").unlink()
    PosixDisk(tmp_path).lock()


def test_a_directory_within_another_is_locked_by_that_one(tmp_path: Path) -> None:
    """A tenant may have changed to another of its directories, and is still one tenant."""
    first = PosixDisk(tmp_path / "restored", root=tmp_path)
    first.lock()
    with pytest.raises(DirectoryError, match=f"in use by process {os.getpid()}"):
        PosixDisk(tmp_path).lock()
    first.unlock()
    assert [each.name for each in tmp_path.iterdir()] == ["restored"]
