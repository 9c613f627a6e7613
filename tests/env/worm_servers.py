"""Write-once stores that tests run against: which there are, what each can do, and how one is opened empty."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import boto3
import pytest

from store.env.memory import MemoryClock
from store.env.objects import Bucket, place_of
from store.env.posix import SystemClock
from store.env.worm import WormStore
from store.env.worm_folder import FolderWorm
from store.env.worm_memory import MemoryBucket, MemoryWorm
from store.env.worm_s3 import S3Worm
from tests.env import rgw_server, s3_server

REAL_URL: Final = "STORE_TEST_WORM_URL"
"""The environment variable that names a real bucket, s3://bucket/prefix, with one day of retention."""
BUCKET: Final = "trails"


@dataclass(frozen=True)
class Server:
    """One empty write-once store."""

    open: Callable[[], WormStore]
    """Opens it once more, as another process would."""
    conditional: bool = True
    """Whether it refuses a key that is taken."""
    checks_hash: bool = True
    """Whether it checks the SHA-256 of what arrives."""
    keeps_locks: bool = True
    """Whether it enforces what it says of locks; if not, nothing of the kind is asserted."""


KINDS: Final = ("memory", "folder", "moto", "rgw", "localstack", "real")


@contextmanager
def worm_server(kind: str, request: pytest.FixtureRequest, folder: Path) -> Iterator[Server]:
    """A store of one of the KINDS; a test's own part of it, where tests share it."""
    name = "".join(letter for letter in request.node.name if letter.isalnum())[-100:]
    with pytest.MonkeyPatch.context() as patch:
        if kind == "memory":
            clock, bucket = MemoryClock(), MemoryBucket()
            yield Server(lambda: MemoryWorm(clock, bucket))
        elif kind == "folder":
            FolderWorm(folder / "bucket", SystemClock()).create(retention_days=1)
            yield Server(lambda: FolderWorm(folder / "bucket", SystemClock()))
        elif kind == "moto":
            url = request.getfixturevalue("moto")
            yield from _s3(url, BUCKET, name, Server(_nothing, checks_hash=False, keeps_locks=False))
        elif kind == "rgw":
            credentials(patch, rgw_server.ACCESS_KEY, rgw_server.SECRET_KEY)
            url = request.getfixturevalue("rgw")
            yield from _s3(url, BUCKET, name, Server(_nothing, conditional=False, checks_hash=False))
        elif kind == "localstack":
            credentials(patch, "test", "test")
            yield from _s3(request.getfixturevalue("localstack"), BUCKET, name, Server(_nothing))
        else:
            yield from _real(name)


def credentials(patch: pytest.MonkeyPatch, access: str, secret: str) -> None:
    """Whose requests are signed from here on."""
    patch.setenv("AWS_ACCESS_KEY_ID", access)
    patch.setenv("AWS_SECRET_ACCESS_KEY", secret)
    patch.setenv("AWS_DEFAULT_REGION", s3_server.REGION)
    patch.setenv("AWS_CONFIG_FILE", "/nonexistent")
    patch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
    patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    patch.setattr(boto3, "DEFAULT_SESSION", None)


def _s3(url: str, bucket: str, name: str, server: Server) -> Iterator[Server]:
    made: list[S3Worm] = []

    def opened() -> S3Worm:
        made.append(S3Worm(bucket, name, endpoint=url, region="us-east-1"))
        return made[-1]

    opened().create(retention_days=1)
    yield Server(opened, server.conditional, server.checks_hash, server.keeps_locks)
    for each in made:
        each.close()


@dataclass(frozen=True)
class Place:
    """Where a test's own objects lie, in a bucket that keeps locks."""

    endpoint: str
    region: str
    bucket: str
    prefix: str

    def open(self) -> S3Worm:
        """The store there."""
        return S3Worm(self.bucket, self.prefix, endpoint=self.endpoint, region=self.region)


def real_place(name: str) -> Place:
    """Amazon's own, or any other: everything that is put stays locked for a day. Skips where none is named."""
    url = os.environ.get(REAL_URL, "")
    if not url:
        pytest.skip(f"no real bucket is named ({REAL_URL})")
    found = place_of(url, "a bucket for tests")
    assert isinstance(found, Bucket), url
    prefix = f"{found.prefix}/{os.getpid()}-{name}".lstrip("/")
    endpoint, region = os.environ.get("STORE_TEST_WORM_ENDPOINT", ""), os.environ.get("AWS_DEFAULT_REGION", "")
    return Place(endpoint, region, found.name, prefix)


def _real(name: str) -> Iterator[Server]:
    place = real_place(name)
    made: list[S3Worm] = []

    def opened() -> S3Worm:
        made.append(place.open())
        return made[-1]

    yield Server(opened)
    for each in made:
        each.close()


def _nothing() -> WormStore:
    raise AssertionError("it is opened by another")
