"""Where the backup lies, and how often it is brought up to date."""

from dataclasses import dataclass
from pathlib import Path

from store.errors import ConfigError


@dataclass(frozen=True)
class BackupOptions:
    """The backup's options. Credentials are none of them: they come from the environment (AWS_*)."""

    url: str = ""
    """Where the backup lies: a folder, file:///path or s3://bucket/prefix; default none. One backup holds one store
    and its restored copies; a clone is another one. A place on the same disk survives a mistake, another region a
    fire."""

    interval_s: float = 0.0
    """Seconds from one push to the next while the store runs, default 0: only by hand. Less loses less when the
    machine is lost, and makes smaller segments and snapshots, for only what is sealed can be pushed."""

    endpoint: str = ""
    """URL of an S3 server that is not Amazon's, default none. One of your own costs no traffic, and is only as safe as
    the disks below it."""

    region: str = ""
    """The bucket's region, default as the environment says. Another one than the machine's costs time and money, and
    is there when the machine's is not."""

    key_file: Path | None = None
    """File with the operator's key, default none: then STORE_BACKUP_KEY counts, and without that nothing is encrypted.
    Whoever loses the key loses the backup; whoever has it and the backup has the data."""

    index_every: int = 1_000
    """Count of objects after which a push notes in the backup what it has stored so far, default 1,000. Less repeats
    fewer questions after an interrupted push; more makes fewer objects."""

    index_merge: int = 64
    """Count of such notes after which one is written that replaces them for readers, default 64. Less lets readers
    begin sooner; more writes less."""

    prune: bool = False
    """Whether a push of the running store lets go afterwards what the four options below do not keep, default false:
    then a backup only grows, until somebody prunes it. True bounds what it costs, and what it can bring back."""

    keep_last: int = 3
    """Snapshots that `store backup prune` keeps, the newest ones of each history, default 3; two stay in any case. More
    gives more to restore from, should one be damaged; unchanged blocks are shared, so each costs what changed."""

    keep_daily: int = 30
    """Days of which a prune keeps the last snapshot, default 30. More goes back further, to a moment a day; less costs
    less. A backup that keeps less than the directory is sent what it let go again by the next push."""

    keep_for_s: float = 2_592_000.0
    """Seconds back to which every moment stays restorable from the backup, default 2,592,000, thirty days. More keeps
    more log; less costs less. Nothing that this promises is given up."""

    grace_s: float = 86_400.0
    """Seconds for which something must have been unneeded before a prune removes it, default 86,400, a day. It must be
    longer than a restore, a pull or a push takes; less frees room sooner."""

    def __post_init__(self) -> None:
        if self.index_every < 1 or self.index_merge < 1:
            raise ConfigError("index_every and index_merge are at least 1")
        if min(self.keep_last, self.keep_daily, self.keep_for_s, self.grace_s) < 0:
            raise ConfigError("keep_last, keep_daily, keep_for_s and grace_s are at least 0")
        if self.interval_s and not self.url:
            raise ConfigError("interval_s needs a url", hint="Name the backup's place (backup.url), or set it to 0.")
