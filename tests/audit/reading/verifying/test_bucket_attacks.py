"""A trail in a bucket that enforces its locks: what somebody with the keys to it can still do, and how it is found."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import boto3
import pytest

from store.audit.reading.verifying.findings import Kind, Outcome, Verdict
from store.audit.reading.verifying.request import Request
from store.audit.reading.verifying.trail import Verification
from store.env.posix import SystemClock
from store.env.worm import WormStore
from store.env.worm_url import open_worm
from tests.audit.real_trails import KEY, LOG, UNTIL, Shipping
from tests.cli.tenant import store as command
from tests.engine.scenes import memory_disk
from tests.engine.snapshots import a_life
from tests.env import rgw_server
from tests.env.worm_servers import credentials

REGION = "us-east-1"


@pytest.fixture(name="bucket")
def _bucket(rgw: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> tuple[str, str]:
    """An empty bucket with Object Lock: its URL, and that of its server."""
    credentials(monkeypatch, rgw_server.ACCESS_KEY, rgw_server.SECRET_KEY)
    name = "".join(each for each in request.node.name.lower() if each.isalnum())[-60:]
    return f"s3://{name}/trails", rgw


def shipped(bucket: tuple[str, str]) -> tuple[WormStore, Shipping]:
    """A real trail in it."""
    url, endpoint = bucket
    store = open_worm(url, SystemClock(), endpoint=endpoint, region=REGION)
    return store, Shipping(store, events=20).tell(memory_disk(a_life(calls=8)))


def verified(store: WormStore) -> Outcome:
    """What comes out, locks looked at."""
    return Verification(store, Request(LOG, KEY.key, check_locks=True)).all()


def s3(bucket: tuple[str, str]) -> tuple[Any, str]:
    """The bucket as an attacker with its keys has it."""
    client = boto3.client("s3", endpoint_url=bucket[1], region_name=REGION)
    return client, bucket[0].removeprefix("s3://").partition("/")[0]


def test_a_trail_in_a_bucket_is_verified(bucket: tuple[str, str]) -> None:
    """Every lock is looked at; nobody has to be trusted with the folder."""
    store, made = shipped(bucket)
    outcome = verified(store)
    assert (outcome.verdict, outcome.findings.kept) == (Verdict.VERIFIED, [])
    assert outcome.counts.locks == outcome.counts.objects > 6
    assert (outcome.retained_until, outcome.counts.events_proven) == ((UNTIL, UNTIL), made.trail.standing.size)
    assert not any("folder" in each for each in outcome.not_checked)


def test_overwriting_and_deleting_hide_nothing(bucket: tuple[str, str]) -> None:
    """The first version of each object is locked: it still counts, and what lies above it is said."""
    store, _ = shipped(bucket)
    client, name = s3(bucket)
    keys = [each.key for each in store.versions("audit/v1/")]
    for number, key in enumerate(keys):
        if number % 2:
            client.put_object(Bucket=name, Key=f"trails/{key}", Body=b"other bytes")
        else:
            client.delete_object(Bucket=name, Key=f"trails/{key}")
    outcome = verified(store)
    assert outcome.verdict == Verdict.VERIFIED
    assert outcome.findings.counts == {Kind.WARNING: len(keys)}


def test_what_is_put_without_a_lock_is_found(bucket: tuple[str, str]) -> None:
    """Foreign objects are warnings; a manifest that is none is tampering, and it is not locked either."""
    store, made = shipped(bucket)
    client, name = s3(bucket)
    client.put_object(Bucket=name, Key=f"trails/audit/v1/{LOG}/batch/hello", Body=b"x")
    assert verified(store).findings.counts == {Kind.WARNING: 1}
    number = made.trail.standing.batch
    client.put_object(Bucket=name, Key=f"trails/audit/v1/{LOG}/manifest/{number:012d}.json", Body=b"{}")
    assert verified(store).verdict == Verdict.TAMPER


def test_the_commands_read_a_bucket_and_its_export_verifies_alone(bucket: tuple[str, str], tmp_path: Path) -> None:
    """Also on several processes; the export has what the bucket said of versions and locks."""
    store, _ = shipped(bucket)
    client, name = s3(bucket)
    first = next(iter(store.versions(f"audit/v1/{LOG}/manifest/")))
    client.put_object(Bucket=name, Key=f"trails/{first.key}", Body=b"other bytes")
    where = [bucket[0], "--key", str(KEY.key), "--endpoint", bucket[1], "--region", REGION]
    ended = command("audit", "verify", *where, "--check-locks", cwd=tmp_path)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "VERIFIED, with 1 warning" in ended.stdout
    assert command("audit", "export", where[0], "out", *where[1:], cwd=tmp_path).returncode == 0
    alone = [sys.executable, "-I", "verify_audit.py", ".", "--key", str(KEY.key)]
    done = subprocess.run(alone, cwd=tmp_path / "out", capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.count("WARNING")) == (0, 1), done.stdout
