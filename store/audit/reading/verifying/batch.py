"""One batch, read to its last event: what a core of its own can do, since a batch needs nothing of those before.

Laws: a pure function of the task and the bytes. The stored lines are hashed as they are, never written again. Whatever
the bytes are, the answer is a `Checked`; an exception is a bug.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import pairwise
from typing import Final, TypeVar

import msgspec

from store.audit.objects.batches import expand, leaves_of, lines_of
from store.audit.objects.layout import Malformed, folder_of
from store.audit.objects.manifest import Manifest
from store.audit.objects.merkle import span_of
from store.audit.reading.verifying.findings import Finding, Kind
from store.audit.reading.verifying.tally import Tally, tally_of
from store.audit.reading.verifying.writes import Told, told_of
from store.env.worm import Lock
from store.ids import Timestamp


@dataclass(frozen=True)
class Task:
    """What one batch is to be held to."""

    manifest: Manifest
    version_id: str | None
    """The version to read; None where there is none left."""
    signed_root: bytes | None
    """The root that was signed for its end; None where none was."""
    heartbeat_s: int
    """Seconds without an event that are too many; 0 where nobody said."""
    with_lock: bool
    with_records: bool
    """Whether the hashes of the log's records are wanted."""
    with_tally: bool = False
    """Whether what happened is to be counted."""
    with_writes: bool = False
    """Whether what was written is wanted, row by row."""


@dataclass(frozen=True)
class Place:
    """Where an event stands in the log's history."""

    epoch: str
    offset: int
    timestamp: Timestamp
    starts: bool
    """Whether it tells of a start: before one there may be a silence."""


@dataclass(frozen=True)
class Checked:
    """What came out."""

    sound: bool
    """Every event is there, and the roots are as signed."""
    found: tuple[Finding, ...] = ()
    first: Place | None = None
    last: Place | None = None
    lock: Lock | None = None
    records: tuple[tuple[str, int, str | None], ...] = ()
    """(epoch, offset, hash) of each event's record; None for a hash that is keyed."""
    tally: Tally | None = None
    told: tuple[Told, ...] = ()
    """What each event says was written."""


class _Metadata(msgspec.Struct, gc=False):
    sequence: int
    uid: str


class _Ours(msgspec.Struct, gc=False):
    epoch: str
    offset: int
    timestamp: int


class _Event(msgspec.Struct, gc=False):
    """What of an event is verified by more than its hash."""

    time: int
    metadata: _Metadata
    unmapped: _Ours


class _Further(_Ours, gc=False):
    kind: str = ""
    record_sha256: str | None = None


class _Api(msgspec.Struct, frozen=True, gc=False):
    operation: str = ""


class _Whole(_Event, gc=False):
    """The same, and what it is held against."""

    unmapped: _Further
    api: _Api = _Api()


AnyEvent = TypeVar("AnyEvent", bound=_Event)

_decode_lines: Final[Callable[[bytes], Sequence[_Event]]] = msgspec.json.Decoder(_Event).decode_lines
_decode_whole: Final[Callable[[bytes], Sequence[_Whole]]] = msgspec.json.Decoder(_Whole).decode_lines


def check(task: Task, data: bytes | None, lock: Lock | None = None) -> Checked:
    """Hold a batch's stored bytes to its manifest, to what it is signed by, and its events to each other."""
    manifest = task.manifest
    where = manifest.key.removeprefix(folder_of(manifest.log))
    if data is None:
        lost = f"events {manifest.first} to {manifest.last} are missing"
        return Checked(sound=False, found=(Finding(Kind.INCOMPLETE, where, lost),))
    try:
        raw = _read(task, data)
        whole = _whole(raw) if task.heartbeat_s or task.with_records or task.with_writes else ()
        ends = raw[: raw.index(b"\n") + 1] + raw[raw.rfind(b"\n", 0, -1) + 1 :]
        first, last = map(_place, _whole(ends))
        found = tuple(_silences(whole, task.heartbeat_s))
    except Malformed as error:
        return Checked(sound=False, found=(Finding(Kind.TAMPER, where, str(error)),), lock=lock)
    records = tuple((each.unmapped.epoch, each.unmapped.offset, each.unmapped.record_sha256) for each in whole)
    lines = lines_of(raw) if task.with_tally or task.with_writes else []
    return Checked(
        sound=True,
        found=found,
        first=first,
        last=last,
        lock=lock,
        records=records if task.with_records else (),
        tally=tally_of(lines) if task.with_tally else None,
        told=told_of(lines, [each[:2] for each in records]) if task.with_writes else (),
    )


def _read(task: Task, data: bytes) -> bytes:
    """The batch's lines, as they were signed and in their order."""
    manifest = task.manifest
    if len(data) != manifest.size or sha256(data).hexdigest() != manifest.sha256:
        raise Malformed(f"expected {manifest.size} bytes with the hash {manifest.sha256}, found others")
    raw = expand(data)
    leaves = leaves_of(raw)
    if len(raw) != manifest.raw_size or len(leaves) != manifest.count:
        raise Malformed(f"expected {manifest.count} events in {manifest.raw_size} bytes, found {len(leaves)}")
    _check_tree(task, leaves)
    events = _decoded(_decode_lines, raw)
    if len(events) != manifest.count:
        raise Malformed(f"expected an event on each of {manifest.count} lines, found {len(events)}")
    _check_order(manifest, events)
    return raw


def _whole(raw: bytes) -> Sequence[_Whole]:
    return _decoded(_decode_whole, raw)


def _decoded(decode: Callable[[bytes], Sequence[AnyEvent]], raw: bytes) -> Sequence[AnyEvent]:
    try:
        return decode(raw)
    except (ValueError, RecursionError) as error:  # msgspec's errors are ValueErrors.
        raise Malformed(f"expected events: {error}") from None


def _check_tree(task: Task, leaves: Sequence[bytes]) -> None:
    manifest, before, signed = task.manifest, task.manifest.span_before, task.signed_root
    after = before.then(span_of(before.end, leaves)).root()
    if after.hex() != manifest.root_after:
        raise Malformed(f"expected the root {manifest.root_after} behind its events, found {after.hex()}")
    if signed is not None and signed != after:
        size = manifest.size_after
        raise Malformed(f"expected the root that was signed for {size} events, {signed.hex()}, found {after.hex()}: "
                        "rewritten")  # fmt: skip


def _check_order(manifest: Manifest, events: Sequence[_Event]) -> None:
    seq, log, before, within = manifest.first, manifest.log, -1, ""
    event = iter(events)
    for epoch, start, end in manifest.ranges:
        for offset in range(start, end + 1):
            each = next(event)
            metadata, ours = each.metadata, each.unmapped
            if (
                metadata.sequence != seq
                or ours.offset != offset
                or ours.epoch != epoch
                or metadata.uid != f"{log}/{seq}"
                or each.time != ours.timestamp // 1000
            ):
                raise Malformed(
                    f"expected event {seq} of offset {offset}, epoch {epoch}, found {metadata.uid!r:.80} of offset "
                    f"{ours.offset}, epoch {ours.epoch!r:.40}, at {each.time} ms for {ours.timestamp} µs"
                )
            if ours.timestamp <= before and epoch == within:
                raise Malformed(f"event {seq} is not later than the one before: a clock went back")
            before, within = ours.timestamp, epoch
            seq += 1
    if (events[0].unmapped.timestamp, before) != (manifest.t_first, manifest.t_last):
        raise Malformed("expected t_first and t_last to be the times of its first and last event")


def _silences(events: Sequence[_Whole], heartbeat_s: int) -> list[Finding]:
    found = [silence(_place(one), _place(other), heartbeat_s, other.metadata.sequence)
             for one, other in pairwise(events)
             if other.unmapped.timestamp - one.unmapped.timestamp > heartbeat_s * 1_000_000]  # fmt: skip
    return [each for each in found if each is not None]


def silence(one: Place, other: Place, heartbeat_s: int, seq: int) -> Finding | None:
    """That nothing was said for too long before event `seq`: a stop or a crash, where a start follows."""
    seconds = (other.timestamp - one.timestamp) / 1e6
    if not 0 < heartbeat_s < seconds:
        return None
    kind = Kind.WARNING if other.starts else Kind.INCOMPLETE
    then = ", then a start" if other.starts else ", and no start behind it: events or heartbeats are missing"
    return Finding(kind, f"event {seq}", f"{seconds:.0f} s without an event before it{then}")


def _place(event: _Whole) -> Place:
    ours = event.unmapped
    starts = ours.kind == "lifecycle" and event.api.operation == "start"
    return Place(ours.epoch, ours.offset, Timestamp(ours.timestamp), starts)
