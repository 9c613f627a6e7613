"""What kind of store a trail may be written to, and who may do what in it."""

import json
from dataclasses import replace

import pytest

from store.audit.objects.layout import ROOT, read_name
from store.audit.shipping.bucket import (
    PROBE,
    auditor_policy,
    check_bucket,
    prepare_bucket,
    refuses_taken_keys,
    writer_policy,
)
from store.audit.shipping.putting import Retention
from store.env.memory import MemoryClock
from store.env.worm import COMPLIANCE, SECOND, BucketFacts, Misconfigured
from store.env.worm_memory import MemoryBucket, MemoryWorm
from store.ids import Timestamp
from tests.audit.scenes import LOG

GOOD = BucketFacts(versioning=True, lock=True, default_mode=COMPLIANCE, default_days=7, enforced=True)
RETENTION = Retention(days=7)


def bucket(facts: BucketFacts | None) -> MemoryWorm:
    """A store of this kind."""
    return MemoryWorm(MemoryClock(), MemoryBucket(facts=facts))


def test_a_store_that_is_not_there_is_made() -> None:
    """As it should be."""
    store = bucket(None)
    with pytest.raises(Misconfigured):
        check_bucket(store)
    assert prepare_bucket(store, retention=RETENTION) == (GOOD, [])


@pytest.mark.parametrize(("facts", "said"), [({"versioning": False}, "versions"), ({"lock": False}, "Object Lock")])
def test_a_store_without_versions_or_locks_is_refused(facts: dict[str, bool], said: str) -> None:
    """Made by somebody else, it is not mended here."""
    with pytest.raises(Misconfigured, match=f"{said}.*store audit init"):
        prepare_bucket(bucket(replace(GOOD, **facts)), retention=RETENTION)


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ({"default_mode": None, "default_days": None}, "no default retention"),
        ({"default_mode": "GOVERNANCE"}, "GOVERNANCE"),
        ({"enforced": False}, "found, not prevented"),
    ],
)
def test_what_is_weaker_than_it_should_be_is_said(facts: dict[str, object], said: str) -> None:
    """And goes."""
    store = bucket(replace(GOOD, **facts))  # type: ignore[arg-type]
    assert [said in each for each in check_bucket(store)[1]] == [True]


@pytest.mark.parametrize("conditional", [True, False])
def test_whether_taken_keys_are_refused_is_tried(conditional: bool) -> None:  # noqa: FBT001  # The only column.
    """With at most two versions, however often."""
    store = MemoryWorm(MemoryClock(), conditional=conditional)
    until = Timestamp((store.now() // SECOND + 60) * SECOND)
    assert {refuses_taken_keys(store, until) for _ in range(4)} == {conditional}
    assert len(list(store.versions())) == (1 if conditional else 2)


def test_what_is_tried_is_no_object_of_a_trail() -> None:
    """Its key lies beside all trails."""
    assert PROBE.startswith(ROOT)
    assert read_name(PROBE) is None


def test_the_writer_may_add_and_lengthen_and_nothing_else() -> None:
    """What would remove or loosen anything is denied, whatever else is allowed."""
    statements = json.loads(writer_policy("b", LOG, prefix="p", retention=RETENTION))["Statement"]
    allowed = {action for each in statements if each["Effect"] == "Allow" for action in each["Action"]}
    denied = {action for each in statements if each["Sid"] == "NeverRemoveNorLoosen" for action in each["Action"]}
    assert allowed == {
        "s3:PutObject",
        "s3:PutObjectRetention",
        "s3:GetObject",
        "s3:GetObjectVersion",
        "s3:GetObjectRetention",
        "s3:GetObjectLegalHold",
        "s3:ListBucket",
        "s3:ListBucketVersions",
        "s3:GetBucketVersioning",
        "s3:GetBucketObjectLockConfiguration",
    }
    assert {"s3:DeleteObject", "s3:DeleteObjectVersion", "s3:BypassGovernanceRetention"} <= denied
    assert not allowed & denied
    [objects] = [each["Resource"] for each in statements if each["Sid"] == "Add"]
    assert objects == [f"arn:aws:s3:::b/p/audit/v1/{LOG}/*", f"arn:aws:s3:::b/p/{PROBE}"]


def test_the_writer_puts_locked_objects_alone() -> None:
    """In COMPLIANCE mode, for long enough and not for ever, and under free keys."""
    statements = json.loads(writer_policy("b", LOG, retention=RETENTION))["Statement"]
    conditions = [each["Condition"] for each in statements if "Condition" in each]
    assert all(each["Effect"] == "Deny" for each in statements if "Condition" in each)
    assert conditions == [
        {"StringNotEquals": {"s3:object-lock-mode": "COMPLIANCE"}},
        {"NumericLessThan": {"s3:object-lock-remaining-retention-days": "7"}},
        {"NumericGreaterThan": {"s3:object-lock-remaining-retention-days": "38"}},
        {"Null": {"s3:if-none-match": "true"}},
        {"Null": {"s3:object-lock-event-hold": "false"}},
    ]


def test_other_servers_get_no_condition_that_locks_the_writer_out() -> None:
    """Those on free keys and event holds are Amazon's."""
    known, all_of_them = (
        {each["Sid"] for each in json.loads(writer_policy("b", LOG, retention=RETENTION, amazon=amazon))["Statement"]}
        for amazon in (False, True)
    )
    assert all_of_them - known == {"OnlyFreeKeys", "NoEventHold"}


def test_the_auditor_may_look_and_nothing_else() -> None:
    """At versions, dates and holds as well."""
    statements = json.loads(auditor_policy("b", LOG))["Statement"]
    actions = {action for each in statements if each["Effect"] == "Allow" for action in each["Action"]}
    denied = {action for each in statements if each["Effect"] == "Deny" for action in each["Action"]}
    assert all(action.startswith(("s3:Get", "s3:List")) for action in actions)
    assert {"s3:PutObject", "s3:PutObjectRetention", "s3:PutObjectLegalHold", "s3:DeleteObject"} <= denied
    assert {"s3:GetObjectVersion", "s3:GetObjectRetention", "s3:GetObjectLegalHold", "s3:ListBucketVersions"} <= actions
