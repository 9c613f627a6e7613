"""Which URL names which object store, and which names an object may have."""

from pathlib import Path

import pytest

from store.env.folder import FolderObjects
from store.env.objects import is_name, open_objects
from store.env.s3 import S3Objects
from store.errors import ConfigError


@pytest.mark.parametrize("form", ["{}", "file://{}"])
def test_a_path_names_a_folder(tmp_path: Path, form: str) -> None:
    """As it is, or as a file URL; nothing is made of it yet."""
    made = open_objects(form.format(tmp_path / "backup"))
    assert isinstance(made, FolderObjects)
    assert made.url == str(tmp_path / "backup")
    assert not (tmp_path / "backup").exists()


def test_a_folder_may_have_a_colon_in_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where it is said to be a path: without that it is a slip in the writing of a URL."""
    monkeypatch.chdir(tmp_path)
    assert open_objects("./s3:/b").url == str(tmp_path / "s3:" / "b")


def test_a_file_url_may_hold_escapes(tmp_path: Path) -> None:
    """As URLs do."""
    assert open_objects(f"file://{tmp_path}/my%20backup").url == str(tmp_path / "my backup")


@pytest.mark.parametrize("url", ["s3://bucket", "s3://bucket/", "s3://bucket/a", "s3://bucket/a/b/"])
def test_an_s3_url_names_a_bucket_and_a_prefix(url: str) -> None:
    """The prefix may be missing; nothing is asked of the server yet."""
    made = open_objects(url, endpoint="http://127.0.0.1:1", region="eu-central-1")
    assert isinstance(made, S3Objects)
    assert made.url == url.rstrip("/")
    made.close()


@pytest.mark.parametrize(
    "url",
    [
        *("", "ftp://host/x", "http://host/x", "s3://", "s3:///x", "s3://b/../x", "s3://b/a?x=1", "file://relative"),
        *("s3:/bucket/x", "s3:bucket", "file:/x"),
    ],
)
def test_any_other_url_is_refused(url: str) -> None:
    """It is said which there are."""
    with pytest.raises(ConfigError, match=r"folder|URL|bucket|absolute"):
        open_objects(url)


@pytest.mark.parametrize(
    "url", ["s3://key:hidden@bucket/x", "http://user:hidden@host/", "s3://bucket/x?token=hidden", "s3:/k:hidden@b"]
)
def test_a_secret_in_a_url_is_not_repeated(url: str) -> None:
    """Errors are read by many."""
    with pytest.raises(ConfigError) as raised:
        open_objects(url)
    assert "hidden" not in str(raised.value)


@pytest.mark.parametrize(
    ("name", "allowed"),
    [
        ("a", True),
        ("log/1.zst", True),
        ("a_b-c.d/e", True),
        ("a//b", False),
        ("..", False),
        ("a/..", False),
        ("é", False),
    ],
)
def test_a_name_leads_nowhere_else(name: str, allowed: bool) -> None:  # noqa: FBT001  # A column of the table.
    """No empty part, none that begins with a dot."""
    assert is_name(name) is allowed
