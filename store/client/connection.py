"""The client under asyncio: what it is asked, and who waits for what the server says.

    async with connect("ws://127.0.0.1:8400", token) as db:
        balance = await db.call("deposit", 1, 100)
        view = await db.subscribe("SELECT * FROM accounts WHERE owner = $1", "alice")

Laws: a call once asked is made, also where nobody waits for it any more; so a call has no time limit but the caller's
own `asyncio.timeout`, past which its outcome is unknown. When it comes back, the client resumes its views and says
unanswered calls again under their numbers, so each runs once. Where it comes back to another epoch, calls that were
sent fail with OutcomeUnknown and views become the rows that are there now; calls that were not sent yet are sent. Where
it cannot come back, calls that were sent fail with OutcomeUnknown, which has the reason as its cause; all else that
waits fails with the reason itself.
"""

import asyncio
import secrets
import ssl as tls
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Final, Protocol, TypeVar, overload

import msgspec

from store.client.conversation import Conversation, Fetched, Welcomed
from store.client.dial import Token
from store.client.errors import OutcomeUnknown, closed, unanswered
from store.client.followings import Changed, Failed, Opened
from store.client.options import ClientOptions
from store.client.query import Query, Question, question
from store.client.rows import Rows
from store.client.transport import Transport
from store.client.view import View
from store.client.views import Views
from store.errors import MalformedCall, ProtocolError, SchemaMismatch, StoreError
from store.expression import Selection
from store.ids import Offset
from store.subscribe.messages import Result
from store.values import constrain, dec_hook_trusted

FENCE_INTERVAL_S: Final = 0.05
"""Seconds between two looks at how far the server is, where `synced` waits for an offset that is still to come."""

Row = TypeVar("Row", bound=msgspec.Struct)
Returned = TypeVar("Returned")
Returned_co = TypeVar("Returned_co", covariant=True)


class Callee(Protocol[Returned_co]):
    """What `call` takes beside a name: a reducer object, which says its name and what it returns."""

    @property
    def name(self) -> str:
        """As the server knows it."""
        ...

    @property
    def returns(self) -> Any:
        """The annotation of its result."""
        ...

    def __call__(self, *args: Any, **kwargs: Any) -> Returned_co:
        """The plain function; not called here."""
        ...


class Client:
    """A client of one tenant, for as long as `connect` holds it open. For one event loop."""

    def __init__(
        self, url: str, token: Token, *, client: str, sequence: int, options: ClientOptions, ssl: tls.SSLContext | None
    ) -> None:
        self.options: Final = options
        self._loop: Final = asyncio.get_running_loop()
        self._conversation: Final = Conversation(
            client=client or secrets.token_hex(16),
            sequence=sequence,
            calls_unanswered_max=options.calls_unanswered_max,
            queries_unanswered_max=options.queries_unanswered_max,
        )
        self._transport: Final = Transport(
            url, token, conversation=self._conversation, options=options, ssl=ssl, take=self._receive
        )
        self._answers: Final[dict[int, tuple[asyncio.Future[Any], Callable[[msgspec.Raw], Any]]]] = {}
        self._queries: Final[dict[int, asyncio.Future[Any]]] = {}
        self._opening: Final[dict[int, tuple[asyncio.Future[Any], str]]] = {}
        self._views: Final = Views(self._conversation, options, forget=self._forget, report=self._report)
        self._decoders: Final[dict[Any, Callable[[msgspec.Raw], Any]]] = {}
        self._error: StoreError | None = None
        self._runner: asyncio.Task[None] | None = None
        self._take: Final[dict[type, Callable[[Any], None]]] = {
            Result: self._take_result,
            Welcomed: self._take_welcomed,
            Opened: self._take_opened,
            Changed: self._views.change,
            Fetched: self._take_fetched,
            Failed: self._take_failed,
        }

    # What it tells.

    @property
    def client(self) -> str:
        """The name under which this client's calls are idempotent."""
        return self._conversation.client

    @property
    def offset(self) -> Offset:
        """All views have seen everything up to here: at least what this client was last answered."""
        return self._conversation.offset

    @property
    def epoch(self) -> str:
        """The history that offsets are of: 32 hexadecimal digits."""
        return self._conversation.epoch

    @property
    def connected(self) -> bool:
        """Whether there is a connection now; where not, one is being tried for."""
        return self._transport.connected

    @property
    def connections(self) -> int:
        """How many connections there have been."""
        return self._transport.connections

    # What it does.

    @overload
    def call(self, reducer: Callee[Returned], /, *args: Any, **named: Any) -> asyncio.Future[Returned]: ...
    @overload
    def call(self, reducer: str, /, *args: Any, returns: type[Returned], **named: Any) -> asyncio.Future[Returned]: ...
    @overload
    def call(self, reducer: str, /, *args: Any, returns: Any = ..., **named: Any) -> asyncio.Future[Any]: ...

    def call(self, reducer: str | Callee[Any], /, *args: Any, returns: Any = Any, **named: Any) -> asyncio.Future[Any]:
        """Call a reducer, by position or by name, and await what it returns, decoded as `returns` or the reducer says.

        It is on its way when this returns; await it whenever you like. A parameter that is called `returns` is given by
        position. Raises (at once or when awaited) a CallError as the server names it, such as Refused with `reason` and
        `details`; OutcomeUnknown; SchemaMismatch where the result, of a call that was committed, is not of the type it
        is read as. TypeError: nothing can be read as that type, so nothing was sent.
        """
        if type(reducer) is str:
            name = reducer
        else:
            name, returns = reducer.name, reducer.returns if returns is Any else returns  # type: ignore[union-attr]  # No str.
        if named and args:
            raise MalformedCall(f"{name}: say the arguments by position or by name, not both")
        if self._error is not None:
            raise self._error
        decode = self._decoder(returns)
        sequence = self._conversation.call(name, named or args)
        future: asyncio.Future[Any] = self._loop.create_future()
        self._answers[sequence] = future, decode
        self._transport.send()
        return future

    @overload
    def query(self, query: Selection[Row], /) -> Query[Row]: ...
    @overload
    def query(self, query: str | Selection[Any], /, *params: Any, row_type: type[Row]) -> Query[Row]: ...
    @overload
    def query(self, query: str, /, *params: Any, row_type: None = None) -> Query[Any]: ...

    def query(self, query: str | Selection[Any], /, *params: Any, row_type: type[Any] | None = None) -> Query[Any]:
        """Ask a query, SQL text with its parameters or a selection: `await` reads once, `async with` gives a live view.

        Read once it is the rows in primary-key order, durable when they are told. Rows are of `row_type`, a Table
        class, or of the selection's, or of a type made from what the server says. Raises MalformedQuery, Denied,
        Overloaded, SchemaMismatch; TypeError where `row_type` is no class of rows.
        """
        return Query(question(query, params, row_type), self._read, self._follow)

    @overload
    async def subscribe(self, query: Selection[Row], /) -> View[Row]: ...
    @overload
    async def subscribe(self, query: str | Selection[Any], /, *params: Any, row_type: type[Row]) -> View[Row]: ...
    @overload
    async def subscribe(self, query: str, /, *params: Any, row_type: None = None) -> View[Any]: ...

    async def subscribe(
        self, query: str | Selection[Any], /, *params: Any, row_type: type[Any] | None = None
    ) -> View[Any]:
        """Follow a query until the view is closed: it has its rows and stays current. Raises as `query` does.

        Ask it for `deltas()` before the next await, and the stream begins with the rows as they are then.
        """
        return await self._follow(question(query, params, row_type))

    async def synced(self, offset: Offset | None = None) -> None:
        """Return when all views have seen everything up to `offset`; without one, up to what the server is at now.

        Your own call's changes are in your views before its answer, so this is for offsets that somebody else was
        told. Offsets that change nothing here bring no message, so the server is asked how far it is, by a query of a
        view's table that finds nothing; an offset still to come is asked for again every FENCE_INTERVAL_S. It waits
        through lost connections. OutcomeUnknown: the server came back with another epoch, where `offset` means nothing.
        """
        self._check_open()
        given, epoch = offset, self.epoch
        while self._views and (offset is None or self.offset < offset):
            reached = await self._fence()
            if self.epoch != epoch:
                if given is not None:
                    raise OutcomeUnknown(f"the server came back with another epoch: offset {given} means nothing there")
                offset, epoch = None, self.epoch
            offset = reached if offset is None else offset
            if self.offset < offset:
                await asyncio.sleep(FENCE_INTERVAL_S)
                self._check_open()

    async def _fence(self) -> Offset:
        """How far the server is."""
        sql = f'SELECT 1 AS fence FROM "{self._views.table.name}" WHERE false'  # noqa: S608  # A name of the schema.
        return (await self._read(Question(sql, (), None))).offset

    async def _read(self, asked: Question) -> Rows[Any]:
        self._check_open()
        id_ = self._conversation.query(asked.sql, asked.params, asked.row_type)
        future: asyncio.Future[Rows[Any]] = self._loop.create_future()
        self._queries[id_] = future
        self._transport.send()
        return await future

    async def _follow(self, asked: Question) -> View[Any]:
        self._check_open()
        id_ = self._conversation.subscribe(asked.sql, asked.params, asked.row_type)
        future: asyncio.Future[View[Any]] = self._loop.create_future()
        self._opening[id_] = future, asked.sql
        self._transport.send()
        try:
            return await future
        except asyncio.CancelledError:
            self._opening.pop(id_, None)
            self._views.close(id_)
            raise

    async def close(self) -> None:
        """Say goodbye. Calls still unanswered fail with OutcomeUnknown; views stay as they are."""
        try:
            if self._runner is not None:
                runner, self._runner = self._runner, None
                runner.cancel()
                await asyncio.gather(runner, return_exceptions=True)
        finally:
            self._fail(closed(), views_end_with=None)

    # The connections.

    async def start(self) -> None:
        """Connect for the first time. Unreachable, Denied, ProtocolError: there is no use, or not now."""
        self._runner = asyncio.create_task(self._run())
        try:
            await self._transport.welcomed
        except BaseException:
            await self.close()
            raise

    async def _run(self) -> None:
        """Stay connected until closed; what makes coming back useless ends everything that waits."""
        try:
            await self._transport.stay_connected()
        except StoreError as error:
            self._fail(error, views_end_with=error)
        except Exception as error:  # noqa: BLE001  # Nobody awaits this task, so who waits for answers must be told.
            broken = ProtocolError(f"cannot follow what the server says: {error!r}", close_code=1002)
            broken.__cause__ = error
            self._fail(broken, views_end_with=broken)

    def _receive(self, frame: bytes | str) -> None:
        """Take in a frame, and do what follows."""
        for each in self._views.apart(frame):
            for event in self._conversation.receive(each):
                self._take[type(event)](event)
            self._views.tell()

    # What comes.

    def _take_result(self, result: Result) -> None:
        future, decode = self._answers.pop(result.sequence)
        if future.done():
            return
        try:
            future.set_result(decode(result.value))
        except Exception as error:  # noqa: BLE001  # Also what the caller's own type raises when one of it is made.
            future.set_exception(
                SchemaMismatch(
                    f"the call was committed at offset {result.offset}, its result is not of the type it is read as: "
                    f"{error}",
                    hint="Say what it returns with returns=, or use the reducers the server runs with",
                )
            )

    def _take_welcomed(self, welcomed: Welcomed) -> None:
        self._transport.welcome()
        for sequence in welcomed.given_up:
            _set_error(
                self._answers.pop(sequence)[0],
                OutcomeUnknown("the server came back with another epoch: it may not know of this call"),
            )

    def _take_opened(self, opened: Opened) -> None:
        future, sql = self._opening.pop(opened.id)
        if future.done():
            self._forget(opened.id)
        else:
            future.set_result(self._views.open(opened, sql))

    def _take_fetched(self, fetched: Fetched) -> None:
        future = self._queries.pop(fetched.id)
        if not future.done():
            future.set_result(fetched.rows)

    def _take_failed(self, failed: Failed) -> None:
        if failed.about == "call":
            _set_error(self._answers.pop(failed.id)[0], failed.error)
        elif failed.about == "query":
            _set_error(self._queries.pop(failed.id), failed.error)
        elif failed.id in self._opening:
            _set_error(self._opening.pop(failed.id)[0], failed.error)
        else:
            self._views.end(failed.id, failed.error)

    # The small print.

    def _forget(self, id_: int) -> None:
        self._conversation.unsubscribe(id_)
        self._transport.send()

    def _report(self, message: str, error: Exception) -> None:
        self._loop.call_exception_handler({"message": message, "exception": error})

    def _decoder(self, returns: Any) -> Callable[[msgspec.Raw], Any]:
        try:
            made = self._decoders.get(returns)
            if made is None:
                made = msgspec.msgpack.Decoder(constrain(returns), dec_hook=dec_hook_trusted).decode
                self._decoders[returns] = made
        except Exception as error:
            raise TypeError(
                f"returns: expected a type that a result can be read as, such as int, list[str] or a Table, "
                f"found {returns!r} ({error}); a reducer's own parameter of that name is given by position"
            ) from error
        return made

    def _check_open(self) -> None:
        if self._error is not None:
            raise self._error

    def _fail(self, error: StoreError, *, views_end_with: StoreError | None) -> None:
        """Nothing more will be answered. Of a call that was sent nobody knows the outcome, whatever the error says."""
        self._transport.connected = False
        self._error = self._error or error
        for sequence, (future, _) in self._answers.items():
            _set_error(future, unanswered(sequence, error) if self._conversation.was_sent(sequence) else error)
        self._answers.clear()
        waiting = [self._transport.welcomed, *self._queries.values(), *(future for future, _ in self._opening.values())]
        self._queries.clear()
        self._opening.clear()
        for future in waiting:
            _set_error(future, error)
        self._views.end_all(views_end_with)


@asynccontextmanager
async def connect(
    url: str,
    token: Token,
    *,
    client: str = "",
    sequence: int = 0,
    options: ClientOptions | None = None,
    ssl: tls.SSLContext | None = None,
) -> AsyncIterator[Client]:
    """Connect to a tenant: `url` is ws://host:port or wss://host:port, http and https will do as well.

    `client` names this client across its connections, at random by default. Who gives a name of its own, so that calls
    stay idempotent across restarts of the program, gives the last `sequence` used under it, too. `ssl` is for a
    certificate authority of one's own. Unreachable: nobody answers there. Denied: not with this token. ProtocolError:
    what answers is no store. ConfigError: `url` is no address. What a function that gives the token raises is the cause
    of Unreachable where it is an OSError, else of Denied.
    """
    db = Client(url, token, client=client, sequence=sequence, options=options or ClientOptions(), ssl=ssl)
    await db.start()
    try:
        yield db
    finally:
        await db.close()


def _set_error(future: asyncio.Future[Any], error: StoreError) -> None:
    if not future.done():
        future.set_exception(error)
        future.exception()  # Who does not await it does not want to read of it either.
