"""What an operator may tune in the audit trail; each field says its unit, its default and its trade-off."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from store.audit.objects.batches import SIZE_LIMIT
from store.audit.objects.layout import LOG_SIZE, origin_of
from store.audit.shipping.putting import MARGIN_DAYS, RETENTION_DAYS_MAX
from store.errors import ConfigError

FULL: Final = ("refuse", "continue")
"""What may happen when the ledger is full."""
HEARTBEAT_MIN_S: Final = 1.0
EVENTS_LIMIT: Final = 1_000_000
NOTES_DAYS: Final = 1 + MARGIN_DAYS
"""Days by which the notes of keys and policies are locked for longer than batches: they are looked at once a day, and
what is shipped until they are looked at again has its own margin."""
LEDGER_SIZE_MIN: Final = 32 << 20
"""Bytes: several times the largest event there is, which is a batch by itself."""
BATCHES_MIN: Final = 4
"""Batches of full size that a ledger has room for: it writes beside what is there."""


@dataclass(frozen=True)
class AuditOptions:
    """The audit trail's options. Credentials of a bucket are none of them: they come from the environment (AWS_*)."""

    on: bool = True
    """Whether what happens is written to a trail that nobody can change unseen, default true. Without it nothing is
    shipped, and a process less runs; what the log holds can be shipped later, as far back as it reaches."""

    store: str = ""
    """Where the trail lies: a folder, or s3://bucket/prefix of a bucket with Object Lock; default none: the folder
    `bucket` in the audit folder. A folder needs nothing and can be changed by whoever owns it, which is found but not
    prevented; a bucket in COMPLIANCE mode can be changed by nobody, and costs what is kept for as long as was said."""

    endpoint: str = ""
    """URL of an S3 server that is not Amazon's, default none. One of your own costs no traffic, and is only as
    write-once as whoever runs it lets it be."""

    region: str = ""
    """The bucket's region as text, default as the environment says. Another one than the machine's costs time and
    money, and is there when the machine's is not."""

    folder: Path | None = None
    """A path to the folder of ledger, keys and secrets, default none: the data directory's path with `.audit` behind
    it. Never inside the data directory, because it must not be copied while it is in use; losing it costs the keys,
    while the ledger can be made anew."""

    domain: str = "commitstore.local"
    """The domain in the trail's name as text, default commitstore.local. One of your own tells your trails from
    everybody else's; but it is part of every signature, so choose it first: changed later, it costs a new trail."""

    retention_days: int = 1
    """Days for which each object is locked, a count, default 1: enough to try it. Regulations say years; more keeps
    evidence longer and cannot be taken back: nobody can remove a locked object before its time."""

    batch_events_max: int = 10_000
    """Count of events after which a batch is closed, default 10,000. More makes fewer objects and smaller ones in all;
    less lets an event be in the store sooner under load."""

    batch_size_max: int = 12 << 20
    """Bytes of events, before compression, after which a batch is closed, default 12 MiB. More makes fewer objects;
    less bounds the memory of whoever reads one."""

    batch_age_max_s: float = 5.0
    """Seconds after which a batch is closed, however small, default 5. Less lets an event be in the store sooner; more
    makes fewer objects of a store that has little to do."""

    ledger_size_max: int = 4 << 30
    """Bytes that may wait in the ledger while nothing can be shipped, default 4 GiB: about a day of 500 calls a second.
    More outlasts a longer outage of the bucket and takes as much disk; past it `full` says what happens. At least 32
    MiB and four times `batch_size_max`."""

    full: str = "refuse"
    """What happens while the ledger is full, as text: refuse or continue; default refuse: calls and readings of
    sensitive tables are refused. With continue calls go on, the log is kept until it can be shipped, and /readyz, a
    metric and `store audit status` say so; that serves longer, and fills the disk of the data directory instead."""

    root_key: str = ""
    """The public half of a root key as text, default none. Its secret half is kept elsewhere; it alone can revoke a
    signing key that was stolen, and only if it is named before the trail's first start. Without one, a stolen key costs
    a new trail and a word to every auditor."""

    signer: str = ""
    """A key service that signs, as text module:name, default none: a key in the audit folder signs, or the one in
    STORE_AUDIT_KEY. Its key is called without arguments and never leaves the service, so it is safer than a file; each
    checkpoint and manifest costs a request to it."""

    heartbeat_s: float = 60.0
    """Seconds between two heartbeat records, default 60. Less narrows what silence in a trail can hide; each costs a
    sync and an event of half a kilobyte. 0 writes none: then silence proves nothing."""

    witnesses: tuple[str, ...] = ()
    """Witnesses that cosign each checkpoint, as a list of texts URL=key; default none. Without one, whoever has the
    signing key could show different people different trails, unseen."""

    witnesses_min: int = 0
    """Count of witnesses whose cosignature a checkpoint needs before it is stored, default 0. More proves more, and
    waits longer: batches are stored all the same, checkpoints only with so many."""

    anchor: str = ""
    """A second store that gets a copy of each checkpoint: a folder or s3://bucket/prefix; default none. In another
    account or at another provider, it shows a trail that was cut short or made anew; it costs one small object each."""

    def __post_init__(self) -> None:
        """ConfigError names the field that cannot be."""
        origin_of(self.domain, "0" * LOG_SIZE)
        for name, least, most in (
            ("retention_days", 1, RETENTION_DAYS_MAX - MARGIN_DAYS - NOTES_DAYS),
            ("batch_events_max", 1, EVENTS_LIMIT),
            ("batch_size_max", 1, SIZE_LIMIT // 4),
            ("ledger_size_max", LEDGER_SIZE_MIN, 1 << 50),
        ):
            if not least <= getattr(self, name) <= most:
                raise ConfigError(f"{name} is {least} to {most}, found {getattr(self, name)}")
        if self.ledger_size_max < BATCHES_MIN * self.batch_size_max:
            raise ConfigError(
                f"ledger_size_max is at least {BATCHES_MIN} times batch_size_max, {BATCHES_MIN * self.batch_size_max},"
                f" found {self.ledger_size_max}: a batch that has no room in an empty ledger is never shipped",
                hint="Give the ledger more room, or close batches earlier (audit.batch_size_max)",
            )
        if not self.batch_age_max_s > 0:
            raise ConfigError(f"batch_age_max_s is more than 0, found {self.batch_age_max_s}")
        if self.heartbeat_s and self.heartbeat_s < HEARTBEAT_MIN_S:
            raise ConfigError(f"heartbeat_s is 0, or at least {HEARTBEAT_MIN_S:g}, found {self.heartbeat_s}")
        if self.full not in FULL:
            raise ConfigError(f"full is {' or '.join(FULL)}, found {self.full!r:.40}")
        if self.witnesses_min > len(self.witnesses):
            raise ConfigError(
                f"witnesses_min is {self.witnesses_min}, but {len(self.witnesses)} witnesses are named",
                hint="Name more witnesses, or ask for fewer",
            )


WAKE: Final = "wake"
"""The file in the audit folder that asks who ships to look again now: whoever sees it removes it."""


def audit_folder(data: Path, options: AuditOptions) -> Path:
    """Where ledger, keys and secrets lie for a data directory, absolute."""
    root = data.absolute()
    return options.folder.absolute() if options.folder is not None else root.with_name(f"{root.name}.audit")
