"""Secrets as files."""

import stat
from pathlib import Path

import pytest

from store.env.subject_folder import FolderSubjectKeys, make_private_folder, read_private, write_private
from store.errors import ConfigError


def opened(path: Path) -> FolderSubjectKeys:
    """The secrets in a folder."""
    return FolderSubjectKeys(path / "keys", path / "subjects")


def test_only_the_owner_may_read_a_secret(tmp_path: Path) -> None:
    """Folders have mode 0700 and files 0600, and names say nothing of the person."""
    opened(tmp_path).key_of("ada@example.com")
    files = [each for each in tmp_path.rglob("*") if each.is_file()]
    assert len(files) == 2
    assert {stat.S_IMODE(each.stat().st_mode) for each in files} == {0o600}
    assert {stat.S_IMODE(each.stat().st_mode) for each in (tmp_path / "keys", tmp_path / "subjects")} == {0o700}
    assert not [each for each in files if "ada" in each.name]


def test_secrets_that_others_may_read_are_refused(tmp_path: Path) -> None:
    """The error names the file and what to do."""
    opened(tmp_path).key_of("ada")
    for path in (tmp_path / "keys" / "hmac.key", tmp_path / "subjects", tmp_path / "keys"):
        mode = stat.S_IMODE(path.stat().st_mode)
        path.chmod(mode | stat.S_IRGRP)
        with pytest.raises(ConfigError, match="chmod"):
            opened(tmp_path)
        path.chmod(mode)
    opened(tmp_path)


def test_a_damaged_secret_is_refused(tmp_path: Path) -> None:
    """It is not made anew: what was sealed with it would be lost."""
    opened(tmp_path)
    (tmp_path / "keys" / "hmac.key").write_bytes(b"short")
    with pytest.raises(ConfigError, match="5 bytes"):
        opened(tmp_path)


def test_a_destroyed_keys_bytes_are_overwritten(tmp_path: Path) -> None:
    """Before the file goes; an empty one says that it was destroyed."""
    secrets = opened(tmp_path)
    secrets.key_of("ada")
    (path,) = (tmp_path / "subjects").iterdir()
    with path.open("rb") as held:
        secrets.destroy("ada")
        assert held.read() == bytes(32)
    (left,) = (tmp_path / "subjects").iterdir()
    assert (left.name, left.read_bytes()) == (f"{path.name}.destroyed", b"")


def test_a_key_that_a_crash_left_behind_is_not_given_out(tmp_path: Path) -> None:
    """Once it is said that it was destroyed, it is."""
    secrets = opened(tmp_path)
    secrets.key_of("ada")
    (path,) = (tmp_path / "subjects").iterdir()
    write_private(path.with_name(f"{path.name}.destroyed"), b"")
    assert opened(tmp_path).key_of("ada") is secrets.key_of("ada") is None


def test_a_file_is_put_in_place_once(tmp_path: Path) -> None:
    """Whole, and never over another."""
    write_private(tmp_path / "a", b"first")
    write_private(tmp_path / "a", b"second")
    assert read_private(tmp_path / "a") == b"first"
    assert [each.name for each in tmp_path.iterdir()] == ["a"]


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    """The error names it."""
    with pytest.raises(ConfigError, match="No such file"):
        read_private(tmp_path / "none")


def test_a_folder_is_made_for_its_owner(tmp_path: Path) -> None:
    """Also where folders above it are missing."""
    make_private_folder(tmp_path / "a" / "b")
    assert stat.S_IMODE((tmp_path / "a" / "b").stat().st_mode) == 0o700
