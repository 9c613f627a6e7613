"""What an operator may tune for the clients; each field says its unit, its default and its trade-off."""

from dataclasses import dataclass

from store.tables.sql import QUERY_LENGTH_MAX as _QUERY_LENGTH_MAX


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
    """Queries one session may follow at a time, default 10,000. More lets one connection watch more; each costs about
    a kilobyte. The next Subscribe is refused."""

    outbox_bytes_max: int = 64 << 20
    """Bytes that may be held or unsent for one client, default 64 MiB; also the largest answer to a query. More lets
    a client read slowly for longer and take larger tables; less bounds the memory of many slow clients. Past it the
    client is cut off, and may come back and resume."""

    query_length_max: int = _QUERY_LENGTH_MAX
    """Characters of a query's text, default 4,096. Parsing time grows with it; values belong into parameters."""

    resume_transactions_max: int = 10_000
    """Transactions a returning subscriber may have missed and still resume, default 10,000. More spares large tables
    being sent anew; each missed transaction costs about a microsecond for each resumed query, while nothing else
    happens."""
