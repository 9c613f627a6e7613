"""An object store in S3, or in anything that speaks its protocol, by boto3.

Laws: every PUT is one request that carries the SHA-256 of its bytes, which the server checks before it stores. Where a
name must be free, the server is told so (If-None-Match), and asked first for those that do not know the header. A
request is repeated only by boto3's standard mode: timeouts, broken connections, 5xx and "slow down", with growing
random pauses. No error here holds more of the server's answer than its code: nothing of a request, no secret.
"""

import base64
import errno
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, suppress
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final, NoReturn

import boto3
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionClosedError,
    ConnectTimeoutError,
    EndpointConnectionError,
    HTTPClientError,
    IncompleteReadError,
    NoCredentialsError,
    NoRegionError,
    PartialCredentialsError,
    ReadTimeoutError,
    ResponseStreamingError,
)

from store.env.objects import check_put, is_name
from store.env.world import Item, ObjectHead, Result
from store.errors import DirectoryError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import GetObjectOutputTypeDef

ATTEMPTS_MAX: Final = 6
"""Requests made for one act before the failure is told; between them pauses of up to 1, 2, 4, … 20 s at random."""
CONNECT_TIMEOUT_S: Final = 10.0
READ_TIMEOUT_S: Final = 60.0
LANES: Final = 8
"""Objects under way at once."""
READS_MAX: Final = 3
"""How often an object is asked for whose bytes broke off on the way: boto3 repeats no half answer."""


class S3Objects:
    """Objects in one bucket, below one prefix (ObjectStore)."""

    def __init__(
        self,
        bucket: str,
        prefix: str = "",
        *,
        endpoint: str = "",
        region: str = "",
        read_timeout_s: float = READ_TIMEOUT_S,
    ) -> None:
        """Nothing is asked of the server yet. `endpoint` is the URL of a server that is not Amazon's."""
        self._bucket = bucket
        self._prefix = f"{prefix}/" if prefix else ""
        self._where = f"the bucket {bucket}" + (f" at {endpoint}" if endpoint else "")
        self._knows_if_none_match = True
        config = Config(
            retries={"mode": "standard", "total_max_attempts": ATTEMPTS_MAX},
            connect_timeout=CONNECT_TIMEOUT_S,
            max_pool_connections=LANES,
            read_timeout=read_timeout_s,
            s3={"addressing_style": "path" if endpoint else "auto"},
            request_checksum_calculation="when_required",  # Ours is explicit, and the one that is wanted.
            response_checksum_validation="when_required",
        )
        try:
            self._client: S3Client = boto3.client(
                "s3", endpoint_url=endpoint or None, region_name=region or None, config=config
            )
        except (BotoCoreError, ValueError) as error:
            self._fail(error, "")

    @property
    def url(self) -> str:
        """Where this is."""
        return f"s3://{self._bucket}/{self._prefix}".rstrip("/")

    def close(self) -> None:
        """Let go of the connections."""
        self._client.close()

    def put(self, name: str, data: bytes, *, if_absent: bool) -> bool:
        """Store all of `data`, or say that it was there."""
        check_put(name, data)
        digest = sha256(data)
        if if_absent and self._taken(name, data):
            return False
        arguments: dict[str, Any] = {
            "Bucket": self._bucket,
            "Key": self._prefix + name,
            "Body": data,
            "ChecksumAlgorithm": "SHA256",
            "ChecksumSHA256": base64.b64encode(digest.digest()).decode("ascii"),
        }
        conditional: dict[str, Any] = {"IfNoneMatch": "*"} if if_absent and self._knows_if_none_match else {}
        try:
            self._client.put_object(**arguments, **conditional)
        except ClientError as error:
            code = error_code(error)
            if conditional and code in _TAKEN:
                # Somebody was quicker, or it was us: an attempt whose answer was lost.
                if self._taken(name, data):
                    return False
                raise OSError(errno.EIO, f"others put and remove this name in {self._where}", name) from None
            if not (conditional and code in UNKNOWN_HEADER_CODES):
                self._fail(error, name)
            self._knows_if_none_match = False
            return self.put(name, data, if_absent=True)
        except BotoCoreError as error:
            self._fail(error, name)
        return True

    def get(self, name: str, start: int = 0, length: int | None = None) -> bytes:
        """The object's bytes from `start`."""
        assert is_name(name), name
        if length == 0:
            return b"" if self.head(name) else self._missing(name)
        end = "" if length is None else str(start + length - 1)
        for _ in range(READS_MAX):
            answer = self._ask(name, f"bytes={start}-{end}")
            if answer is None:
                return b""
            with (
                closing(answer["Body"]) as body,
                suppress(ReadTimeoutError, ResponseStreamingError, IncompleteReadError),
            ):
                return body.read()
        raise ConnectionError(errno.ECONNRESET, f"the answers of {self._where} break off, {READS_MAX} times", name)

    def _ask(self, name: str, wanted: str) -> "GetObjectOutputTypeDef | None":
        """The answer's head, its body to come; None for bytes at the object's end or behind it."""
        try:
            return self._client.get_object(Bucket=self._bucket, Key=self._prefix + name, Range=wanted)
        except ClientError as error:
            if error_code(error) == "InvalidRange":
                return None
            if error_code(error) in MISSING_CODES:
                self._missing(name)
            self._fail(error, name)
        except BotoCoreError as error:
            self._fail(error, name)

    def head(self, name: str) -> ObjectHead | None:
        """Its size, and its hash where the server keeps one of the whole object."""
        assert is_name(name), name
        try:
            answer = self._client.head_object(Bucket=self._bucket, Key=self._prefix + name, ChecksumMode="ENABLED")
        except ClientError as error:
            if error_code(error) in MISSING_CODES:
                return None
            self._fail(error, name)
        except BotoCoreError as error:
            self._fail(error, name)
        return ObjectHead(answer["ContentLength"], hex_checksum(answer.get("ChecksumSHA256", "")))

    def names(self, prefix: str = "") -> list[str]:
        """All names that begin with `prefix`, page by page."""
        found: list[str] = []
        try:
            pages = self._client.get_paginator("list_objects_v2").paginate(
                Bucket=self._bucket, Prefix=self._prefix + prefix
            )
            for page in pages:
                found += (each["Key"].removeprefix(self._prefix) for each in page.get("Contents", ()))
        except (ClientError, BotoCoreError) as error:
            self._fail(error, "")
        return sorted(name for name in found if is_name(name))

    def remove(self, name: str) -> None:
        """Take the object away; under versioning its older versions stay."""
        assert is_name(name), name
        try:
            self._client.delete_object(Bucket=self._bucket, Key=self._prefix + name)
        except ClientError as error:
            if error_code(error) in {"AccessDenied", "403"}:
                raise PermissionError(errno.EPERM, f"{self._where} lets it not be removed", name) from None
            self._fail(error, name)
        except BotoCoreError as error:
            self._fail(error, name)

    def each(self, act: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
        """Up to LANES at once, each on a thread of its own: most of the time is spent on the way."""
        under_way: deque[Future[Result]] = deque()
        with ThreadPoolExecutor(LANES, thread_name_prefix="store-s3") as pool:
            try:
                for item in items:
                    under_way.append(pool.submit(act, item))
                    if len(under_way) == LANES:
                        yield under_way.popleft().result()
                while under_way:
                    yield under_way.popleft().result()
            finally:
                for each in under_way:
                    each.cancel()

    def _taken(self, name: str, data: bytes) -> bool:
        """Whether the very same bytes are there. FileExistsError: others are."""
        head = self.head(name)
        if head is None:
            return False
        same = head.size == len(data)
        if same and head.sha256 is not None:
            same = head.sha256 == sha256(data).hexdigest()
        elif same:
            same = self.get(name) == data
        if not same:
            raise FileExistsError(errno.EEXIST, f"the name is taken by other bytes in {self._where}", name)
        return True

    def _missing(self, name: str) -> NoReturn:
        raise FileNotFoundError(errno.ENOENT, f"no such object in {self._where}", name)

    def _fail(self, error: Exception, name: str) -> NoReturn:
        """Say it in our words: what is wrong with the store, or that it cannot be reached."""
        if isinstance(error, ClientError):
            self._answered(error, name)
        if isinstance(error, NoCredentialsError | PartialCredentialsError):
            raise DirectoryError(f"there are no credentials for {self._where}", hint=CREDENTIALS_HINT) from None
        if isinstance(error, NoRegionError):
            raise DirectoryError(f"no region is named for {self._where}", hint=_REGION) from None
        if isinstance(error, ConnectTimeoutError | ReadTimeoutError):
            raise TimeoutError(
                errno.ETIMEDOUT, f"{self._where} does not answer, asked {ATTEMPTS_MAX} times", name
            ) from None
        if isinstance(error, EndpointConnectionError | ConnectionClosedError | HTTPClientError):
            raise ConnectionError(
                errno.ECONNREFUSED, f"{self._where} cannot be reached: {type(error).__name__}", name
            ) from None
        raise DirectoryError(
            f"cannot use {self._where}: {type(error).__name__}",
            hint="Check the URL, the endpoint and the AWS_* settings.",
        ) from None

    def _answered(self, error: ClientError, name: str) -> NoReturn:
        code, status = error_code(error), error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        if code == "NoSuchBucket" or (code == "404" and not name):
            message, hint = (
                f"there is no {self._where.removeprefix('the ')}",
                "Make the bucket first, or mend its name.",
            )
        elif code in CREDENTIAL_CODES:
            message, hint = f"the credentials for {self._where} are not accepted ({code})", CREDENTIALS_HINT
        elif code in REGION_CODES:
            message, hint = f"{self._where} is in another region ({code})", _REGION + self._said_region(error)
        elif code in {"AccessDenied", "403", "AllAccessDisabled"}:
            message = f"the credentials for {self._where} do not allow this ({code})"
            hint = "They need s3:ListBucket on the bucket, s3:GetObject and s3:PutObject on its objects."
        elif code == "RequestTimeTooSkewed":
            message, hint = f"this machine's clock is not {self._where}'s", "Set the clock, then try again."
        elif status >= 500 or code in BUSY_CODES:
            raise OSError(
                errno.EIO, f"{self._where} answers {status} {code}, asked {ATTEMPTS_MAX} times", name
            ) from None
        else:
            message, hint = f"{self._where} refuses {name or 'a listing'}: {status} {code}", _REFUSED
        raise DirectoryError(message, hint=hint) from None

    @staticmethod
    def _said_region(error: ClientError) -> str:
        headers = error.response.get("ResponseMetadata", {}).get("HTTPHeaders", {})
        found = headers.get("x-amz-bucket-region", "")
        return f" The server says: {found}." if found.replace("-", "").isalnum() else ""


def error_code(error: ClientError) -> str:
    """The code in the server's answer: of it nothing else is told to anybody."""
    return str(error.response.get("Error", {}).get("Code", ""))[:64]


def hex_checksum(said: str) -> str | None:
    """A checksum as S3 says it, or None: there is none, or one of parts."""
    try:
        digest = base64.b64decode(said, validate=True)
    except ValueError:
        return None
    return digest.hex() if len(digest) == 32 else None


MISSING_CODES: Final = frozenset({"NoSuchKey", "404", "NotFound"})
_TAKEN: Final = frozenset({"PreconditionFailed", "ConditionalRequestConflict", "412", "409"})
UNKNOWN_HEADER_CODES: Final = frozenset({"NotImplemented", "501"})
BUSY_CODES: Final = frozenset(
    {"SlowDown", "ServiceUnavailable", "InternalError", "RequestTimeout", "ThrottlingException"}
)
CREDENTIAL_CODES: Final = frozenset(
    {
        "InvalidAccessKeyId",
        "SignatureDoesNotMatch",
        "ExpiredToken",
        "InvalidToken",
        "TokenRefreshRequired",
        "InvalidClientTokenId",
        "401",
    }
)
REGION_CODES: Final = frozenset(
    {
        "PermanentRedirect",
        "301",
        "307",
        "AuthorizationHeaderMalformed",
        "IllegalLocationConstraintException",
        "IncorrectEndpoint",
    }
)
CREDENTIALS_HINT: Final = "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE; are they for this server?"
_REGION: Final = "Name its region (AWS_REGION, or the backup's option region)."
_REFUSED: Final = "Check the URL, the endpoint and the bucket's policy."
