"""What deliveries work with: the tables' past and present, and who knows what a query rests on."""

from collections.abc import Callable
from collections.abc import Set as AbstractSet
from typing import Final, Protocol

from store.engine.engine import Engine
from store.ids import Offset, QueryId, TableId
from store.query.live import LiveQuery
from store.subscribe.absence import Absence
from store.subscribe.changes import Change
from store.subscribe.delivery import Asker, Recipient
from store.subscribe.encoding import Encoding
from store.subscribe.horizon import Horizon
from store.subscribe.missed import Backlog, ChangesOf
from store.subscribe.options import Options
from store.subscribe.shaped import Shaped
from store.subscribe.streams import Streams


class CatchUp(Protocol):
    """Who knows what queries rest on."""

    def tables(self, query: LiveQuery) -> AbstractSet[TableId]:
        """The tables whose rows bear on it."""
        ...

    def change(self, query: LiveQuery, absence: Absence) -> Change | None:
        """What an absence changed in it, as of now; None: nothing. CallError, Forgotten: that cannot be said."""
        ...


class Means:
    """What all deliveries of one engine share."""

    def __init__(
        self,
        engine: Engine,
        options: Options,
        *,
        follow: Callable[[Recipient, LiveQuery], None],
        changes_of: ChangesOf,
        prepare: Callable[[LiveQuery], bool],
        catch_up: CatchUp,
        open_shaped: Callable[[LiveQuery], Shaped],
    ) -> None:
        """`follow` has a recipient told what changes in a query from the next transaction on.

        `prepare` does a piece of the work that a query needs before it has rows, and says whether there is more.
        `catch_up` is asked about queries that rest on subqueries or have a shape. `open_shaped` has the changes found
        that bear on what a query shows, and gives where that is held.
        """
        self.engine: Final = engine
        self.options: Final = options
        self.follow: Final = follow
        self.changes_of: Final = changes_of
        self.prepare: Final = prepare
        self.catch_up: Final = catch_up
        self.open_shaped: Final = open_shaped
        self.backlog: Final[Backlog[Asker]] = Backlog(engine.feed, engine.world.disk, engine.log)
        self.horizon: Final = Horizon(engine, self.backlog, transactions_max=options.resume_transactions_max)
        self.streams: Final = Streams(engine, options)
        self.missing: Final[dict[QueryId, int]] = {}
        """Queries that something missed is looked for, and for how many."""
        self.caught_up: Final[dict[tuple[QueryId, Offset, Offset, Encoding], bytes]] = {}
        """Chunks with all that came after one offset, up to another, for others who come back at the same moment."""

    @property
    def last_offset(self) -> Offset:
        """Where the tables are."""
        return self.engine.write_path.last_offset
