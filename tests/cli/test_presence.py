"""The rules of finding who serves a directory: by a note that is believed while its writer lives."""

import json
import shutil
from pathlib import Path

from store.cli.exits import Exit
from store.cli.presence import SERVING, announce, is_served, served_at, withdraw
from store.env.posix import PosixDisk
from tests.cli.tenant import Tenant, store


def test_a_tenant_is_found_without_its_address(tmp_path: Path) -> None:
    """On whatever port it listens, the directory says where; when it stops in order, no note is left."""
    tenant = Tenant(tmp_path)
    tenant.start()
    assert served_at(tenant.data) == tenant.url
    asked = store("query", "SELECT * FROM accounts", "--data", "data", cwd=tmp_path, STORE_TOKEN=tenant.token)
    assert asked.returncode == Exit.DONE, asked.stderr
    tenant.stop()
    assert not (tenant.data / SERVING).exists()
    assert served_at(tenant.data) is None


def test_what_a_killed_tenant_left_is_not_believed(tmp_path: Path) -> None:
    """Its lock is gone with it; and a start on another port says so anew."""
    tenant = Tenant(tmp_path)
    tenant.start()
    tenant.kill()
    assert json.loads((tenant.data / SERVING).read_bytes())["url"] == tenant.url
    assert (is_served(tenant.data), served_at(tenant.data)) == (False, None)


def test_a_copy_is_not_served_though_it_says_so(tmp_path: Path) -> None:
    """Note and lock file were copied with all else; the lock itself was not."""
    (tmp_path / "data").mkdir()
    disk = PosixDisk(tmp_path / "data")
    disk.lock()
    announce(tmp_path / "data", "ws://127.0.0.1:1")
    assert served_at(tmp_path / "data") == "ws://127.0.0.1:1"
    shutil.copytree(tmp_path / "data", tmp_path / "copy")
    assert served_at(tmp_path / "copy") is None
    disk.unlock()


def test_looking_does_not_keep_the_directory(tmp_path: Path) -> None:
    """Who looks lets go at once: the next start finds it free, the stale lock file or not."""
    (tmp_path / "lock").write_text("1\n")
    assert not is_served(tmp_path)
    disk = PosixDisk(tmp_path)
    disk.lock()
    assert is_served(tmp_path)
    disk.unlock()


def test_a_note_that_says_nothing_is_none(tmp_path: Path) -> None:
    """Damaged, of something else, or not there: the options say where to look, as before."""
    disk = PosixDisk(tmp_path)
    disk.lock()
    for content in (b"", b"{}", b"\xff", b'{"url": 7, "process": "x"}', b"[" * 10_000):
        (tmp_path / SERVING).write_bytes(content)
        assert served_at(tmp_path) is None
    disk.unlock()
    withdraw(tmp_path)
    assert (tmp_path / SERVING).exists()  # It is not this process's own.
