"""Who asks witnesses, and keeps in mind how far each has seen the trail.

Laws: what a witness is sent follows from what it cosigned last: a few hashes that are kept, however far it lags. All
are asked at once, and nobody waits here: whoever collects looks again. One that does not answer is asked again ever
less often; it is waited for a little once the others are enough, and a while if they are not. A signature counts once
it holds.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from http import HTTPStatus
from typing import Final, Protocol

import msgspec

from store.audit.objects.checkpoint import Checkpoint, read_number
from store.audit.objects.layout import Malformed
from store.audit.objects.merkle import Span, consistency_proof
from store.audit.objects.notes import Note, Signature, cosigned_at, read_signatures
from store.audit.signing.policy import Policy, WitnessEntry
from store.audit.signing.witness import Request
from store.env.hands import Errand, Hands
from store.env.ledger import Ledger
from store.env.world import Clock
from store.env.worm import WormError

PAUSE_MAX_S: Final = 300.0
"""Seconds after which a witness that failed is asked again, at most."""
ANSWER_MAX_S: Final = 15.0
"""Seconds for which witnesses are waited for that are needed."""
LATE_S: Final = 3.0
"""Seconds for which those are waited for that are not."""
_PREFIX: Final = b"witness/"


class WitnessLink(Protocol):
    """The way to one witness, which several threads may go."""

    def add_checkpoint(self, data: bytes) -> tuple[int, bytes]:
        """(HTTP status, body) of its answer. OSError: there was none."""
        ...


class Trees(Protocol):
    """What is known of the trail's tree."""

    def tree(self, size: int) -> Span:
        """The tree at the end of some batch. Malformed: none ends there. WormError: it cannot be read."""
        ...

    def between(self, start: int, end: int) -> Span:
        """The leaves from one batch's end to another's. Errors the same."""
        ...


class View(msgspec.Struct, frozen=True):
    """How far a witness has seen the trail, and what came since."""

    size: int = 0
    roots: tuple[bytes, ...] = ()
    """Of the tree that it cosigned."""
    until: int = 0
    since: tuple[bytes, ...] = ()
    """Of the leaves from there to `until`."""

    @property
    def before(self) -> Span:
        """The tree that it cosigned."""
        return Span(0, self.size, self.roots)

    @property
    def behind(self) -> Span:
        """What came since."""
        return Span(self.size, self.until, self.since)


@dataclass
class Health:
    """How a witness has answered lately."""

    failures: int = 0
    due: float = 0.0
    problem: str = ""
    """What went wrong last; "" where nothing did."""
    cosigned_at: int = 0
    """When it says it cosigned last, in seconds since 1970; 0: not since this process began."""
    size: int = 0


@dataclass(frozen=True)
class Collected:
    """A checkpoint with what witnesses said of it."""

    note: Note
    names: frozenset[str]
    """Of the witnesses that cosigned."""
    problems: tuple[str, ...]


NO_ANSWER: Final = "it has not answered in time"
_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(View).decode


@dataclass
class _Asked:
    """A witness that was asked, and has not answered."""

    errand: Errand[tuple[int, bytes]]
    again: bool = False
    """Whether it is asked a second time, having said how far it is."""


@dataclass
class _Round:
    """One checkpoint for which witnesses are asked."""

    checkpoint: Checkpoint
    note: Note
    began: float
    asked: set[str] = field(default_factory=set)
    """Those that have not answered."""
    signatures: dict[str, Signature] = field(default_factory=dict)
    problems: dict[str, str] = field(default_factory=dict)


class Cosigner:
    """Asks the witnesses of a policy."""

    def __init__(
        self,
        policy: Policy,
        links: Mapping[str, WitnessLink],
        *,
        ledger: Ledger,
        trees: Trees,
        clock: Clock,
        hands: Hands,
    ) -> None:
        """`links` by the witnesses' names in the policy; those without one are not asked. `hands` do the asking."""
        self.policy: Final = policy
        self._links: Final = links
        self._ledger: Final = ledger
        self._trees: Final = trees
        self._clock: Final = clock
        self._hands: Final = hands
        self._round: _Round | None = None
        self._asked: Final[dict[str, _Asked]] = {}
        """Those under way, for this checkpoint or for one before it: nobody is asked twice at a time."""
        self._entries: Final = {each.name: each for each in policy.witnesses if each.name in links}
        self.health: Final[dict[str, Health]] = {name: Health() for name in self._entries}

    def collect(self, checkpoint: Checkpoint, note: Note) -> Collected | None:
        """Cosignatures on a checkpoint that the log has signed; None: some are still to come, look again soon."""
        if self._round is None or self._round.checkpoint != checkpoint:
            self._round = self._begin(checkpoint, note)
        for name in tuple(self._round.asked):
            self._look(self._round, name)
        if not self._is_over(self._round):
            return None
        ended, self._round = self._round, None
        signatures = [ended.signatures[name] for name in self._entries if name in ended.signatures]
        problems = [f"{name} ({self._entries[name].key.name}): {ended.problems[name]}" for name in ended.problems]
        return Collected(ended.note.joined(signatures), frozenset(ended.signatures), tuple(problems))

    def look_again(self) -> None:
        """Ask those that failed as soon as there is something to ask: somebody says that they are back, perhaps."""
        for each in self.health.values():
            each.due = 0.0

    def _begin(self, checkpoint: Checkpoint, note: Note) -> _Round:
        """Ask all that may be asked."""
        now = self._clock.monotonic()
        begun = _Round(checkpoint, note, now)
        for name, witness in self._entries.items():
            with self._said(begun, name):
                view = self._view(witness, checkpoint)  # Of each: what a witness lacks may soon be gone.
                if (why := self._not_now(name, now)) is not None:
                    begun.problems[name] = why
                else:
                    begun.asked.add(name)
                    self._ask(begun, witness, view)
        return begun

    def _not_now(self, name: str, now: float) -> str | None:
        """Why one is not to be asked; None: it may be."""
        health = self.health[name]
        if name in self._asked and not self._asked[name].errand.done:
            return f"{health.problem or NO_ANSWER}; it is not asked again before it is over"
        return f"{health.problem}; asked again in {health.due - now:.0f} s" if health.due > now else None

    def _ask(self, begun: _Round, witness: WitnessEntry, view: View, *, again: bool = False) -> None:
        proof = consistency_proof(view.before, view.behind)
        request = Request(view.size, tuple(proof), begun.checkpoint, begun.note).encode()
        link = self._links[witness.name]
        self._asked[witness.name] = _Asked(self._hands.begin(partial(link.add_checkpoint, request)), again)

    def _look(self, begun: _Round, name: str) -> None:
        """Take one's answers, if there are any."""
        while name in begun.asked and (asked := self._asked[name]).errand.done:
            del self._asked[name]
            with self._said(begun, name):
                self._answered(begun, self._entries[name], asked)

    def _answered(self, begun: _Round, witness: WitnessEntry, asked: _Asked) -> None:
        """Keep its signature; or ask a second time, where it has seen less or more than was thought."""
        checkpoint = begun.checkpoint
        status, body = asked.errand.result()
        if status == HTTPStatus.CONFLICT:
            seen = read_number(body.decode("ascii", "replace").strip(), "the size that it has seen")
            if asked.again or seen > checkpoint.size:
                raise Malformed(
                    f"it has cosigned {seen} events of this log, others than these: this history is not its"
                )
            view = View(seen, self._trees.tree(seen).roots, seen)
            self._ask(begun, witness, self._extended(view, checkpoint.size), again=True)
            return
        if status != HTTPStatus.OK:
            said = body.decode("utf-8", "replace").strip()[:200]
            raise Malformed(f"it answered {status} {said!r}")
        signature = self._found(witness, checkpoint, body)
        self._keep(witness, View(checkpoint.size, self._trees.tree(checkpoint.size).roots, checkpoint.size))
        begun.asked.discard(witness.name)
        begun.signatures[witness.name] = signature
        self.health[witness.name] = Health(cosigned_at=cosigned_at(signature.signature), size=checkpoint.size)

    def _is_over(self, begun: _Round) -> bool:
        """Whether nobody is waited for any more; who has not answered by then counts as one that failed."""
        if not begun.asked:
            return True
        enough = self.policy.enough(frozenset(begun.signatures))
        if self._clock.monotonic() - begun.began < (LATE_S if enough else ANSWER_MAX_S):
            return False
        for name in tuple(begun.asked):
            with self._said(begun, name):
                raise OSError(NO_ANSWER)
        return True

    @contextmanager
    def _said(self, begun: _Round, name: str) -> Iterator[None]:
        """What goes wrong with one witness is its problem alone."""
        try:
            yield
        except (OSError, Malformed, WormError) as error:
            begun.asked.discard(name)
            begun.problems[name] = str(error)
            self._failed(self.health[name], str(error))

    def _failed(self, health: Health, problem: str) -> None:
        health.failures += 1
        health.due = self._clock.monotonic() + min(PAUSE_MAX_S, 2.0 ** min(health.failures - 1, 30))
        health.problem = problem

    def _found(self, witness: WitnessEntry, checkpoint: Checkpoint, body: bytes) -> Signature:
        """Its signature among the lines of its answer. Malformed: there is none that holds."""
        for each in read_signatures(body.decode("utf-8", "replace")):
            if (each.name, each.key_id) == (witness.key.name, witness.key.id):
                if witness.key.holds(checkpoint.text, each.signature):
                    return each
                raise Malformed("its signature does not hold")
        raise Malformed(f"it answered without a signature of its key {witness.key.key_id}")

    def _view(self, witness: WitnessEntry, checkpoint: Checkpoint) -> View:
        """How far it has seen, extended to this checkpoint, durably: the batches between may soon be gone."""
        data = self._ledger.get(_PREFIX + str(witness.key).encode()[:200])
        try:
            view = _decode(data) if data is not None else View()
        except (msgspec.ValidationError, msgspec.DecodeError):
            view = View()  # The witness itself will say how far it is.
        if view.size == 0:  # From an empty tree nothing is to be proven.
            return View(0, (), checkpoint.size, self._trees.tree(checkpoint.size).roots)
        extended = self._extended(view, checkpoint.size)
        if extended != view:
            self._keep(witness, extended)
        return extended

    def _extended(self, view: View, size: int) -> View:
        if view.until >= size:
            return view
        behind = view.behind.then(self._trees.between(view.until, size))
        return msgspec.structs.replace(view, until=size, since=behind.roots)

    def _keep(self, witness: WitnessEntry, view: View) -> None:
        self._ledger.commit({_PREFIX + str(witness.key).encode()[:200]: _encode(view)}, reserve=True)
