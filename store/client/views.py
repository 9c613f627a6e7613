"""All live views of one client, and the order in which they hear of what happens.

Laws: what a transaction changed is taken in by every view before any callback hears of it. A view that fails ends by
itself; the others go on.
"""

import logging
from collections.abc import Callable
from typing import Any, Final

import msgspec

from store.client.callbacks import Listening
from store.client.conversation import Conversation
from store.client.followings import Changed, Opened
from store.client.options import ClientOptions
from store.client.rows import ViewDelta
from store.client.view import View
from store.codec import concatenate
from store.errors import SchemaMismatch, StoreError
from store.subscribe.messages import TableInfo

_log = logging.getLogger("store.client")
_split: Final = msgspec.msgpack.Decoder(list[msgspec.Raw]).decode


class Views:
    """The views by their subscriptions' numbers. `forget` ends a subscription, `report` hears what callbacks raise."""

    def __init__(
        self,
        conversation: Conversation,
        options: ClientOptions,
        *,
        forget: Callable[[int], None],
        report: Callable[[str, Exception], None],
    ) -> None:
        self._conversation: Final = conversation
        self._options: Final = options
        self._forget: Final = forget
        self._listening: Final = Listening(report)
        self._views: Final[dict[int, View[Any]]] = {}
        self._untold: Final[list[tuple[View[Any], ViewDelta[Any]]]] = []

    def __bool__(self) -> bool:
        return bool(self._views)

    @property
    def table(self) -> TableInfo:
        """What one of the views has rows of."""
        return next(iter(self._views.values())).table

    def apart(self, frame: bytes | str) -> list[bytes | str]:
        """A frame as it is best taken in: where callbacks listen, message by message, so that none sees ahead."""
        if not self._listening.count or not isinstance(frame, bytes):
            return [frame]
        try:
            return [concatenate([each]) for each in _split(frame)]
        except (ValueError, RecursionError):  # It is none of ours, as the conversation will say.
            return [frame]

    def open(self, opened: Opened, sql: str) -> View[Any]:
        """A subscription has its first rows."""
        view: View[Any] = View(
            opened.live,
            sql=sql,
            connection_offset=lambda: self._conversation.offset,
            forget=lambda: self.close(opened.id),
            listening=self._listening,
            options=self._options,
        )
        self._views[opened.id] = view
        return view

    def change(self, changed: Changed) -> None:
        """A subscription's rows have changed."""
        view = self._views.get(changed.id)
        if view is None:
            return
        try:
            view.push(changed.delta)
        except SchemaMismatch as error:
            self.close(changed.id)
            view.end(error)
            return
        anew = changed.delta.anew
        if anew is not None:
            _log.warning("! the rows of %s were sent anew (%s): %s", view.sql, anew.reason, anew.message)
        if self._listening.count:
            self._untold.append((view, changed.delta))

    def tell(self) -> None:
        """Call the callbacks, now that every view has taken in what there was."""
        untold = self._untold[:]
        self._untold.clear()
        for view, delta in untold:
            view.tell(delta)

    def close(self, id_: int) -> None:
        """A subscription is wanted no longer."""
        self._views.pop(id_, None)
        self._forget(id_)

    def end(self, id_: int, error: StoreError) -> None:
        """A subscription has ended by itself."""
        view = self._views.pop(id_, None)
        if view is not None:
            view.end(error)

    def end_all(self, error: StoreError | None) -> None:
        """Nothing more will come."""
        views = tuple(self._views.values())
        self._views.clear()
        for view in views:
            view.end(error)
