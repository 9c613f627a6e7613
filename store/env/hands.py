"""Hands: slow things that wait for somebody far away, begun here, and looked at when they are done.

Laws: what is begun touches nothing of whoever begins it: it gets what it needs and gives back what came of it. Nobody
waits for it here, neither while it is under way nor when the process ends: whoever begins it bounds how many there are,
and how long he looks.
"""

import threading
from collections.abc import Callable
from typing import Final, Generic, Protocol, TypeVar

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class Errand(Protocol[T_co]):
    """One thing that was begun."""

    @property
    def done(self) -> bool:
        """Whether it has come to an end, well or not."""
        ...

    @property
    def error(self) -> Exception | None:
        """What it raised; None: nothing, or not yet."""
        ...

    def result(self) -> T_co:
        """What came of it, or what it raised; only once it is done."""
        ...


class Hands(Protocol):
    """Does what it is given."""

    @property
    def apart(self) -> bool:
        """Whether it is done beside the caller, so that several things at once take no longer than one."""
        ...

    def begin(self, work: Callable[[], T]) -> Errand[T]:
        """Have it done."""
        ...


class OwnHands:
    """One thing at a time, done before `begin` returns: where nothing is far away (Hands)."""

    apart: Final = False

    def begin(self, work: Callable[[], T]) -> Errand[T]:
        """Do it now."""
        errand = _Errand(work)
        errand.run()
        return errand


class ThreadHands:
    """A thread for each thing, which the end of the process does not wait for (Hands)."""

    apart: Final = True

    def begin(self, work: Callable[[], T]) -> Errand[T]:
        """Do it beside the caller."""
        errand = _Errand(work)
        threading.Thread(target=errand.run, name="errand", daemon=True).start()
        return errand


class _Errand(Generic[T]):
    """What was begun, and what came of it."""

    def __init__(self, work: Callable[[], T]) -> None:
        self._work = work
        self._result: list[T] = []
        self.error: Exception | None = None
        self.done = False

    def run(self) -> None:
        """Do it, once."""
        try:
            self._result.append(self._work())
        except Exception as error:  # noqa: BLE001  # Whoever asks for the result has it.
            self.error = error
        self.done = True  # Last: another thread may look at any moment.

    def result(self) -> T:
        """What came of it."""
        assert self.done
        if self.error is not None:
            raise self.error
        return self._result[0]
