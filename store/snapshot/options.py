"""When snapshots are taken, and how long they and the log behind them stay."""

from dataclasses import dataclass


@dataclass(frozen=True)
class SnapshotOptions:
    """The options of snapshots and retention."""

    block_size: int = 256 << 10
    """Bytes of rows in one block before compression, default 256 KiB. Smaller blocks are shared more often between
    snapshots, so that each writes and backs up less; larger ones are fewer files and compress a little better."""

    bytes_between: int = 256 << 20
    """Bytes of log after which a snapshot is taken, default 256 MiB; 0 is never for this reason. Less keeps less log on
    disk and restarts sooner; more writes snapshots less often."""

    transactions_between: int = 1_000_000
    """Transactions after which a snapshot is taken, default 1,000,000; 0 is never for this reason. As bytes_between."""

    interval_s: float = 3_600.0
    """Seconds after which a snapshot is taken if anything has changed, default 3,600; 0 is never for this reason. Less
    leaves less log to replay on a quiet store; more writes snapshots less often."""

    restart_time_max_s: float = 10.0
    """Seconds that a restart may take, default 10; 0 is no bound. By the rates that this store has measured, a snapshot
    is taken when half of it would go into replay. Less restarts sooner; more writes snapshots less often. Rows have to
    be loaded in any case: a store that needs longer for those alone cannot keep the bound, and says so."""

    keep_last: int = 3
    """Snapshots kept, the newest ones, default 3, at least 2: the one before the newest is what recovery falls back to.
    More gives more bases to restore from; blocks that did not change are shared, so each costs what changed."""

    keep_daily: int = 7
    """Days of which the last snapshot is kept, default 7. More goes back further, to a moment a day; less needs less
    disk."""

    keep_for_s: float = 86_400.0
    """Seconds back to which every moment can be restored, default 86,400, a day. More keeps more log; less needs less
    disk. Where a disk is full, nothing that this promises is given up."""

    grace_s: float = 3_600.0
    """Seconds that a file stays after nothing needs it any more, default 3,600. It must be longer than a copy of the
    directory takes (cp, rsync); less frees disk sooner. While less disk is free than the reserve, a running store
    shortens it to what wins that room."""

    lease_s: float = 900.0
    """Seconds that a reader (a push, a drill, a restore from a running store) holds what it reads without saying so
    again, default 900. Less frees disk sooner after a reader died; more tolerates slower ones."""

    drill_interval_s: float = 0.0
    """Seconds between two drills, in which the newest snapshot and the log are restored into scratch space and compared
    with the live tables; default 0, never. A drill reads the whole store once and needs its size as scratch space."""
