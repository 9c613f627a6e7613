"""What an operator may tune for the clients; each field says its unit, its default and its trade-off."""

from dataclasses import dataclass

from store.query.options import FOLLOWED_GROUPS_MAX as _FOLLOWED_GROUPS_MAX
from store.query.options import FOLLOWED_ROWS_MAX as _FOLLOWED_ROWS_MAX
from store.query.options import FOLLOWED_VALUES_MAX as _FOLLOWED_VALUES_MAX
from store.query.options import ROWS_EXAMINED_MAX as _ROWS_EXAMINED_MAX
from store.query.options import ROWS_RETURNED_MAX as _ROWS_RETURNED_MAX
from store.query.options import TIME_MAX_MS as _TIME_MAX_MS
from store.query.options import Followed
from store.query.options import Options as QueryOptions
from store.query.syntax.lexing import QUERY_LENGTH_MAX as _QUERY_LENGTH_MAX


@dataclass(frozen=True)
class Options:
    """The options of sessions and subscriptions."""

    frame_size_max: int = 16 << 20
    """Bytes of one frame, default 16 MiB. More takes larger calls and more of them at once; less bounds the memory and
    the time that one frame of one client can take. A frame past it closes the connection."""

    messages_per_frame_max: int = 4_096
    """Messages in one frame, default 4,096. More amortises better; less lets other clients have their turn sooner,
    since a frame is worked through at once. A frame past it closes the connection."""

    subscriptions_max: int = 10_000
    """Queries one session may follow at a time, default 10,000. More lets one connection watch more; each costs some
    kilobytes, one with a subquery of its own some more. The next Subscribe is refused."""

    outbox_bytes_max: int = 64 << 20
    """Bytes that may be held or unsent for one client, default 64 MiB; an answer with rows may fill seven eighths of
    it, so that what is said after it has room. More lets a client read slowly for longer; less bounds the memory of
    many slow clients. Past it the client is cut off, and may come back and resume."""

    outbox_messages_max: int = 1 << 20
    """Messages that may be held or unsent for one client, default 1,048,576: small ones cost more memory than their
    bytes. Results that are encoded together count as one while they are held, since they cost no more than one. More
    lets a client of many small messages read slowly for longer; less bounds that memory. Past it the client is cut off,
    as past `outbox_bytes_max`."""

    ahead_max: int = 1 << 20
    """Bytes of first rows, or of what was missed, that may wait for one client before more is made, default 1 MiB; at
    most half of `outbox_bytes_max` counts. More keeps fast lines over long ways busy; less bounds the memory of many
    who come at once."""

    first_rows_kept_max: int = 256 << 20
    """Bytes of rows as they were that are kept for one query's first rows on their way, default 256 MiB. More lets slow
    clients read large tables that change much; less bounds the memory that takes. Past it those subscriptions fail."""

    affected_rows_max: int = 50_000
    """Rows that may enter or leave one followed query because one transaction changed a subquery of it, default 50,000.
    More lets larger groups of rows come and go at once; everybody waits while they are looked at, some microseconds
    each. Past it the subscriptions to that query end with an error."""

    unindexed_rows_max: int = 1_000_000
    """Rows of a table whose column is asked for in `IN (SELECT …)` without an index on it, default 1,000,000: where a
    row is, by its value, is kept in RAM then, about 200 bytes each. More follows larger tables without an index; less
    bounds that memory. Such a subscription is refused when it begins."""

    query_length_max: int = _QUERY_LENGTH_MAX
    """Characters of a query's text, default 4,096. Parsing time grows with it; values belong into parameters."""

    query_rows_examined_max: int = _ROWS_EXAMINED_MAX
    """Rows that a query asked once may look at, those it joins and groups included, default 5,000,000. More answers
    larger questions; everybody waits while it looks, and its memory grows with what it joins, groups and sorts."""

    query_rows_returned_max: int = _ROWS_RETURNED_MAX
    """Rows that a query asked once may return, default 1,000,000. More spares asking page by page; all of them are in
    memory before the first is sent."""

    query_time_max_ms: int = _TIME_MAX_MS
    """Milliseconds that a query asked once may take, default 1,000. More answers larger questions; calls wait as
    long."""

    resume_transactions_max: int = 1_000_000
    """Transactions a returning subscriber may have missed and still resume, default 1,000,000: the horizon. The newest
    are in RAM (`tail_size_max`), the others are read from the log. More spares large tables being sent anew; each
    missed transaction costs some microseconds, once for all who come back together."""

    followed_rows_max: int = _FOLLOWED_ROWS_MAX
    """Rows that LIMIT and OFFSET of a followed query may come to, default 10,000. More shows longer lists live; each
    query holds as many rows and about two thousand to spare, and tells them all to who comes."""

    followed_groups_max: int = _FOLLOWED_GROUPS_MAX
    """Groups that one followed query may have, default 10,000. More counts by finer keys; all of them are held, and
    told to who comes. Past it the query's subscriptions end."""

    followed_values_max: int = _FOLLOWED_VALUES_MAX
    """Rows, groups, aggregates and values that all followed queries with LIMIT or aggregates may hold together, default
    4,000,000; each is about 100 bytes. More lets more of them be followed; less bounds the memory. Past it the query
    that wants more ends."""

    @property
    def followed(self) -> Followed:
        """The bounds of one query that is followed."""
        return Followed(self.followed_rows_max, self.followed_groups_max)

    @property
    def query(self) -> QueryOptions:
        """The bounds of one query that is asked once."""
        return QueryOptions(self.query_rows_examined_max, self.query_rows_returned_max, self.query_time_max_ms)

    @property
    def chunk_size_max(self) -> int:
        """Bytes of rows in one chunk: no more than fits well into what may wait."""
        return max(min(self.outbox_bytes_max, self.frame_size_max) // 4, 1)

    @property
    def rows_size_max(self) -> int:
        """Bytes that may wait with the rows of a query that is asked once."""
        return self.outbox_bytes_max - self.outbox_bytes_max // 8

    @property
    def missed_size_max(self) -> int:
        """Bytes of one message with all that a returning client missed: it has room beside what waits already."""
        return self.outbox_bytes_max - self.room

    @property
    def room(self) -> int:
        """Bytes that may wait before nothing more is made."""
        return min(self.ahead_max, self.outbox_bytes_max // 2)
