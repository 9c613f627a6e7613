"""What only objects behind a network can meet: broken connections, servers that fail or are slow, no bucket."""

import logging
from collections.abc import Iterator
from types import SimpleNamespace

import boto3
import pytest
from botocore.config import Config

from store.env.s3 import ATTEMPTS_MAX, READS_MAX, S3Objects
from store.env.world import OBJECT_SIZE_MAX
from store.errors import DirectoryError
from tests.env.s3_server import (
    BUCKET,
    BUSY,
    DROP,
    HALF,
    LOST,
    NOT_IMPLEMENTED,
    SECRET_KEY,
    SILENT,
    Proxy,
    s3_server,
)


@pytest.fixture(name="server", scope="module")
def _server() -> Iterator[str]:
    """An S3 server for all tests of this file."""
    with pytest.MonkeyPatch.context() as patch, s3_server(patch) as url:
        yield url


@pytest.fixture(name="proxy")
def _proxy(server: str) -> Iterator[Proxy]:
    """What stands between us and the server."""
    made = Proxy(server)
    yield made
    made.close()


@pytest.fixture(name="pauses")
def _pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Seconds that would have been waited between attempts; nobody waits here."""
    pauses: list[float] = []
    monkeypatch.setattr("botocore.endpoint.time", SimpleNamespace(sleep=pauses.append))
    return pauses


@pytest.fixture(name="objects")
def _objects(proxy: Proxy, pauses: list[float], request: pytest.FixtureRequest) -> Iterator[S3Objects]:
    """An empty store behind the proxy."""
    prefix = "".join(letter for letter in request.node.name if letter.isalnum())
    made = S3Objects(BUCKET, prefix, endpoint=proxy.url, read_timeout_s=0.2)
    yield made
    made.close()


@pytest.mark.parametrize(
    ("trouble", "times"), [(DROP, 1), (DROP, ATTEMPTS_MAX - 1), (BUSY, ATTEMPTS_MAX - 1), (SILENT, 1)]
)
def test_a_request_is_repeated(objects: S3Objects, proxy: Proxy, pauses: list[float], trouble: str, times: int) -> None:
    """After broken connections, silence and 5xx, with pauses between; nobody above notices."""
    proxy.plans = [trouble] * times
    assert objects.head("a") is None
    proxy.plans = [None, *[trouble] * times]
    assert objects.put("a", b"hello", if_absent=True)
    proxy.plans = [trouble] * times
    assert objects.get("a") == b"hello"
    assert len(pauses) == 3 * times


@pytest.mark.parametrize(("trouble", "error"), [(DROP, ConnectionError), (BUSY, OSError), (SILENT, TimeoutError)])
def test_attempts_come_to_an_end(objects: S3Objects, proxy: Proxy, trouble: str, error: type[OSError]) -> None:
    """Then it is an OSError that says what happened, and how often it was tried."""
    proxy.plans = [trouble] * 100
    with pytest.raises(error, match=r"503|cannot be reached|does not answer"):
        objects.head("a")
    assert len(proxy.requests) == ATTEMPTS_MAX


def test_a_put_whose_answer_is_lost_is_not_taken_for_anothers(objects: S3Objects, proxy: Proxy) -> None:
    """It is put again, the server says the name is taken, and the bytes there are ours."""
    proxy.plans = [None, LOST]
    assert not objects.put("a", b"hello", if_absent=True)
    assert proxy.requests.count("PUT") == 2
    assert objects.get("a") == b"hello"


def test_a_body_that_breaks_off_is_asked_for_again(objects: S3Objects, proxy: Proxy) -> None:
    """A few times."""
    data = bytes(range(256)) * 1_000
    objects.put("a", data, if_absent=True)
    proxy.plans = [HALF] * (READS_MAX - 1)
    assert objects.get("a") == data
    proxy.plans = [HALF] * READS_MAX
    with pytest.raises(ConnectionError, match="break off"):
        objects.get("a")


def test_a_put_says_its_hash_and_that_the_name_is_free(objects: S3Objects, proxy: Proxy) -> None:
    """In one request with the bytes themselves, so that the server can check both."""
    objects.put("a", b"hello", if_absent=True)
    said = proxy.headers[proxy.requests.index("PUT")]
    assert said["x-amz-checksum-sha256"] == "LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ="
    assert said["if-none-match"] == "*"
    assert said["content-length"] == "5"


def test_a_server_that_knows_no_conditions_is_asked_before(objects: S3Objects, proxy: Proxy) -> None:
    """What is taken stays; it is not asked for the condition again."""
    proxy.plans = [None, NOT_IMPLEMENTED]
    assert objects.put("a", b"hello", if_absent=True)
    with pytest.raises(FileExistsError):
        objects.put("a", b"other", if_absent=True)
    proxy.headers.clear()
    assert objects.put("b", b"hello", if_absent=True)
    assert not any("if-none-match" in each for each in proxy.headers)
    assert objects.get("a") == b"hello"


def test_names_come_page_by_page(objects: S3Objects, monkeypatch: pytest.MonkeyPatch) -> None:
    """More than one answer holds."""
    expected = sorted(f"log/{number}" for number in range(25))
    for name in expected:
        objects.put(name, b"", if_absent=True)
    paginator = objects._client.get_paginator("list_objects_v2")
    pages: list[int] = []

    def small(**arguments: object) -> Iterator[object]:
        for page in paginator.paginate(**arguments, PaginationConfig={"PageSize": 10}):  # type: ignore[arg-type]
            pages.append(len(page["Contents"]))
            yield page

    monkeypatch.setattr(objects._client, "get_paginator", lambda _: SimpleNamespace(paginate=small))
    assert objects.names("log/") == expected
    assert pages == [10, 10, 5]


def test_a_missing_bucket_is_said(proxy: Proxy, pauses: list[float]) -> None:
    """Whatever was asked, with what to do; it is not repeated."""
    objects = S3Objects("no-such-bucket", endpoint=proxy.url)
    for act in (objects.names, lambda: objects.put("a", b"", if_absent=False), lambda: objects.get("a")):
        with pytest.raises(DirectoryError, match="there is no bucket no-such-bucket") as raised:
            act()
        assert "Make the bucket" in str(raised.value)
    assert pauses == []
    objects.close()


def answering(monkeypatch: pytest.MonkeyPatch, proxy: Proxy, status: int, code: str, **headers: str) -> None:
    """From here on the server says nothing else."""
    body = f"<Error><Code>{code}</Code><Message>no {SECRET_KEY}</Message></Error>".encode()
    monkeypatch.setattr(proxy, "_hand_on", lambda *_: (status, {"Content-Length": "0", **headers}, body))


@pytest.mark.parametrize(
    ("status", "code", "said"),
    [
        (403, "InvalidAccessKeyId", "credentials for the bucket .* are not accepted"),
        (403, "SignatureDoesNotMatch", "are not accepted"),
        (400, "ExpiredToken", "are not accepted"),
        (403, "AccessDenied", "s3:PutObject"),
        (301, "PermanentRedirect", "another region.*eu-west-3"),
        (400, "AuthorizationHeaderMalformed", "another region"),
        (403, "RequestTimeTooSkewed", "clock"),
        (400, "SomethingElse", "refuses .* 400 SomethingElse"),
    ],
)
def test_a_refusal_says_what_to_do(
    objects: S3Objects, proxy: Proxy, monkeypatch: pytest.MonkeyPatch, status: int, code: str, said: str
) -> None:
    """In our words: nothing of the server's text is handed on, which might repeat a secret."""
    answering(monkeypatch, proxy, status, code, **{"x-amz-bucket-region": "eu-west-3"})
    for act in (objects.names, lambda: objects.get("a"), lambda: objects.put("a", b"", if_absent=False)):
        with pytest.raises(DirectoryError, match=said) as raised:
            act()
        assert SECRET_KEY not in str(raised.value)
        assert raised.value.__suppress_context__


def test_a_refusal_without_a_body_is_understood(
    objects: S3Objects, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """HEAD has none: its status must do."""
    answering(monkeypatch, proxy, 403, "")
    with pytest.raises(DirectoryError, match="do not allow this"):
        objects.head("a")


def test_missing_credentials_are_said(proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the names of the variables."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)
    objects = S3Objects(BUCKET, endpoint=proxy.url)
    with pytest.raises(DirectoryError, match=r"there are no credentials .* AWS_ACCESS_KEY_ID"):
        objects.names()
    objects.close()


def test_an_endpoint_that_is_none_is_said() -> None:
    """Before anything is asked."""
    with pytest.raises(DirectoryError, match="cannot use the bucket"):
        S3Objects(BUCKET, endpoint="no url")


def test_a_server_that_is_not_there_is_said(pauses: list[float]) -> None:
    """An OSError: it may be there later."""
    objects = S3Objects(BUCKET, endpoint="http://127.0.0.1:9", read_timeout_s=0.2)
    with pytest.raises(ConnectionError, match="cannot be reached"):
        objects.names()
    objects.close()


def test_an_object_under_lock_is_not_removed(objects: S3Objects, proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is said as an OSError, so that whoever cleans up can go on."""
    answering(monkeypatch, proxy, 403, "AccessDenied")
    with pytest.raises(PermissionError):
        objects.remove("a")


def test_a_part_wise_hash_is_none(server: str, objects: S3Objects) -> None:
    """What was sent in parts has no hash of the whole."""
    client = boto3.client("s3", endpoint_url=server, config=Config(s3={"addressing_style": "path"}))
    client.put_object(Bucket=BUCKET, Key=objects._prefix + "a", Body=b"hello")
    client.close()
    head = objects.head("a")
    assert head is not None
    assert (head.size, head.sha256) == (5, None)
    assert not objects.put("a", b"hello", if_absent=True)
    with pytest.raises(FileExistsError):
        objects.put("a", b"hallo", if_absent=True)


def test_no_secret_is_logged(objects: S3Objects, proxy: Proxy, caplog: pytest.LogCaptureFixture) -> None:
    """Not even where everything is logged and fails."""
    with caplog.at_level(logging.DEBUG):
        proxy.plans = [BUSY]
        objects.put("a", b"hello", if_absent=True)
        objects.names()
    assert caplog.records
    assert SECRET_KEY not in caplog.text


def test_an_object_is_one_request() -> None:
    """S3 takes five gibibytes in one."""
    assert OBJECT_SIZE_MAX < 5 << 30
