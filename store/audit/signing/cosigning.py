"""Who asks witnesses, and keeps in mind how far each has seen the trail.

Laws: what a witness is sent follows from what it cosigned last: a few hashes that are kept, however far it lags. One
that does not answer is asked again ever less often, and holds up nobody as long as the others are enough. A signature
counts once it holds.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final, Protocol

import msgspec

from store.audit.objects.checkpoint import Checkpoint, read_number
from store.audit.objects.layout import Malformed
from store.audit.objects.merkle import Span, consistency_proof
from store.audit.objects.notes import Note, Signature, cosigned_at, read_signatures
from store.audit.signing.policy import Policy, WitnessEntry
from store.audit.signing.witness import Request
from store.env.ledger import Ledger
from store.env.world import Clock
from store.env.worm import WormError

PAUSE_MAX_S: Final = 300.0
"""Seconds after which a witness that failed is asked again, at most."""
_PREFIX: Final = b"witness/"


class WitnessLink(Protocol):
    """The way to one witness."""

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


_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(View).decode


class Cosigner:
    """Asks the witnesses of a policy."""

    def __init__(
        self, policy: Policy, links: Mapping[str, WitnessLink], *, ledger: Ledger, trees: Trees, clock: Clock
    ) -> None:
        """`links` by the witnesses' names in the policy; those without one are not asked."""
        self.policy: Final = policy
        self._links: Final = links
        self._ledger: Final = ledger
        self._trees: Final = trees
        self._clock: Final = clock
        self.health: Final[dict[str, Health]] = {each.name: Health() for each in policy.witnesses if each.name in links}

    def collect(self, checkpoint: Checkpoint, note: Note) -> Collected:
        """Ask for cosignatures on a checkpoint that the log has signed, and keep in mind who gave one."""
        names: set[str] = set()
        problems: list[str] = []
        for each in self.policy.witnesses:
            if each.name not in self._links:
                continue
            health = self.health[each.name]
            try:
                signature = self._ask(each, checkpoint, note, self._view(each, checkpoint))
            except (OSError, Malformed, WormError) as error:
                problems.append(f"{each.name} ({each.key.name}): {error}")
                self._failed(health, str(error))
                continue
            note = note.joined([signature])
            names.add(each.name)
            self.health[each.name] = Health(cosigned_at=cosigned_at(signature.signature), size=checkpoint.size)
        return Collected(note, frozenset(names), tuple(problems))

    def _failed(self, health: Health, problem: str) -> None:
        now = self._clock.monotonic()
        if health.due <= now:
            health.failures += 1
            health.due = now + min(PAUSE_MAX_S, 2.0 ** min(health.failures - 1, 30))
            health.problem = problem

    def _ask(self, witness: WitnessEntry, checkpoint: Checkpoint, note: Note, view: View) -> Signature:
        """One witness's signature; asked a second time where it has seen less or more than was thought."""
        health = self.health[witness.name]
        if (wait := health.due - self._clock.monotonic()) > 0:
            raise OSError(f"{health.problem}; asked again in {wait:.0f} s")
        status, body = self._send(witness, checkpoint, note, view)
        if status == HTTPStatus.CONFLICT:
            seen = read_number(body.decode("ascii", "replace").strip(), "the size that it has seen")
            if seen <= checkpoint.size:
                view = View(seen, self._trees.tree(seen).roots, seen)
                status, body = self._send(witness, checkpoint, note, self._extended(view, checkpoint.size))
            if status == HTTPStatus.CONFLICT:
                raise Malformed(
                    f"it has cosigned {seen} events of this log, others than these: this history is not its"
                )
        if status != HTTPStatus.OK:
            said = body.decode("utf-8", "replace").strip()[:200]
            raise Malformed(f"it answered {status} {said!r}")
        signature = self._found(witness, checkpoint, body)
        self._keep(witness, View(checkpoint.size, self._trees.tree(checkpoint.size).roots, checkpoint.size))
        return signature

    def _send(self, witness: WitnessEntry, checkpoint: Checkpoint, note: Note, view: View) -> tuple[int, bytes]:
        proof = consistency_proof(view.before, view.behind)
        request = Request(view.size, tuple(proof), checkpoint, note)
        return self._links[witness.name].add_checkpoint(request.encode())

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
