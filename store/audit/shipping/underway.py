"""Objects on their way into a far store, several at once: each arrives behind the one before it.

Laws: a batch needs nothing of the one before it, so batches go side by side. A manifest is put once the one before it
was put: at every moment those in the store begin with the first and have no hole. Nothing is written down before it is
asked for in its order: a crash finds the ledger as if one had gone after the other, and what is in the store beyond
that is found there. What failed is forgotten, and sent again.
"""

from collections.abc import Callable, Generator
from functools import partial
from typing import Final

from store.audit.shipping.putting import Stage, Stored, advance
from store.env.hands import Errand, Hands


class Underway:
    """Batches and manifests by their numbers, from when they were sent until somebody asks for what came of them."""

    def __init__(self, hands: Hands) -> None:
        self._hands: Final = hands
        self._batches: Final[dict[int, Errand[Stored]]] = {}
        self._manifests: Final[dict[int, _Manifest]] = {}

    @property
    def busy(self) -> bool:
        """Whether anything is being done."""
        return not all(each.done for each in (*self._batches.values(), *self._manifests.values()))

    def has_batch(self, number: int) -> bool:
        """Whether it was sent."""
        return number in self._batches

    def has_manifest(self, number: int) -> bool:
        """Whether it was sent."""
        return number in self._manifests

    def send_batch(self, number: int, ship: Callable[[], Stored]) -> None:
        """Begin to ship one."""
        self._batches[number] = self._hands.begin(ship)

    def send_manifest(self, number: int, going: Generator[Stage, None, Stored]) -> None:
        """Begin with one: it is looked at, and goes on with `push`."""
        self._manifests[number] = _Manifest(going, self._hands)

    def push(self, first: int) -> None:
        """Go on with the manifests that may. Those before `first` are in the store."""
        number = first
        while (manifest := self._manifests.get(number)) is not None:
            manifest.push()
            if not manifest.was_put:
                break
            number += 1

    def batch(self, number: int) -> Stored | None:
        """What came of one; None: nothing yet. Errors as putting.ship: then it is to be sent again."""
        errand = self._batches.get(number)
        if errand is None or not errand.done:
            return None
        del self._batches[number]
        return errand.result()

    def manifest(self, number: int) -> Stored | None:
        """The same of a manifest."""
        manifest = self._manifests.get(number)
        if manifest is None or not manifest.done:
            return None
        del self._manifests[number]
        return manifest.result()

    def forget_failed(self) -> None:
        """Let go of all that failed: one reason fails many, and is told once."""
        for number in [number for number, each in self._batches.items() if each.error is not None]:
            del self._batches[number]
        for number in [number for number, each in self._manifests.items() if each.error is not None]:
            del self._manifests[number]


class _Manifest:
    """One manifest on its way, a stage at a time."""

    def __init__(self, going: Generator[Stage, None, Stored], hands: Hands) -> None:
        self._next: Final = partial(hands.begin, partial(advance, going))
        self._errand: Errand[Stage | Stored] = self._next()
        self.was_put = False
        """Whether it is known to lie in the store, whether read back or not."""

    def push(self) -> None:
        """Begin each stage that the one before it came to the end of."""
        while self._errand.done and self.error is None and not isinstance(reached := self._errand.result(), Stored):
            self.was_put = reached is Stage.PUT
            self._errand = self._next()

    @property
    def done(self) -> bool:
        """Whether nothing is being done, and nothing is to be done."""
        return self._errand.done and (self.error is not None or isinstance(self._errand.result(), Stored))

    @property
    def error(self) -> Exception | None:
        """Why it failed."""
        return self._errand.error

    def result(self) -> Stored:
        """What came of it, or what it raised."""
        stored = self._errand.result()
        assert isinstance(stored, Stored)
        return stored
