"""Who signs for a trail."""

import pytest

from store.audit.objects.checkpoint import read_checkpoint
from store.audit.objects.notes import SecretKey
from store.audit.recording.rows import State
from store.audit.shipping.shipper import GRACE_S
from store.audit.shipping.spans import Spans
from store.audit.signing.cosigning import Cosigner
from store.audit.signing.keys import Keyring, introduce_first, introduce_next, read_succession
from store.audit.signing.notary import TrailNotary, Unendorsed
from store.audit.signing.policy import policy_of
from store.env.hands import OwnHands
from store.env.worm import SECOND
from store.errors import ConfigError
from tests.audit.scenes import KEY, LOG, ORIGIN
from tests.audit.shipping_scene import Held, Scene
from tests.audit.signing import test_cosigning

FIRST = dict([introduce_first(LOG, KEY, root=None)])
FOLLOWING = SecretKey(ORIGIN, bytes(range(1, 33)))


def checkpoint_of(size: int) -> test_cosigning.Checkpoint:
    """Over so many leaves."""
    return test_cosigning.Checkpoint(ORIGIN, size, test_cosigning.span_of(0, test_cosigning.LEAVES[:size]).root())


def test_a_checkpoint_is_signed_by_the_keys_in_force() -> None:
    """The newest, and the one before it that is at hand."""
    notes = {**FIRST, **dict([introduce_next(LOG, read_succession(LOG, FIRST), FOLLOWING, by=KEY, from_size=5)])}
    notary = TrailNotary(Keyring(LOG, [KEY, FOLLOWING], notes))
    _, note = read_checkpoint(notary.endorse(checkpoint_of(9)))
    assert set(note.signed_by([KEY.key, FOLLOWING.key])) == {KEY.key, FOLLOWING.key}
    assert notary.signer(9) is FOLLOWING
    assert notary.notes() == notes
    assert TrailNotary(Keyring(LOG, [FOLLOWING], notes), policies={"policy": b"note"}).notes() == {
        **notes,
        "policy": b"note",
    }
    with pytest.raises(ConfigError):
        TrailNotary(Keyring(LOG, [FOLLOWING], notes)).signer(3)


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


class Witnessed:
    """A trail that is shipped with two witnesses, both wanted."""

    def __init__(self) -> None:
        self.scene = Scene()
        self.links = {f"w{number}": test_cosigning.Link(test_cosigning.SECRETS[number - 1]) for number in (1, 2)}
        self.start()

    def start(self) -> None:
        """A process begins, with what the ledger holds."""
        self.scene.start()
        self.policy = policy_of([(link.witness.key, "") for link in self.links.values()], 2)
        trees = Spans(self.scene.rows, self.scene.store, LOG)
        self.cosigner = Cosigner(
            self.policy, self.links, ledger=self.scene.ledger, trees=trees, clock=self.scene.clock, hands=OwnHands()
        )
        self.scene.shipper._notary = TrailNotary(Keyring(LOG, [KEY], FIRST), self.cosigner)

    def checkpoints(self) -> list[int]:
        """The sizes of the stored checkpoints, each of which both have cosigned."""
        names = sorted(name for name in self.scene.bucket.versions if "/checkpoint/" in name)
        found = [read_checkpoint(self.scene.store.get(name)) for name in names]
        assert all(self.policy.satisfied_by(note) for _, note in found)
        return [checkpoint.size for checkpoint, _ in found]


def test_a_shipped_trail_is_cosigned_from_end_to_end() -> None:
    """Each checkpoint goes on from the one before, also after a restart and with batches long let go."""
    witnessed = Witnessed()
    for count in (1, 3, 2):
        witnessed.scene.freeze(count).ship()
        witnessed.scene.clock.advance(2 * GRACE_S * SECOND)
        witnessed.start()
    assert witnessed.checkpoints() == [3, 12, 18]


def test_batches_go_on_while_a_witness_is_away() -> None:
    """The checkpoint waits; once the witness is back it covers them all."""
    witnessed = Witnessed()
    witnessed.scene.freeze(1).ship()
    witnessed.links["w2"].say = test_cosigning.refuse
    witnessed.scene.freeze(3)
    for _ in range(20):
        witnessed.scene.step()
    assert witnessed.scene.shipper.status().rows[State.MANIFESTED] == 3
    assert witnessed.checkpoints() == [3]
    witnessed.links["w2"].say = None
    witnessed.scene.ship()
    assert witnessed.checkpoints() == [3, 12]


def test_a_shipper_takes_it_as_its_notary() -> None:
    """Batches are shipped, manifested and checkpointed with its signatures."""
    scene = Scene()
    scene.notary = TrailNotary(Keyring(LOG, [KEY], FIRST))  # type: ignore[assignment]  # As the shipper wants one.
    scene.start()
    scene.freeze(2).ship()
    assert scene.shipper.status().checkpoint_size == 6


def test_batches_go_on_while_witnesses_are_asked() -> None:
    """The checkpoint is the one that they were asked for, however much came since; nobody signs it twice."""
    witnessed = Witnessed()
    hands = Held()
    witnessed.cosigner._hands = hands
    witnessed.scene.freeze(1)
    while not hands.waiting:
        witnessed.scene.step()
    witnessed.scene.freeze(3)
    for _ in range(20):
        witnessed.scene.step()
    assert witnessed.scene.shipper.status().rows[State.MANIFESTED] == 4
    assert (len(hands.waiting), witnessed.checkpoints()) == (2, [])
    hands.let(1)
    witnessed.scene.step()
    hands.let(0)
    while not hands.waiting:
        witnessed.scene.step()
    assert witnessed.checkpoints() == [3]
    hands.let(0)
    hands.let(0)
    witnessed.scene.ship()
    assert witnessed.checkpoints() == [3, 12]
