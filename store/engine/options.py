"""What an operator may tune in the engine; each field says its unit, its default and its trade-off."""

from dataclasses import dataclass


@dataclass(frozen=True)
class EngineOptions:
    """The engine's options."""

    free_space_reserve: int = 256 << 20
    """Bytes of free disk space below which calls are refused. More is safer on a disk shared with others; it must hold
    what arrives between two looks at the disk, the records of stopping, and later a snapshot."""

    fsync_inline_max_ms: float = 2.0
    """Milliseconds a sync may take, on average, to run on the writer's own thread. Below it a lone caller waits least;
    above it a thread takes the sync, so that reads and sockets stay responsive on a slow disk."""

    vouch_idle_ms: float = 50.0
    """Milliseconds without a call after which an empty batch vouches for the last one. Less narrows the moments in
    which damage to the last batch could pass for a torn tail; each vouch costs one sync."""

    clock_jump_max_s: float = 300.0
    """Seconds the wall clock may jump, either way, before calls are refused until an operator confirms. Less catches
    smaller errors; more tolerates a machine that sleeps."""

    tail_size_max: int = 64 << 20
    """Bytes of the newest records kept in RAM for subscribers that come back. More lets them stay away longer before
    they get all rows anew."""

    reducer_time_max_ms: float = 1_000.0
    """Milliseconds a reducer may run; nothing else happens meanwhile. Past it the call fails and nothing is changed;
    past ten times that, where it cannot be interrupted, the process stops."""
