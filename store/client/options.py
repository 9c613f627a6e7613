"""What the author of a client may tune; each field says its unit, its default and its trade-off."""

from dataclasses import dataclass


@dataclass(frozen=True)
class ClientOptions:
    """The client's options. Nothing of it changes what a call means; only how long and how much one waits."""

    backoff_first_ms: float = 50.0
    """Milliseconds before the second try to come back, at most: each wait is drawn between zero and a bound that
    doubles, so that many clients do not come back in step. Less is quicker; more spares a server that starts."""

    backoff_max_ms: float = 5_000.0
    """Milliseconds that bound never passes. More spares a server that is long away; less finds it sooner."""

    give_up_s: float | None = None
    """Seconds without a connection after which everything that waits fails with Unreachable, and calls that were sent
    before with OutcomeUnknown; None waits for ever. More rides out longer absences; less tells a person sooner that
    nobody is there."""

    connect_timeout_s: float = 10.0
    """Seconds one try to connect may take, TLS and the first greeting included. More is kind to slow lines; less turns
    to the next try sooner."""

    ping_interval_s: float | None = 20.0
    """Seconds between pings, and for a pong to come back, before a silent connection counts as lost. Less notices a
    vanished server sooner; more costs less on lines that are paid by the packet. None never pings."""

    close_timeout_s: float = 1.0
    """Seconds to wait for the server's goodbye when closing. More hears it on slow lines; less ends sooner when the
    server is gone."""

    calls_unanswered_max: int = 100_000
    """Calls without an answer, sent or still waiting here; past it a call fails at once with Overloaded. More rides
    out longer absences; each holds its arguments in RAM. How many are on the wire at once, the server says."""

    queries_unanswered_max: int = 10_000
    """Queries and subscriptions without an answer; past it one more fails at once with Overloaded. More rides out
    longer absences; each takes RAM here."""

    deltas_queued_max: int = 10_000
    """Deltas that wait for one reader of a view. Past it they are folded into one that says it stands for many:
    nothing is lost but the steps between. More keeps the steps; each holds its rows."""

    changes_queued_max: int = 100_000
    """Changes that wait for one reader of a view's changes. Past it that reader's stream ends with FellBehind: each
    change must be told by itself, so none can be folded. More rides out longer pauses; each holds its rows."""

    frame_received_max: int = 1 << 30
    """Bytes of one frame from the server, first rows of a large table included; past it the connection is closed. More
    takes larger tables whole; less bounds what a server can make this client hold."""
