"""Defects around sessions and subscriptions: what a client could be told wrongly, too early, twice or never."""

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import AbstractContextManager
from typing import Any, Final
from unittest.mock import patch

from store.client.followings import Followings
from store.errors import CallError
from store.ids import Offset, QueryId
from store.query.live import LiveQuery
from store.query.meaning.membership import Membership
from store.query.shaping.results import Move
from store.subscribe.changes import Change
from store.subscribe.delivery import Recipient
from store.subscribe.encoding import Encoding, WireKey
from store.subscribe.first_rows import FirstRows
from store.subscribe.followed import Rows
from store.subscribe.frames import Framed
from store.subscribe.reading import Reading, read
from store.subscribe.returning import MissedDelivery
from store.subscribe.session import Session
from store.subscribe.subscriptions import Subscriptions
from store.transaction import Transaction
from tests.sim.planted import Planted


def gap(subscriptions: Subscriptions) -> None:
    """Of what somebody missed, every third transaction is left out."""
    changes_of = subscriptions.deliveries._means.changes_of

    def some(transaction: Transaction, wanted: AbstractSet[QueryId]) -> Mapping[QueryId, Change | CallError]:
        return changes_of(transaction, wanted) if transaction.offset % 3 else {}

    subscriptions.deliveries._means.changes_of = some  # type: ignore[misc]  # That is the defect.


def repetition() -> AbstractContextManager[object]:
    """Who comes back is told once more what it was told last."""
    init = MissedDelivery.__init__

    def from_before(self: Any, means: Any, recipient: Recipient, query: LiveQuery, first: Offset, last: Offset) -> None:
        init(self, means, recipient, query, Offset(first - 1), last)

    return patch.object(MissedDelivery, "__init__", from_before)


def any_epoch(subscriptions: Subscriptions) -> None:
    """Who comes from another epoch is taken up as if it came from this one."""
    follow, engine = subscriptions.follow, subscriptions._engine

    def trusting(subscriber: Recipient, query: LiveQuery, *, epoch: str, after: Offset) -> None:
        follow(subscriber, query, epoch=epoch and engine.epoch.hex(), after=after)

    subscriptions.follow = trusting  # type: ignore[method-assign]  # As above.


def stale_rows() -> AbstractContextManager[object]:
    """Rows that are read once are said to be at an offset before the one they are at."""

    def early(*asked: Any) -> Reading:
        reading = read(*asked)
        return reading._replace(offset=Offset(max(reading.offset - 3, 0)))

    return patch("store.subscribe.session.read", early)


def lost_chunk() -> AbstractContextManager[object]:
    """Of first rows that come in many chunks, the second is not sent."""
    chunk = FirstRows.chunk

    def some(self: FirstRows, number: int, encoding: Encoding) -> bytes:
        made = chunk(self, number, encoding)
        return b"" if number == 1 and not self.ends_with(number) else made

    return patch.object(FirstRows, "chunk", some)


def nothing_kept_back() -> AbstractContextManager[object]:
    """The client forgets the deltas that came while its first rows did."""
    finish = Followings._finish

    def forget(self: Followings, following: Any, loading: Any, epoch: str, events: list[Any]) -> None:
        loading.kept.clear()
        finish(self, following, loading, epoch, events)

    return patch.object(Followings, "_finish", forget)


def deaf(subscriptions: Subscriptions) -> None:
    """Now and then a transaction is not looked at."""
    evaluate = subscriptions.evaluate

    def sometimes(transaction: Transaction) -> None:
        if transaction.offset % 11:
            evaluate(transaction)

    subscriptions.evaluate = sometimes  # type: ignore[method-assign]  # As above.


def eager(session: Session) -> None:
    """Whatever is said is sent at once."""

    def tell(message: bytes) -> None:
        session.release(session.prepare([message]))
        session.held_bytes = 0

    session.tell = tell  # type: ignore[method-assign]  # As above.


def early(session: Session) -> None:
    """What is made ready while the disk works leaves at once."""
    prepare = session.prepare

    def let_out(parts: list[bytes]) -> Framed:
        session.release(prepare(parts))
        return [], 0, 0

    session.prepare = let_out  # type: ignore[method-assign]  # As above.


def result_first(session: Session) -> None:
    """Results overtake deltas."""
    prepare = session.prepare

    def reorder(parts: list[bytes]) -> Framed:
        return prepare(sorted(parts, key=lambda part: b"\xa5delta" in part[:8]))

    session.prepare = reorder  # type: ignore[method-assign]  # As above.


def unnoticed_leaving() -> AbstractContextManager[object]:
    """Nobody hears that a value has left a subquery: the rows that it brought stay in every view."""
    move = Membership.move

    def coming(self: Membership, moved: Mapping[Any, int]) -> dict[Any, bool]:
        return {value: was_in for value, was_in in move(self, moved).items() if not was_in}

    return patch.object(Membership, "move", coming)


def told_unchanged() -> AbstractContextManager[object]:
    """Rows that were written are told, though nothing that is shown of them changed."""

    def every(_: Rows, moves: Sequence[Move]) -> tuple[list[bytes], list[WireKey]]:
        gone: list[WireKey] = [key for key, before, after in moves if after is None and before is not None]
        return [after for _, _, after in moves if after is not None], gone

    return patch.object(Rows, "fold", every)


def patient(session: Session) -> None:
    """Nobody is ever cut off."""
    session._outbox_bytes_max = 1 << 30
    session._has_room = lambda size: size >= 0  # type: ignore[method-assign]  # As above.


NETWORK_DEFECTS: Final = {
    "resume gap": Planted(subscriptions=gap),
    "resume repeats an offset": Planted(always=repetition),
    "resumed across epochs": Planted(subscriptions=any_epoch),
    "rows read at the wrong offset": Planted(always=stale_rows),
    "chunk of first rows not sent": Planted(always=lost_chunk),
    "deltas lost behind first rows": Planted(always=nothing_kept_back),
    "transaction not evaluated": Planted(subscriptions=deaf),
    "session tells before durable": Planted(session=eager),
    "prepared is let out": Planted(session=early),
    "result before its delta": Planted(session=result_first),
    "unchanged projection told": Planted(always=told_unchanged),
    "value that leaves a subquery": Planted(always=unnoticed_leaving),
    "slow reader never cut off": Planted(session=patient),
}
"""What goes wrong, and the plant that makes it so."""
