"""What kind of store an audit trail may be written to: made, looked at, and who may do what in it.

Laws: without versions and locks nothing is written. A default retention is for what others put there: what a trail puts
says its own. The writer may add and lengthen, and nothing else; the auditor may look, and nothing else.
"""

import json
from hashlib import sha256
from typing import Any, Final

from store.audit.objects.layout import ROOT, folder_of
from store.audit.shipping.putting import RETENTION_DAYS_MAX, Retention
from store.env.worm import COMPLIANCE, BucketFacts, Misconfigured, Occupied, WormStore
from store.ids import Timestamp

PROBE: Final = f"{ROOT}probe/if-none-match"
"""The key that is put twice to see whether the store refuses a key that is taken; outside every trail."""
PROBE_BYTES: Final = b"commitstore audit: does this store refuse a key that is taken?\n"


def prepare_bucket(store: WormStore, *, retention: Retention) -> tuple[BucketFacts, list[str]]:
    """Make the store where there is none, and look at it: its facts, and what is not as it should be."""
    store.create(retention_days=retention.days)
    return check_bucket(store)


def check_bucket(store: WormStore) -> tuple[BucketFacts, list[str]]:
    """What kind of store it is, and what is weaker than it should be. Misconfigured: no trail may be written there."""
    facts = store.facts()
    if not facts.versioning:
        raise Misconfigured(
            f"{store.url} keeps no versions: what is put there twice is lost",
            hint="Turn versioning on, and Object Lock, which needs it; or name a bucket that `store audit init` makes.",
        )
    if not facts.lock:
        raise Misconfigured(
            f"{store.url} has no Object Lock: nothing put there is kept from being removed",
            hint="Turn Object Lock on for this bucket, or name a new one: `store audit init` makes it.",
        )
    warnings = []
    if not facts.enforced:
        warnings.append(f"{store.url} is a folder: whoever owns it can change it; that would be found, not prevented")
    if facts.default_mode is None:
        warnings.append(f"{store.url} has no default retention: what others put there is not locked")
    elif facts.default_mode != COMPLIANCE:
        warnings.append(f"the default retention of {store.url} is {facts.default_mode}, which some may lift")
    return facts, warnings


def refuses_taken_keys(store: WormStore, until: Timestamp) -> bool:
    """Whether the store refuses a key that is taken (If-None-Match). At most two versions of PROBE are ever put."""
    digest = sha256(PROBE_BYTES).hexdigest()
    there = sum(1 for each in store.versions_of(PROBE) if not each.marker)
    for _ in range(there, 2):
        try:
            store.put(PROBE, PROBE_BYTES, sha256=digest, retain_until=until)
        except Occupied:
            return True
    return False


def writer_policy(bucket: str, log: str, *, prefix: str = "", retention: Retention, amazon: bool = True) -> str:
    """The policy of whoever ships this trail, as JSON: for a role of its own, in an account of its own.

    `amazon`: with the two conditions on keys that other servers do not know: Ceph's denies every PUT for them.
    """
    objects, everything = _objects(bucket, log, prefix), f"arn:aws:s3:::{bucket}"
    longest = min(RETENTION_DAYS_MAX, retention.days + 31)
    return _document(
        {
            "Sid": "Add",
            "Effect": "Allow",
            "Action": [
                "s3:PutObject",
                "s3:PutObjectRetention",
                "s3:GetObject",
                "s3:GetObjectVersion",
                "s3:GetObjectRetention",
                "s3:GetObjectLegalHold",
            ],
            "Resource": objects,
        },
        _looking(everything),
        {
            "Sid": "NeverRemoveNorLoosen",
            "Effect": "Deny",
            "Action": [
                "s3:DeleteObject",
                "s3:DeleteObjectVersion",
                "s3:BypassGovernanceRetention",
                "s3:PutObjectLegalHold",
                "s3:PutLifecycleConfiguration",
                "s3:PutBucketVersioning",
                "s3:PutBucketObjectLockConfiguration",
                "s3:PutBucketPolicy",
                "s3:DeleteBucket",
                "s3:DeleteBucketPolicy",
                "s3:PutReplicationConfiguration",
            ],
            "Resource": [everything, f"{everything}/*"],
        },
        {
            "Sid": "OnlyInComplianceMode",
            "Effect": "Deny",
            "Action": "s3:PutObject",
            "Resource": f"{everything}/*",
            "Condition": {"StringNotEquals": {"s3:object-lock-mode": COMPLIANCE}},
        },
        {
            "Sid": "OnlyForLongEnough",
            "Effect": "Deny",
            "Action": ["s3:PutObject", "s3:PutObjectRetention"],
            "Resource": f"{everything}/*",
            "Condition": {"NumericLessThan": {"s3:object-lock-remaining-retention-days": str(retention.days)}},
        },
        {
            "Sid": "NotForEver",
            "Effect": "Deny",
            "Action": ["s3:PutObject", "s3:PutObjectRetention"],
            "Resource": f"{everything}/*",
            "Condition": {"NumericGreaterThan": {"s3:object-lock-remaining-retention-days": str(longest)}},
        },
        *(_amazons(everything) if amazon else ()),
    )


def _amazons(everything: str) -> tuple[dict[str, Any], ...]:
    return (
        {
            "Sid": "OnlyFreeKeys",
            "Effect": "Deny",
            "Action": "s3:PutObject",
            "Resource": f"{everything}/*",
            "Condition": {"Null": {"s3:if-none-match": "true"}},
        },
        {
            "Sid": "NoEventHold",
            "Effect": "Deny",
            "Action": ["s3:PutObject", "s3:PutObjectRetention"],
            "Resource": f"{everything}/*",
            "Condition": {"Null": {"s3:object-lock-event-hold": "false"}},
        },
    )


def auditor_policy(bucket: str, log: str, *, prefix: str = "") -> str:
    """The policy of whoever reads this trail, as JSON: versions, dates and holds, and nothing that writes.

    What writes is denied by name: Ceph's gateway (16.2) lets others lock and hold where a policy is silent on it.
    """
    return _document(
        {
            "Sid": "Read",
            "Effect": "Allow",
            "Action": [
                "s3:GetObject",
                "s3:GetObjectVersion",
                "s3:GetObjectRetention",
                "s3:GetObjectLegalHold",
            ],
            "Resource": _objects(bucket, log, prefix),
        },
        _looking(f"arn:aws:s3:::{bucket}"),
        {
            "Sid": "NeverWrite",
            "Effect": "Deny",
            "Action": [
                "s3:PutObject",
                "s3:PutObjectRetention",
                "s3:PutObjectLegalHold",
                "s3:DeleteObject",
                "s3:DeleteObjectVersion",
                "s3:BypassGovernanceRetention",
            ],
            "Resource": f"arn:aws:s3:::{bucket}/*",
        },
    )


def _looking(everything: str) -> dict[str, Any]:
    """What both need to see of the bucket itself."""
    actions = ["ListBucket", "ListBucketVersions", "GetBucketVersioning", "GetBucketObjectLockConfiguration"]
    return {
        "Sid": "Look",
        "Effect": "Allow",
        "Action": [f"s3:{each}" for each in actions],
        "Resource": everything,
    }


def _objects(bucket: str, log: str, prefix: str) -> list[str]:
    before = f"arn:aws:s3:::{bucket}/{prefix}/" if prefix else f"arn:aws:s3:::{bucket}/"
    return [f"{before}{folder_of(log)}*", f"{before}{PROBE}"]


def _document(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": statements}, indent=2)
