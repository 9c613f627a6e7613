"""Who signs for a trail."""

import pytest

from store.audit.checkpoint import read_checkpoint
from store.audit.keys import Keyring, introduce_first, introduce_next, read_succession
from store.audit.notary import TrailNotary
from store.audit.notes import SecretKey
from store.audit.shipper import Unendorsed
from store.errors import ConfigError
from tests.audit import test_cosigning
from tests.audit.scenes import KEY, LOG, ORIGIN
from tests.audit.shipping import Scene

FIRST = dict([introduce_first(LOG, KEY, root=None)])
SECOND = SecretKey(ORIGIN, bytes(range(1, 33)))


def checkpoint_of(size: int) -> test_cosigning.Checkpoint:
    """Over so many leaves."""
    return test_cosigning.Checkpoint(ORIGIN, size, test_cosigning.span_of(0, test_cosigning.LEAVES[:size]).root())


def test_a_checkpoint_is_signed_by_the_keys_in_force() -> None:
    """The newest, and the one before it that is at hand."""
    notes = {**FIRST, **dict([introduce_next(LOG, read_succession(LOG, FIRST), SECOND, by=KEY, from_size=5)])}
    notary = TrailNotary(Keyring(LOG, [KEY, SECOND], notes))
    _, note = read_checkpoint(notary.endorse(checkpoint_of(9)))
    assert set(note.signed_by([KEY.key, SECOND.key])) == {KEY.key, SECOND.key}
    assert notary.signer(9) is SECOND
    assert notary.notes() == notes
    with pytest.raises(ConfigError):
        TrailNotary(Keyring(LOG, [SECOND], notes)).signer(3)


def test_a_checkpoint_without_its_witnesses_is_not_endorsed() -> None:
    """As long as fewer cosign than the policy wants; then it carries what they said."""
    scene = test_cosigning.Scene()
    notary = TrailNotary(Keyring(LOG, [KEY], FIRST), scene.cosigner)
    for name in ("w1", "w2"):
        scene.links[name].say = test_cosigning.refuse
    with pytest.raises(Unendorsed, match=r"1 witnesses .* connection refused"):
        notary.endorse(checkpoint_of(9))
    scene.links["w1"].say = None
    scene.clock.advance(10**9)
    _, note = read_checkpoint(notary.endorse(checkpoint_of(9)))
    assert scene.cosigner.policy.cosigned_by(note) == {"w1", "w3"}


def test_a_shipper_takes_it_as_its_notary() -> None:
    """Batches are shipped, manifested and checkpointed with its signatures."""
    scene = Scene()
    scene.notary = TrailNotary(Keyring(LOG, [KEY], FIRST))  # type: ignore[assignment]  # As the shipper wants one.
    scene.start()
    scene.freeze(2).ship()
    assert scene.shipper.status().checkpoint_size == 6
