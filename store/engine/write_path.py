"""The route of one call: decoded, run, numbered, appended, applied, evaluated. Read it top to bottom.

Laws: one writer, and every step on its thread, to completion. Log before tables. What can fail fails before the append;
from there on nothing may. Nobody is told here: answers go to the feed, which waits for the disk (group_commit.py).
"""

from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol

import msgspec

from store.codec import NIL, encode_transaction
from store.engine.admission import Admission
from store.engine.arguments import ARGS_SIZE_MAX
from store.engine.execution import Execution
from store.engine.feed import Feed
from store.engine.idempotency import Window
from store.engine.identity import Caller, encode_identity
from store.engine.reducer import Context, Domain
from store.engine.state import State
from store.env.world import Clock, Deadline
from store.errors import CallError, Denied, MalformedCall, MalformedQuery, Overloaded, UnknownReducer
from store.ids import ClientId, ConnectionId, IdentityReference, Offset, Timestamp
from store.log.commitlog import Commitlog
from store.transaction import COMMITTED, CallKey, Kind, Transaction
from store.values import encode

IDENTITIES_MAX: Final = 1 << 17
"""Different identities (issuer, subject, scopes and claims) that one log may hold: each stays in RAM."""


class Answer(Protocol):
    """What a call that took an offset is answered, now and on every retry: its transaction, or what is kept of it."""

    @property
    def offset(self) -> Offset:
        """Its place in the log."""
        ...

    @property
    def outcome(self) -> str:
        """COMMITTED, or the code of a CallError."""
        ...

    @property
    def value(self) -> bytes:
        """MessagePack: the return value, or for a failure [message, details, reason]."""
        ...


class WritePath:
    """The one way in which a transaction happens."""

    def __init__(
        self,
        *,
        state: State,
        log: Commitlog,
        domain: Domain,
        feed: Feed,
        admission: Admission,
        clock: Clock,
        deadline: Deadline,
        leap_max_s: float,
        look_at_clock: Callable[[], None],
    ) -> None:
        self._leap_max: Final = int(leap_max_s * 1_000_000)
        self._look_at_clock: Final = look_at_clock
        self._state: Final = state
        self._log: Final = log
        self._reducers: Final = domain.reducers
        self._feed: Final = feed
        self._admission: Final = admission
        self._wall_ns: Final = clock.wall_ns
        self._execution: Final = Execution(state.database, deadline)
        self.failed: Final[dict[str, int]] = {}
        """Calls that ran and failed since the start, by the code of their error."""
        self._references: Final = {identity: reference for reference, identity in state.identities.items()}

    @property
    def is_full(self) -> bool:
        """Whether more waits for the disk than may."""
        return self._log.unflushed_bytes > self._admission.allowance

    @property
    def last_offset(self) -> Offset:
        """The offset of the newest transaction, durable or not."""
        return self._state.last_offset

    def call(  # noqa: C901  # The route is read top to bottom, in one place.
        self,
        caller: Caller,
        name: str,
        args: bytes | msgspec.Raw,
        sequence: int = 0,
        acknowledged: int = 0,
        key: str = "",
        json: bool = False,  # noqa: FBT001, FBT002  # A session gives all by position: names cost 0.1 us a call.
    ) -> Answer:
        """Run a reducer on arguments that are MessagePack, or JSON: an array in order, or a map by name.

        A `sequence` (with what is `acknowledged`) of a client that has named itself, or a string `key`, makes the call
        idempotent. Raises a CallError where nothing was recorded; what was recorded, also a failure, is an Answer.
        """
        # 1  Decode: the name becomes a function, raw arguments become typed ones and their one canonical form.
        reducer = self._reducers.get(name)
        if reducer is None or not caller.may_call:
            raise _reject(caller, name)
        arguments = reducer.arguments
        values, canonical = arguments.read_json(args) if json else arguments.read(args)

        # 1b Has it been answered before? May calls run now? Who calls?
        state = self._state
        call_key: CallKey | None = None
        window: Window | None = None
        if key or (sequence and caller.client):
            call_key = (ClientId(key), 0, 0) if key else (caller.client, sequence, acknowledged)
            first, window = self._find_first(caller, call_key, name, canonical)
            if first is not None:
                return first
        wall_ns = self._wall_ns
        wall = wall_ns() // 1000
        since = wall - state.last_timestamp
        if since > self._leap_max:  # A long pause, or a jump: a wrong moment must not be logged.
            self._look_at_clock()
        admission = self._admission
        if admission.reasons or self._log.unflushed_bytes > admission.allowance:
            admission.check(self._log.unflushed_bytes)
        reference = caller.reference
        if reference is None:
            reference = self._identify(caller)
            since = wall - state.last_timestamp

        # 2  Run: the reducer reads and writes the overlay, at one moment; rows become bytes here.
        now: Any = wall if since > 0 else state.last_timestamp + 1  # Timestamp() would cost a call.
        execution = self._execution
        offset: Any = state.last_offset + 1  # As Timestamp(), so Offset().
        context = Context(execution.view, now, caller.identity, self._log.seed, offset)
        outcome, value, writes, moves = execution.run(reducer, context, values, offset)
        kind = _CALL
        if outcome:
            kind = _FAILED_CALL
            self.failed[outcome] = self.failed.get(outcome, 0) + 1

        # 3  Number: the next offset, that moment, the caller, inputs, outcome, net write set.
        transaction = Transaction(
            kind,
            offset,
            now,
            writes,
            call_key,
            reference,
            caller.connection,
            caller.source,
            state.database.schema.version,
            name,
            canonical,
            outcome,
            value,
        )

        # 4  Append, into the open batch; nothing is left that can fail to encode.
        record = encode_transaction(transaction)
        self._log.append(record)

        # 5  Apply: cannot fail, it was checked in 2. As State.absorb, of what was made here. The next call sees it.
        state.last_offset = offset
        state.last_timestamp = now
        if writes:
            state.database.apply(writes, moves)
        if window is not None:
            state.windows.keep_in(window, transaction, record)
        elif call_key is not None:
            state.windows.keep(caller.sender, transaction, record)

        # 5b Evaluate: interested queries see the tables at exactly this offset.
        for follower in self._feed.followers:
            follower.evaluate(transaction)
        return transaction

    def _find_first(
        self, caller: Caller, call_key: CallKey, name: str, canonical: bytes
    ) -> tuple[Answer | None, Window | None]:
        """The first answer under a key, and the window it belongs to. MalformedCall where another call has the key."""
        windows = self._state.windows
        client, sequence, acknowledged = call_key
        if not sequence:
            return windows.find_key(caller.sender, client, name, canonical), None
        if acknowledged >= sequence:
            raise _spent(sequence, acknowledged)
        window = caller.window
        if window is None or window.forgotten:
            window = caller.window = windows.window(caller.sender, client)
        return None if window is None else window.find(sequence, acknowledged, name, canonical), window

    def read(self, caller: Caller, act: str, args: bytes, tables: Sequence[str]) -> Answer:
        """Commit that somebody reads sensitive tables, before a row is told. Overloaded where nothing may be written.

        `act` is query or subscribe, `args` the text and its parameters.
        """
        if len(args) > ARGS_SIZE_MAX:
            raise MalformedQuery(
                f"the text and its parameters have {len(args)} bytes, at most {ARGS_SIZE_MAX} are taken",
                hint=f"Each reading of {', '.join(tables)} is logged with all that was asked",
            )
        self._admission.check(self._log.unflushed_bytes)
        return self.record(Kind.READ, act, args, caller=caller, value=encode(tables))

    def record(
        self,
        kind: Kind,
        name: str,
        args: bytes,
        *,
        caller: Caller | None = None,
        source: str = "",
        outcome: str = COMMITTED,
        value: bytes = NIL,
    ) -> Answer:
        """Commit a record that is no call: a start, a schema, an epoch, a heartbeat; a reading or denial of a caller.

        Without a caller it is the store's own, and `source` an address if there is one.
        """
        state = self._state
        reference = IdentityReference(0)
        if caller is not None:
            reference = self._identify(caller) if caller.reference is None else caller.reference
        wall, last = self._wall_ns() // 1000, state.last_timestamp
        if wall - last > self._leap_max:
            self._look_at_clock()
        transaction = Transaction(
            kind=int(kind),
            offset=state.next_offset,
            timestamp=Timestamp(last + 1 if self._admission.doubts_clock else max(wall, last + 1)),
            writes=(),
            call_key=None,
            identity=reference,
            connection=ConnectionId(0) if caller is None else caller.connection,
            source=source if caller is None else caller.source,
            schema_version=state.database.schema.version,
            reducer=name,
            args=args,
            outcome=outcome,
            value=value,
        )
        data = encode_transaction(transaction)  # From here on as a call.
        self._log.append(data)
        state.absorb(transaction, data)
        for follower in self._feed.followers:
            follower.evaluate(transaction)
        return transaction

    def _identify(self, caller: Caller) -> IdentityReference:
        """Where the log holds the caller's claims; they are logged at the first call of an identity."""
        reference = self._references.get(caller.identity)
        if reference is None:
            if len(self._references) >= IDENTITIES_MAX:
                raise Overloaded(
                    f"{IDENTITIES_MAX} identities are logged, more are not taken",
                    hint="Leave out of the tokens what differs from token to token",
                )
            answer = self.record(Kind.IDENTITY, "identity", encode_identity(caller.identity))
            reference = self._references[caller.identity] = IdentityReference(answer.offset)
        caller.reference = reference
        return reference


_CALL: Final = int(Kind.CALL)
_FAILED_CALL: Final = int(Kind.FAILED_CALL)


def _spent(sequence: int, acknowledged: int) -> MalformedCall:
    """Why a client cannot call under a number it has acknowledged: its answer could never be let go."""
    return MalformedCall(
        f"sequence {sequence} was acknowledged already (up to {acknowledged})", hint="A new call takes the next number"
    )


def _reject(caller: Caller, name: str) -> CallError:
    """Why a call is not even decoded. Denied comes first: it does not tell what exists."""
    if not caller.may_call:
        return Denied(f"calling {name:.100} needs the scope call", hint="Use a token that has it")
    return UnknownReducer(f"there is no reducer {name!r:.100}", hint="GET /v1/schema lists them")
