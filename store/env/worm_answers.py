"""What the answers of an S3 server mean to a write-once store: a table, read from the top.

Laws: what an answer means decides what the shipper does, so nothing is passed over: an answer that is in no row is a
store that cannot be used as it is. Of the server's text nothing is handed on but its code, for it may repeat a secret.
Codes: Amazon S3 API Reference, "Error responses"; RGW's where they differ.
"""

from dataclasses import dataclass
from typing import Final

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    FlexibleChecksumError,
    HTTPClientError,
    IncompleteReadError,
    NoCredentialsError,
    NoRegionError,
    PartialCredentialsError,
    ReadTimeoutError,
    ResponseStreamingError,
)
from botocore.exceptions import ConnectionError as BotoConnectionError

from store.env.s3 import BUSY_CODES, CREDENTIAL_CODES, CREDENTIALS_HINT, REGION_CODES, error_code
from store.env.worm import (
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


class NoBucket(Misconfigured):
    """There is no such bucket."""


@dataclass(frozen=True)
class _Row:
    """Answers that mean the same."""

    codes: frozenset[str]
    error: type[WormError]
    text: str
    """With {where}, {key}, {version} and {code}."""
    hint: str = ""


@dataclass(frozen=True)
class _Silence:
    """What the client library says of no answer, or of one that it cannot read."""

    kinds: tuple[type[Exception], ...]
    error: type[WormError]
    text: str
    hint: str = ""


def meaning(error: ClientError | BotoCoreError, where: str, key: str, version_id: str = "") -> WormError:
    """The error that says what to do. `where` names the bucket, `key` and `version_id` what was asked for, if any."""
    if isinstance(error, ClientError):
        return _answer(error, where, key, version_id)
    for row in _SILENCES:
        if isinstance(error, row.kinds):
            return row.error(_filled(row.text, where=where, key=key, code=type(error).__name__), hint=row.hint)
    return Misconfigured(f"cannot use {where}: {type(error).__name__}", hint="Check URL, endpoint and AWS_* settings.")


def _answer(error: ClientError, where: str, key: str, version_id: str) -> WormError:
    code = error_code(error)
    status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    said = str(error.response.get("Error", {}).get("Message", "")).lower()
    kind = _kind(code, status, key, version_id, said)
    row = next(row for row in _ROWS if kind in row.codes)
    said_code = code if code == str(status) else f"{status} {code}"
    return row.error(_filled(row.text, where=where, key=key, version=version_id, code=said_code), hint=row.hint)


def _filled(text: str, *, key: str, **words: str) -> str:
    """A row's text; where no object was asked for, none is named."""
    return (text if key else text.removesuffix(": {key}")).format(key=key, **words)


def _kind(code: str, status: int, key: str, version_id: str, said: str) -> str:
    """The code, or one of our own where code alone does not tell: after HEAD there is no code but the status."""
    if code in {"AccessDenied", "403"} and "object lock" in said:
        return _PROTECTED
    if code == "InvalidArgument" and version_id and "version id" in said:
        return _NO_VERSION
    if any(code in row.codes for row in _ROWS):
        return code
    if status == 404 and not key:
        return "NoSuchBucket"
    if status in {404, 405} or (version_id and status == 400):
        return _NO_VERSION
    return _BUSY if status >= 500 or status == 429 else _OTHER


_PROTECTED, _NO_VERSION, _BUSY, _OTHER = "(protected)", "(no version)", "(busy)", "(other)"

_LOOK: Final = "`store audit init` looks at versioning and Object Lock of a bucket, and says what is wrong."
_REGION: Final = "Name its region (AWS_REGION, or the audit's option region)."
_POLICY: Final = "Are they meant for this bucket? `store audit init` prints the policy that whoever ships needs."
_AWAY: Final = "Is the endpoint right (audit.endpoint), and does it run? It is asked again."

_ROWS: Final = (
    _Row(
        frozenset({"PreconditionFailed", "ConditionalRequestConflict", "412"}),
        Occupied,
        "{key} is taken in {where} ({code})",
    ),
    _Row(
        frozenset({"BadDigest", "XAmzContentSHA256Mismatch", "XAmzContentChecksumMismatch", "IncompleteBody"}),
        Garbled,
        "{key} did not arrive in {where} as it was sent ({code})",
    ),
    _Row(
        frozenset({"RequestTimeTooSkewed", "RequestExpired"}),
        Skewed,
        "the clock of {where} is not this machine's ({code})",
        "Set this machine's clock (is NTP running?).",
    ),
    _Row(CREDENTIAL_CODES, NotAllowed, "the credentials for {where} are not accepted ({code})", CREDENTIALS_HINT),
    _Row(REGION_CODES, Misconfigured, "{where} is in another region ({code})", _REGION),
    _Row(frozenset({_PROTECTED}), Protected, "a lock on {key} in {where} forbids it ({code})"),
    _Row(
        frozenset({"AccessDenied", "AllAccessDisabled", "403"}),
        NotAllowed,
        "the credentials for {where} do not allow this ({code}): {key}",
        _POLICY,
    ),
    _Row(frozenset({"NoSuchBucket"}), NoBucket, "{where} does not exist ({code})", "`store audit init` makes it."),
    _Row(
        frozenset({_NO_VERSION, "NoSuchKey", "NoSuchVersion", "MethodNotAllowed"}),
        NoSuchVersion,
        "there is no version {version} of {key} in {where} ({code})",
    ),
    _Row(
        BUSY_CODES | {_BUSY, "OperationAborted"},
        Unreachable,
        "{where} answers {code}: {key}",
    ),
    _Row(
        frozenset({"InvalidBucketState"}),
        Misconfigured,
        "versioning or Object Lock of {where} is not as it was ({code})",
        _LOOK,
    ),
    _Row(
        frozenset({"InvalidArgument", "InvalidRetentionPeriod"}),
        Misconfigured,
        "{where} does not take this lock's end or mode ({code}): {key}",
        "Are the clocks right, and is the retention one that the server takes?",
    ),
    _Row(frozenset({"InvalidRequest"}), Misconfigured, "{where} refuses to lock anything ({code}): {key}", _LOOK),
    _Row(frozenset({_OTHER}), Misconfigured, "{where} refuses this ({code}): {key}", _LOOK),
)

_SILENCES: Final = (
    _Silence(
        (NoCredentialsError, PartialCredentialsError),
        NotAllowed,
        "there are no credentials for {where}",
        CREDENTIALS_HINT,
    ),
    _Silence((NoRegionError,), Misconfigured, "no region is named for {where}", _REGION),
    _Silence((FlexibleChecksumError,), Garbled, "{key} arrived from {where} as other bytes than were stored"),
    _Silence(
        (BotoConnectionError, HTTPClientError, IncompleteReadError, ReadTimeoutError, ResponseStreamingError),
        Unreachable,
        "{where} does not answer ({code}): {key}",
        _AWAY,
    ),
)
