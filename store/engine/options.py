"""What an operator may tune in the engine; each field says its unit, its default and its trade-off."""

from dataclasses import dataclass


@dataclass(frozen=True)
class EngineOptions:
    """The engine's options."""

    free_space_reserve: int = 256 << 20
    """Bytes of free disk space below which calls are refused, default 256 MiB. More is safer on a disk shared with
    others; less uses more of the disk. It must hold what arrives between two looks at the disk, the records of
    stopping, and later a snapshot."""

    group_size_max: int = 64 << 20
    """Bytes of records that may wait for one sync, default 64 MiB; past it calls are refused until the sync is done.
    More takes larger bursts of large calls; less bounds the RAM and the disk that one frame of calls can take."""

    fsync_inline_max_ms: float = 2.0
    """Milliseconds a sync may take, on average, to run on the writer's own thread, default 2. More lets a lone caller
    wait less; less has a thread take the sync sooner, so that reads and sockets stay responsive on a slow disk."""

    vouch_idle_ms: float = 50.0
    """Milliseconds without a call after which an empty batch vouches for the last one, default 50. Less narrows the
    moments in which damage to the last batch could pass for a torn tail; each vouch costs one sync."""

    blank_size: int = 2 << 20
    """Bytes of zeros kept behind a log that grows slowly, default 2 MiB; 0 for none. A sync of what is written over
    them takes a quarter less time. More lets it grow faster before that is lost; less writes and takes less disk."""

    clock_jump_max_s: float = 300.0
    """Seconds the wall clock may jump, either way, before calls are refused until an operator confirms, default 300.
    Less catches smaller errors; more tolerates a machine that sleeps."""

    tail_size_max: int = 64 << 20
    """Bytes of the newest records kept in RAM for subscribers that come back, default 64 MiB. More lets them stay away
    longer before they get all rows anew; less leaves more RAM to rows."""

    reducer_time_max_ms: float = 1_000.0
    """Milliseconds a reducer may run, default 1,000; nothing else happens meanwhile. More lets larger calls end; less
    keeps everybody else waiting shorter when one goes astray. Past it the call fails and nothing is changed; past ten
    times that, where it cannot be interrupted, the process stops."""
