"""First rows of large queries on their way, shared by all who read the same.

Laws: there are few at a time, for each keeps keys and images; who comes then joins one, or waits for its turn. One that
nobody reads any more keeps nothing.
"""

from typing import Final

from store.engine.engine import Engine
from store.ids import Offset, QueryId
from store.query.budget import FOLLOWED_STEPS
from store.query.live import LiveQuery
from store.subscribe.delivery import State
from store.subscribe.first_rows import FirstRows
from store.subscribe.options import Options
from store.subscribe.shaped import Shaped

STREAMS_MAX: Final = 4
"""Streams at a time, at offsets of their own."""


class Streams:
    """All first rows on their way from one engine's tables."""

    def __init__(self, engine: Engine, options: Options) -> None:
        self._engine: Final = engine
        self._options: Final = options
        self.newest: Final[dict[QueryId, FirstRows]] = {}
        """The newest stream of each query."""
        self.count = 0
        """Streams that are read."""
        self._recent: FirstRows | None = None

    @property
    def last_offset(self) -> Offset:
        """Where the tables are."""
        return self._engine.write_path.last_offset

    def rows_of(self, query: LiveQuery, *, large: bool) -> FirstRows | None:
        """Rows that one who comes now may read, or None where they are `large` and it is not their turn."""
        last = self.last_offset
        recent, known = self._recent, self.newest.get(query.id)
        if known is not None and known.since is not None and 2 * known.kept_size <= self._options.first_rows_kept_max:
            return known
        if recent is not None and recent.query.id == query.id and recent.offset == last:
            return recent
        if large and self.count >= STREAMS_MAX:
            return None
        self._recent = FirstRows(query, self._engine.database, last, chunk_size_max=self._options.chunk_size_max)
        return self._recent

    def join(self, stream: FirstRows) -> bool:
        """One more reads these rows to their end; False where there is no turn for them now."""
        if not stream.readers:
            if self.count >= STREAMS_MAX:
                self._recent = None
                return False
            stream.open()
            self._engine.feed.follow(stream)
            self.newest[stream.query.id] = stream
            self.count += 1
        stream.readers += 1
        return True

    def leave(self, stream: FirstRows) -> None:
        """One reads them no more."""
        stream.readers -= 1
        if stream.readers:
            return
        stream.close()
        self._engine.feed.unfollow(stream)
        self.count -= 1
        if self.newest.get(stream.query.id) is stream:
            del self.newest[stream.query.id]
        if self._recent is stream:
            self._recent = None

    def build(self, shaped: Shaped) -> State:
        """Go on with a result on its way, for a piece."""
        if not shaped.is_building:
            last, size = self.last_offset, self._options.chunk_size_max
            stream = FirstRows(shaped.query, self._engine.database, last, chunk_size_max=size)
            if not self.join(stream):
                return State.WAITING
            shaped.begin(stream, lambda: self.leave(stream))
        with FOLLOWED_STEPS:
            return State.GOING if shaped.advance(self._options.first_rows_kept_max) else State.DONE
