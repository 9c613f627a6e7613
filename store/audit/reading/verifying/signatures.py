"""Who signed what: the keys of a trail, its checkpoints, the witnesses, and the checkpoint that an auditor kept.

Laws: the key that was named is one of the trail's own. What counts is signed by the key in force for its size, and by
all whom the auditor asked for; what the log itself asks for proves nothing. Notes about keys are held for as long as
anything that they prove.
"""

from typing import Final

from store.audit.objects.checkpoint import Checkpoint, read_checkpoint
from store.audit.objects.layout import Malformed, What, read_name
from store.audit.objects.merkle import NOTHING
from store.audit.objects.notes import Note, read_note
from store.audit.reading.verifying.evidence import Evidence
from store.audit.reading.verifying.findings import Kind
from store.audit.reading.verifying.listing import Listed, by_key
from store.audit.signing.keys import Succession, read_key_note, read_revocation, read_succession
from store.ids import Timestamp


class Signatures:
    """The keys of one trail, once they are read, and what they signed."""

    def __init__(self, evidence: Evidence) -> None:
        """Malformed: the keys do not follow each other, the one that was named is none of them, or what was kept."""
        self._evidence: Final = evidence
        self._notes: list[Listed] = []
        self.keys: Final = self._read_keys()
        evidence.outcome.origin = self.keys.keys[0][1].name
        self._read_policies()
        self.trusted: Final = self._read_trusted()
        """The checkpoint that somebody kept."""

    def look_at_locks(self, wanted: Timestamp | None) -> None:
        """The notes of keys and policies are held until the last batch may go."""
        for listed in self._notes:
            self._evidence.look_at_lock(listed, wanted)

    def newest(self) -> tuple[Checkpoint, bytes] | None:
        """The largest checkpoint that counts, and its note; None: there is none."""
        newest = None
        for listed in by_key(self._evidence.store, f"{self._evidence.top}checkpoint/"):
            name = read_name(listed.key)
            if name is not None and name.what is What.CHECKPOINT:
                found, counts = self.read_checkpoint(listed, name.number)
                newest = newest if found is None or not counts else (found, self._evidence.read(listed))
        return newest

    def read_checkpoint(self, listed: Listed, size: int) -> tuple[Checkpoint | None, bool]:
        """One that the log signed, None where it did not; and whether all have cosigned it who were asked for."""
        evidence = self._evidence
        where, cosigned = evidence.where(listed), evidence.request.cosigned
        try:
            found, note = read_checkpoint(evidence.read(listed))
            self._check_signed(found, note, size)
            evidence.outcome.counts.checkpoints += 1
            counts = cosigned is None or cosigned(note)
        except Malformed as error:
            evidence.find(Kind.TAMPER, where, error)
            return None, False
        evidence.outcome.counts.checkpoints_counted += counts
        if self.trusted is not None and self.trusted.size == size and self.trusted.root != found.root:
            evidence.find(Kind.TAMPER, where, f"another root was signed for {size} events: history is rewritten")
        return found, counts

    def _check_signed(self, found: Checkpoint, note: Note, size: int) -> None:
        origin, key = self._evidence.outcome.origin, self.keys.in_force(size)
        if (found.origin, found.size) != (origin, size):
            raise Malformed(f"expected {size} events of {origin}, found {found.size} of {found.origin}")
        if size == 0 and found.root != NOTHING.root():
            raise Malformed(f"the empty tree has another root than {found.root.hex()}")
        if key not in note.signed_by(each for _, each in self.keys.keys):
            raise Malformed(f"expected a signature of the key in force, {key}, found none")

    def _read_keys(self) -> Succession:
        evidence, notes, named = self._evidence, dict[str, bytes](), self._evidence.request.key
        for listed in by_key(evidence.store, f"{evidence.top}keys/"):
            name = read_name(listed.key)
            if name is None:
                continue
            self._notes.append(listed)
            try:
                data = evidence.read(listed)
                note = read_note(data)
                _ = read_revocation(note) if name.what is What.REVOCATION else read_key_note(note)
                notes[listed.key] = data
            except Malformed as error:
                evidence.find(Kind.TAMPER, evidence.where(listed), error)
        found = read_succession(evidence.request.log, notes, root=evidence.request.root_key)
        if named is not None and named not in {key for _, key in found.keys}:
            raise Malformed(f"expected a trail of the key that was named, {named}, found {found.newest}")
        evidence.outcome.counts.keys = len(found.keys)
        return found

    def _read_policies(self) -> None:
        """Whom the log asked for cosignatures proves nothing; it is signed by the log all the same."""
        evidence = self._evidence
        for listed in by_key(evidence.store, f"{evidence.top}policy/"):
            if read_name(listed.key) is None:
                continue
            self._notes.append(listed)
            try:
                if not read_note(evidence.read(listed)).signed_by(key for _, key in self.keys.keys):
                    evidence.find(Kind.TAMPER, evidence.where(listed), "none of the log's keys has signed it")
            except Malformed as error:
                evidence.find(Kind.TAMPER, evidence.where(listed), error)

    def _read_trusted(self) -> Checkpoint | None:
        if self._evidence.request.trusted is None:
            return None
        try:
            found, note = read_checkpoint(self._evidence.request.trusted)
            self._check_signed(found, note, found.size)
        except Malformed as error:
            raise Malformed(f"the trusted checkpoint: {error}") from None
        return found
