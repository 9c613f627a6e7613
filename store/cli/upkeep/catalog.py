"""What a directory holds in snapshots, and what can be restored from it: gathered once, for lists and for checks."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from store.cli.directories import expect_store, look_at
from store.cli.exits import NothingThere
from store.cli.moments import show_bytes, show_span, to_text
from store.cli.upkeep.sources import note_on
from store.cli.upkeep.targets import full_name
from store.engine.loading import misfit
from store.env.posix import PosixDisk, SystemClock
from store.errors import CorruptionError, DirectoryError, StoreError
from store.ids import Timestamp
from store.log.survey import SegmentInfo, segments
from store.snapshot.format import BlockRef, Manifest
from store.snapshot.options import SnapshotOptions
from store.snapshot.repository import Pin, Repository, Verification
from store.upkeep.history import History, look
from store.upkeep.holdings import survey
from store.upkeep.ranges import Range, ranges_of
from store.upkeep.retention import plan_retention

TOO_OLD: Final = 2
"""Times the wanted distance between snapshots, past which the newest one is too old."""


@dataclass(frozen=True)
class Entry:
    """One snapshot, or what lies in the place of one."""

    name: str
    manifest: Manifest | None
    error: StoreError | None
    """Why its manifest cannot be used; None where it can."""
    verified: Verification | None
    pins: Mapping[str, Pin]
    """Those that hold this very offset."""
    bytes: int
    own_bytes: int
    """Of blocks that no other snapshot has: what goes when it goes."""
    misfit: str
    """Why the log does not go on from it; "" where it does."""
    now: Timestamp

    @property
    def state(self) -> str:
        """In one word."""
        if self.error is not None:
            return "newer" if isinstance(self.error, DirectoryError) else "corrupt"
        return "gap" if self.misfit else "sound" if self.verified else "unverified"

    @property
    def rows(self) -> int:
        """In all tables."""
        return 0 if self.manifest is None else sum(each.rows for each in self.manifest.tables)

    @property
    def unverified_s(self) -> float:
        """Seconds since it was last verified."""
        return float("inf") if self.verified is None else (self.now - self.verified.at) / 1e6

    def line(self) -> dict[str, Any]:
        """As JSON has it in a list."""
        manifest = self.manifest
        return {
            "name": self.name,
            "state": self.state,
            "offset": None if manifest is None else manifest.offset,
            "timestamp": None if manifest is None else manifest.timestamp,
            "at": None if manifest is None else to_text(manifest.timestamp),
            "age_s": None if manifest is None else round((self.now - manifest.timestamp) / 1e6, 3),
            "rows": self.rows,
            "bytes": self.bytes,
            "own_bytes": self.own_bytes,
            "verified": None if self.verified is None else to_text(self.verified.at),
            "pins": sorted(self.pins),
            "message": str(self.error) if self.error is not None else self.misfit,
        }

    def details(self) -> dict[str, Any]:
        """All else there is to know."""
        manifest = self.manifest
        assert manifest is not None
        return {
            "taken": to_text(manifest.taken),
            "store": manifest.store.hex(),
            "epoch": manifest.epoch.hex(),
            "chain": manifest.chain.hex(),
            "fingerprint": manifest.fingerprint,
            "content": manifest.content,
            "system": {"file": manifest.system.file, "size": manifest.system.size},
            "tables": [
                {
                    "table": each.table,
                    "name": each.name,
                    "rows": each.rows,
                    "next_key": each.next_key,
                    "blocks": len(each.blocks),
                    "bytes": sum(block.size for block in each.blocks),
                }
                for each in manifest.tables
            ],
            "pinned": {
                name: {"reason": pin.reason, "until": None if pin.until is None else to_text(pin.until)}
                for name, pin in self.pins.items()
            },
        }


class Catalog:
    """Everything in one directory. Reads headers and manifests, no rows."""

    def __init__(self, root: Path, disk: PosixDisk, options: SnapshotOptions) -> None:
        self.root: Final = root
        self.disk: Final = disk
        self.options: Final = options
        self.repository: Final = Repository(disk)
        self.now: Final = SystemClock().wall()

    @classmethod
    def of(cls, root: Path, options: SnapshotOptions) -> "Catalog":
        """Of the generation in force. NothingThere: there is no store."""
        disk = look_at(root)
        expect_store(root, disk)
        return cls(root, disk, options)

    @cached_property
    def entries(self) -> list[Entry]:
        """Newest first."""
        read: dict[str, Manifest | StoreError] = {}
        for name in self.repository.names():
            try:
                read[name] = self.repository.manifest(name)
            except (CorruptionError, DirectoryError) as error:
                read[name] = error
            except FileNotFoundError:
                continue  # Pruned since it was listed.
        users = Counter(file for each in read.values() if isinstance(each, Manifest) for file in _blocks(each))
        pins = self.repository.pins()
        return [self._entry(name, read[name], users, pins) for name in sorted(read, reverse=True)]

    @cached_property
    def history(self) -> History:
        """Which stretches of history lead anywhere."""
        return look(self.disk)

    @cached_property
    def ranges(self) -> list[Range]:
        """What can be restored, oldest first."""
        return ranges_of(self.history)

    @cached_property
    def segments(self) -> list[SegmentInfo]:
        """The log's."""
        return segments(self.disk)

    def ranges_without(self, damaged: set[str]) -> list[str]:
        """What can be restored, in words, by the snapshots that are not among these."""
        return [said for each in self.ranges if (said := self._without(each, damaged))]

    def kept_because(self, name: str) -> tuple[str, ...]:
        """Why retention lets it stay; () where it would go."""
        plan = plan_retention(self.now, survey(self.disk), self.options)
        return plan.kept.get(f"snapshot/{name}", ())

    def note_verified(self, entry: Entry) -> None:
        """Note that every check of it holds, where one may write."""
        assert entry.manifest is not None
        name, at, fingerprint = entry.name, SystemClock().wall(), entry.manifest.fingerprint
        note_on(self.disk, lambda repository: repository.note_verified(name, at, fingerprint))

    def note_damaged(self, entry: Entry) -> None:
        """Take such a note back, where one may write, so that no log goes because this snapshot leads there."""
        note_on(self.disk, lambda repository: repository.note_damaged(entry.name))

    @property
    def alarm(self) -> str:
        """What an operator should not sleep over; "" where all is well."""
        return self._damage() or self._age()

    def _damage(self) -> str:
        broken = [each.name for each in self.entries if each.state in {"corrupt", "gap"}]
        if broken:
            return f"snapshot {broken[0]} is not sound: `store snapshot verify` says what is wrong"
        if self.history.damage:
            return f"the log is damaged: {self.history.damage[0].message}: `store log verify` says what is left"
        return "" if self.ranges else "nothing can be restored from here: `store log verify` says what is wrong"

    def _age(self) -> str:
        """Whether the newest snapshot is too old: a restart replays all that came since."""
        newest = next((each.manifest for each in self.entries if each.manifest is not None), None)
        behind = 0 if newest is None else newest.offset
        since = self.ranges[-1].last - behind
        size = sum(each.size for each in self.segments if each.whole_offset > behind)
        options = self.options
        many = options.transactions_between and since > TOO_OLD * options.transactions_between
        large = options.bytes_between and size > TOO_OLD * options.bytes_between
        age_s = 0.0 if newest is None else (self.now - newest.timestamp) / 1e6
        old = options.interval_s and since > 1 and age_s > TOO_OLD * options.interval_s
        if not (many or large or old):
            return ""
        log = f"{since:,} transactions and {show_bytes(size)} of log"
        if newest is None:
            return f"there is no snapshot, and {log}: `store snapshot take` takes one"
        wanted = f" (wanted: every {show_span(options.interval_s)})" if old else ""
        return (
            f"the newest snapshot is too old: {show_span(age_s)}{wanted}, {log} since: see why none is "
            "taken, or take one by hand"
        )

    def line(self) -> dict[str, Any]:
        """What can be restored, as JSON has it."""
        return {
            "ranges": [range_line(each) for each in self.ranges],
            "oldest": to_text(self.ranges[0].first_time) if self.ranges else None,
            "newest": to_text(self.ranges[-1].last_time) if self.ranges else None,
            "gaps": [{"first": first, "last": last} for first, last in self.history.gaps],
            "alarm": self.alarm,
        }

    def _entry(self, name: str, read: Manifest | StoreError, users: Counter[str], pins: Mapping[str, Pin]) -> Entry:
        if not isinstance(read, Manifest):
            return Entry(name, None, read, None, {}, 0, 0, "", self.now)
        sizes = _blocks(read)
        return Entry(
            name=name,
            manifest=read,
            error=None,
            verified=self.repository.verified(name),
            pins={key: pin for key, pin in pins.items() if pin.offset == read.offset},
            bytes=read.size,
            own_bytes=sum(size for file, size in sizes.items() if users[file] == 1),
            misfit=self._misfit(read),
            now=self.now,
        )

    def _misfit(self, manifest: Manifest) -> str:
        try:
            return misfit(self.disk, manifest)
        except CorruptionError as error:
            return error.message

    def _without(self, found: Range, damaged: set[str]) -> str:
        whole = [each for each in found.bases if each not in damaged]
        begins_damaged = bool(found.bases) and found.bases[0] in damaged and int(found.bases[0]) == found.first
        if not begins_damaged:
            return str(found)
        return f"offsets {int(whole[0])} to {found.last} of epoch {found.epoch.hex()[:8]}" if whole else ""


def choose(catalog: Catalog, name: str | None) -> Entry:
    """The snapshot of that name, or the newest. NothingThere: there is no such one."""
    wanted = None if name is None or name == "newest" else full_name(name)
    found = [each for each in catalog.entries if wanted in {None, each.name}]
    if found:
        return found[0]
    what = "no snapshot" if wanted is None else f"no snapshot {wanted}"
    there = ", ".join(each.name for each in catalog.entries[:5]) or "none"
    raise NothingThere(f"there is {what} in {catalog.root}", hint=f"There is: {there}. `store snapshot take` takes one")


def range_line(each: Range) -> dict[str, Any]:
    """A range as JSON has it."""
    return {
        "first": each.first,
        "last": each.last,
        "first_time": to_text(each.first_time),
        "last_time": to_text(each.last_time),
        "bases": list(each.bases),
        "epoch": each.epoch.hex(),
    }


def _blocks(manifest: Manifest) -> dict[str, int]:
    """Bytes of each of its block files, by name."""
    refs: list[BlockRef] = [block for table in manifest.tables for block in table.blocks]
    return {**{each.file: each.size for each in refs}, manifest.system.file: manifest.system.size}
