"""First rows on their way: shared by all who read the same, and few at a time."""

import pytest

from store.subscribe import streams
from tests.subscribe.pieces import BY_COPIES, filled, names, step
from tests.subscribe.scenes import ALL_BOOKS, BY_AUTHOR, View


@pytest.mark.usefixtures("small")
def test_those_who_subscribe_together_share_the_bytes() -> None:
    """Chunks are made once for a subprotocol, however many read them; who joins later is told what changed since."""
    shelf = filled(9)
    writer, clients = shelf.client(), [shelf.client() for _ in range(3)]
    views = [View(client, 1, ALL_BOOKS) for client in clients[:2]]
    step(shelf)
    writer.says(["call", 1, "put", [3, "zoe"]])
    views.append(View(clients[2], 1, ALL_BOOKS))
    assert shelf.subscriptions.deliveries._means.streams.count == 1
    shelf.commit()
    told = [[frame for frame in client.frames if b"chunk" in frame[:8]] for client in clients]
    assert len(told[0]) > 2
    for frames in told[1:]:
        assert frames[-1] == told[0][-1]
    for view, client in zip(views, clients, strict=True):
        view.take(client.read())
        assert view.sorted() == shelf.rows(ALL_BOOKS)


@pytest.mark.usefixtures("small")
def test_many_large_queries_wait_for_their_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Past STREAMS_MAX a subscription is answered later, and holds just as much."""
    monkeypatch.setattr(streams, "STREAMS_MAX", 1)
    shelf = filled(9)
    client = shelf.client()
    views = [View(client, 1, ALL_BOOKS), View(client, 2, BY_AUTHOR, "ann"), View(client, 3, BY_COPIES, 1)]
    shelf.engine.group_commit.commit()
    heard = client.read()
    assert names(heard) == ["subscribed"]
    heard += client.asks(["call", 1, "put", [77, "ann", 1]])
    for view in views:
        view.take(heard)
        assert 77 in view.rows
    assert shelf.subscriptions.deliveries._means.streams.count == 0
