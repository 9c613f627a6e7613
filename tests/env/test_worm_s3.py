"""Write-once in S3: what a server that keeps locks refuses, what is sent, and what every answer means."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from hashlib import md5, sha256
from types import SimpleNamespace
from typing import Any

import boto3
import botocore.auth
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from store.audit.shipping.bucket import auditor_policy, writer_policy
from store.audit.shipping.putting import SKEW_MAX_S, Conflict, Retention, ship, store_time
from store.env.posix import SystemClock
from store.env.worm import (
    COMPLIANCE,
    SECOND,
    Garbled,
    Misconfigured,
    NoSuchVersion,
    NotAllowed,
    Occupied,
    Protected,
    Skewed,
    Unreachable,
    WormError,
)
from store.env.worm_s3 import ATTEMPTS_MAX, S3Worm
from store.ids import Timestamp
from tests.env import rgw_server
from tests.env.s3_server import BUSY, DROP, HALF, LOST, NOT_IMPLEMENTED, SECRET_KEY, SILENT, Answer, Proxy, s3_server
from tests.env.worm_servers import BUCKET, Place, credentials, real_place

Locked = tuple[S3Worm, dict[str, str], Any]

DAY = 86_400 * SECOND
KEY, DATA = "audit/v1/x/manifest/0.json", b"hello"
RETENTION = Retention(days=1)


def put(store: S3Worm, data: bytes = DATA, key: str = KEY, days: int = 1) -> str:
    """Put these bytes, locked for so many days."""
    until = Timestamp((store.now() + days * DAY) // SECOND * SECOND)
    return store.put(key, data, sha256=sha256(data).hexdigest(), retain_until=until)


def named(request: pytest.FixtureRequest) -> str:
    """A prefix of the test's own."""
    return "".join(letter for letter in request.node.name if letter.isalnum())[-100:]


def client_of(url: str | None, region: str = "us-east-1") -> Any:
    """What somebody with the keys can do, without our care."""
    config = Config(s3={"addressing_style": "path" if url else "auto"})
    return boto3.client("s3", endpoint_url=url, region_name=region or None, config=config)


def in_days(days: float) -> datetime:
    """A moment."""
    return datetime.now(UTC) + timedelta(days=days)


# What a server that keeps locks refuses: Ceph's gateway.


@pytest.fixture(name="owner")
def _owner(rgw: str) -> Iterator[Any]:
    """The bucket's owner, who may do anything that a lock lets him."""
    with pytest.MonkeyPatch.context() as patch:
        credentials(patch, rgw_server.ACCESS_KEY, rgw_server.SECRET_KEY)
        made = client_of(rgw)
        yield made
        made.close()


@pytest.fixture(name="place", params=["rgw", "real"])
def _place(request: pytest.FixtureRequest) -> Iterator[Place]:
    """A bucket that keeps locks, whose owner's credentials are in the environment: Ceph's, or a real one."""
    if request.param == "real":
        yield real_place(named(request))
        return
    with pytest.MonkeyPatch.context() as patch:
        credentials(patch, rgw_server.ACCESS_KEY, rgw_server.SECRET_KEY)
        yield Place(request.getfixturevalue("rgw"), "us-east-1", BUCKET, named(request))


@pytest.fixture(name="locked")
def _locked(place: Place) -> Iterator[Locked]:
    """A store with one object, how the owner names it, and the owner, who may do anything that a lock lets him."""
    store = place.open()
    store.create(retention_days=1)
    it = {"Bucket": place.bucket, "Key": f"{place.prefix}/{KEY}", "VersionId": put(store)}
    owner = client_of(place.endpoint or None, place.region)
    yield store, it, owner
    store.close()
    owner.close()


only_rgw = pytest.mark.parametrize("place", ["rgw"], indirect=True)


ATTACKS: dict[str, Callable[[Any, dict[str, str]], object]] = {
    "delete": lambda owner, it: owner.delete_object(**it),
    "delete with bypass": lambda owner, it: owner.delete_object(**it, BypassGovernanceRetention=True),
    "shorten": lambda owner, it: owner.put_object_retention(
        **it, Retention={"Mode": "COMPLIANCE", "RetainUntilDate": in_days(0.01)}
    ),
    "shorten with bypass": lambda owner, it: owner.put_object_retention(
        **it, Retention={"Mode": "COMPLIANCE", "RetainUntilDate": in_days(0.01)}, BypassGovernanceRetention=True
    ),
    "loosen": lambda owner, it: owner.put_object_retention(
        **it, Retention={"Mode": "GOVERNANCE", "RetainUntilDate": in_days(9)}, BypassGovernanceRetention=True
    ),
    "suspend versioning": lambda owner, it: owner.put_bucket_versioning(
        Bucket=it["Bucket"], VersioningConfiguration={"Status": "Suspended"}
    ),
    "remove the bucket": lambda owner, it: owner.delete_bucket(Bucket=it["Bucket"]),
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_nobody_removes_or_loosens_what_is_locked(locked: Locked, attack: str) -> None:
    """Not the owner either, with or without bypass; the version and its lock stay as they were."""
    store, it, owner = locked
    before = store.lock_of(KEY, it["VersionId"])
    with pytest.raises(ClientError):
        ATTACKS[attack](owner, it)
    assert store.lock_of(KEY, it["VersionId"]) == before
    assert (before.mode, store.get(KEY, it["VersionId"])) == (COMPLIANCE, DATA)
    assert store.facts().versioning


def test_many_at_once_are_not_removed_either(locked: Locked) -> None:
    """By the request that deletes many."""
    store, it, owner = locked
    answer = owner.delete_objects(
        Bucket=it["Bucket"], Delete={"Objects": [{"Key": it["Key"], "VersionId": it["VersionId"]}]}
    )
    assert [each["VersionId"] for each in answer["Errors"]] == [it["VersionId"]]
    assert store.get(KEY, it["VersionId"]) == DATA


def test_a_new_version_and_a_marker_only_hide(locked: Locked) -> None:
    """The locked version is found below them, the oldest; bytes that are not ours are a conflict for who ships."""
    store, it, owner = locked
    other = owner.put_object(Bucket=it["Bucket"], Key=it["Key"], Body=b"other")["VersionId"]
    marker = owner.delete_object(Bucket=it["Bucket"], Key=it["Key"])["VersionId"]
    found = {each.version_id: each.marker for each in store.versions_of(KEY)}
    assert found == {marker: True, other: False, it["VersionId"]: False}
    assert [each.version_id for each in store.versions_of(KEY) if not each.marker] == [other, it["VersionId"]]
    assert store.get(KEY, it["VersionId"]) == DATA
    for act in (lambda: store.get(KEY), lambda: store.get(KEY, marker), lambda: store.lock_of(KEY, marker)):
        with pytest.raises(NoSuchVersion):
            act()
    with pytest.raises(Conflict):
        ship(store, KEY, DATA, retention=RETENTION, now=store.now(), conditional=False)


def test_an_object_that_somebody_put_without_a_lock_gets_one(
    rgw: str, owner: Any, request: pytest.FixtureRequest
) -> None:
    """The default retention locks it, and shipping it locks it for as long as it should be."""
    store = S3Worm(BUCKET, named(request), endpoint=rgw, region="us-east-1")
    store.create(retention_days=1)
    owner.put_object(Bucket=BUCKET, Key=f"{named(request)}/{KEY}", Body=DATA)
    stored = ship(store, KEY, DATA, retention=Retention(days=20), now=store.now(), conditional=False)
    assert store.lock_of(KEY, stored.version_id).retain_until == stored.retain_until
    assert stored.retain_until > store.now() + 20 * DAY
    assert len(list(store.versions_of(KEY))) == 1
    store.close()


def test_a_clock_far_off_is_said(locked: Locked, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server refuses what is signed 16 minutes ago."""
    store, _, _ = locked
    early = datetime.now(UTC).replace(tzinfo=None) - timedelta(minutes=16)
    monkeypatch.setattr(botocore.auth, "get_current_datetime", lambda: early)
    for act in (lambda: put(store, key="b"), lambda: store.get(KEY), store.facts):
        with pytest.raises(Skewed, match="clock"):
            act()


@only_rgw
def test_wrong_credentials_are_said(locked: Locked, rgw: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With where they come from, and without them."""
    assert locked
    for access, secret in ((rgw_server.ACCESS_KEY, "wrong"), ("AKIANOBODY", "wrong")):
        credentials(monkeypatch, access, secret)
        store = S3Worm(BUCKET, endpoint=rgw, region="us-east-1")
        with pytest.raises(NotAllowed, match="AWS_ACCESS_KEY_ID") as raised:
            store.get(KEY)
        assert "wrong" not in str(raised.value)
        store.close()


def test_whoever_makes_a_bucket_with_wrong_credentials_is_told_what_is_wrong(
    rgw: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answer to whether it is there has no code: another one is asked for."""
    for access, secret, code in (
        (rgw_server.ACCESS_KEY, "wrong", "SignatureDoesNotMatch"),
        ("AKIANOBODY", "wrong", "InvalidAccessKeyId"),
    ):
        credentials(monkeypatch, access, secret)
        with pytest.raises(NotAllowed, match=f"not accepted .403 {code}.*AWS_ACCESS_KEY_ID"):
            S3Worm(BUCKET, "x", endpoint=rgw, region="us-east-1").create(retention_days=1)


@only_rgw
def test_anothers_bucket_is_refused(locked: Locked, rgw: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With what is needed to be let in."""
    store, it, _ = locked
    credentials(monkeypatch, rgw_server.OTHER_ACCESS_KEY, rgw_server.OTHER_SECRET_KEY)
    other = S3Worm(BUCKET, endpoint=rgw, region="us-east-1")
    for act in (other.facts, lambda: put(other, key="x"), lambda: list(other.versions()), lambda: other.get(it["Key"])):
        with pytest.raises(NotAllowed, match="policy"):
            act()
    other.close()
    assert store.get(KEY) == DATA


def test_a_bucket_without_a_lock_is_seen(rgw: str, owner: Any) -> None:
    """And refuses what is to be locked."""
    owner.create_bucket(Bucket="plain")
    store = S3Worm("plain", endpoint=rgw, region="us-east-1")
    assert (store.facts().versioning, store.facts().lock, store.facts().default_mode) == (False, False, None)
    with pytest.raises(Misconfigured, match="store audit init"):
        put(store)
    store.close()


def test_a_missing_bucket_is_said_and_made(rgw: str, owner: Any) -> None:
    """With versions, locks and a default retention."""
    assert owner
    store = S3Worm("made-by-init", endpoint=rgw, region="us-east-1")
    for act in (store.facts, lambda: put(store), lambda: list(store.versions()), lambda: store.get(KEY)):
        with pytest.raises(Misconfigured, match=r"bucket made-by-init.* does not exist.*store audit init"):
            act()
    store.create(retention_days=3)
    facts = store.facts()
    assert (facts.versioning, facts.lock, facts.default_mode, facts.default_days) == (True, True, COMPLIANCE, 3)
    store.close()


# What is sent, and what comes of trouble on the way: a proxy before a server that does not keep locks.


@pytest.fixture(name="moto", scope="module")
def _moto() -> Iterator[str]:
    """A server that knows the words."""
    with pytest.MonkeyPatch.context() as patch, s3_server(patch) as url:
        store = S3Worm(BUCKET, endpoint=url, region="us-east-1")
        store.create(retention_days=1)
        store.close()
        yield url


@pytest.fixture(name="proxy")
def _proxy(moto: str) -> Iterator[Proxy]:
    """What stands between us and the server."""
    made = Proxy(moto)
    yield made
    made.close()


@pytest.fixture(name="pauses", autouse=True)
def _pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Seconds that would have been waited between attempts; nobody waits here."""
    pauses: list[float] = []
    monkeypatch.setattr("botocore.endpoint.time", SimpleNamespace(sleep=pauses.append))
    return pauses


@pytest.fixture(name="store")
def _store(proxy: Proxy, request: pytest.FixtureRequest) -> Iterator[S3Worm]:
    """An empty store behind the proxy, whose clock was just read."""
    made = S3Worm(BUCKET, named(request), endpoint=proxy.url, region="us-east-1", read_timeout_s=1.0)
    made.now()
    proxy.requests.clear()
    proxy.headers.clear()
    proxy.paths.clear()
    yield made
    made.close()


def test_a_put_carries_all_that_a_lock_asks_for(store: S3Worm, proxy: Proxy) -> None:
    """Amazon refuses a lock without a checksum, as none of the servers here does: it is held by what is sent."""
    put(store)
    [said] = proxy.headers
    assert proxy.requests == ["PUT"]
    assert said["x-amz-checksum-sha256"] == "LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ="
    assert said["content-md5"] == "XUFAKrxLKna5cZ2REBfFkg=="
    assert md5(DATA, usedforsecurity=False).hexdigest() == "5d41402abc4b2a76b9719d911017c592"
    assert said["if-none-match"] == "*"
    assert said["x-amz-object-lock-mode"] == "COMPLIANCE"
    assert said["x-amz-object-lock-retain-until-date"].endswith("Z")
    assert "." not in said["x-amz-object-lock-retain-until-date"]
    assert said["content-length"] == "5"
    assert "aws-chunked" not in said.get("content-encoding", "")
    assert "x-amz-trailer" not in said
    assert "x-amz-object-lock-event-hold" not in said


def test_a_large_object_is_one_request(proxy: Proxy, request: pytest.FixtureRequest) -> None:
    """The lock of one in parts may get lost."""
    store = S3Worm(BUCKET, named(request), endpoint=proxy.url, region="us-east-1")
    put(store, bytes(12 << 20))
    assert proxy.requests == ["HEAD", "PUT"]
    assert "uploads" not in proxy.paths[-1]
    store.close()


def test_an_extension_and_a_hold_carry_a_checksum(store: S3Worm, proxy: Proxy) -> None:
    """Amazon asks for one with these too."""
    version_id = put(store)
    proxy.headers.clear()
    proxy.requests.clear()
    store.extend(KEY, version_id, Timestamp((store.now() + 3 * DAY) // SECOND * SECOND))
    store.hold(KEY, version_id, on=True)
    puts = [said for method, said in zip(proxy.requests, proxy.headers, strict=True) if method == "PUT"]
    assert len(puts) == 2
    assert all("x-amz-checksum-sha256" in said for said in puts)


def test_an_account_is_named_with_every_request(proxy: Proxy) -> None:
    """So that a bucket of the same name in another account gets nothing."""
    store = S3Worm(BUCKET, "owned", endpoint=proxy.url, region="us-east-1", owner="123456789012")
    version_id = put(store)
    store.get(KEY, version_id)
    list(store.versions())
    store.facts()
    assert all(said["x-amz-expected-bucket-owner"] == "123456789012" for said in proxy.headers)
    store.close()


def test_a_server_that_knows_no_conditions_is_not_asked_again(store: S3Worm, proxy: Proxy) -> None:
    """It says so; whoever puts looks afterwards."""
    proxy.plans = [NOT_IMPLEMENTED]
    put(store)
    put(store, key="b")
    assert ["if-none-match" in said for said in proxy.headers] == [True, False, False]


ROWS: list[tuple[int, str, str, type[WormError]]] = [
    (412, "PreconditionFailed", "no", Occupied),
    (409, "ConditionalRequestConflict", "no", Occupied),
    (409, "InvalidBucketState", "no", Misconfigured),
    (400, "InvalidRequest", "Bucket is missing Object Lock Configuration", Misconfigured),
    (400, "InvalidRequest", "Content-MD5 OR x-amz-checksum- HTTP header is required for Put Object", Misconfigured),
    (400, "BadDigest", "no", Garbled),
    (400, "InvalidArgument", "The retain until date must be in the future!", Misconfigured),
    (400, "InvalidArgument", "Unknown wormMode directive.", Misconfigured),
    (400, "InvalidRetentionPeriod", "no", Misconfigured),
    (403, "RequestTimeTooSkewed", "no", Skewed),
    (403, "AccessDenied", "Access Denied because object protected by object lock.", Protected),
    (403, "AccessDenied", "Access Denied", NotAllowed),
    (403, "InvalidAccessKeyId", "no", NotAllowed),
    (403, "SignatureDoesNotMatch", "no", NotAllowed),
    (400, "ExpiredToken", "no", NotAllowed),
    (400, "IllegalLocationConstraintException", "no", Misconfigured),
    (404, "NoSuchBucket", "no", Misconfigured),
    (404, "NoSuchVersion", "no", NoSuchVersion),
    (405, "MethodNotAllowed", "no", NoSuchVersion),
    (500, "InternalError", "no", Unreachable),
    (503, "SlowDown", "no", Unreachable),
    (503, "ServiceUnavailable", "no", Unreachable),
    (429, "TooManyRequests", "no", Unreachable),
    (409, "OperationAborted", "no", Unreachable),
    (418, "ImATeapot", "no", Misconfigured),
]
"""Rows of protocols/audit-worm.md §1.6, and a few more: what an answer means."""


@pytest.mark.parametrize(("status", "code", "message", "error"), ROWS, ids=[f"{row[0]}-{row[1]}" for row in ROWS])
def test_every_answer_means_one_thing(
    store: S3Worm, proxy: Proxy, status: int, code: str, message: str, error: type[WormError]
) -> None:
    """Whatever was asked; the code is told, and nothing else of the answer."""
    acts: list[Callable[[], object]] = [
        lambda: put(store),
        lambda: store.get(KEY, "v"),
        lambda: list(store.versions("a")),
        lambda: store.hold(KEY, "v", on=True),
    ]
    proxy.always = Answer(status, code, f"{message} {SECRET_KEY}")
    for act in acts:
        with pytest.raises(error) as raised:
            act()
        assert code in str(raised.value)
        assert SECRET_KEY not in str(raised.value)
        assert raised.value.__suppress_context__


@pytest.mark.parametrize(
    ("status", "error"), [(403, NotAllowed), (404, NoSuchVersion), (400, NoSuchVersion), (503, Unreachable)]
)
def test_an_answer_without_a_body_is_understood(
    store: S3Worm, proxy: Proxy, status: int, error: type[WormError]
) -> None:
    """HEAD has none: its status must do."""
    proxy.plans = [Answer(status, "")] * ATTEMPTS_MAX
    with pytest.raises(error):
        store.lock_of(KEY, "v")


@pytest.mark.parametrize("trouble", [DROP, SILENT, BUSY])
def test_what_passes_soon_is_not_noticed(store: S3Worm, proxy: Proxy, trouble: str) -> None:
    """What only reads is asked again twice; then its outcome is not known."""
    version_id = put(store)
    proxy.plans = [trouble] * (ATTEMPTS_MAX - 1)
    assert store.get(KEY, version_id) == DATA
    proxy.plans = [trouble] * ATTEMPTS_MAX
    with pytest.raises(Unreachable):
        store.get(KEY, version_id)


@pytest.mark.parametrize("trouble", [DROP, SILENT, BUSY, LOST, Answer(500, "InternalError", after=True)])
def test_a_put_is_never_repeated_blindly(store: S3Worm, proxy: Proxy, trouble: str | Answer) -> None:
    """Some servers would make a second version of it."""
    proxy.plans = [trouble]
    with pytest.raises(Unreachable):
        put(store)
    assert proxy.requests == ["PUT"]


LOSSES: list[str | Answer] = [LOST, Answer(503, "SlowDown", after=True), Answer(500, "InternalError", after=True)]


@pytest.mark.parametrize("lost", LOSSES)
def test_an_answer_lost_after_it_was_done_leaves_one_version(store: S3Worm, proxy: Proxy, lost: str | Answer) -> None:
    """The next attempt looks first, and finds that it was ourselves."""
    proxy.plans = [None, lost]
    with pytest.raises(Unreachable):
        ship(store, KEY, DATA, retention=RETENTION, now=store.now(), conditional=True)
    stored = ship(store, KEY, DATA, retention=RETENTION, now=store.now(), conditional=True)
    assert [each.version_id for each in store.versions_of(KEY)] == [stored.version_id]
    assert proxy.requests.count("PUT") == 1


@pytest.mark.parametrize("lost", LOSSES)
def test_also_where_taken_keys_are_not_refused(
    owner: Any, rgw: str, request: pytest.FixtureRequest, lost: str | Answer
) -> None:
    """The same on a server that would take it again: one version, locked."""
    assert owner
    proxy = Proxy(rgw)
    store = S3Worm(BUCKET, named(request), endpoint=proxy.url, region="us-east-1")
    store.create(retention_days=1)
    proxy.plans = [None, lost]
    with pytest.raises(Unreachable):
        ship(store, KEY, DATA, retention=RETENTION, now=store.now(), conditional=False)
    stored = ship(store, KEY, DATA, retention=RETENTION, now=store.now(), conditional=False)
    assert [each.version_id for each in store.versions_of(KEY)] == [stored.version_id]
    assert store.lock_of(KEY, stored.version_id).mode == COMPLIANCE
    store.close()
    proxy.close()


def test_a_conflict_of_a_moment_passes(store: S3Worm, proxy: Proxy) -> None:
    """409: raced with a delete. It is looked for, and put again."""
    proxy.plans = [None, Answer(409, "ConditionalRequestConflict")]
    ship(store, KEY, DATA, retention=RETENTION, now=store.now(), conditional=True)
    assert proxy.requests.count("PUT") == 2


def test_a_body_that_breaks_off_is_no_object(store: S3Worm, proxy: Proxy) -> None:
    """What was half sent is not known; the next attempt gets it."""
    version_id = put(store)
    proxy.plans = [HALF]
    with pytest.raises(Unreachable):
        store.get(KEY, version_id)
    assert store.get(KEY, version_id) == DATA


def test_the_servers_clock_is_in_its_answers(store: S3Worm, proxy: Proxy) -> None:
    """Any answer says it, a refusal too; an old one is asked for anew."""
    proxy.skew_s = 3_600
    proxy.plans = [Answer(403, "AccessDenied")]
    with pytest.raises(NotAllowed):
        put(store)
    proxy.requests.clear()
    assert abs(store.now() - SystemClock().wall() - 3_600 * SECOND) < 30 * SECOND
    assert proxy.requests == []
    store._date = (store._date or (Timestamp(0), 0.0))[0], -1e9
    store.now()
    assert proxy.requests == ["HEAD"]


@pytest.mark.parametrize("skew_s", [-SKEW_MAX_S - 30, SKEW_MAX_S + 30])
def test_a_skewed_date_stops_whoever_ships(proxy: Proxy, skew_s: int) -> None:
    """Before anything is put."""
    proxy.skew_s = skew_s
    store = S3Worm(BUCKET, endpoint=proxy.url, region="us-east-1")
    with pytest.raises(Skewed, match="NTP"):
        store_time(store, SystemClock())
    assert "PUT" not in proxy.requests
    store.close()


def test_versions_come_page_by_page(store: S3Worm, monkeypatch: pytest.MonkeyPatch) -> None:
    """More than one answer holds, in order, markers among them."""
    keys = [f"log/{number:02d}" for number in range(12)]
    for key in keys:
        put(store, key=key)
    client = client_of(store._client.meta.endpoint_url)
    client.delete_object(Bucket=BUCKET, Key=store._prefix + keys[3])
    client.close()
    paginator = store._client.get_paginator("list_object_versions")
    monkeypatch.setattr(
        store._client,
        "get_paginator",
        lambda _: SimpleNamespace(paginate=lambda **said: paginator.paginate(**said, PaginationConfig={"PageSize": 5})),
    )
    found = [(each.key, each.marker) for each in store.versions("log/")]
    assert sorted(found) == sorted([*((key, False) for key in keys), (keys[3], True)])
    assert [key for key, _ in found] == sorted(key for key, _ in found)


def test_a_bucket_without_versions_is_said(proxy: Proxy, moto: str) -> None:
    """By the answer that names none."""
    client = client_of(moto)
    client.create_bucket(Bucket="unversioned")
    client.close()
    store = S3Worm("unversioned", endpoint=proxy.url, region="us-east-1")
    with pytest.raises(Misconfigured, match="store audit init"):
        put(store)
    store.close()


def test_an_endpoint_that_is_none_is_said() -> None:
    """Before anything is asked."""
    with pytest.raises(Misconfigured, match="cannot use the bucket"):
        S3Worm(BUCKET, endpoint="no url")


def test_a_server_that_is_not_there_is_unreachable() -> None:
    """It may be there later."""
    store = S3Worm(BUCKET, endpoint="http://127.0.0.1:9", region="us-east-1")
    with pytest.raises(Unreachable):
        store.facts()
    store.close()


def test_missing_credentials_are_said(moto: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the names of the variables."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)
    store = S3Worm(BUCKET, endpoint=moto, region="us-east-1")
    with pytest.raises(NotAllowed, match="AWS_ACCESS_KEY_ID"):
        store.facts()
    store.close()


# The least-privilege policies, on a server that knows policies.

LOG = "00112233445566778899aabbccddeeff"


@pytest.fixture(name="policed")
def _policed(rgw: str, owner: Any) -> Iterator[Callable[[str], S3Worm]]:
    """Gives the other user a policy in a bucket of its own, and a store as that user sees it."""
    bucket = "policed"
    S3Worm(bucket, endpoint=rgw, region="us-east-1").create(retention_days=1)
    made: list[S3Worm] = []

    def allow(policy: str) -> S3Worm:
        statement = policy.replace('"Effect"', '"Principal": {"AWS": "arn:aws:iam:::user/other"}, "Effect"')
        owner.put_bucket_policy(Bucket=bucket, Policy=statement)
        with pytest.MonkeyPatch.context() as patch:
            credentials(patch, rgw_server.OTHER_ACCESS_KEY, rgw_server.OTHER_SECRET_KEY)
            made.append(S3Worm(bucket, endpoint=rgw, region="us-east-1"))
            made[-1].now()
        return made[-1]

    yield allow
    owner.delete_bucket_policy(Bucket=bucket)
    for each in made:
        each.close()


def test_the_writer_ships_and_cannot_remove(policed: Callable[[str], S3Worm]) -> None:
    """Everything that shipping needs is allowed; removing is not, nor another trail's objects."""
    key = f"audit/v1/{LOG}/manifest/000000000000.json"
    store = policed(writer_policy("policed", LOG, retention=RETENTION, amazon=False))
    stored = ship(store, key, DATA, retention=RETENTION, now=store.now(), conditional=False)
    assert store.facts().lock
    assert ship(store, key, DATA, retention=Retention(days=9), now=store.now(), conditional=False).version_id == (
        stored.version_id
    )
    for act in (
        lambda: store._client.delete_object(Bucket="policed", Key=key),
        lambda: store._client.delete_object(Bucket="policed", Key=key, VersionId=stored.version_id),
        lambda: store._client.put_object(Bucket="policed", Key="elsewhere", Body=b""),
    ):
        with pytest.raises(ClientError, match="AccessDenied"):
            act()
    with pytest.raises(NotAllowed):
        put(store, key=f"audit/v1/{LOG[::-1]}/x")
    with pytest.raises(NotAllowed):
        store.hold(key, stored.version_id, on=True)


def test_the_auditor_reads_and_cannot_write(policed: Callable[[str], S3Worm]) -> None:
    """Bytes, versions, dates and holds."""
    key = f"audit/v1/{LOG}/manifest/000000000001.json"
    writer = policed(writer_policy("policed", LOG, retention=RETENTION, amazon=False))
    stored = ship(writer, key, DATA, retention=RETENTION, now=writer.now(), conditional=False)
    store = policed(auditor_policy("policed", LOG))
    assert store.get(key, stored.version_id) == DATA
    lock = store.lock_of(key, stored.version_id)
    assert (lock.mode, lock.retain_until, lock.visible) == (COMPLIANCE, stored.retain_until, True)
    assert key in {each.key for each in store.versions(f"audit/v1/{LOG}/")}
    assert store.facts().lock
    later = Timestamp((store.now() + 9 * DAY) // SECOND * SECOND)
    for act in (
        lambda: put(store, key=key),
        lambda: store.hold(key, stored.version_id, on=True),
        lambda: store.extend(key, stored.version_id, later),
    ):
        with pytest.raises(NotAllowed):
            act()


def test_who_may_not_see_dates_is_told_so(policed: Callable[[str], S3Worm]) -> None:
    """No lock and a hidden one are told apart."""
    key = f"audit/v1/{LOG}/manifest/000000000002.json"
    writer = policed(writer_policy("policed", LOG, retention=RETENTION, amazon=False))
    stored = ship(writer, key, DATA, retention=RETENTION, now=writer.now(), conditional=False)
    policy = auditor_policy("policed", LOG).replace('"s3:GetObjectRetention",', "")
    lock = policed(policy).lock_of(key, stored.version_id)
    assert lock.visible is (lock.mode is not None)
