"""What a data directory holds, as far as retention looks at it: snapshots, log, pins, and what has its grace.

Laws: manifests and headers are read, no rows and no records. A snapshot that does not read, lacks a block, or does not
fit the log is told apart: nothing may rest on it.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from store.env.world import Disk
from store.errors import CorruptionError, DirectoryError
from store.ids import Offset, Position, Timestamp
from store.log.survey import SegmentInfo, holds, segments
from store.snapshot.format import Manifest
from store.snapshot.repository import Pin, Repository

CONDEMNED: Final = "snapshot/condemned.json"
"""What is not needed any more, by file, and since when in microseconds since 1970: its grace is counted from there."""


@dataclass(frozen=True)
class SnapshotFacts:
    """One snapshot, as far as retention looks at it."""

    name: str
    offset: Offset
    timestamp: Timestamp
    """Of the record at `offset`."""
    chain: bytes
    verified: bool
    """It was read back whole once, and every block of it is still there."""
    fits: bool
    """The log that is there goes on from it."""

    @property
    def base(self) -> bool:
        """Whether the log behind it may be rested on it."""
        return self.verified and self.fits


@dataclass(frozen=True)
class Holdings:
    """What a data directory holds."""

    snapshots: tuple[SnapshotFacts, ...]
    """Those whose manifest reads, oldest first."""
    damaged: tuple[str, ...]
    """Names of those whose manifest does not read."""
    newer: tuple[str, ...]
    """Names of those written by a newer version."""
    segments: tuple[SegmentInfo, ...]
    pins: Mapping[str, Pin]
    condemned: Mapping[str, Timestamp]


def survey(disk: Disk) -> Holdings:
    """Look at everything there is. Reads manifests and headers, no rows and no records."""
    repository = Repository(disk)
    found, damaged, newer = [], [], []
    for name in repository.names():
        try:
            found.append((name, repository.manifest(name)))
        except CorruptionError:
            damaged.append(name)
        except DirectoryError:
            newer.append(name)
        except FileNotFoundError:
            continue  # It went while we looked: this is a dry run beside somebody who prunes.
    log, blocks = segments(disk), set(disk.names("block"))
    return Holdings(
        snapshots=tuple(_facts(disk, repository, name, manifest, log, blocks) for name, manifest in found),
        damaged=tuple(damaged),
        newer=tuple(newer),
        segments=tuple(log),
        pins=repository.pins(),
        condemned=read_condemned(disk),
    )


def read_condemned(disk: Disk) -> dict[str, Timestamp]:
    """What has its grace; a note that is missing or does not read begins every grace anew, which is safe."""
    try:
        file = disk.open(CONDEMNED)
    except FileNotFoundError:
        return {}
    try:
        return msgspec.json.decode(file.read(Position(0), file.size()), type=dict[str, Timestamp])
    except (msgspec.DecodeError, msgspec.ValidationError):
        return {}
    finally:
        file.close()


def write_condemned(disk: Disk, condemned: Mapping[str, Timestamp]) -> None:
    """Note what has its grace, and since when; durably. OSError."""
    if condemned == read_condemned(disk):
        return
    fresh = f"{CONDEMNED}.new"
    if fresh.partition("/")[2] in disk.names("snapshot"):
        disk.remove(fresh)
    file = disk.create(fresh)
    try:
        file.write(Position(0), msgspec.json.format(msgspec.json.encode(dict(sorted(condemned.items())))) + b"\n")
        file.sync()
    finally:
        file.close()
    disk.rename(fresh, CONDEMNED)
    disk.sync_directory("snapshot")


def blocks_of(manifest: Manifest) -> Iterator[str]:
    """The names of all blocks a snapshot consists of."""
    yield manifest.system.file
    for table in manifest.tables:
        for block in table.blocks:
            yield block.file


def _facts(
    disk: Disk, repository: Repository, name: str, manifest: Manifest, log: Sequence[SegmentInfo], blocks: set[str]
) -> SnapshotFacts:
    complete = blocks.issuperset(f"{each}.blk" for each in blocks_of(manifest))
    within = bool(log) and log[0].first_offset - 1 <= manifest.offset <= log[-1].whole_offset
    return SnapshotFacts(
        name=name,
        offset=manifest.offset,
        timestamp=manifest.timestamp,
        chain=manifest.chain,
        verified=complete and repository.verified(name) is not None,
        fits=within and (_begins_behind(manifest, log) or holds(disk, manifest.offset, manifest.chain)),
    )


def _begins_behind(manifest: Manifest, log: Sequence[SegmentInfo]) -> bool:
    """Whether a segment goes on right behind a snapshot, as usual: then it need not be read to know that."""
    return any(each.first_offset == manifest.offset + 1 and each.chain_before == manifest.chain for each in log)
