"""Who signs for a log, from which size of its tree on; FORMAT.md §7.

Laws: the first key introduces itself; each later one is introduced by itself and by the key before it, or by the root
key where that was revoked. Which key is in force follows from the notes alone. A key signs what is larger than the size
at which it came; at that size the one before it still does. The root key is kept elsewhere, and signs nothing but this.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from store.audit.objects.checkpoint import read_number
from store.audit.objects.layout import Malformed, What, check_log_id, key_name, read_name, revocation_name
from store.audit.objects.notes import ED25519, Note, Signer, VerifierKey, read_key, read_note, sign
from store.errors import ConfigError

KEY_TITLE: Final = "commitstore audit key v1"
REVOCATION_TITLE: Final = "commitstore audit revocation v1"
NOBODY: Final = "-"
"""What stands where there is no key."""


@dataclass(frozen=True)
class KeyNote:
    """A key that is introduced."""

    log: str
    new: VerifierKey
    old: VerifierKey | None
    """The key that it follows; None for the first."""
    root: VerifierKey | None
    """Who may revoke; what the first note says, holds."""
    from_size: int
    """Checkpoints and manifests over more events than this are the new key's."""

    @property
    def text(self) -> str:
        """What is signed."""
        return (
            f"{KEY_TITLE}\nlog {self.log}\nnew {self.new}\nold {self.old or NOBODY}\nroot {self.root or NOBODY}\n"
            f"from_size {self.from_size}\n"
        )

    @property
    def name(self) -> str:
        """Its object's name."""
        return key_name(self.log, self.new.key_id)


@dataclass(frozen=True)
class Revocation:
    """A key that is not to be believed behind a size."""

    log: str
    key: VerifierKey
    from_size: int
    """The last size whose checkpoint it may have signed."""
    reason: str

    @property
    def text(self) -> str:
        """What the root key signs."""
        return f"{REVOCATION_TITLE}\nlog {self.log}\nkey {self.key}\nfrom_size {self.from_size}\nreason {self.reason}\n"

    @property
    def name(self) -> str:
        """Its object's name."""
        return revocation_name(self.log, self.key.key_id)


def _fields(note: Note, title: str, *names: str) -> list[str]:
    """The values of a note's lines. Malformed where they are not these, in this order."""
    first, *lines = note.text.removesuffix("\n").split("\n")
    if first != title or [line.partition(" ")[0] for line in lines] != [*names]:
        raise Malformed(f"expected a note of the lines {title!r}, {', '.join(names)}, found {note.text[:80]!r}")
    return [line.partition(" ")[2] for line in lines]


def _key_or_none(text: str) -> VerifierKey | None:
    return None if text == NOBODY else read_key(text)


def read_key_note(note: Note) -> KeyNote:
    """What it says if its signatures hold. Malformed says what is wrong with its form."""
    log, new, old, root, size = _fields(note, KEY_TITLE, "log", "new", "old", "root", "from_size")
    found = KeyNote(
        check_log_id(log), read_key(new), _key_or_none(old), _key_or_none(root), read_number(size, "from_size")
    )
    if found.text != note.text:
        raise Malformed("a key's note has one spelling, found another")
    return found


def read_revocation(note: Note) -> Revocation:
    """What it says if the root key's signature holds. Malformed says what is wrong with its form."""
    log, key, size, reason = _fields(note, REVOCATION_TITLE, "log", "key", "from_size", "reason")
    found = Revocation(check_log_id(log), read_key(key), read_number(size, "from_size"), reason)
    if found.text != note.text:
        raise Malformed("a revocation has one spelling, found another")
    return found


@dataclass(frozen=True)
class Succession:
    """The keys of a log in the order in which they came."""

    keys: tuple[tuple[int, VerifierKey], ...]
    """Each with the size from which on it signs what is larger."""
    root: VerifierKey | None
    revoked: Mapping[str, int]
    """The last size that a revoked key may have signed, by the key's text."""

    @property
    def newest(self) -> VerifierKey:
        """The key that came last."""
        return self.keys[-1][1]

    def in_force(self, size: int) -> VerifierKey:
        """Whose signature a checkpoint or manifest with this size wants. Malformed: that key was revoked before."""
        key = [key for start, key in self.keys if start < size or start == 0][-1]
        last = self.revoked.get(str(key))
        if last is not None and size > last:
            raise Malformed(f"the key {key} was revoked behind size {last}, so nothing of size {size} is its own")
        return key


def read_succession(log: str, notes: Mapping[str, bytes], *, root: VerifierKey | None = None) -> Succession:
    """From all key notes and revocations of a log, by their objects' names. `root`: as known from elsewhere.

    Malformed: they do not make one line of keys from the first one on, or a signature is missing.
    """
    introduced: dict[str, tuple[KeyNote, Note]] = {}
    revocations: list[tuple[Revocation, Note]] = []
    for name, data in sorted(notes.items()):
        what = read_name(name)
        note = read_note(data)
        if what is not None and what.what is What.REVOCATION:
            revocations.append((read_revocation(note), note))
            _expect(revocations[-1][0].name == name, f"{name} to be named after its key and log")
            continue
        found = read_key_note(note)
        _expect(found.name == name and found.log == log, f"{name} to be named after its key and log")
        before = str(found.old or NOBODY)
        _expect(before not in introduced, f"one key to follow {before}, found two")
        introduced[before] = (found, note)
    if NOBODY not in introduced:
        raise Malformed("expected a note that introduces the first key of the log, found none")
    root = root or introduced[NOBODY][0].root
    revoked = dict(_revoked(log, revocations, root))
    return Succession(tuple(_line(introduced, revoked, root)), root, revoked)


def _revoked(
    log: str, revocations: Iterable[tuple[Revocation, Note]], root: VerifierKey | None
) -> Iterable[tuple[str, int]]:
    for found, note in revocations:
        signed = root is not None and root in note.signed_by([root])
        _expect(signed and found.log == log, f"the root key's signature under the revocation of {found.key.key_id}")
        yield str(found.key), found.from_size


def _line(
    introduced: dict[str, tuple[KeyNote, Note]], revoked: Mapping[str, int], root: VerifierKey | None
) -> Iterable[tuple[int, VerifierKey]]:
    start, before = 0, NOBODY
    while before in introduced:
        found, note = introduced.pop(before)
        _expect(found.new.algorithm == ED25519, f"the key {found.new.key_id} to be of type 1")
        wanted = {found.new}
        if found.old is not None:
            wanted.add(root if root is not None and str(found.old) in revoked else found.old)
        _expect(wanted == set(note.signed_by(wanted)), f"the signatures of {', '.join(each.key_id for each in wanted)}")
        _expect(found.from_size >= start and (found.old is not None or found.from_size == 0), "sizes that rise from 0")
        start, before = found.from_size, str(found.new)
        yield start, found.new
    _expect(not introduced, "each key to follow another")


def _expect(holds: object, what: str) -> None:
    if not holds:
        raise Malformed(f"in the keys of this log, expected {what}")


def introduce_first(log: str, key: Signer, *, root: VerifierKey | None) -> tuple[str, bytes]:
    """The name and the bytes of the note that begins a log's line of keys."""
    note = KeyNote(log, key.key, None, root, 0)
    return note.name, sign(note.text, [key]).encode()


def introduce_next(log: str, succession: Succession, new: Signer, *, by: Signer, from_size: int) -> tuple[str, bytes]:
    """The note of a key that follows the newest one. `by`: that one, or the root key where it was revoked.

    ConfigError: `by` may not, or the size lies before the newest key's.
    """
    old = succession.newest
    wanted = succession.root if str(old) in succession.revoked and succession.root else old
    if by.key != wanted:
        raise ConfigError(
            f"a new key is introduced by {wanted.key_id}, found {by.key.key_id}",
            hint="Bring that key, or revoke it first: then the root key introduces the next one",
        )
    if from_size < succession.keys[-1][0] or new.key in {key for _, key in succession.keys}:
        raise ConfigError(
            f"a new key comes at size {succession.keys[-1][0]} or behind it, and was never there before",
            hint="Make another key, and name the size of the newest checkpoint",
        )
    note = KeyNote(log, new.key, old, succession.root, from_size)
    return note.name, sign(note.text, [new, by]).encode()


def revoke(
    log: str, succession: Succession, key: VerifierKey, *, root: Signer, from_size: int, reason: str
) -> tuple[str, bytes]:
    """The note that revokes a key behind a size. ConfigError: that is not this log's root key, or not its key."""
    if succession.root is None or root.key != succession.root:
        named = succession.root.key_id if succession.root else "none"
        raise ConfigError(
            f"the log's root key is {named}, found {root.key.key_id}",
            hint="Only the root key that the log's first note names can revoke; without one, tell your auditors",
        )
    if key not in {each for _, each in succession.keys}:
        raise ConfigError(f"{key.key_id} is no key of this log", hint="`store audit keys show` lists them")
    if not reason.strip() or not reason.isprintable():
        raise ConfigError("a revocation gives its reason in one line of plain text")
    note = Revocation(log, key, from_size, reason)
    return note.name, sign(note.text, [root]).encode()


class Keyring:
    """The signers at hand, and which of them signs what."""

    def __init__(self, log: str, signers: Sequence[Signer], notes: Mapping[str, bytes]) -> None:
        """`notes`: by their objects' names. ConfigError: the newest key is not at hand. Malformed as they are read."""
        self.notes: Final = dict(notes)
        self.succession: Final = read_succession(log, notes)
        self._signers: Final = {each.key: each for each in signers}
        self._at_hand(self.succession.newest)

    def signer(self, size: int) -> Signer:
        """Who signs what has this size. ConfigError: that key is not at hand, or was revoked."""
        try:
            key = self.succession.in_force(size)
        except Malformed as error:
            raise ConfigError(str(error), hint="`store audit keys rotate` introduces the next key") from None
        return self._at_hand(key)

    def signers(self, size: int) -> list[Signer]:
        """Who signs a checkpoint: the key in force, and those before it that are at hand and not revoked.

        Who knows an old key alone can check it as long as that one is kept.
        """
        first = self.signer(size)
        others = [
            self._signers[key]
            for start, key in reversed(self.succession.keys)
            if key != first.key and start <= size and key in self._signers and str(key) not in self.succession.revoked
        ]
        return [first, *others]

    def _at_hand(self, key: VerifierKey) -> Signer:
        if key not in self._signers:
            raise ConfigError(
                f"the audit key {key.key_id} is in force and not at hand",
                hint="Bring its file back into the keys' folder, or set STORE_AUDIT_KEY",
            )
        return self._signers[key]
