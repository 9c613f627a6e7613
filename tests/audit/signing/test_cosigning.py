"""Asking witnesses, and what they are sent."""

from collections.abc import Callable
from typing import Any

import pytest

from store.audit.objects.checkpoint import Checkpoint
from store.audit.objects.merkle import Span, leaf_hashes, span_of
from store.audit.objects.notes import COSIGNATURE, SecretKey, sign
from store.audit.signing.cosigning import ANSWER_MAX_S, LATE_S, PAUSE_MAX_S, Cosigner
from store.audit.signing.policy import policy_of
from store.audit.signing.witness import Witness, read_request
from store.env.hands import Errand, Hands, OwnHands
from store.env.ledger_memory import MemoryLedger
from store.env.memory import MemoryClock
from store.env.worm import SECOND
from tests.audit.scenes import KEY, ORIGIN
from tests.audit.signing.test_witness import Notebook

LEAVES = leaf_hashes(str(each).encode() for each in range(200))
SECRETS = [SecretKey(f"w{each}.example", bytes(31) + bytes((each,)), COSIGNATURE) for each in (1, 2, 3)]
NOW = 1_800_000_000


class Link:
    """A witness in this process, and what it was asked (WitnessLink)."""

    def __init__(self, secret: SecretKey) -> None:
        self.notebook = Notebook()
        self.witness = Witness(secret, [KEY.key], self.notebook)
        self.asked: list[int] = []
        self.say: Callable[[bytes], tuple[int, bytes]] | None = None

    def add_checkpoint(self, data: bytes) -> tuple[int, bytes]:
        """What the witness answers, or what the test wants."""
        self.asked.append(read_request(data).old_size)
        if self.say is not None:
            return self.say(data)
        answer = self.witness.add_checkpoint(data, now=NOW)
        return int(answer.status), answer.body.encode()


class Tree:
    """A tree that knows its leaves (Trees), and how often it was asked for some."""

    def __init__(self) -> None:
        self.asked: list[tuple[int, int]] = []

    def tree(self, size: int) -> Span:
        """Of its first leaves."""
        return span_of(0, LEAVES[:size])

    def between(self, start: int, end: int) -> Span:
        """From one to another."""
        self.asked.append((start, end))
        return span_of(start, LEAVES[start:end])


class Scene:
    """Three witnesses, of whom two are wanted."""

    def __init__(self) -> None:
        self.links = {f"w{number}": Link(each) for number, each in enumerate(SECRETS, start=1)}
        self.clock = MemoryClock()
        self.ledger = MemoryLedger()
        self.trees = Tree()
        self.hands: Hands = OwnHands()
        self.start()

    def start(self) -> None:
        """A process begins."""
        policy = policy_of([(each.key, "") for each in SECRETS], 2)
        self.cosigner = Cosigner(
            policy, self.links, ledger=self.ledger, trees=self.trees, clock=self.clock, hands=self.hands
        )

    def collect(self, size: int) -> set[str]:
        """Who cosigned the checkpoint of this size; what they gave holds."""
        checkpoint = Checkpoint(ORIGIN, size, span_of(0, LEAVES[:size]).root())
        note = sign(checkpoint.text, [KEY])
        while (found := self.cosigner.collect(checkpoint, note)) is None:
            self.clock.advance(SECOND // 10)
        assert self.cosigner.policy.cosigned_by(found.note) == found.names
        self.problems = found.problems
        return set(found.names)


@pytest.fixture(name="scene")
def _scene() -> Scene:
    return Scene()


def refuse(_: bytes) -> tuple[int, bytes]:
    """Nobody answers."""
    raise OSError("connection refused")


def test_every_witness_is_asked_from_what_it_saw_last(scene: Scene) -> None:
    """At first from nothing, then from the checkpoint before, across restarts."""
    assert scene.collect(10) == {"w1", "w2", "w3"}
    scene.start()
    assert scene.collect(33) == {"w1", "w2", "w3"}
    assert scene.links["w1"].asked == [0, 10]


def test_a_witness_that_lags_needs_no_old_batch(scene: Scene) -> None:
    """What came since is kept in a few hashes: each stretch of leaves is read once."""
    scene.collect(10)
    scene.links["w2"].say = refuse
    for size in (20, 33, 64, 100):
        assert scene.collect(size) == {"w1", "w3"}
    scene.links["w2"].say = None
    scene.clock.advance(int(PAUSE_MAX_S) * SECOND)
    scene.trees.asked.clear()
    assert scene.collect(150) == {"w1", "w2", "w3"}
    assert set(scene.trees.asked) == {(100, 150)}
    assert scene.links["w2"].asked[-1] == 10


def test_one_that_has_seen_less_or_more_is_asked_again(scene: Scene) -> None:
    """From where it says it is: after a ledger was lost, or its answer."""
    scene.collect(10)
    scene.collect(33)
    scene.ledger = MemoryLedger()
    scene.start()
    assert scene.collect(64) == {"w1", "w2", "w3"}
    assert scene.links["w1"].asked == [0, 10, 0, 33]


def test_an_answer_that_was_lost_is_asked_for_again(scene: Scene) -> None:
    """It has seen this very checkpoint, and cosigns it once more."""
    link = scene.links["w1"]

    def lose(data: bytes) -> tuple[int, bytes]:
        link.witness.add_checkpoint(data, now=NOW)
        raise OSError("reset")

    link.say = lose
    assert scene.collect(10) == {"w2", "w3"}
    link.say = None
    scene.clock.advance(int(PAUSE_MAX_S) * SECOND)
    assert scene.collect(10) == {"w1", "w2", "w3"}


def test_one_that_does_not_answer_is_asked_ever_less_often(scene: Scene) -> None:
    """The others are not held up by it, and what is wrong is said."""
    link = scene.links["w3"]
    link.say = refuse
    for _ in range(10):
        scene.collect(10)
    assert len(link.asked) == 1
    assert "connection refused" in scene.problems[0]
    for _ in range(40):
        scene.clock.advance(10 * SECOND)
        scene.collect(10)
    assert len(link.asked) < 10
    assert scene.cosigner.health["w3"].failures == len(link.asked)


def test_a_witness_of_another_history_is_said(scene: Scene) -> None:
    """It has cosigned as many events or more, and others: that is never mended by asking again."""
    other = leaf_hashes(f"other {each}".encode() for each in range(200))
    for size in (10, 50):
        link = scene.links["w1"]
        link.notebook.seen[ORIGIN] = (size, span_of(0, other[:size]).root())
        scene.start()
        assert scene.collect(10) == {"w2", "w3"}
        assert "this history is not its" in scene.problems[0]


@pytest.mark.parametrize(
    "answer",
    [
        (200, b""),
        (200, b"\xff"),
        (200, str(sign("x\n", [SECRETS[1]], time=5).signatures[0]).encode()),
        (200, str(sign("x\n", [SECRETS[0]], time=5).signatures[0]).encode()),
        (403, b"no"),
        (404, b"no"),
        (409, b"no"),
        (409, b"-1\n"),
        (409, b"7\n"),
        (409, b"9999999\n"),
        (422, b"no"),
        (500, b"\xff" * 1_000),
        (301, b""),
    ],
)
def test_whatever_a_witness_answers_the_others_count(scene: Scene, answer: tuple[int, bytes]) -> None:
    """What is no cosignature of its key on this checkpoint is a problem of its own."""
    scene.links["w1"].say = lambda _: answer
    assert scene.collect(10) == {"w2", "w3"}
    (problem,) = scene.problems
    assert problem.startswith("w1")
    assert len(problem) < 1_000


def test_a_damaged_view_is_had_again_from_the_witness(scene: Scene) -> None:
    """Nothing rests on what the ledger says of it."""
    scene.collect(10)
    scene.ledger.commit({key: b"\xc1" for key, _ in scene.ledger.items(b"witness/")})
    assert scene.collect(33) == {"w1", "w2", "w3"}


def test_what_each_has_said_last_is_shown(scene: Scene) -> None:
    """When, and over how many events."""
    scene.collect(10)
    assert (scene.cosigner.health["w1"].cosigned_at, scene.cosigner.health["w1"].size) == (NOW, 10)


class Silent:
    """A witness that never answers, or when the test lets it (Hands)."""

    apart = True

    def __init__(self, *names: str, scene: Scene) -> None:
        self.silent = {id(scene.links[name]) for name in names}
        self.waiting: list[_Waiting] = []

    def begin(self, work: Any) -> Any:
        """At once; but for the silent."""
        if id(work.func.__self__) not in self.silent:
            return OwnHands().begin(work)
        self.waiting.append(_Waiting(work))
        return self.waiting[-1]


class _Waiting:
    """An errand that is under way."""

    def __init__(self, work: Any) -> None:
        self.work = work
        self.errand: Errand[Any] | None = None
        self.error = None

    @property
    def done(self) -> bool:
        """Not before the test says so."""
        return self.errand is not None

    def result(self) -> Any:
        """What came of it."""
        assert self.errand is not None
        return self.errand.result()


def test_one_that_hangs_costs_the_others_nothing(scene: Scene) -> None:
    """They are asked at once; where they are enough it is waited for a little, and then ever less often."""
    scene.hands = Silent("w1", scene=scene)
    scene.start()
    began = scene.clock.monotonic()
    assert scene.collect(10) == {"w2", "w3"}
    assert scene.clock.monotonic() - began == pytest.approx(LATE_S, abs=0.2)
    assert "not answered in time" in scene.problems[0]
    began = scene.clock.monotonic()
    assert scene.collect(33) == {"w2", "w3"}
    assert scene.clock.monotonic() == began
    assert len(scene.hands.waiting) == 1, "it is not asked again while it is asked"


def test_those_that_are_needed_are_waited_for_longer(scene: Scene) -> None:
    """Up to a bound; then the checkpoint waits, and what may be shipped is shipped."""
    scene.hands = Silent("w1", "w2", scene=scene)
    scene.start()
    began = scene.clock.monotonic()
    assert scene.collect(10) == {"w3"}
    assert scene.clock.monotonic() - began == pytest.approx(ANSWER_MAX_S, abs=0.2)


def test_one_that_was_late_is_asked_again_when_it_has_answered(scene: Scene) -> None:
    """What it said by then is old, and it is further than was thought: it says so, and cosigns."""
    hands = scene.hands = Silent("w1", scene=scene)
    scene.start()
    scene.collect(10)
    hands.waiting[0].errand = OwnHands().begin(hands.waiting[0].work)
    hands.silent.clear()
    scene.clock.advance(int(PAUSE_MAX_S) * SECOND)
    assert scene.collect(33) == {"w1", "w2", "w3"}


def test_an_answer_to_an_older_checkpoint_is_none_to_this_one(scene: Scene) -> None:
    """Whoever asks for another one while some have not answered gets signatures on that."""
    scene.hands = Silent("w1", scene=scene)
    scene.start()
    checkpoint = Checkpoint(ORIGIN, 10, span_of(0, LEAVES[:10]).root())
    assert scene.cosigner.collect(checkpoint, sign(checkpoint.text, [KEY])) is None
    assert scene.collect(33) == {"w2", "w3"}


def test_one_that_is_said_to_be_back_is_asked_at_once(scene: Scene) -> None:
    """However long it would be left alone by itself."""
    scene.links["w1"].say = refuse
    for _ in range(8):
        scene.collect(10)
        scene.clock.advance(int(PAUSE_MAX_S) * SECOND)
    scene.collect(10)
    scene.links["w1"].say = None
    assert scene.collect(33) == {"w2", "w3"}
    scene.cosigner.look_again()
    assert scene.collect(64) == {"w1", "w2", "w3"}
