"""What every Entropy guarantees, run over all that claim to be one."""

import pytest

from store.env.memory import SeededEntropy
from store.env.posix import SystemEntropy, WriterEntropy
from store.env.world import Entropy

KINDS = {"seeded": lambda: SeededEntropy(1), "system": SystemEntropy, "writer": WriterEntropy}


@pytest.fixture(name="entropy", params=KINDS)
def _entropy(request: pytest.FixtureRequest) -> Entropy:
    """Each of them."""
    entropy: Entropy = KINDS[request.param]()
    return entropy


@pytest.mark.parametrize("count", [0, 1, 16, 31, 32, 33, 100])
def test_as_many_bytes_come_as_were_asked_for(entropy: Entropy, count: int) -> None:
    """Any number."""
    assert len(entropy.bytes(count)) == count


def test_no_bytes_come_twice(entropy: Entropy) -> None:
    """Sixteen of them are never the same again."""
    assert len({entropy.bytes(16) for _ in range(1000)}) == 1000
