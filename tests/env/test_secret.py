"""Where a secret may come from, and that it is not shown."""

from pathlib import Path

import pytest

from store.env.secret import read_secret
from store.errors import ConfigError


def key_file(tmp_path: Path, content: bytes, mode: int = 0o600) -> Path:
    """A file with this content."""
    path = tmp_path / "key"
    path.write_bytes(content)
    path.chmod(mode)
    return path


def test_a_file_of_the_owners_alone_is_read(tmp_path: Path) -> None:
    """Its bytes as they are; the environment does not count then."""
    assert read_secret(key_file(tmp_path, b"abc\n"), environment={"STORE_BACKUP_KEY": "other"}) == b"abc\n"


def test_without_a_file_the_environment_counts() -> None:
    """Without either there is no secret."""
    assert read_secret(None, environment={"STORE_BACKUP_KEY": "abc"}) == b"abc"
    assert read_secret(None, environment={"STORE_BACKUP_KEY": ""}) is None
    assert read_secret(None, environment={}) is None


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o601])
def test_a_file_that_others_may_read_is_refused(tmp_path: Path, mode: int) -> None:
    """It says what to do, and nothing of what is in it."""
    with pytest.raises(ConfigError, match="chmod 600") as raised:
        read_secret(key_file(tmp_path, b"hidden", mode))
    assert "hidden" not in str(raised.value)


def test_a_missing_or_empty_file_is_refused(tmp_path: Path) -> None:
    """Nothing is encrypted under a key that is not there."""
    with pytest.raises(ConfigError, match="cannot read the key file"):
        read_secret(tmp_path / "nothing")
    with pytest.raises(ConfigError, match="is empty"):
        read_secret(key_file(tmp_path, b" \n"))
