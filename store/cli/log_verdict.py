"""What `store log verify` finds, as a value with an exit code. Nothing here writes or prints."""

from pathlib import Path
from typing import Any, Final

import msgspec

from store.cli.exits import Exit
from store.engine.options import EngineOptions
from store.engine.recovery import records
from store.engine.reducer import Domain
from store.engine.reexecution import Difference, reexecute
from store.env.deadline import SignalDeadline
from store.env.posix import PosixDisk
from store.errors import CorruptionError, DirectoryError
from store.log.commitlog import Commitlog
from store.log.format import FIRST_OFFSET, Batch
from store.log.reader import LogReader, Progress
from store.log.segment import segment_offsets

_WORDS: Final = {
    Exit.DONE: "sound",
    Exit.CHECK_FAILED: "not_reproduced",
    Exit.TORN_TAIL: "torn_tail",
    Exit.CORRUPTION: "corruption",
    Exit.GAP: "gap",
    Exit.NOTHING_THERE: "nothing_there",
    Exit.DIRECTORY: "unreadable",
}


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
    last_offset: int = 0
    """The last transaction that could be read."""
    proven_offset: int = 0
    """The last one that the log itself proves to have been durable."""
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
        disk = PosixDisk(directory, read_only=True)
        if not Commitlog.exists(disk):
            message = f"there is no commitlog in {directory}"
            return _verdict(Exit.NOTHING_THERE, message=message, hint="Name a store's data directory")
        return _Inspection(disk).run(told)
    except DirectoryError as error:
        missing = not directory.exists()
        return _verdict(Exit.NOTHING_THERE if missing else Exit.DIRECTORY, message=error.message, hint=error.hint)
    except OSError as error:
        return _verdict(Exit.DIRECTORY, message=f"{directory} cannot be read: {error}", hint="Check its permissions")


class _Inspection:
    """One reading, with what it has seen so far."""

    def __init__(self, disk: PosixDisk) -> None:
        self._disk: Final = disk
        self._last: Batch | None = None
        self._batches = 0
        self._transactions = 0

    def run(self, told: Progress) -> Verdict:
        try:
            reader = LogReader(self._disk, check_all=True, progress=told)
            for batch in reader:
                self._last = batch
                self._batches += 1
                self._transactions += sum(1 for _ in records(batch))
        except CorruptionError as error:
            kind = Exit.GAP if self._is_gap(error) else Exit.CORRUPTION
            return _verdict(
                kind, message=error.message, hint=error.hint, file=error.file, position=error.position, **self._seen()
            )
        tail = reader.tail
        assert tail is not None  # The reading came to its end.
        seen = {**self._seen(), "bytes": reader.bytes_total, "proven_offset": tail.proven_offset}
        if not tail.torn_bytes:
            return _verdict(Exit.DONE, **seen)
        return _verdict(
            Exit.TORN_TAIL,
            message=f"{tail.torn_bytes} bytes at the end of {tail.segment} are no batch: {tail.torn}",
            hint="A crash leaves such a tail, and nobody was told of it; the next start cuts it",
            file=tail.segment,
            position=tail.position,
            torn_bytes=tail.torn_bytes,
            **seen,
        )

    def _seen(self) -> dict[str, Any]:
        return {
            "segments": len(segment_offsets(self._disk)),
            "batches": self._batches,
            "transactions": self._transactions,
            "last_offset": self._last.last_offset if self._last else 0,
            "proven_offset": self._last.durable_offset if self._last else 0,
        }

    def _is_gap(self, error: CorruptionError) -> bool:
        """Whether nothing is damaged, but segments or their ends are missing: the offsets do not go on."""
        offsets = segment_offsets(self._disk)
        if offsets[0] > FIRST_OFFSET:
            return True
        if self._last is None or error.file != self._last.segment or error.position != self._last.end:
            return False
        file = self._disk.open(error.file)
        try:
            return file.size() == error.position
        finally:
            file.close()


def rerun(directory: Path, domain: Domain, options: EngineOptions, verdict: Verdict, told: Progress) -> Verdict:
    """Run the log's calls again above what was found: a difference is a check that fails."""
    deadline = SignalDeadline(options.reducer_time_max_ms / 1000)
    try:
        report = reexecute(LogReader(PosixDisk(directory, read_only=True), progress=told), domain, deadline)
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
