"""What `store log verify` finds, as a value with an exit code. Nothing here writes or prints."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec

from store.cli.directories import look_at
from store.cli.exits import Exit, NothingThere
from store.cli.moments import to_text
from store.engine.directory import inspect, is_copy, moved
from store.engine.loading import load_oldest, misfit
from store.engine.options import EngineOptions
from store.engine.recovery import records
from store.engine.reducer import Domain
from store.engine.reexecution import Difference, reexecute
from store.env.deadline import SignalDeadline
from store.env.posix import PosixDisk
from store.errors import CorruptionError, DirectoryError
from store.ids import Offset, Timestamp
from store.log.commitlog import Commitlog
from store.log.format import FIRST_OFFSET, Batch, segment_name
from store.log.reader import LogReader, Progress, Tail
from store.log.segment import segment_offsets
from store.log.survey import holds
from store.snapshot.format import Manifest, snapshot_name
from store.snapshot.repository import Repository

_WORDS: Final = {
    Exit.DONE: "sound",
    Exit.CHECK_FAILED: "not_reproduced",
    Exit.TORN_TAIL: "torn_tail",
    Exit.CORRUPTION: "corruption",
    Exit.GAP: "gap",
    Exit.NOTHING_THERE: "nothing_there",
    Exit.DIRECTORY: "unreadable",
}


HINT_LOST: Final = (
    "Keep the directory as it is. `store salvage DIR --into NEW` writes all that is provable into a new one and says "
    "what is lost; `store restore --into NEW` goes to any moment that is listed as restorable"
)
"""What to do where a start would be refused."""


HINT_TORN: Final = "A crash leaves such a tail, and nobody was told of it; the next start cuts it"
HINT_COPIED: Final = (
    "Copying a log while it is written leaves such a tail, and so does a crash; the next start cuts it. What came later"
    " is in the directory that was copied"
)
"""What is known of a tail that a start cuts."""


class Recoverable(msgspec.Struct, frozen=True):
    """Offsets without a hole, each of which can still be restored."""

    first: int
    last: int
    first_time: str
    last_time: str
    base: str | None
    """The snapshot it begins with; None where it begins with the log's start."""


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What was found."""

    verdict: str
    exit: int
    message: str = ""
    hint: str = ""
    file: str | None = None
    position: int | None = None
    """Where it is damaged, or where its torn tail begins."""
    segments: int = 0
    batches: int = 0
    transactions: int = 0
    bytes: int = 0
    first_offset: int = 0
    last_offset: int = 0
    """The last transaction that could be read."""
    proven_offset: int = 0
    """The last one that the log itself proves to have been durable."""
    base: str | None = None
    """The snapshot that a start would begin with."""
    recoverable: tuple[Recoverable, ...] = ()
    torn_bytes: int = 0
    seconds: float = 0.0
    calls: int | None = None
    """Calls that were run again, and of those the ones cut off by time and the ones that came out otherwise."""
    skipped: int = 0
    different: int = 0
    differences: tuple[Difference, ...] = ()
    fingerprint: str | None = None

    @property
    def whole(self) -> bool:
        """Whether all that was ever told is there."""
        return self.exit in {Exit.DONE, Exit.TORN_TAIL}


def inspect_log(directory: Path, told: Progress) -> Verdict:
    """Read the whole log and say how it is."""
    try:
        disk = look_at(directory)
        if not Commitlog.exists(disk):
            message = f"there is no commitlog in {directory}"
            return _verdict(Exit.NOTHING_THERE, message=message, hint="Name a store's data directory")
        return _Inspection(disk).run(told)
    except NothingThere as error:
        return _verdict(Exit.NOTHING_THERE, message=error.message, hint=error.hint)
    except DirectoryError as error:
        return _verdict(Exit.DIRECTORY, message=error.message, hint=error.hint)
    except OSError as error:
        return _verdict(Exit.DIRECTORY, message=f"{directory} cannot be read: {error}", hint="Check its permissions")


@dataclass
class _Run:
    """Offsets that could be read one after the other."""

    first: Offset
    last: Offset
    first_time: Timestamp
    last_time: Timestamp

    def begins_behind(self, offset: Offset) -> bool:
        """Whether a snapshot of this offset leads into this run."""
        return self.first - 1 <= offset <= self.last


class _Inspection:
    """One reading, with what it has seen so far. Behind damage it goes on with the next segment.

    A log is sound where the next start finds all it needs: its end, and before it no damage as far back as a whole
    snapshot, or as the log's first offset. Damaged bytes before that are damage all the same; missing ones are not.
    """

    def __init__(self, disk: PosixDisk) -> None:
        self._disk: Final = disk
        self._copied: Final = was_copied(disk)
        self._segments = segment_offsets(disk)
        self._snapshots: Final = [each for each in Repository(disk).whole()[0] if _fits(disk, each)]
        """Newest first; whether their blocks are whole is found out where it matters."""
        self._checked: Final[dict[Offset, bool]] = {}
        self._runs: Final[list[_Run]] = []
        self._damage: Final[list[tuple[Exit, CorruptionError]]] = []
        self._last: Batch | None = None
        self._tail: Tail | None = None
        self._batches = 0
        self._transactions = 0
        self._bytes = 0

    def run(self, told: Progress) -> Verdict:
        start: Offset | None = self._segments[0]
        while start is not None:
            start = self._read(start, told)
        end = self._runs[-1]
        leading = (each for each in self._snapshots if end.begins_behind(each.offset))
        base = next((each.offset for each in leading if self._is_whole(each)), None)
        opens = self._tail is not None and (base is not None or end.first == FIRST_OFFSET)
        found = self._seen(base)
        if not opens and not self._damage:
            return _verdict(Exit.GAP, **self._beginning(), **found)
        corrupt = next((each for each in self._damage if each[0] == Exit.CORRUPTION), None)
        if corrupt is not None or not opens:
            return self._damaged(*(corrupt or self._damage[0]), found, opens=opens)
        lost = self._lost_end()
        return self._sound(found) if lost is None else self._damaged(Exit.GAP, lost, found, opens=False)

    def _lost_end(self) -> CorruptionError | None:
        """A snapshot of this very history shows that the log went further; in a copied directory it may."""
        marker = inspect(self._disk)
        ahead = marker is None or bool(marker.opens) or moved(self._disk, marker)
        for manifest in Repository(self._disk).whole()[0]:
            try:
                misfit(self._disk, manifest, ahead=ahead)
            except CorruptionError as error:
                return error
        return None

    def _read(self, start: Offset, told: Progress) -> Offset | None:
        """Read to the end, or to damage: then the first offset of the segment behind it, if any."""
        run = _Run(start, Offset(start - 1), Timestamp(0), Timestamp(0))
        self._runs.append(run)
        self._last = None
        try:
            reader = LogReader(self._disk, from_offset=start, check_all=True, copied=self._copied, progress=told)
            self._bytes = max(self._bytes, reader.bytes_total)
            for batch in reader:
                self._add(run, batch)
        except (CorruptionError, FileNotFoundError) as error:
            if self._was_let_go(run):
                return self._segments[0]
            if isinstance(error, FileNotFoundError):
                raise
            self._damage.append((Exit.GAP if self._is_gap(error) else Exit.CORRUPTION, error))
            behind = [each for each in self._segments if each > start and segment_name(each) > self._reached(start)]
            return next(iter(behind), None)
        self._tail = reader.tail
        return None

    def _was_let_go(self, run: _Run) -> bool:
        """Whether whoever serves has let go what comes next, as old log goes: then all before it is no more, too."""
        found = segment_offsets(self._disk)
        if not found or found[0] <= run.last + 1:
            return False
        self._segments = found
        self._runs.remove(run)
        return True

    def _reached(self, start: Offset) -> str:
        """The segment in which a reading that began at `start` ended."""
        return self._last.segment if self._last is not None else segment_name(start)

    def _add(self, run: _Run, batch: Batch) -> None:
        transaction = None
        for transaction, _ in records(batch):
            self._transactions += 1
            run.first_time = run.first_time or transaction.timestamp
        if transaction is not None:
            run.last, run.last_time = transaction.offset, transaction.timestamp
        self._last = batch
        self._batches += 1

    def _beginning(self) -> dict[str, Any]:
        """The log begins later than it may, and nothing else is wrong."""
        first = self._segments[0]
        return {
            "message": f"the log begins at offset {first}, and no whole snapshot leads into it",
            "hint": HINT_LOST,
            "file": segment_name(first),
            "position": 0,
        }

    def _damaged(self, kind: Exit, error: CorruptionError, found: dict[str, Any], *, opens: bool) -> Verdict:
        hint = HINT_LOST
        if opens and found["base"]:
            hint = (
                f"A start does not need it: it begins with snapshot {found['base']}. What is restorable stands above; "
                "`store snapshot prune` lets the damaged segment go when it is due"
            )
        return _verdict(kind, message=error.message, hint=hint, file=error.file, position=error.position, **found)

    def _sound(self, found: dict[str, Any]) -> Verdict:
        assert self._tail is not None  # Read to its end.
        found["proven_offset"] = self._tail.proven_offset
        if found["base"] and self._runs[-1].first > FIRST_OFFSET:
            what = f"the log begins at offset {found['first_offset']}"
            if len(self._runs) > 1:
                before, behind = self._runs[-2:]
                what = f"offsets {before.last + 1} to {behind.first - 1} are in no segment"
            found["message"] = f"{what}; a start goes on from snapshot {found['base']}"
        if not self._tail.torn_bytes:
            return _verdict(Exit.DONE, **found)
        found["message"] = (
            f"{self._tail.torn_bytes} bytes at the end of {self._tail.segment} are no batch: {self._tail.torn}"
        )
        return _verdict(
            Exit.TORN_TAIL,
            hint=HINT_COPIED if self._copied else HINT_TORN,
            file=self._tail.segment,
            position=self._tail.position,
            torn_bytes=self._tail.torn_bytes,
            **found,
        )

    def _seen(self, base: Offset | None) -> dict[str, Any]:
        return {
            "segments": len(self._segments),
            "batches": self._batches,
            "transactions": self._transactions,
            "bytes": self._bytes,
            "first_offset": self._segments[0],
            "last_offset": self._runs[0].last if self._damage and base is None else self._runs[-1].last,
            "proven_offset": self._last.durable_offset if self._last else 0,
            "base": None if base is None else snapshot_name(base),
            "recoverable": tuple(self._recoverable()),
        }

    def _recoverable(self) -> Iterator[Recoverable]:
        """Every stretch of offsets that a snapshot, or the log's start, leads into; and snapshots that stand alone."""
        alone = {each.offset: each for each in self._snapshots}
        for run in self._runs:
            if run.last < run.first and run is not self._runs[-1]:
                continue  # Nothing of it could be read.
            inside = [each for each in self._snapshots if run.begins_behind(each.offset)]
            for each in inside:
                alone.pop(each.offset, None)
            base = next((each for each in reversed(inside) if run.first > FIRST_OFFSET and self._is_whole(each)), None)
            if run.first == FIRST_OFFSET and run.last >= run.first:
                yield _recoverable(run.first, run.first_time, run, None)
            elif base is not None:
                yield _recoverable(base.offset, base.timestamp, run, snapshot_name(base.offset))
        for each in reversed(alone.values()):
            if self._is_whole(each):
                yield _recoverable(each.offset, each.timestamp, None, snapshot_name(each.offset))

    def _is_whole(self, manifest: Manifest) -> bool:
        """Whether every block of it is; each snapshot is read once."""
        if manifest.offset not in self._checked:
            try:
                Repository(self._disk).check(manifest)
            except (CorruptionError, FileNotFoundError):
                self._checked[manifest.offset] = False
            else:
                self._checked[manifest.offset] = True
        return self._checked[manifest.offset]

    def _is_gap(self, error: CorruptionError) -> bool:
        """Whether nothing is damaged, but segments or their ends are missing: the offsets do not go on."""
        if self._last is None or error.file != self._last.segment or error.position != self._last.end:
            return False
        file = self._disk.open(error.file)
        try:
            return file.size() == error.position
        finally:
            file.close()


def _fits(disk: PosixDisk, manifest: Manifest) -> bool:
    try:
        return holds(disk, manifest.offset, manifest.chain)
    except CorruptionError:
        return False


def _recoverable(first: Offset, first_time: Timestamp, run: _Run | None, base: str | None) -> Recoverable:
    last, last_time = (run.last, run.last_time or first_time) if run and run.last > first else (first, first_time)
    return Recoverable(first, last, to_text(first_time), to_text(last_time), base)


def was_copied(disk: PosixDisk) -> bool:
    """Whether the next start will find that this is a copy, perhaps of a log that was being written."""
    try:
        return is_copy(disk, inspect(disk))
    except (CorruptionError, DirectoryError):
        return False


def rerun(directory: Path, domain: Domain, options: EngineOptions, verdict: Verdict, told: Progress) -> Verdict:
    """Run the log's calls again above what was found: a difference is a check that fails."""
    deadline = SignalDeadline(options.reducer_time_max_ms / 1000)
    try:
        disk = look_at(directory)
        copied = was_copied(disk)
        state = load_oldest(disk, {each.__table__.name: each for each in domain.tables}, ahead=copied).state
        reader = LogReader(disk, from_offset=state.next_offset, copied=copied, progress=told)
        report = reexecute(reader, domain, deadline, state)
    finally:
        deadline.close()
    found = {
        "calls": report.calls,
        "skipped": report.skipped,
        "different": report.different,
        "differences": tuple(report.differences),
        "fingerprint": report.fingerprint,
    }
    if not report.different:
        return msgspec.structs.replace(verdict, **found)
    return msgspec.structs.replace(
        verdict,
        exit=int(Exit.CHECK_FAILED),
        verdict=_WORDS[Exit.CHECK_FAILED],
        message=f"{report.different} calls came out otherwise than the log says",
        hint="Either these are not the reducers that wrote the log, or one of them is not deterministic",
        **found,
    )


def _verdict(kind: Exit, **found: Any) -> Verdict:
    return Verdict(verdict=_WORDS[kind], exit=int(kind), **found)
