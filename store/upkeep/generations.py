"""The generations of one root: which is in force, and how another comes into force, at once or not at all.

Laws: `current` is replaced by rename, so there is always one generation in force: the old one or the new one. The old
one's files stay until somebody confirms, and until then it can be put back in force. Whoever changes anything here
holds the root's lock: nobody serves.
"""

from contextlib import suppress
from typing import Final

import msgspec

from store.engine.directory import (
    CURRENT,
    FOLDERS,
    GENERATION,
    MARKER,
    PREVIOUS,
    RESTORING,
    discard,
    read_current,
    read_small,
)
from store.env.world import Disk, Entropy
from store.errors import DirectoryError, NotRestorable
from store.ids import Offset, Position
from store.upkeep.history import look
from store.upkeep.ranges import Range, range_of, ranges_of, restorable

ROOT: Final = ""
"""The generation that lies in the root itself: the first one."""

_DICE_SIZE: Final = 4


class _Previous(msgspec.Struct, frozen=True):
    """What PREVIOUS holds, as JSON."""

    generation: str
    """In force before."""
    current: str
    """In force since; another one than is in force now: the switch did not come to its end, and this says nothing."""
    confirmed: bool = False
    """Whether its files are being removed, so that it can never be in force again."""


def current(root: Disk) -> str:
    """The folder of the generation in force; "" for the root itself. DirectoryError: `current` names none."""
    return read_current(root)


def new_name(offset: Offset, entropy: Entropy) -> str:
    """A name for a generation that will be restored to `offset`."""
    return f"restored-{offset:020d}-{entropy.bytes(_DICE_SIZE).hex()}"


def previous(root: Disk) -> str | None:
    """The generation that was in force before, whose files are kept, or not yet all removed; None: there is none."""
    noted = _noted(root)
    return None if noted is None else noted.generation


def given_up(root: Disk) -> bool:
    """Whether the previous generation's files are being removed already."""
    noted = _noted(root)
    return noted is not None and noted.confirmed


def switch(root: Disk, name: str) -> None:
    """Put another generation in force, at once; it is whole. The one in force until now becomes the previous one.

    DirectoryError: there is a previous one already.
    """
    assert GENERATION.fullmatch(name)
    now = current(root)
    assert name != now
    if (waiting := previous(root)) is not None:
        raise DirectoryError(
            f"the generation before the one in force, {waiting or 'that in the directory itself'}, is still kept",
            hint="Confirm that it may go (`store restore --confirm`), or go back to it (`--undo`), and restore then",
        )
    _note(root, PREVIOUS, msgspec.json.encode(_Previous(now, name)) + b"\n")
    _note(root, CURRENT, f"{name}\n".encode("ascii"))


def undo(root: Disk) -> str:
    """Put the previous generation back in force, at once, and return it. What was written since stays in its folder.

    NotRestorable: there is none, or its files are being removed.
    """
    noted = _noted(root)
    if noted is None:
        raise NotRestorable("there is no previous generation to go back to", hint=_NOTHING_WAITS)
    if noted.confirmed:
        raise NotRestorable(
            "the previous generation was given up, and some of its files are gone",
            hint="Confirm again (`store restore --confirm`), which removes the rest",
        )
    if noted.generation == ROOT:
        root.remove(CURRENT)
        root.sync_directory()
    else:
        _note(root, CURRENT, f"{noted.generation}\n".encode("ascii"))
    _remove_if_there(root, PREVIOUS)
    return noted.generation


def lost_by_confirming(old: Disk, new: Disk) -> list[Range]:
    """What the old generation can restore and the new one cannot: it is gone for good once confirmed."""
    history, kept = look(old), restorable(new)
    return [
        range_of(history, first, last)
        for each in ranges_of(history)
        for first, last in _without(each, [other for other in kept if other.epoch == each.epoch])
    ]


def confirm(root: Disk, old: Disk) -> int:
    """Remove the previous generation's files, for good; `old` is its Disk. Returns how many bytes were freed.

    Interrupted, it is confirmed all the same, and the next call goes on. NotRestorable: there is none.
    """
    noted = _noted(root)
    if noted is None:
        raise NotRestorable("there is no previous generation to give up", hint=_NOTHING_WAITS)
    if not noted.confirmed:
        _note(root, PREVIOUS, msgspec.json.encode(msgspec.structs.replace(noted, confirmed=True)) + b"\n")
    freed = sum(_size(old, f"{folder}/{name}") for folder in FOLDERS for name in old.names(folder))
    for name in (MARKER, f"{MARKER}.new", RESTORING):
        _remove_if_there(old, name)
    discard(old)
    _remove_if_there(root, PREVIOUS)
    return freed


_NOTHING_WAITS: Final = "Nothing was restored in place here since the last time this was decided"


def _without(whole: Range, kept: list[Range]) -> list[tuple[Offset, Offset]]:
    """What is left of a range without those that are kept, which are oldest first."""
    parts, begin = [], whole.first
    for each in kept:
        if each.first > begin:
            parts.append((begin, Offset(min(each.first - 1, whole.last))))
        begin = max(begin, Offset(each.last + 1))
    parts.append((begin, whole.last))
    return [(first, last) for first, last in parts if first <= last]


def _noted(root: Disk) -> _Previous | None:
    """What PREVIOUS says, where it is about the generation in force. DirectoryError: it cannot be read."""
    if PREVIOUS not in root.names():
        return None
    try:
        noted = msgspec.json.decode(read_small(root, PREVIOUS), type=_Previous)
    except msgspec.MsgspecError as error:
        raise DirectoryError(
            f"expected the generation before in {PREVIOUS}, found other content ({error})",
            hint=f"Remove the file {PREVIOUS} if no generation but the one in force is needed any more",
        ) from None
    if noted.generation != ROOT and not GENERATION.fullmatch(noted.generation):
        raise DirectoryError(
            f"expected the name of a generation in {PREVIOUS}, found {noted.generation[:60]!r}",
            hint=f"Remove the file {PREVIOUS} if no generation but the one in force is needed any more",
        )
    return noted if noted.current == current(root) else None


def _note(root: Disk, name: str, data: bytes) -> None:
    """Replace a note, whole or not at all; durable when it returns."""
    fresh = f"{name}.new"
    with suppress(FileNotFoundError):
        root.remove(fresh)
    file = root.create(fresh)
    try:
        file.write(Position(0), data)
        file.sync()
    finally:
        file.close()
    root.rename(fresh, name)
    root.sync_directory()


def _remove_if_there(disk: Disk, name: str) -> None:
    if name in disk.names():
        disk.remove(name)
        disk.sync_directory()


def _size(disk: Disk, name: str) -> int:
    file = disk.open(name)
    try:
        return file.size()
    finally:
        file.close()
