"""A write-once store in S3 with Object Lock, or in anything that speaks its protocol, by boto3.

Laws: every object is one PUT that carries its SHA-256, its MD5, its lock and If-None-Match; never a multipart upload,
whose lock some servers lose. A PUT is never repeated here: on a server that does not know If-None-Match a repetition
would be a second version, so whoever asks looks first what lies there. All else is asked three times at most. The clock
is the server's: the Date of its answers. Every failure is a WormError; none holds more of the server's answer than its
code: nothing of a request, no secret. Whether this server really keeps locks cannot be seen from its answers: what is
read back is what it says.
"""

import base64
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from hashlib import md5
from heapq import merge
from typing import TYPE_CHECKING, Any, Final, Literal

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError

from store.env.s3 import UNKNOWN_HEADER_CODES, error_code, hex_checksum
from store.env.worm import (
    COMPLIANCE,
    BucketFacts,
    Lock,
    Misconfigured,
    NotAllowed,
    Protected,
    Unreachable,
    Version,
    check_worm_put,
    is_key,
)
from store.env.worm_answers import NoBucket, meaning
from store.ids import Timestamp

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

ATTEMPTS_MAX: Final = 3
"""Requests that boto3 makes for one act, other than a PUT of an object, before the failure is told."""
CONNECT_TIMEOUT_S: Final = 5.0
READ_TIMEOUT_S: Final = 60.0
CONNECTIONS_MAX: Final = 32
"""Connections that are kept open: more than anybody asks over at once."""
CLOCK_AGE_MAX_S: Final = 60.0
"""Seconds for which the server's clock is believed to go on as ours does."""


class S3Worm:
    """Locked versions in one bucket, below one prefix (WormStore)."""

    def __init__(
        self,
        bucket: str,
        prefix: str = "",
        *,
        endpoint: str = "",
        region: str = "",
        owner: str = "",
        read_timeout_s: float = READ_TIMEOUT_S,
    ) -> None:
        """Nothing is asked of the server yet. `owner`: the account that must own the bucket, checked by the server."""
        self._bucket, self._region = bucket, region
        self._prefix = f"{prefix}/" if prefix else ""
        self._where = f"the bucket {bucket}" + (f" at {endpoint}" if endpoint else "")
        self._owned: dict[str, Any] = {"ExpectedBucketOwner": owner} if owner else {}
        self._conditional = True
        self._date: tuple[Timestamp, float] | None = None
        config = Config(
            signature_version="s3v4",
            retries={"mode": "standard", "total_max_attempts": ATTEMPTS_MAX},
            connect_timeout=CONNECT_TIMEOUT_S,
            read_timeout=read_timeout_s,
            max_pool_connections=CONNECTIONS_MAX,
            s3={"addressing_style": "path" if endpoint else "auto"},
            request_checksum_calculation="when_required",  # Ours is explicit, and the one that is wanted.
            response_checksum_validation="when_supported",
        )
        self._client = self._connect(endpoint, config)
        self._putting = self._connect(endpoint, config.merge(Config(retries={"total_max_attempts": 1})))

    def _connect(self, endpoint: str, config: Config) -> "S3Client":
        with self._said(""):
            try:
                made: S3Client = boto3.client(
                    "s3", endpoint_url=endpoint or None, region_name=self._region or None, config=config
                )
            except ValueError as error:
                raise Misconfigured(f"cannot use {self._where}: {error}", hint="Check the endpoint's URL.") from None
        made.meta.events.register("after-call.s3", self._note_date)
        return made

    @property
    def url(self) -> str:
        """Where this is."""
        return f"s3://{self._bucket}/{self._prefix}".rstrip("/")

    def facts(self) -> BucketFacts:
        """Its versioning, its lock, and its default retention."""
        with self._said(""):
            versioning = self._client.get_bucket_versioning(Bucket=self._bucket, **self._owned)
            try:
                answer = self._client.get_object_lock_configuration(Bucket=self._bucket, **self._owned)
                lock = answer["ObjectLockConfiguration"]
            except ClientError as error:
                if error_code(error) not in _NO_LOCK_CODES:
                    raise
                lock = {}
            rule = lock.get("Rule", {}).get("DefaultRetention", {})
            days = rule.get("Days") or 365 * rule.get("Years", 0)
        return BucketFacts(
            versioning=versioning.get("Status") == "Enabled",
            lock=lock.get("ObjectLockEnabled") == "Enabled",
            default_mode=rule.get("Mode"),
            default_days=days or None,
            enforced=True,
        )

    def create(self, *, retention_days: int) -> None:
        """Make the bucket where there is none; give one that has locks a default retention where it has none."""
        if not self._exists():
            self._make()
        facts = self.facts()
        if facts.lock and facts.default_mode is None:
            with self._said(""):
                self._client.put_object_lock_configuration(
                    Bucket=self._bucket,
                    ObjectLockConfiguration={
                        "ObjectLockEnabled": "Enabled",
                        "Rule": {"DefaultRetention": {"Mode": COMPLIANCE, "Days": retention_days}},
                    },
                    **self._owned,
                )

    def now(self) -> Timestamp:
        """The Date of its last answer, and the time since; asked for where that is too long ago."""
        if self._date is None or time.monotonic() - self._date[1] > CLOCK_AGE_MAX_S:
            self._date = None
            with self._said(""):
                self._client.head_bucket(Bucket=self._bucket, **self._owned)
            if self._date is None:
                raise Misconfigured(
                    f"{self._where} answers without a Date",
                    hint="Locks end by the server's clock: something on the way takes that header away.",
                )
        said, at = self._date
        return Timestamp(said + int((time.monotonic() - at) * 1e6))

    def put(self, key: str, data: bytes, *, sha256: str, retain_until: Timestamp) -> str:
        """Send all of it in one request; the id of the version it became."""
        check_worm_put(key, data, sha256, retain_until)
        arguments: dict[str, Any] = {
            "Bucket": self._bucket,
            "Key": self._prefix + key,
            "Body": data,
            "ChecksumAlgorithm": "SHA256",
            "ChecksumSHA256": base64.b64encode(bytes.fromhex(sha256)).decode("ascii"),
            "ContentMD5": _md5(data),
            "Metadata": {"sha256": sha256},
            "ObjectLockMode": COMPLIANCE,
            "ObjectLockRetainUntilDate": _moment(retain_until),
            **self._owned,
        }
        conditional: dict[str, Any] = {"IfNoneMatch": "*"} if self._conditional else {}
        with self._said(key):
            try:
                answer = self._putting.put_object(**arguments, **conditional)
            except ClientError as error:
                if not self._conditional or error_code(error) not in UNKNOWN_HEADER_CODES:
                    raise
                self._conditional = False
                answer = self._putting.put_object(**arguments)
            version_id = answer.get("VersionId", "")
        if not version_id:
            raise Misconfigured(
                f"{self._where} keeps no versions: {key} could be overwritten",
                hint="Name a bucket with versioning and Object Lock: `store audit init` makes one.",
            )
        return version_id

    def versions(self, prefix: str = "") -> Iterator[Version]:
        """All of them, page by page."""
        paginator = self._client.get_paginator("list_object_versions")
        pages = iter(paginator.paginate(Bucket=self._bucket, Prefix=self._prefix + prefix, **self._owned))
        while True:
            with self._said(prefix):
                page = next(pages, None)
                if page is None:
                    return
                stored = [self._version(each, marker=False) for each in page.get("Versions", ())]
                markers = [self._version(each, marker=True) for each in page.get("DeleteMarkers", ())]
            found = merge(markers, stored, key=lambda each: each.key)
            yield from (each for each in found if is_key(each.key))

    def versions_of(self, key: str) -> Iterator[Version]:
        """Those of one key: it comes first among those that begin with it."""
        for each in self.versions(key):
            if each.key != key:
                return
            yield each

    def lock_of(self, key: str, version_id: str) -> Lock:
        """What HEAD says; where it says nothing of a lock, whether we may see it is asked."""
        with self._said(key, version_id):
            head = self._client.head_object(
                Bucket=self._bucket,
                Key=self._prefix + key,
                VersionId=version_id,
                ChecksumMode="ENABLED",
                **self._owned,
            )
            size, digest = head["ContentLength"], hex_checksum(head.get("ChecksumSHA256", ""))
            mode: str | None = head.get("ObjectLockMode")
            until = _ended(head.get("ObjectLockRetainUntilDate"))
            visible, hold = True, head.get("ObjectLockLegalHoldStatus")
            event: Any = head.get("ObjectLockEventHold")
        if mode is None or until is None:
            mode, until, visible = self._retention(key, version_id)
        return Lock(
            size=size,
            sha256=digest,
            mode=mode,
            retain_until=until,
            legal_hold=hold == "ON" if visible else None,
            visible=visible,
            event_hold=None if event is None else event == "ON",
        )

    def get(self, key: str, version_id: str | None = None) -> bytes:
        """One version's bytes, checked against the server's checksum where there is one."""
        assert is_key(key), key
        named: dict[str, Any] = {} if version_id is None else {"VersionId": version_id}
        with self._said(key, version_id or ""):
            answer = self._client.get_object(Bucket=self._bucket, Key=self._prefix + key, **named, **self._owned)
            with closing(answer["Body"]) as body:
                return body.read()

    def extend(self, key: str, version_id: str, until: Timestamp) -> None:
        """Ask for a later date. One that is there already is not asked for again: some servers refuse that."""
        lock = self.lock_of(key, version_id)
        if lock.mode == COMPLIANCE and lock.retain_until is not None:
            if lock.retain_until == until:
                return
            if lock.retain_until > until:
                raise Protected(f"{key} in {self._where} is locked for longer than was asked for")
        with self._said(key, version_id):
            self._client.put_object_retention(
                Bucket=self._bucket,
                Key=self._prefix + key,
                VersionId=version_id,
                Retention={"Mode": COMPLIANCE, "RetainUntilDate": _moment(until)},
                ChecksumAlgorithm="SHA256",
                **self._owned,
            )

    def hold(self, key: str, version_id: str, *, on: bool) -> None:
        """Put the version under a legal hold, or lift it."""
        status: Literal["ON", "OFF"] = "ON" if on else "OFF"
        with self._said(key, version_id):
            self._client.put_object_legal_hold(
                Bucket=self._bucket,
                Key=self._prefix + key,
                VersionId=version_id,
                LegalHold={"Status": status},
                ChecksumAlgorithm="SHA256",
                **self._owned,
            )

    def close(self) -> None:
        """Let go of the connections."""
        self._client.close()
        self._putting.close()

    def _exists(self) -> bool:
        try:
            with self._said(""):
                self._client.head_bucket(Bucket=self._bucket, **self._owned)
        except NoBucket:
            return False
        except NotAllowed:
            self.facts()  # The answer to a HEAD has no code: this one says why.
            raise
        return True

    def _make(self) -> None:
        region = self._client.meta.region_name
        place: dict[str, Any] = {}
        if region and region not in {"us-east-1", "aws-global"}:  # The one place that may not be named.
            place = {"CreateBucketConfiguration": {"LocationConstraint": region}}
        with self._said(""):
            self._client.create_bucket(Bucket=self._bucket, ObjectLockEnabledForBucket=True, **place)

    def _version(self, each: Any, *, marker: bool) -> Version:
        return Version(
            key=each["Key"].removeprefix(self._prefix),
            version_id=each["VersionId"],
            size=0 if marker else each["Size"],
            marker=marker,
            latest=each["IsLatest"],
            stored_at=_timestamp(each["LastModified"]),
        )

    def _retention(self, key: str, version_id: str) -> tuple[str | None, Timestamp | None, bool]:
        """(mode, end, whether they may be seen) as GetObjectRetention says."""
        try:
            with self._said(key, version_id):
                try:
                    answer = self._client.get_object_retention(
                        Bucket=self._bucket, Key=self._prefix + key, VersionId=version_id, **self._owned
                    )
                except ClientError as error:
                    if error_code(error) in _NOT_LOCKED_CODES:
                        return None, None, True
                    raise
                found = answer.get("Retention", {})
                return found.get("Mode"), _ended(found.get("RetainUntilDate")), True
        except NotAllowed:
            return None, None, False

    def _note_date(self, http_response: Any, **_: Any) -> None:
        """Every answer says the server's time, refusals too."""
        try:
            said = parsedate_to_datetime(http_response.headers.get("date", ""))
        except (TypeError, ValueError):
            return
        self._date = _timestamp(said), time.monotonic()

    @contextmanager
    def _said(self, key: str, version_id: str = "") -> Iterator[None]:
        """Say what goes wrong in the words of a write-once store."""
        try:
            yield
        except (ClientError, BotoCoreError) as error:
            raise meaning(error, self._where, key, version_id) from None
        except _UNREADABLE as error:
            raise Unreachable(f"{self._where} answers what cannot be read ({type(error).__name__}): {key}") from None


def _md5(data: bytes) -> str:
    """As S3 wants it beside a lock: against accidents on the way, not against anybody."""
    return base64.b64encode(md5(data, usedforsecurity=False).digest()).decode("ascii")


def _moment(timestamp: Timestamp) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=timestamp)


def _ended(moment: datetime | None) -> Timestamp | None:
    return None if moment is None else _timestamp(moment)


def _timestamp(moment: datetime) -> Timestamp:
    return Timestamp((moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1))


_NO_LOCK_CODES: Final = frozenset({"ObjectLockConfigurationNotFoundError", "ObjectLockConfigurationNotFound"})
_NOT_LOCKED_CODES: Final = frozenset({"NoSuchObjectLockConfiguration", "ObjectLockConfigurationNotFoundError"})
_UNREADABLE: Final = (
    ArithmeticError,
    AttributeError,
    LookupError,
    ResponseParserError,
    RuntimeError,
    TypeError,
    ValueError,
)
"""What boto3 raises at answers that are no answers: half of its reading is not guarded."""
