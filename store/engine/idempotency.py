"""First answers, kept until the client says it has them: a retried call is answered, not run again.

Laws: what is here follows from the log alone, so it is the same after a crash. A key belongs to its sender and is bound
to its reducer and arguments. Memory is bounded: a client that does not acknowledge is refused, and keys expire by
record timestamp. The limits are part of the format: two stores with other limits would remember differently.
"""

import hashlib
from typing import Final

import msgspec

from store.codec import decode_transaction
from store.errors import MalformedCall, Overloaded
from store.ids import ClientId, Offset, Sender, Timestamp
from store.transaction import Transaction

UNACKNOWLEDGED_CALLS_MAX: Final = 4_096
"""Answers kept for one client."""
UNACKNOWLEDGED_BYTES_MAX: Final = 8 << 20
"""Bytes of answers to large calls kept for one client; small ones are bounded by their number."""
ANSWERS_MAX: Final = 1 << 20
"""Answers kept for all clients together; past it the longest silent clients are forgotten."""
ANSWERS_BYTES_MAX: Final = 256 << 20
"""Bytes of answers to large calls kept for all clients together; past it as ANSWERS_MAX."""
CLIENTS_MAX: Final = 65_536
"""Clients remembered; past it the longest silent ones are forgotten, a sixteenth at a time."""
STRING_KEYS_MAX: Final = 65_536
"""String keys remembered, of all senders together; past it the oldest are forgotten."""
STRING_KEYS_BYTES_MAX: Final = 64 << 20
"""Bytes of string keys and their answers; past it the oldest are forgotten, never the newest."""
EXPIRY_MICROSECONDS: Final = 24 * 3600 * 1_000_000
"""A client silent for so long, and a string key so old, is forgotten."""
SWEEP_MICROSECONDS: Final = 600 * 1_000_000
"""How often the expired are looked for, by record timestamps."""
SMALL_RECORD_SIZE: Final = 1_024
"""A record up to this size is kept as it is, at no cost; of a larger one only its answer and a digest."""


class FirstAnswer(msgspec.Struct, frozen=True, gc=False):
    """What a call was answered, and the digest of what it asked."""

    offset: Offset
    outcome: str
    value: bytes
    digest: bytes


Kept = bytes | FirstAnswer


def digest(reducer: str, args: bytes) -> bytes:
    """What a key is bound to."""
    return hashlib.sha256(reducer.encode() + b"\0" + args).digest()


class Total:
    """What all windows keep together."""

    __slots__ = ("answers", "size")

    def __init__(self) -> None:
        self.answers = 0
        self.size = 0


class Window:
    """One client's unacknowledged answers, by sequence."""

    __slots__ = ("_total", "acknowledged", "answers", "forgotten", "last", "size")

    def __init__(self, total: Total) -> None:
        self._total: Final = total
        self.forgotten = False
        """The client was silent for too long: a new window begins."""
        self.answers: Final[dict[int, Kept]] = {}
        self.acknowledged = 0
        self.size = 0
        self.last = Timestamp(0)

    def find(self, sequence: int, acknowledged: int, reducer: str, args: bytes) -> FirstAnswer | None:
        """The first answer to a sequence, or None where it is new.

        MalformedCall where it was used for another call or is spent, Overloaded where nothing more can be kept.
        """
        kept = self.answers.get(sequence)
        if kept is not None:
            return _first_answer(kept, reducer, args)
        if sequence <= self.acknowledged:
            raise MalformedCall(
                f"sequence {sequence} was acknowledged already (up to {self.acknowledged})",
                hint="A new call takes the next number",
            )
        if len(self.answers) >= UNACKNOWLEDGED_CALLS_MAX or self.size >= UNACKNOWLEDGED_BYTES_MAX:
            self._check_room(acknowledged)
        return None

    def _check_room(self, acknowledged: int) -> None:
        left = [kept for sequence, kept in self.answers.items() if sequence > acknowledged]
        large = sum(_size(kept) for kept in left if isinstance(kept, FirstAnswer))
        if len(left) >= UNACKNOWLEDGED_CALLS_MAX or large >= UNACKNOWLEDGED_BYTES_MAX:
            raise Overloaded(
                f"{len(left)} answers wait to be acknowledged, at most {UNACKNOWLEDGED_CALLS_MAX}"
                f" and {UNACKNOWLEDGED_BYTES_MAX} bytes are kept",
                hint="Acknowledge the answers you have",
            )

    def keep(self, transaction: Transaction, record: bytes) -> None:
        """Remember the answer that a transaction gives, and let go what the client has."""
        assert transaction.call_key is not None
        _, sequence, acknowledged = transaction.call_key
        answers = self.answers
        if acknowledged > self.acknowledged:
            self._let_go(acknowledged)
        self.last = transaction.timestamp
        if len(record) <= SMALL_RECORD_SIZE:
            answers[sequence] = record
        else:
            kept = answers[sequence] = _condense(transaction)
            self.size += _size(kept)
            self._total.size += _size(kept)
        self._total.answers += 1

    def _let_go(self, acknowledged: int) -> None:
        answers = self.answers
        done = range(self.acknowledged + 1, acknowledged + 1)
        self.acknowledged = acknowledged
        # A client that leaps ahead by more than there is must not make us count all the way.
        before = len(answers)
        for each in done if len(done) <= UNACKNOWLEDGED_CALLS_MAX else [it for it in answers if it <= acknowledged]:
            kept = answers.pop(each, b"")
            if kept.__class__ is FirstAnswer:
                self.size -= _size(kept)
                self._total.size -= _size(kept)
        self._total.answers -= before - len(answers)

    def forget(self) -> None:
        """The client was silent for too long."""
        self.forgotten = True
        self._total.answers -= len(self.answers)
        self._total.size -= self.size


class Windows:
    """All first answers there are."""

    def __init__(self) -> None:
        self._clients: Final[dict[tuple[Sender, ClientId], Window]] = {}
        self._keys: Final[dict[tuple[Sender, str], tuple[Timestamp, Kept]]] = {}
        self._keys_size = 0
        self._total: Final = Total()
        self.sweep_at = Timestamp(0)

    def window(self, sender: Sender, client: ClientId) -> Window | None:
        """A client's window, which stays its own until it is `forgotten`; None before its first answer."""
        return self._clients.get((sender, client))

    def find_key(self, sender: Sender, key: str, reducer: str, args: bytes) -> FirstAnswer | None:
        """The first answer under a string key, or None where the call is new. MalformedCall as Window.find."""
        kept = self._keys.get((sender, key), _NOTHING)[1]
        return None if kept is None else _first_answer(kept, reducer, args)

    def keep(self, sender: Sender, transaction: Transaction, record: bytes) -> None:
        """Remember the answer that a keyed transaction gives. `record` is its bytes."""
        assert transaction.call_key is not None
        client, sequence, _ = transaction.call_key
        if not sequence:
            self._keep_key(sender, client, transaction, record)
            return
        window = self._clients.get((sender, client))
        if window is None:
            window = self._clients[sender, client] = Window(self._total)
            window.last = transaction.timestamp  # Of all clients this one is not silent.
            if len(self._clients) > CLIENTS_MAX:
                self._forget_silent()
        self.keep_in(window, transaction, record)

    def keep_in(self, window: Window, transaction: Transaction, record: bytes) -> None:
        """Remember an answer in the window that it belongs to."""
        window.keep(transaction, record)
        if transaction.timestamp >= self.sweep_at:
            self.sweep(transaction.timestamp)
        total = self._total
        if total.answers > ANSWERS_MAX or total.size > ANSWERS_BYTES_MAX:
            self._forget_much()

    def _keep_key(self, sender: Sender, key: str, transaction: Transaction, record: bytes) -> None:
        kept = record if len(record) <= SMALL_RECORD_SIZE else _condense(transaction)
        keys = self._keys
        assert (sender, key) not in keys
        keys[sender, key] = (transaction.timestamp, kept)
        self._keys_size += len(key) + _size(kept)
        while len(keys) > STRING_KEYS_MAX or (self._keys_size > STRING_KEYS_BYTES_MAX and len(keys) > 1):
            self._forget_key(next(iter(keys)))
        if transaction.timestamp >= self.sweep_at:
            self.sweep(transaction.timestamp)

    @property
    def clients(self) -> int:
        """Clients remembered now."""
        return len(self._clients)

    @property
    def size(self) -> int:
        """Bytes of answers kept now."""
        answers = (kept for window in self._clients.values() for kept in window.answers.values())
        return sum(map(_size, answers)) + sum(_size(kept) for _, kept in self._keys.values())

    def _forget_much(self) -> None:
        """Forget silent clients until what is left is within the bounds; the one that called last stays."""
        total = self._total
        while (total.answers > ANSWERS_MAX or total.size > ANSWERS_BYTES_MAX) and len(self._clients) > 1:
            self._forget_silent()

    def _forget_silent(self) -> None:
        """Forget the sixteenth that is silent longest, so that the search is paid once for many."""
        silent = sorted(self._clients.items(), key=lambda item: item[1].last)
        for name, _ in silent[: max(1, len(silent) // 16)]:
            self._clients.pop(name).forget()

    def sweep(self, now: Timestamp) -> None:
        """Forget who was silent for too long; due at `sweep_at`, by record timestamps."""
        self.sweep_at = Timestamp(now + SWEEP_MICROSECONDS)
        horizon = now - EXPIRY_MICROSECONDS
        for name in [name for name, window in self._clients.items() if window.last < horizon]:
            self._clients.pop(name).forget()
        for key in [key for key, (timestamp, _) in self._keys.items() if timestamp < horizon]:
            self._forget_key(key)

    def _forget_key(self, name: tuple[Sender, str]) -> None:
        _, kept = self._keys.pop(name)
        self._keys_size -= len(name[1]) + _size(kept)


_NOTHING: Final = (Timestamp(0), None)


def _condense(transaction: Transaction) -> FirstAnswer:
    return FirstAnswer(
        offset=transaction.offset,
        outcome=transaction.outcome,
        value=transaction.value,
        digest=digest(transaction.reducer, transaction.args),
    )


def _first_answer(kept: Kept, reducer: str, args: bytes) -> FirstAnswer:
    """What was answered. MalformedCall where it was another call's answer."""
    first = kept if isinstance(kept, FirstAnswer) else _condense(decode_transaction(kept))
    if first.digest != digest(reducer, args):
        raise MalformedCall(
            f"this idempotency key was used for another call, at offset {first.offset}",
            hint="A retry repeats reducer and arguments; a new call takes a new key",
        )
    return first


def _size(kept: Kept) -> int:
    return len(kept) if isinstance(kept, bytes) else len(kept.value) + len(kept.digest)
