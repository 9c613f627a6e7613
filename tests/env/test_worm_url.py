"""Which URL names which write-once store."""

from pathlib import Path

import pytest

from store.env.memory import MemoryClock
from store.env.worm_folder import FolderWorm
from store.env.worm_s3 import S3Worm
from store.env.worm_url import open_worm
from store.errors import ConfigError


@pytest.mark.parametrize("form", ["{}", "file://{}"])
def test_a_path_names_a_folder(tmp_path: Path, form: str) -> None:
    """Nothing is made of it yet."""
    made = open_worm(form.format(tmp_path / "trail"), MemoryClock())
    assert isinstance(made, FolderWorm)
    assert made.url == str(tmp_path / "trail")
    assert not (tmp_path / "trail").exists()


def test_an_s3_url_names_a_bucket_and_a_prefix() -> None:
    """Nothing is asked of the server yet."""
    made = open_worm("s3://bucket/a/b", MemoryClock(), endpoint="http://127.0.0.1:1", region="eu-central-1")
    assert isinstance(made, S3Worm)
    assert made.url == "s3://bucket/a/b"
    made.close()


@pytest.mark.parametrize("url", ["", "http://host/x", "s3:/bucket", "s3://b?x=1"])
def test_any_other_url_is_refused(url: str) -> None:
    """It is said what it was to be, and which there are."""
    with pytest.raises(ConfigError, match=r"audit trail.*folder|s3://bucket/prefix"):
        open_worm(url, MemoryClock())
