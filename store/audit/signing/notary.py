"""Who signs for a trail: its keys, and the witnesses that its policy wants."""

from collections.abc import Mapping
from typing import Final, Protocol

from store.audit.objects.checkpoint import Checkpoint
from store.audit.objects.notes import Note, Signer, sign
from store.audit.signing.cosigning import Cosigner
from store.audit.signing.keys import Keyring
from store.errors import StoreError


class Unendorsed(StoreError):
    """Who is to sign cannot be reached, or fewer witnesses cosign than the policy wants: later, perhaps."""


class Notary(Protocol):
    """Who signs for a trail."""

    def signer(self, size: int) -> Signer:
        """Who signs the manifest behind which the tree has this size."""
        ...

    def endorse(self, checkpoint: Checkpoint) -> bytes | None:
        """The checkpoint's note with all signatures that are wanted; None: they are being asked for, ask again soon.

        Unendorsed: some cannot be had now. OSError.
        """
        ...


class TrailNotary:
    """Signs manifests and checkpoints; without a cosigner nobody else has seen them."""

    def __init__(
        self, keys: Keyring, cosigner: Cosigner | None = None, *, policies: Mapping[str, bytes] | None = None
    ) -> None:
        """`policies`: the notes that say whom the log asks, by object names (`custody.policy_notes`)."""
        self._keys: Final = keys
        self._policies: Final = dict(policies or {})
        self.cosigner: Final = cosigner
        self._signed: tuple[Checkpoint, Note] | None = None
        """What witnesses are asked for: signed once, for a key service may be far away."""

    def signer(self, size: int) -> Signer:
        """Who signs the manifest behind which the tree has this size. ConfigError: that key is not at hand."""
        return self._keys.signer(size)

    def notes(self) -> Mapping[str, bytes]:
        """What is said of keys and witnesses, by object names: stored before anything that is signed."""
        return {**self._keys.notes, **self._policies}

    def endorse(self, checkpoint: Checkpoint) -> bytes | None:
        """The checkpoint's note. Unendorsed: fewer witnesses have cosigned it than the policy wants."""
        if self._signed is None or self._signed[0] != checkpoint:
            self._signed = checkpoint, sign(checkpoint.text, self._keys.signers(checkpoint.size))
        _, note = self._signed
        if self.cosigner is not None:
            found = self.cosigner.collect(checkpoint, note)
            if found is None:
                return None
            if not self.cosigner.policy.enough(found.names):
                raise Unendorsed(
                    f"{len(found.names)} witnesses have cosigned, which is fewer than the policy wants:"
                    f" {'; '.join(found.problems)}",
                    hint="Batches are shipped all the same; the checkpoint waits for its witnesses",
                )
            note = found.note
        self._signed = None
        return note.encode()
