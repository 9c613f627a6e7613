"""The table of answers itself: each code in one row, and a sentence for each."""

from collections import Counter

import pytest
from botocore.exceptions import ClientError, ConnectTimeoutError, NoRegionError, ParamValidationError

from store.env.worm import Misconfigured, NoSuchVersion, Unreachable, WormError
from store.env.worm_answers import _ROWS, NoBucket, meaning


def answer(code: str, status: int, message: str = "") -> ClientError:
    """What boto3 raises."""
    return ClientError(
        {"Error": {"Code": code, "Message": message}, "ResponseMetadata": {"HTTPStatusCode": status}},  # type: ignore[typeddict-item]
        "PutObject",
    )


def test_a_code_stands_in_one_row() -> None:
    """Which of two would hold is never a question."""
    counts = Counter(code for row in _ROWS for code in row.codes)
    assert {code: count for code, count in counts.items() if count > 1} == {}


@pytest.mark.parametrize("status", [100, 200, 302, 400, 402, 416, 499])
def test_an_answer_in_no_row_stops_whoever_ships(status: int) -> None:
    """It is no answer that one can go on from."""
    assert type(meaning(answer("Strange", status), "the bucket b", "k")) is Misconfigured


def test_a_missing_bucket_is_told_from_a_missing_version() -> None:
    """By what was asked for, where the answer has no code."""
    assert type(meaning(answer("404", 404), "the bucket b", "")) is NoBucket
    assert type(meaning(answer("404", 404), "the bucket b", "k", "v")) is NoSuchVersion


def test_a_version_id_that_cannot_be_is_a_missing_version() -> None:
    """Amazon calls it an invalid argument, as it calls a date in the past."""
    said = "Invalid version id specified"
    assert type(meaning(answer("InvalidArgument", 400, said), "the bucket b", "k", "v")) is NoSuchVersion
    said = "The retain until date must be in the future!"
    assert type(meaning(answer("InvalidArgument", 400, said), "the bucket b", "k", "v")) is Misconfigured


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (ConnectTimeoutError(endpoint_url="http://k:hidden@h"), Unreachable),
        (NoRegionError(), Misconfigured),
        (ParamValidationError(report="hidden"), Misconfigured),
    ],
)
def test_silence_is_understood_too(error: Exception, kind: type[WormError]) -> None:
    """By what the library calls it; nothing else of it is told."""
    found = meaning(error, "the bucket b", "k")  # type: ignore[arg-type]
    assert type(found) is kind
    assert "hidden" not in str(found)


def test_where_no_object_was_asked_for_none_is_named() -> None:
    """A bucket's own trouble ends with what was answered, said once."""
    assert str(meaning(answer("403", 403), "the bucket b", "")).startswith(
        "the credentials for the bucket b do not allow this (403)."
    )
    assert "(ConnectTimeoutError)." in str(meaning(ConnectTimeoutError(endpoint_url="x"), "the bucket b", ""))
    assert "(403 AccessDenied): k" in str(meaning(answer("AccessDenied", 403), "the bucket b", "k"))
