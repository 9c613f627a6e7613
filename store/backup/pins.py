"""Pins of the directories that are pushed, kept in the backup, so that what they hold stays in it, too.

Laws: a pin is an object of its own, named by what it says, under the epoch that was in force where it was set. A push
brings the backup's pins of its own epoch in line with its directory; those of other epochs it never touches: what was
pinned in a history that was given up stays pinned there until its time is over, or somebody takes it away. A pin that
does not read is an error: nobody knows what it holds.
"""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

import msgspec

from store.backup.branches import Branch, segment_of, snapshot_of
from store.backup.bucket import Bucket
from store.backup.facts import refuse_unlike
from store.backup.layout import parse, pin_object
from store.errors import CorruptionError, DirectoryError
from store.ids import Offset, Timestamp
from store.log.survey import SegmentInfo
from store.snapshot.format import Manifest
from store.snapshot.repository import Pin

PIN_FORMAT: Final = 1
PIN: Final = "pin/"


class BackupPin(msgspec.Struct, frozen=True):
    """A moment that stays restorable from the backup, and every later one of its history; as JSON."""

    format: int
    store: str
    name: str
    """What it is called where it was set."""
    epoch: str
    """In force where it was set, 32 hex digits."""
    history: str
    """In force at the offset: whose moment it is."""
    offset: Offset
    reason: str
    until: Timestamp | None
    """When it ends by itself; None: when it is taken away."""

    def holds_in(self, branch: Branch) -> bool:
        """Whether its moment is one of this history."""
        there = [each for each in map(segment_of, branch.segments) if each.first <= self.offset <= each.last]
        if there:
            return any(each.epoch == self.history for each in there)
        epochs = {each.epoch for each in map(segment_of, branch.segments)}
        epochs |= {each.epoch for each in map(snapshot_of, branch.snapshots)}
        return self.history in epochs


@dataclass(frozen=True)
class Place:
    """Where pins are set: a directory, by the history in it."""

    epoch: str
    """In force now."""
    segments: Sequence[SegmentInfo]
    snapshots: Sequence[Manifest]

    def history_at(self, offset: Offset) -> str:
        """The epoch of that moment; the one in force where the directory does not tell any more."""
        for each in self.segments:
            if each.first_offset <= offset <= each.whole_offset:
                return each.epoch.hex()
        return next((each.epoch.hex() for each in self.snapshots if each.offset == offset), self.epoch)


def send_pins(bucket: Bucket, place: Place, pins: Iterable[tuple[str, Pin]], now: Timestamp) -> int:
    """Have the backup hold these pins of a directory, and no others of its epoch; how many it holds then. OSError."""
    wanted: dict[str, bytes] = {}
    for name, pin in pins:
        if pin.kind == "pin" and (pin.until is None or pin.until > now):
            history = place.history_at(pin.offset)
            file = msgspec.json.encode(
                BackupPin(
                    PIN_FORMAT, bucket.marker.store, name, place.epoch, history, pin.offset, pin.reason, pin.until
                )
            )
            wanted[pin_object(place.epoch, bucket.hidden(sha256(file).hexdigest()))] = file
    there = set(bucket.objects.names(f"{PIN}{place.epoch}-"))
    for name in sorted(wanted.keys() - there):
        bucket.put(name, wanted[name])
    for name in sorted(there - wanted.keys()):  # After the new ones: a pin that was moved on never holds nothing.
        take_away(bucket, name)
    return len(wanted)


def read_pins(bucket: Bucket, prefix: str = PIN) -> dict[str, BackupPin]:
    """Every pin whose object's name begins so, by that name.

    CorruptionError: one does not read. DirectoryError: of a newer format.
    """
    found = {}
    for name in bucket.objects.names(prefix):
        parsed = parse(name)
        if parsed is not None:
            with suppress(FileNotFoundError):  # Taken away meanwhile.
                found[name] = _decode(bucket, name, parsed.parts[0], bucket.get(name))
    return found


def take_away(bucket: Bucket, name: str) -> bool:
    """Remove a pin; whether it is gone: the place may hold it under a lock. OSError."""
    try:
        with suppress(FileNotFoundError):
            bucket.objects.remove(name)
    except PermissionError:
        return False
    return True


def _decode(bucket: Bucket, name: str, epoch: str, file: bytes) -> BackupPin:
    try:
        pin = msgspec.json.decode(file, type=BackupPin)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise _damaged(name, str(error)) from None
    if pin.format != PIN_FORMAT:
        raise DirectoryError(
            f"{name} is of format {pin.format}, this store reads up to {PIN_FORMAT}",
            hint="Use the newer version of the store",
        )
    refuse_unlike(name, (bucket.marker.store, epoch), (pin.store, pin.epoch))
    refuse_unlike(name, name, pin_object(epoch, bucket.hidden(sha256(file).hexdigest())))
    return pin


def _damaged(name: str, why: str) -> CorruptionError:
    return CorruptionError(
        f"expected a pin, found other content ({why})",
        file=name,
        position=0,
        hint="Nobody knows what it holds: push again where it was set, which writes it anew, then remove that object",
    )
