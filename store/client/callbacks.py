"""The functions that a view calls when its rows change.

Laws: they are called in the order in which they came, each change by itself, on the loop's thread, when all views of
the client are at the change's transaction and none is beyond it. One that raises harms no other.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from inspect import iscoroutinefunction
from typing import Any, Final, Generic, TypeVar

import msgspec

from store.client.rows import Change, Delete, Insert, Update
from store.errors import StoreError
from store.subscribe.messages import Anew

Row = TypeVar("Row", bound=msgspec.Struct)


@dataclass
class Listening:
    """What the callbacks of one client's views share: how many there are, and who hears what one of them raised."""

    report: Callable[[str, Exception], None]
    count: int = 0


class Callbacks(Generic[Row]):
    """All callbacks of one view, by what they want to hear of."""

    def __init__(self, listening: Listening) -> None:
        self._listening: Final = listening
        self._wanted: Final[dict[Any, dict[object, Callable[..., object]]]] = {
            Insert: {},
            Update: {},
            Delete: {},
            Anew: {},
            None: {},
        }
        """By kind of change, None for the view's end: each callback under a name of its own."""

    def add(self, kind: Any, callback: Callable[..., object]) -> Callable[[], None]:
        """Call it from here on, until what is returned is called. TypeError: it cannot be called, or only awaited."""
        if not callable(callback) or iscoroutinefunction(callback):
            raise TypeError(f"expected a plain function, found {callback!r}: to await, follow the view's changes")
        name = object()
        wanted = self._wanted[kind]
        wanted[name] = callback
        self._listening.count += 1

        def remove() -> None:
            if wanted.pop(name, None) is not None:
                self._listening.count -= 1

        return remove

    def tell(self, changes: Sequence[Change[Row]], anew: Anew | None = None) -> None:
        """Call all that want to hear of these changes; first those that want to hear that the rows were sent anew."""
        if anew is not None:
            self._call(Anew, anew)
        for change in changes:
            if isinstance(change, Update):
                self._call(Update, change.before, change.after)
            elif isinstance(change, Insert):
                self._call(Insert, change.after)
            else:
                self._call(Delete, change.before)

    def end(self, error: StoreError | None) -> None:
        """The view has ended: who wants to hear of that is told, and nobody of anything else."""
        for kind in (Insert, Update, Delete, Anew):
            self._clear(kind)
        self._call(None, error)
        self._clear(None)

    def _clear(self, kind: Any) -> None:
        self._listening.count -= len(self._wanted[kind])
        self._wanted[kind].clear()

    def _call(self, kind: Any, *said: Any) -> None:
        wanted = self._wanted[kind]
        for name in tuple(wanted):
            callback = wanted.get(name)  # Another one may have taken it away.
            if callback is None:
                continue
            try:
                callback(*said)
            except Exception as error:  # noqa: BLE001  # It is the callback's author who must hear of it.
                self._listening.report(f"the callback {callback!r} raised", error)
