"""The rules of streams: what waits for a reader is bounded. Deltas that are folded are in test_connection.py."""

import asyncio

import pytest

from store.client import ClientOptions, FellBehind
from store.client.rows import Insert
from tests.client.scenes import Watcher, delta, subscribed, waiting


def test_a_reader_that_never_reads_is_told_so() -> None:
    """Past changes_queued_max its stream ends with an error that names the limit, and holds nothing more."""
    watcher = Watcher(ClientOptions(changes_queued_max=3))
    view = watcher.follow()
    never, always = view.changes(), view.changes()
    read = 0
    for number in range(10):
        watcher.hear(delta(4 + number, [number, "ada", 0]))
        read += len(waiting(always))
    assert (read, len(view)) == (10, 10)
    assert waiting(never) == []
    with pytest.raises(FellBehind, match=r"4 changes .* at most 3 .*changes_queued_max"):
        asyncio.run(anext(never))  # type: ignore[arg-type]  # It is awaitable.


def test_one_delta_always_fits() -> None:
    """However many rows one transaction or one replacement changes: a reader that reads hears of all."""
    watcher = Watcher(ClientOptions(changes_queued_max=3))
    changes = watcher.follow().changes()
    watcher.come_back(subscribed(1, 9, *([number, "ada", 0] for number in range(9))))
    assert len(waiting(changes)) == 9


def test_a_reader_may_wait() -> None:
    """A stream wakes its reader when something comes."""

    async def work() -> None:
        watcher = Watcher()
        reader = asyncio.ensure_future(anext(watcher.follow().changes()))
        await asyncio.sleep(0)
        watcher.hear(delta(4, [1, "ada", 0]))
        assert isinstance(await reader, Insert)

    asyncio.run(work())


def test_a_stream_ends() -> None:
    """When its reader wants no more, and when the view is closed; one of a closed view has ended already."""

    async def work() -> None:
        view = Watcher().follow()
        stream = view.changes()
        await stream.aclose()
        assert [each async for each in stream] == []
        stream = view.changes()
        async with view:
            pass
        assert [each async for each in stream] == []
        assert [each async for each in view] == []

    asyncio.run(work())
