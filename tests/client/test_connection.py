"""The rules of the client under asyncio, against servers that the tests play by hand."""

import asyncio
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any
from uuid import UUID

import msgspec
import pytest
from websockets.asyncio.server import ServerConnection, serve

from store.client import ClientOptions, Insert, OutcomeUnknown, Unreachable, connect
from store.client.dial import websocket_url
from store.client.query import Question
from store.engine.reducer import Context, reducer
from store.errors import ConfigError, Denied, MalformedCall, ProtocolError, Refused, SchemaMismatch
from store.ids import Offset
from store.subscribe.messages import Call, Query, Subscribe
from store.values import Json
from tests.client.lines import QUICK, Line, answering, playing, url_of
from tests.client.scenes import LIMITS, OTHER_EPOCH, delta, failure, result, rows, subscribed


def run(work: Any) -> Any:
    """One test's loop."""
    return asyncio.run(asyncio.wait_for(work, 20))


@reducer
def moment(ctx: Context) -> datetime:
    """Returns a time."""
    return ctx.time


def test_a_call_returns_what_the_reducer_returned() -> None:
    """An answer is decoded as asked for, or as the reducer object says, or plainly."""
    now = datetime(2026, 1, 2, tzinfo=UTC)

    async def play(line: Line) -> None:
        await line.greet()
        while True:
            for call in await line.hear():
                if isinstance(call, Call):
                    await line.say(result(call.sequence, call.sequence, now if call.reducer == "moment" else [1, 2]))

    async def work() -> None:
        async with playing(play) as url, connect(url, "t") as db:
            assert await db.call("f", 1) == [1, 2]
            assert await db.call("f", returns=tuple[int, ...]) == (1, 2)
            assert await db.call(moment) == now
            assert db.offset == 3
            with pytest.raises(SchemaMismatch, match="committed at offset 4"):
                await db.call("f", returns=str)
            with pytest.raises(MalformedCall, match="not both"):
                db.call("f", 1, a=2)

    run(work())


@reducer
def either(ctx: Context) -> Json | UUID:
    """Returns what nothing can be read as."""
    return UUID(int=ctx.random.randint(0, 1))


@pytest.mark.parametrize("returns", [list[5], 5, [int], "no type"])  # type: ignore[valid-type]  # So it is.
def test_what_no_result_can_be_read_as_is_refused(returns: Any) -> None:
    """A type that cannot be is a TypeError that names it; nothing was sent, and the client lives."""

    async def work() -> None:
        async with playing(answering) as url, connect(url, "t") as db:
            with pytest.raises(TypeError, match=r"returns: expected a type.*found .*given by position"):
                db.call("f", returns=returns)
            with pytest.raises(TypeError, match="returns: expected a type"):
                db.call(either)
            assert await db.call("f", 1) == [1]
            assert db.offset == 2, "that was the first call"

    run(work())


class Picky(msgspec.Struct):
    """A type that is never content with what it is made of."""

    def __post_init__(self) -> None:
        """KeyError, which is neither a TypeError nor a ValueError."""
        raise KeyError("picky")


def test_what_a_type_raises_is_its_callers_alone() -> None:
    """A result's own type may raise anything when one of it is made: a SchemaMismatch, and the client lives."""

    async def play(line: Line) -> None:
        await line.greet()
        while True:
            await line.say(*(result(call.sequence, 7, {}) for call in await line.hear() if isinstance(call, Call)))

    async def work() -> None:
        async with playing(play) as url, connect(url, "t") as db:
            with pytest.raises(SchemaMismatch, match=r"committed at offset 7.*picky"):
                await db.call("f", returns=Picky)
            assert await db.call("f") == {}

    run(work())


def test_calls_of_one_tick_leave_in_one_frame() -> None:
    """Calls made without an await between share a frame, and each gets its own answer."""
    heard: list[int] = []

    async def play(line: Line) -> None:
        await line.greet()
        while True:
            calls = [each for each in await line.hear() if isinstance(each, Call)]
            heard.append(len(calls))
            await line.say(*(result(call.sequence, 1, call.sequence * 10) for call in calls))

    async def work() -> None:
        async with playing(play) as url, connect(url, "t") as db:
            assert await asyncio.gather(*(db.call("f") for _ in range(4))) == [10, 20, 30, 40]
            assert heard == [4]
            assert await asyncio.gather(*(db.call("f") for _ in range(10))) == [10 * n for n in range(5, 15)]
            assert max(heard) == 4, "the server's window holds four"

    run(work())


def test_a_refusal_is_raised() -> None:
    """A refused call raises Refused with the reducer's reason and details."""

    async def play(line: Line) -> None:
        await line.greet()
        await line.hear()
        await line.say(failure("call", 1, reason="overdraft", balance=3))
        await line.hear()

    async def work() -> None:
        async with playing(play) as url, connect(url, "t") as db:
            with pytest.raises(Refused) as refused:
                await db.call("transfer", 1, 2, 3)
            assert (refused.value.reason, refused.value.details) == ("overdraft", {"balance": 3})

    run(work())


def test_unanswered_calls_survive_a_lost_connection() -> None:
    """What was not answered is said again under its sequence on the next connection, in order."""
    heard: list[Any] = []

    async def play(line: Line) -> None:
        await line.greet()
        calls = [each.sequence for each in await line.hear() if isinstance(each, Call)]
        heard.append(calls)
        if line.number < 3:
            line.cut()
            return
        await line.say(*(result(sequence, sequence, sequence) for sequence in calls))
        await line.hear()

    async def work() -> None:
        async with playing(play) as url, connect(url, "t", options=QUICK) as db:
            assert await asyncio.gather(*(db.call("f") for _ in range(3))) == [1, 2, 3]
            assert heard == [[1, 2, 3]] * 3
            assert db.connections == 3

    run(work())


def test_views_come_back_with_calls() -> None:
    """After a lost connection a view resumes from its offset, and goes on."""
    asked: list[Subscribe] = []

    async def play(line: Line) -> None:
        await line.greet()
        (subscribe,) = [each for each in await line.hear() if isinstance(each, Subscribe)]
        asked.append(subscribe)
        if line.number == 1:
            await line.say(subscribed(subscribe.id, 5, [1, "ada", 5]))
            await line.hear()
            await line.say(delta(6, [1, "ada", 6]), result(1, 6))
            await line.hear()
            line.cut()
            return
        await line.say(subscribed(subscribe.id, subscribe.offset, resumed=True), delta(7, [2, "bob", 1]))
        await line.hear()

    async def work() -> None:
        async with playing(play) as url, connect(url, "t", options=QUICK) as db:
            view = await db.subscribe("SELECT * FROM accounts WHERE owner <> $1", "x")
            deltas = view.deltas()
            await db.call("f")
            assert (await anext(deltas)).offset == 6
            db.call("f")
            assert (await anext(deltas)).offset == 7
            assert asked[1].offset == 6
            assert {key: row.balance for key, row in view.items()} == {1: 6, 2: 1}
            assert (len(view), 1 in view, view[2].owner, view.offset) == (2, True, "bob", 7)

    run(work())


def test_another_epoch_gives_up_what_was_sent() -> None:
    """Under another epoch a call that was sent has an unknown outcome, and the next call works."""

    async def play(line: Line) -> None:
        await line.greet(epoch=OTHER_EPOCH if line.number > 1 else "00" * 16)
        calls = await line.hear()
        if line.number == 1:
            line.cut()
            return
        await line.say(result(calls[-1].sequence, 1, "done"))
        await line.hear()

    async def work() -> None:
        async with playing(play) as url, connect(url, "t", options=QUICK) as db:
            with pytest.raises(OutcomeUnknown, match="epoch"):
                await db.call("f")
            assert await db.call("f") == "done"
            assert db.epoch == OTHER_EPOCH

    run(work())


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (HTTPStatus.UNAUTHORIZED, Denied),
        (HTTPStatus.FORBIDDEN, Denied),
        (HTTPStatus.NOT_FOUND, ProtocolError),
        (HTTPStatus.SERVICE_UNAVAILABLE, Unreachable),
    ],
)
def test_what_refuses_the_first_connection_is_raised(status: HTTPStatus, kind: type[Exception]) -> None:
    """A first connection that cannot be is an error with the server's own words."""

    async def work() -> None:
        async with playing(answering, refuse=status) as url:
            with pytest.raises(kind, match="because"):
                async with connect(url, "t"):
                    pass

    run(work())


def test_nobody_there_is_unreachable() -> None:
    """Without a server the first connection fails at once, with a hint."""

    async def work() -> None:
        with pytest.raises(Unreachable, match="store serve"):
            async with connect("ws://127.0.0.1:1", "t"):
                pass

    run(work())


def test_a_server_without_our_subprotocol_is_no_store() -> None:
    """A WebSocket that does not speak our subprotocol is a protocol error."""

    async def handle(socket: ServerConnection) -> None:
        await socket.wait_closed()

    async def work() -> None:
        async with serve(handle, "127.0.0.1", 0) as server:
            with pytest.raises(ProtocolError, match="does not speak"):
                async with connect(url_of(server), "t"):
                    pass

    run(work())


@pytest.mark.parametrize(
    ("code", "kind"), [(4401, Denied), (4400, ProtocolError), (1009, ProtocolError), (4406, ProtocolError)]
)
def test_a_close_code_that_coming_back_cannot_mend_ends_it(code: int, kind: type[Exception]) -> None:
    """Such a code fails what waits, and everything after, with the code in its error; of what was sent nobody knows."""

    async def play(line: Line) -> None:
        await line.greet()
        await line.hear()
        await line.socket.close(code, "so it is")

    async def work() -> None:
        async with playing(play) as url, connect(url, "t", options=QUICK) as db:
            asked = asyncio.ensure_future(db._read(Question("SELECT * FROM accounts", (), None)))
            await asyncio.sleep(0)
            calls = [db.call("f") for _ in range(LIMITS.unacknowledged_calls_max + 1)]
            for call in calls[:-1]:
                with pytest.raises(OutcomeUnknown, match=f"may have been done or not.*{code}.*so it is") as unknown:
                    await call
                assert type(unknown.value.__cause__) is kind
            for unsent in (calls[-1], asked):
                with pytest.raises(kind, match=f"{code}.*so it is"):
                    await unsent
            with pytest.raises(kind):
                db.call("f")
            with pytest.raises(kind):
                await db.query("SELECT * FROM accounts")
            assert not db.connected

    run(work())


@pytest.mark.parametrize("code", [1001, 1011, 1012, 4408])
def test_a_close_code_that_coming_back_mends_does_not_show(code: int) -> None:
    """A server that stops, or cuts off a slow reader, is come back to."""

    async def play(line: Line) -> None:
        await line.greet()
        (call,) = await line.hear()
        if line.number == 1:
            await line.socket.close(code)
            return
        await line.say(result(call.sequence, 1, "done"))
        await line.hear()

    async def work() -> None:
        async with playing(play) as url, connect(url, "t", options=QUICK) as db:
            assert await db.call("f") == "done"

    run(work())


def test_a_token_may_be_renewed() -> None:
    """A token that is asked for anew on each connection outlives the code that says it has run out."""
    tokens = iter(["first", "second"])
    seen: list[str] = []

    async def play(line: Line) -> None:
        assert line.socket.request is not None
        seen.append(line.socket.request.headers["Authorization"])
        await line.greet()
        if line.number == 1:
            await line.socket.close(4401)
            return
        await line.answer_all()

    async def work() -> None:
        async with playing(play) as url, connect(url, lambda: next(tokens), options=QUICK) as db:
            assert await db.call("f", 1) == [1]
            assert seen == ["Bearer first", "Bearer second"]

    run(work())


@pytest.mark.parametrize(
    ("raised", "kind"), [(RuntimeError, Denied), (OSError, Unreachable), (TimeoutError, Unreachable)]
)
def test_what_gives_the_token_is_blamed_for_its_own_errors(raised: type[Exception], kind: type[Exception]) -> None:
    """What it raises is told as the token's, with its cause; what may pass is tried again where there was one."""
    left = [None, raised("vault"), None]

    def give() -> str:
        if (error := left.pop(0)) is not None:
            raise error
        return "t"

    async def play(line: Line) -> None:
        await line.greet()
        if line.number == 1:
            await line.hear()
            line.cut()
            return
        await line.answer_all()

    async def work() -> None:
        async with playing(play) as url:
            async with connect(url, give, options=QUICK) as db:
                if kind is Unreachable:
                    assert await db.call("f", 1) == [1]
                else:
                    with pytest.raises(OutcomeUnknown, match="what gives the token raised"):
                        await db.call("f", 1)
            left[:] = [raised("vault")]
            with pytest.raises(kind, match=r"what gives the token raised .*vault") as told:
                async with connect(url, give):
                    pass
            assert type(told.value.__cause__) is raised

    run(work())


@pytest.mark.parametrize("token", [None, b"secret", lambda: None, lambda: b"secret"])
def test_what_is_no_token_is_said_without_repeating_it(token: Any) -> None:
    """A token is text; anything else is Denied by its type, before a server is asked."""

    async def work() -> None:
        with pytest.raises(Denied, match=r"expected a token as text, found a (NoneType|bytes)") as denied:
            async with connect("ws://127.0.0.1:1", token):
                pass
        assert "secret" not in str(denied.value)

    run(work())


def test_an_unreadable_frame_ends_it() -> None:
    """A server that says what cannot be read is not come back to."""

    async def play(line: Line) -> None:
        await line.greet()
        await line.hear()
        await line.socket.send(b"\xc1")
        await line.socket.wait_closed()
        assert line.socket.close_code == 1002

    async def work() -> None:
        async with playing(play) as url, connect(url, "t", options=QUICK) as db:
            with pytest.raises(OutcomeUnknown, match="cannot be read") as unknown:
                await db.call("f")
            assert type(unknown.value.__cause__) is ProtocolError

    run(work())


def test_a_client_may_give_up() -> None:
    """With give_up_s, what waits fails with Unreachable after so long without a connection; what was sent, unknown."""

    async def play(line: Line) -> None:
        await line.greet()
        await line.hear()

    async def work() -> None:
        async with playing(play) as url:
            holder = connect(url, "t", options=ClientOptions(backoff_first_ms=1, backoff_max_ms=1, give_up_s=0.1))
            db = await holder.__aenter__()
            sent = db.call("f")
            while db.connected:  # noqa: ASYNC110  # Nothing tells of it.
                await asyncio.sleep(0.001)
        call = db.call("f")  # The server is gone.
        with pytest.raises(Unreachable):
            await call
        with pytest.raises(OutcomeUnknown, match="sequence 1, was sent") as unknown:
            await sent
        assert type(unknown.value.__cause__) is Unreachable
        with pytest.raises(Unreachable):
            db.call("f")
        await holder.__aexit__(None, None, None)

    run(work())


def test_closing_says_that_outcomes_are_unknown() -> None:
    """Calls that are unanswered when the client closes have an unknown outcome; streams of deltas end."""

    async def play(line: Line) -> None:
        await line.greet()
        (subscribe,) = await line.hear()
        await line.say(subscribed(subscribe.id, 5, [1, "ada", 5]))
        await line.hear()
        await line.hear()

    async def work() -> None:
        async with playing(play) as url:
            async with connect(url, "t", options=QUICK) as db:
                view = await db.subscribe("SELECT * FROM accounts")
                deltas = view.deltas()
                call = db.call("f")
            with pytest.raises(OutcomeUnknown):
                await call
            assert [each async for each in deltas] == []
            assert [each async for each in view.deltas()] == []
            assert view[1].balance == 5
            with pytest.raises(OutcomeUnknown):
                await db.query("SELECT * FROM accounts")

    run(work())


def test_a_cancelled_wait_does_not_unsay_the_call() -> None:
    """A call past its caller's patience is answered into nowhere, and the next is not disturbed."""
    wait = asyncio.Event()

    async def play(line: Line) -> None:
        await line.greet()
        (first,) = await line.hear()
        await wait.wait()
        await line.say(result(first.sequence, 1))
        await line.answer_all()

    async def work() -> None:
        async with playing(play) as url, connect(url, "t") as db:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.01):
                    await db.call("f")
            wait.set()
            assert await db.call("g", 2) == [2]

    run(work())


def test_a_view_that_fails_says_why() -> None:
    """A subscription the server ends raises in its streams, and keeps its rows."""

    async def play(line: Line) -> None:
        await line.greet()
        (subscribe,) = await line.hear()
        await line.say(subscribed(subscribe.id, 5, [1, "ada", 5]))
        await line.hear()
        await line.say(delta(6, [1, "ada", 6]), failure("subscribe", subscribe.id, "denied"), result(1, 6))
        await line.socket.wait_closed()

    async def work() -> None:
        async with playing(play) as url, connect(url, "t") as db:
            view = await db.subscribe("SELECT * FROM accounts")
            deltas = view.deltas()
            await db.call("f")
            assert view.error is not None
            assert (await anext(deltas)).offset == 6
            with pytest.raises(Denied):
                await anext(deltas)
            with pytest.raises(Denied):
                await anext(view.deltas())
            assert view[1].balance == 6

    run(work())


def test_a_reader_that_falls_behind_gets_one_delta_for_many() -> None:
    """Past its bound a stream folds what waits into a delta that says so, and still leads to the last rows."""

    async def play(line: Line) -> None:
        await line.greet()
        (subscribe,) = await line.hear()
        await line.say(subscribed(subscribe.id, 5))
        await line.hear()
        await line.say(*(delta(6 + n, [1, "ada", n]) for n in range(10)), result(1, 15))
        await line.socket.wait_closed()

    async def work() -> None:
        options = ClientOptions(deltas_queued_max=3)
        async with playing(play) as url, connect(url, "t", options=options) as db:
            view = await db.subscribe("SELECT * FROM accounts")
            deltas = view.deltas()
            await db.call("f")
            await deltas.aclose()
            told = [each async for each in deltas]
            assert told[0].reset
            assert [type(change) for change in told[0].changes] == [Insert]
            assert told[-1].offset == view.offset == 15
            assert len(told) <= 4

    run(work())


def test_two_subscriptions_may_follow_one_query() -> None:
    """Views of the same query share what the server sends, and end each for itself."""

    async def play(line: Line) -> None:
        await line.greet()
        (first,) = await line.hear()
        await line.say(subscribed(first.id, 5, [1, "ada", 5]))
        (second,) = await line.hear()
        await line.say(failure("subscribe", second.id, "malformed_query", id=first.id, query="q"))
        await line.hear()
        await line.say(delta(6, [1, "ada", 6]), result(1, 6))
        await line.hear()

    async def work() -> None:
        async with playing(play) as url, connect(url, "t") as db:
            one = await db.subscribe("SELECT * FROM accounts")
            two = await db.subscribe("SELECT * FROM accounts")
            await one.close()
            await one.close()
            await db.call("f")
            assert (one[1].balance, two[1].balance) == (5, 6)

    run(work())


def test_synced_asks_how_far_the_server_is() -> None:
    """Waiting for an offset asks with a query that finds nothing, until the server is there."""
    asked: list[Query] = []

    async def play(line: Line) -> None:
        await line.greet()
        (subscribe,) = await line.hear()
        await line.say(subscribed(subscribe.id, 5, [1, "ada", 5]))
        for offset in (8, 12):
            (query,) = await line.hear()
            asked.append(query)
            await line.say(delta(offset, [1, "ada", offset]), rows(query.id, offset))
        await line.hear()

    async def work() -> None:
        async with playing(play) as url, connect(url, "t") as db:
            await db.synced(Offset(99))  # No views: nothing to wait for.
            view = await db.subscribe("SELECT * FROM accounts")
            await db.synced(Offset(10))
            assert view.offset == 12
            assert view[1].balance == 12
            await db.synced(Offset(11))
            assert [(query.sql, query.params) for query in asked] == [
                ('SELECT 1 AS fence FROM "accounts" WHERE false', ())
            ] * 2

    run(work())


def test_synced_waits_through_a_lost_connection() -> None:
    """The question is asked again on the next connection, and no view is past the offset before it has come back."""

    async def play(line: Line) -> None:
        await line.greet()
        if line.number == 1:
            await line.say(*(subscribed(each.id, 5, query=f"q{each.id}") for each in await line.hear()))
            await line.hear()
            line.cut()
            return
        one, two, query = await line.hear()
        await line.say(subscribed(one.id, 5, resumed=True, query="q1"))
        await line.say(rows(query.id, 8), delta(8, [1, "ada", 8], query="q1"))
        await line.say(subscribed(two.id, 9, [2, "bob", 9], query="q2"))
        while True:
            await line.say(*(rows(each.id, 9) for each in await line.hear() if isinstance(each, Query)))

    async def work() -> None:
        async with playing(play) as url, connect(url, "t", options=QUICK) as db:
            one, two = await asyncio.gather(db.subscribe("one"), db.subscribe("two"))
            await db.synced(Offset(8))
            assert (one[1].balance, two[2].balance) == (8, 9)
            assert min(one.offset, two.offset) >= 8

    run(work())


def test_synced_without_an_offset_is_synced_with_now() -> None:
    """What the server is at when it is asked is what every view has seen."""

    async def play(line: Line) -> None:
        await line.greet()
        (subscribe,) = await line.hear()
        await line.say(subscribed(subscribe.id, 5))
        (query,) = await line.hear()
        await line.say(delta(7, [1, "ada", 7]), rows(query.id, 8))
        await line.hear()

    async def work() -> None:
        async with playing(play) as url, connect(url, "t", options=QUICK) as db:
            await db.synced()  # No views: nothing to wait for.
            view = await db.subscribe("SELECT * FROM accounts")
            await db.synced()
            assert (view[1].balance, view.offset) == (7, 8)

    run(work())


@pytest.mark.parametrize("offset", [Offset(99), None])
def test_an_offset_of_another_epoch_is_not_waited_for(offset: Offset | None) -> None:
    """Where the server comes back with another epoch the offset means nothing, and that is said; now is now there."""

    async def play(line: Line) -> None:
        await line.greet(epoch=OTHER_EPOCH if line.number > 1 else "00" * 16)
        if line.number == 1:
            (subscribe,) = await line.hear()
            await line.say(subscribed(subscribe.id, 5))
            await line.hear()
            line.cut()
            return
        subscribe, query = await line.hear()
        await line.say(subscribed(subscribe.id, 10), rows(query.id, 11))
        await line.hear()

    async def work() -> None:
        async with playing(play) as url, connect(url, "t", options=QUICK) as db:
            view = await db.subscribe("SELECT * FROM accounts")
            if offset is None:
                await db.synced()
                assert view.offset == 11
            else:
                with pytest.raises(OutcomeUnknown, match="offset 99 means nothing"):
                    await db.synced(offset)

    run(work())


def test_synced_does_not_return_because_the_client_is_closed() -> None:
    """Whoever waits for an offset that the views will never see is told that the client is closed."""

    async def play(line: Line) -> None:
        await line.greet()
        (subscribe,) = await line.hear()
        await line.say(subscribed(subscribe.id, 5))
        while True:
            await line.say(*(rows(each.id, 6) for each in await line.hear() if isinstance(each, Query)))

    async def work() -> None:
        async with playing(play) as url:
            async with connect(url, "t", options=QUICK) as db:
                await db.subscribe("SELECT * FROM accounts")
                waiting = asyncio.ensure_future(db.synced(Offset(99)))
                while db.offset < 6:  # noqa: ASYNC110  # Nothing tells of it.
                    await asyncio.sleep(0.001)
            with pytest.raises(OutcomeUnknown, match="closed"):
                await waiting

    run(work())


def test_what_a_callback_raises_goes_to_the_loop() -> None:
    """The loop's exception handler hears of it, and the connection stands."""
    raised: list[Any] = []

    async def play(line: Line) -> None:
        await line.greet()
        (subscribe,) = await line.hear()
        await line.say(subscribed(subscribe.id, 5))
        await line.hear()
        await line.say(delta(6, [1, "ada", 0]), result(1, 6))
        await line.hear()

    async def work() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _loop, context: raised.append(context["exception"]))
        async with playing(play) as url, connect(url, "t", options=QUICK) as db:
            async with db.query("SELECT * FROM accounts") as view:
                view.on_insert(lambda row: 1 // row.balance)
                await db.call("f")
                assert view[1].owner == "ada"
            assert view.closed
        assert [type(each) for each in raised] == [ZeroDivisionError]

    run(work())


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("ws://h:1", "ws://h:1/v1/connect"),
        ("https://h/", "wss://h/v1/connect"),
        ("http://h:2/other?x=1", "ws://h:2/other?x=1"),
        ("wss://[::1]:3", "wss://[::1]:3/v1/connect"),
    ],
)
def test_an_address_may_be_short(said: str, meant: str) -> None:
    """The path is filled in where it is missing, and http stands for ws."""
    assert websocket_url(said) == meant


@pytest.mark.parametrize(
    "url", ["", "h:1", "ftp://h", "ws://", "ws://[::1", "ws://127.0.0.1:99999", "ws://h:port", "ws://user@h", "ws://:1"]
)
def test_what_is_no_address_is_refused(url: str) -> None:
    """An address that cannot be is named in the error."""
    with pytest.raises(ConfigError, match="expected an address"):
        websocket_url(url)
