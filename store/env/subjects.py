"""The secrets of an audit trail's arguments: one for the log, and one for each person its data is about.

Laws: a person's key is random and made at its first use. Once it is destroyed it is never made again: what was sealed
with it is lost for good, which is the point.
"""

from typing import Final, Protocol

from store.env.world import Entropy

SECRET_SIZE: Final = 32
"""Bytes of each."""


class SubjectKeys(Protocol):
    """Where the secrets lie. What was given out survives whatever the place survives. OSError where it fails."""

    def log_secret(self) -> bytes:
        """The log's: 32 bytes, always the same, made at the first use."""
        ...

    def key_of(self, subject: str) -> bytes | None:
        """The key of a person, made durable at the first use; None once it was destroyed."""
        ...

    def known(self, subject: str) -> bool | None:
        """Whether the person has a key; None: it was destroyed."""
        ...

    def destroy(self, subject: str) -> bool:
        """Take the key away for good, also one that was never made; False where it was destroyed before."""
        ...


class MemorySubjectKeys:
    """Secrets in memory (SubjectKeys), for tests and the simulator."""

    def __init__(self, entropy: Entropy) -> None:
        self._entropy: Final = entropy
        self._log: Final = entropy.bytes(SECRET_SIZE)
        self._keys: Final[dict[str, bytes | None]] = {}

    def log_secret(self) -> bytes:
        """The log's."""
        return self._log

    def key_of(self, subject: str) -> bytes | None:
        """The key of a person."""
        if subject not in self._keys:
            self._keys[subject] = self._entropy.bytes(SECRET_SIZE)
        return self._keys[subject]

    def known(self, subject: str) -> bool | None:
        """Whether the person has a key; None: it was destroyed."""
        if subject not in self._keys:
            return False
        return True if self._keys[subject] is not None else None

    def destroy(self, subject: str) -> bool:
        """Take the key away for good."""
        if self.known(subject) is None:
            return False
        self._keys[subject] = None
        return True
