"""Acts of operators that nobody could log when they were done: noted in the directory, logged by whoever serves next.

Laws: a note is durable before the act, and a second one says how the act ended; where an act puts another generation in
force, its note names that one, so the rename that decides the act decides the note. Whoever logs notes first says,
durably, at which offset: after a crash the log itself tells which of them it holds. So none is logged twice, and none
is lost. What lies in the folder and is no note is left there; a note that cannot be read is logged as one.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final

import msgspec

from store.codec import UNSTORABLE
from store.env.world import Clock, Disk, Entropy
from store.errors import EngineStopped
from store.ids import Offset, Position, Timestamp
from store.transaction import Kind
from store.values import encode

ACTS: Final = "acts"
"""The folder of the notes, at the top of a data directory, whichever generation is in force."""
NOTE_SIZE_MAX: Final = 1 << 16
"""Bytes of a note; a larger file is none of ours."""
ACTS_MAX: Final = 256
"""Notes that are logged at once; the next ones come with the next look."""
BEGUN, DONE, FAILED, NOT_IN_FORCE = "begun", "done", "failed", "not in force"
"""How far an act came, as its record says: nobody knows its end, done, failed; or not switched to, or switched back."""

_LOGGING: Final = "logging.json"
_NAME: Final = re.compile(r"([0-9]{20}-[0-9a-f]{16})(-ended)?\.json", re.ASCII)
_ACT_NAME: Final = re.compile(r"[a-z_]{1,32}", re.ASCII)
_DICE_SIZE: Final = 8

Record = Callable[[Kind, str, bytes], object]
"""Appends one record of a kind, with a name and arguments."""


class Act(msgspec.Struct, frozen=True):
    """What an operator did, or began to do, as JSON."""

    name: str
    """As its record is called: restore, clone, salvage, import, pull, confirm, undo, retention, pin, unpin."""
    issuer: str
    """Who vouches for the subject: the machine it has an account on, as host:NAME."""
    subject: str
    """Who did it: that account."""
    at: Timestamp
    """When it was asked for, by the wall clock."""
    content: dict[str, Any]
    state: str = BEGUN
    in_force: str | None = None
    """The generation by which the act is done: where another one is in force it was not done, or undone."""


class _Logging(msgspec.Struct, frozen=True):
    """Which notes are being logged, as JSON."""

    generation: str
    first: Offset
    """Of the first one's record; the others follow without a gap."""
    names: tuple[str, ...]


@dataclass(frozen=True)
class Note:
    """The note of one act, in the hands of whoever acts. It is durable."""

    disk: Disk
    name: str
    act: Act

    def end(self, state: str, content: Mapping[str, Any]) -> None:
        """Say how it ended, and what more there is to say. OSError: the note of its beginning stays."""
        ended = msgspec.structs.replace(self.act, state=state, content={**self.act.content, **content})
        _write(self.disk, f"{self.name}-ended.json", msgspec.json.encode(ended))
        _remove(self.disk, [f"{self.name}.json"])


def note(disk: Disk, act: Act, entropy: Entropy) -> Note:
    """Note an act, durably: `disk` is the data directory's top. OSError."""
    name = f"{act.at:020d}-{entropy.bytes(_DICE_SIZE).hex()}"
    _write(disk, f"{name}.json", msgspec.json.encode(act))
    return Note(disk, name, act)


def note_making(disk: Disk, act: Act, entropy: Entropy) -> None:
    """Note what made a directory, in that directory, which has no marker yet. OSError."""
    forget_acts(disk)  # Of a making that came as far, and no further.
    note(disk, msgspec.structs.replace(act, state=DONE), entropy)


def forget_acts(disk: Disk) -> None:
    """Remove every note, durably: of a directory that is no store yet."""
    _remove(disk, disk.names(ACTS))


class OwedActs:
    """The notes in one directory, for whoever logs them: a start, and then the server, now and then."""

    def __init__(self, disk: Disk, generation: str = "") -> None:
        """`disk` is the data directory's top, and `generation` what is in force there."""
        self._disk: Final = disk
        self._generation: Final = generation
        self._logging: tuple[str, ...] = ()
        """Notes that are being logged."""

    @property
    def unsettled(self) -> bool:
        """Whether notes were being logged when whoever did that ended."""
        return _LOGGING in self._disk.names(ACTS)

    def settle(self, last_offset: Offset) -> None:
        """After a crash: what the log holds, which ends at this offset, is owed no more. OSError."""
        if not self.unsettled:
            return
        try:
            said = msgspec.json.decode(_read(self._disk, _LOGGING), type=_Logging)
        except msgspec.MsgspecError:  # Not ours: it is written whole or not at all.
            return
        if said.generation == self._generation:
            self._remove([name for number, name in enumerate(said.names) if said.first + number <= last_offset])
        _remove(self._disk, [_LOGGING])

    def due(self, *, starting: bool) -> list[str]:
        """Notes to be logged, oldest first. An act without an end is told at a `starting` store alone: it may go on."""
        if self._logging:
            return []
        found = [match for match in map(_NAME.fullmatch, self._disk.names(ACTS)) if match]
        ended = {match[1] for match in found if match[2]}
        names = [match[0] for match in found if match[2] or (starting and match[1] not in ended)]
        return names[:ACTS_MAX]

    def log(self, names: Sequence[str], first: Offset, record: Record) -> None:
        """Append a record of each note, the first of them at this offset.

        OSError: nothing was appended. EngineStopped: the same, and nothing else may be, for the disk does not forget
        what was going to be there.
        """
        said = [self._said(name) for name in names]
        intent = _Logging(self._generation, first, tuple(names))
        try:
            _write(self._disk, _LOGGING, msgspec.json.encode(intent))
        except OSError as error:
            if _LOGGING in self._disk.names(ACTS):
                raise EngineStopped(f"the note of what is being logged could not be made durable: {error}") from error
            raise
        self._logging = tuple(names)
        for name, args in said:
            record(Kind.ADMIN, name, args)

    def logged(self) -> None:
        """What was appended is durable: it is owed no more. OSError: call again."""
        if self._logging:
            self._remove(self._logging)
            _remove(self._disk, [_LOGGING])
            self._logging = ()

    def _remove(self, names: Sequence[str]) -> None:
        _remove(self._disk, [*names, *(name.replace("-ended.", ".") for name in names if "-ended." in name)])

    def _said(self, name: str) -> tuple[str, bytes]:
        """What a note's record is called, and its arguments: [what was done, who asked]."""
        data = _read(self._disk, name)
        try:
            act = msgspec.json.decode(data, type=Act)
            if not _ACT_NAME.fullmatch(act.name):
                raise ValueError(act.name)
            state = act.state if act.in_force in {None, self._generation} else NOT_IN_FORCE
            content = {**act.content, "id": name[:-5].removesuffix("-ended"), "at": act.at, "state": state}
            return act.name, encode([content, [act.issuer, act.subject]])
        except (msgspec.MsgspecError, *UNSTORABLE):
            return "unreadable", encode([{"note": name, "sha256": sha256(data).hexdigest(), "size": len(data)}, []])


def acting(name: str, person: tuple[str, str], clock: Clock, content: Mapping[str, Any], **more: Any) -> Act:
    """An act of now."""
    issuer, subject = person
    return Act(name, issuer, subject, clock.wall(), dict(content), **more)


def person_of(args: bytes) -> tuple[str, str] | None:
    """(issuer, subject) of who asked for an operator's act, as its arguments say; None: the store by itself."""
    try:
        said = msgspec.msgpack.decode(args)
    except UNSTORABLE:
        return None
    if isinstance(said, list) and len(said) == 2 and isinstance(said[1], list):  # [what was done, who asked]
        said = said[1]
    if isinstance(said, list) and len(said) >= 2 and all(isinstance(each, str) for each in said[:2]):
        return said[0], said[1]
    return None


def _read(disk: Disk, name: str) -> bytes:
    file = disk.open(f"{ACTS}/{name}")
    try:
        return file.read(Position(0), min(file.size(), NOTE_SIZE_MAX))
    finally:
        file.close()


def _write(disk: Disk, name: str, data: bytes) -> None:
    """A file that is there whole or not at all; durable when this returns."""
    fresh = f"{name}.new"
    _remove(disk, [fresh])
    try:
        file = disk.create(f"{ACTS}/{fresh}")
        try:
            file.write(Position(0), data)
            file.sync()
        finally:
            file.close()
        disk.rename(f"{ACTS}/{fresh}", f"{ACTS}/{name}")
    except OSError:
        with suppress(OSError):
            _remove(disk, [fresh])
        raise
    disk.sync_directory(ACTS)


def _remove(disk: Disk, names: Sequence[str]) -> None:
    """Take away those that are there, durably."""
    there = set(disk.names(ACTS)).intersection(names)
    for name in sorted(there):
        disk.remove(f"{ACTS}/{name}")
    if there:
        disk.sync_directory(ACTS)
