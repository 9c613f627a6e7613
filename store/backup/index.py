"""What pushes noted of the objects in a backup, so that nobody has to read them to know what is there.

Laws: an index is a note, never the truth: what it does not mention is read, and what it says of an object is checked
when the object is. A note is written once. Losing all of them loses nothing but the time to read the backup.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final

import msgspec
from msgspec import structs

from store.backup.bucket import Bucket
from store.backup.facts import SegmentFacts, SnapshotFacts, refuse_unlike
from store.backup.layout import moment_after, parse, push_object, segment_object, snapshot_object
from store.env.world import Entropy
from store.errors import CorruptionError, DirectoryError
from store.ids import INT_MAX, Timestamp

INDEX_FORMAT: Final = 1
ATTEMPTS_MAX: Final = 5
"""How often all notes are read again because one went away meanwhile."""
_DICE_SIZE: Final = 4


class Entry(msgspec.Struct, frozen=True, omit_defaults=True):
    """One object."""

    object: str
    stored: int
    """Bytes as they lie there."""
    sha256: str
    """Of those bytes."""
    size: int
    """Bytes of the file it holds."""
    segment: SegmentFacts | None = None
    snapshot: SnapshotFacts | None = None
    at: Timestamp = Timestamp(0)
    """In a note: when it was first noted, by the clock of whoever pushed. Elsewhere 0: `Index.noted` says it."""


class Head(msgspec.Struct, frozen=True, omit_defaults=True):
    """A note's first line."""

    format: int
    store: str
    at: Timestamp
    key: str = ""
    """Data key that was in use."""
    covers_through: str = ""
    """Not empty: this note repeats all earlier ones up to this name, `covers` in number, and replaces them."""
    covers: int = 0


class Trailer(msgspec.Struct, frozen=True):
    """A note's last line."""

    objects: int
    sha256: str
    """Of all bytes before this line."""


@dataclass
class Index:
    """Everything the notes say, held against the names that are there."""

    entries: dict[str, Entry] = field(default_factory=dict)
    """By object, of those that are there."""
    noted: dict[str, Timestamp] = field(default_factory=dict)
    """By object, when it was first noted."""
    names: frozenset[str] = frozenset()
    """Every object that is there and is not foreign."""
    foreign: tuple[str, ...] = ()
    missing: tuple[Entry, ...] = ()
    """Objects that were stored, and are not there any more."""
    pushes: tuple[str, ...] = ()
    """Names of the notes, oldest first."""
    uncovered: int = 0
    """Of them, how many no later note covers."""
    covered: tuple[str, ...] = ()
    """Those that a later note repeats, which was read: nobody needs them any more."""
    troubles: dict[str, str] = field(default_factory=dict)
    """Notes that could not be read: name and why."""

    def unindexed(self, kinds: Iterable[str]) -> list[str]:
        """Objects of these kinds that no note mentions."""
        wanted = set(kinds)
        return sorted(
            name for name in self.names - self.entries.keys() if (found := parse(name)) and found.kind in wanted
        )


def encode(head: Head, entries: Sequence[Entry]) -> bytes:
    """A note: JSON Lines."""
    encoder = msgspec.json.Encoder()
    lines = b"".join(encoder.encode(each) + b"\n" for each in (head, *entries))
    return lines + encoder.encode(Trailer(len(entries), sha256(lines).hexdigest())) + b"\n"


def decode(data: bytes, *, name: str) -> tuple[Head, list[Entry]]:
    """CorruptionError: cut, flipped or made up. DirectoryError: of a newer format."""
    body, _, last = data.removesuffix(b"\n").rpartition(b"\n")
    body += b"\n"
    try:
        trailer = msgspec.json.decode(last, type=Trailer)
        refuse_unlike(name, trailer.sha256, sha256(body).hexdigest())
        first, *lines = body.splitlines()
        head = msgspec.json.decode(first, type=Head)
        if head.format != INDEX_FORMAT:
            raise DirectoryError(
                f"{name} is of format {head.format}, this store reads up to {INDEX_FORMAT}",
                hint="Use the newer version of the store",
            )
        read = msgspec.json.Decoder(Entry).decode
        entries = [read(line) for line in lines]
    except (msgspec.DecodeError, msgspec.ValidationError, ValueError) as error:
        raise CorruptionError(
            f"expected an index of a backup, found other content ({error})", file=name, position=0, hint=_HINT
        ) from None
    refuse_unlike(name, trailer.objects, len(entries))
    for each in entries:
        check_entry(each, name)
    return head, entries


_HINT: Final = "Nothing is lost: remove the object, and the next push writes what it said anew"


def check_entry(entry: Entry, name: str) -> None:
    """CorruptionError: its name and what is said of it do not agree."""
    found = parse(entry.object)
    kind = found.kind if found else "foreign"
    said = {"segment": entry.segment is not None, "snapshot": entry.snapshot is not None}
    refuse_unlike(name, {"segment": kind == "segment", "snapshot": kind == "snapshot"}, said)
    refuse_unlike(name, True, entry.size >= 0 <= entry.stored and bool(_HASH.fullmatch(entry.sha256)))
    refuse_unlike(name, True, 0 <= entry.at < _TIME_END)
    if entry.segment is not None:
        each = entry.segment
        hashes = each.chain_before, each.chain_after
        _check_ranges(name, hashes, each.epoch, (each.created, each.first_time or 0, each.last_time or 0))
        refuse_unlike(name, True, 0 < each.first <= each.last < INT_MAX)
        refuse_unlike(name, entry.object, segment_object(each.first, each.last, bytes.fromhex(each.chain_after)))
    if entry.snapshot is not None:
        said_of = entry.snapshot
        _check_ranges(name, (said_of.chain,), said_of.epoch, (said_of.taken, said_of.timestamp))
        refuse_unlike(name, True, 0 <= said_of.offset < INT_MAX)
        refuse_unlike(name, entry.object, snapshot_object(said_of.offset, bytes.fromhex(said_of.chain)))


def _check_ranges(name: str, hashes: Sequence[str], epoch: str, times: Sequence[int]) -> None:
    """CorruptionError: no store of ours ever wrote such values, and formats and calendars have no place for them."""
    refuse_unlike(name, True, all(_HASH.fullmatch(each) for each in hashes))
    refuse_unlike(name, True, bool(_EPOCH.fullmatch(epoch)))
    refuse_unlike(name, True, all(0 <= each < _TIME_END for each in times))


_HASH: Final = re.compile(r"[0-9a-f]{64}")
_EPOCH: Final = re.compile(r"[0-9a-f]{32}")
_TIME_END: Final = 253_402_300_800_000_000
"""Microseconds from 1970 to the end of the year 9999."""


def read_index(bucket: Bucket) -> Index:
    """All notes together, and all names. A note that cannot be read is told of, and what it said is read anew.

    DirectoryError: a key is not here, or an index is of a newer format.
    """
    for _ in range(ATTEMPTS_MAX - 1):
        index, went = _read_index(bucket)
        if not went:
            return index
    return _read_index(bucket)[0]  # What went is not known then, and is read.


def _read_index(bucket: Bucket) -> tuple[Index, bool]:
    """The index, and whether a note went away while it was read: another repeats it, which may have come since."""
    went = False
    listed = bucket.objects.names()
    ours = [name for name in listed if parse(name) is not None]
    index = Index(names=frozenset(ours), foreign=tuple(name for name in listed if parse(name) is None))
    index.pushes = tuple(name for name in ours if name.startswith("push/"))
    known: dict[str, Entry] = {}
    covered = 0
    for place in range(len(index.pushes) - 1, -1, -1):
        if place < covered:
            break
        name = index.pushes[place]
        try:
            head, entries = decode(bucket.get(name), name=name)
            refuse_unlike(name, bucket.marker.store, head.store)
        except FileNotFoundError:
            went = True
            continue
        except CorruptionError as error:
            index.troubles[name] = str(error)
            continue
        index.uncovered += 1
        for each in entries:  # The newest counts: an object may have been removed and stored anew.
            if each.object not in known:
                known[each.object] = structs.replace(each, at=Timestamp(0))
                index.noted[each.object] = each.at or head.at
        covered = max(covered, _covered(index.pushes, head))
    index.covered = index.pushes[:covered]
    index.entries = {name: entry for name, entry in known.items() if name in index.names}
    index.missing = tuple(entry for name, entry in sorted(known.items()) if name not in index.names)
    return index, went


def _covered(pushes: Sequence[str], head: Head) -> int:
    """How many of the oldest notes this one replaces: all through its mark, if none came late with an earlier name.

    Of those that it replaces some may be gone. One that came late beside them is not noticed then, and what it says is
    read from the objects.
    """
    count = sum(name <= head.covers_through for name in pushes)
    return count if head.covers_through and count <= head.covers else 0


def write_note(bucket: Bucket, index: Index, entries: Sequence[Entry], *, at: Timestamp, entropy: Entropy) -> str:
    """Note what was stored, in the backup and in the index; its name."""
    name = _next_name(bucket, index, at, entropy)
    bucket.put(name, encode(Head(INDEX_FORMAT, bucket.marker.store, at, bucket.active_key), entries))
    index.pushes = (*index.pushes, name)
    index.uncovered += 1
    return name


def _next_name(bucket: Bucket, index: Index, at: Timestamp, entropy: Entropy) -> str:
    """A name behind those of all notes there are, though the clock may stand still or be behind."""
    name = push_object(at, entropy.bytes(_DICE_SIZE))
    while (index.pushes and name <= index.pushes[-1]) or bucket.objects.head(name) is not None:
        at = max(Timestamp(at + 1), moment_after(index.pushes[-1]) if index.pushes else at)
        name = push_object(at, entropy.bytes(_DICE_SIZE))
    return name


def merge_notes(bucket: Bucket, *, at: Timestamp, entropy: Entropy) -> str | None:
    """Write one note that replaces all there are; None where one of them cannot be read: then none is replaced."""
    index = read_index(bucket)
    if index.troubles or not index.pushes:
        return None
    return replace_notes(bucket, index, (*index.entries.values(), *index.missing), at=at, entropy=entropy)


def replace_notes(bucket: Bucket, index: Index, entries: Iterable[Entry], *, at: Timestamp, entropy: Entropy) -> str:
    """Write one note, which says all that these entries say, and replaces all that were read: each of them was."""
    assert index.pushes
    assert not index.troubles
    name = _next_name(bucket, index, at, entropy)
    head = Head(
        INDEX_FORMAT,
        bucket.marker.store,
        at,
        bucket.active_key,
        covers_through=index.pushes[-1],
        covers=len(index.pushes),
    )
    noted = (structs.replace(each, at=index.noted.get(each.object, at)) for each in entries)
    everything = sorted(noted, key=lambda each: each.object)
    bucket.put(name, encode(head, everything))
    return name
