"""Secrets in memory."""

from store.env.memory import SeededEntropy
from store.env.subjects import MemorySubjectKeys


def test_secrets_come_from_the_worlds_entropy() -> None:
    """So that a test or a simulation has the same ones again."""
    first, again, other = (MemorySubjectKeys(SeededEntropy(seed)) for seed in (1, 1, 2))
    assert first.key_of("ada") == again.key_of("ada") != other.key_of("ada")
    assert first.log_secret() == again.log_secret() != other.log_secret()
