"""Idempotency: a retried call is answered with its first answer, also after a crash; memory is bounded."""

from typing import Any

import pytest

from store.codec import NIL, encode_transaction
from store.engine import idempotency
from store.engine.engine import Engine
from store.engine.idempotency import (
    CLIENTS_MAX,
    EXPIRY_MICROSECONDS,
    SMALL_RECORD_SIZE,
    STRING_KEYS_MAX,
    SWEEP_MICROSECONDS,
    UNACKNOWLEDGED_BYTES_MAX,
    UNACKNOWLEDGED_CALLS_MAX,
    FirstAnswer,
    Windows,
)
from store.errors import MalformedCall, Overloaded
from store.ids import ClientId, ConnectionId, IdentityReference, Offset, SchemaVersion, Sequence, Timestamp
from store.transaction import CallKey, Kind, Transaction
from store.values import encode
from tests.engine import shop
from tests.engine.scenes import a_caller, call, committed, memory_clock, open_shop, reopen, rows, value

ADA = ("tests", "ada")


def keyed(
    offset: int, key: tuple[str, int, int], *, timestamp: int = 0, args: bytes = b"\x90", size: int = 0
) -> Transaction:
    """A transaction that answers a keyed call with so many bytes."""
    client, sequence, acknowledged = key
    call_key: CallKey = (ClientId(client), Sequence(sequence), Sequence(acknowledged))
    return Transaction(
        Kind.CALL,
        Offset(offset),
        Timestamp(timestamp or offset),
        (),
        call_key,
        IdentityReference(1),
        ConnectionId(1),
        "",
        SchemaVersion(1),
        "act",
        args,
        "",
        encode(bytes(size)) if size else NIL,
    )


def keep(windows: Windows, transaction: Transaction, sender: tuple[str, str] = ADA) -> None:
    """Remember an answer, as a replay does."""
    windows.keep(sender, transaction, encode_transaction(transaction))


@pytest.fixture(params=["at once", "after a crash", "after two crashes"])
def crashes(request: pytest.FixtureRequest) -> Any:
    """When the retry comes."""
    count = ["at once", "after a crash", "after two crashes"].index(request.param)

    def crash(engine: Engine) -> Engine:
        for _ in range(count):
            engine = reopen(engine)
        return engine

    return crash


@pytest.mark.parametrize("key", [{"sequence": 1}, {"key": "k-1"}])
@pytest.mark.parametrize("size", [0, 5_000])
def test_a_retry_gets_the_first_answer(crashes: Any, key: dict[str, Any], size: int) -> None:
    """Whether small or large, by sequence or by string: the same offset and value, and nothing is run again."""
    engine = open_shop()
    first = committed(engine, "add", "ada", None, "n" * size, caller=a_caller(client="c"), **key)
    engine = crashes(engine)
    last = engine.write_path.last_offset
    again = committed(engine, "add", "ada", None, "n" * size, caller=a_caller(client="c"), **key)
    assert (again.offset, again.outcome, again.value) == (first.offset, first.outcome, first.value)
    assert engine.write_path.last_offset == last
    assert len(rows(engine, shop.Task)) == 1


@pytest.mark.parametrize("key", [{"sequence": 1}, {"key": "k-1"}])
def test_a_retry_of_a_failed_call_fails_as_it_did(crashes: Any, key: dict[str, Any]) -> None:
    """A refusal is an answer too, even where the call would succeed by now."""
    engine = open_shop()
    first = committed(engine, "give", 1, "bob", caller=a_caller(client="c"), **key)
    assert first.outcome == "refused"
    assert value(committed(engine, "add", "ada")) == 1
    engine = crashes(engine)
    again = committed(engine, "give", 1, "bob", caller=a_caller(client="c"), **key)
    assert (again.offset, again.outcome, again.value) == (first.offset, first.outcome, first.value)


@pytest.mark.parametrize("key", [{"sequence": 1}, {"key": "k-1"}])
def test_a_key_is_bound_to_its_call(crashes: Any, key: dict[str, Any]) -> None:
    """Another reducer or other arguments under a used key are malformed, and name the first call."""
    engine = open_shop()
    first = committed(engine, "add", "ada", caller=a_caller(client="c"), **key)
    engine = crashes(engine)
    for name, *args in (("add", "bob"), ("remove", 1), ("add", "ada", "slug")):
        with pytest.raises(MalformedCall, match=f"used for another call, at offset {first.offset}"):
            call(engine, name, *args, caller=a_caller(client="c"), **key)


@pytest.mark.parametrize("key", [{"sequence": 1}, {"key": "k-1"}])
def test_a_key_belongs_to_its_sender(crashes: Any, key: dict[str, Any]) -> None:
    """The same key of another sender is another key."""
    engine = open_shop()
    committed(engine, "add", "ada", caller=a_caller("ada", client="c"), **key)
    engine = crashes(engine)
    assert value(committed(engine, "add", "bob", caller=a_caller("bob", client="c"), **key)) == 2


def test_a_sender_is_the_same_with_another_token() -> None:
    """Issuer and subject say who it is; scopes and claims may change between a call and its retry."""
    engine = open_shop()
    first = committed(engine, "add", "ada", caller=a_caller(client="c"), sequence=1)
    again = committed(engine, "add", "ada", caller=a_caller(client="c", scopes=("call",)), sequence=1)
    assert again.offset == first.offset


def test_a_client_is_another_than_a_string_key_of_the_same_name() -> None:
    """Sequences and string keys never meet."""
    engine = open_shop()
    committed(engine, "add", "ada", caller=a_caller(client="c"), sequence=1)
    assert value(committed(engine, "add", "bob", caller=a_caller(client="c"), key="c")) == 2


def test_a_retry_may_come_while_the_first_is_not_durable_yet() -> None:
    """It is answered the same, and waits for the disk as the first does."""
    engine = open_shop()
    caller = a_caller(client="c")
    first = call(engine, "add", "ada", caller=caller, sequence=1)
    again = call(engine, "add", "ada", caller=caller, sequence=1)
    assert (again.offset, again.value) == (first.offset, first.value)
    assert engine.group_commit.is_due()


def test_a_retry_is_answered_also_while_calls_are_refused() -> None:
    """A full disk does not keep an answer back that exists already."""
    engine = open_shop()
    first = committed(engine, "add", "ada", caller=a_caller(client="c"), sequence=1)
    engine.admission.close("disk", "full")
    assert call(engine, "add", "ada", caller=a_caller(client="c"), sequence=1).offset == first.offset
    with pytest.raises(Overloaded):
        call(engine, "add", "ada", caller=a_caller(client="c"), sequence=2)


def test_a_call_without_a_key_is_run_every_time() -> None:
    """A sequence counts only for a client that has named itself."""
    engine = open_shop()
    assert [value(committed(engine, "add", "ada", caller=a_caller(), sequence=1)) for _ in range(2)] == [1, 2]
    assert engine.state.windows.clients == 0


def test_what_is_acknowledged_is_let_go() -> None:
    """An answer the client says it has is forgotten; its sequence is spent."""
    engine = open_shop()
    caller = a_caller(client="c")
    for sequence in range(1, 5):
        committed(engine, "add", "ada", caller=caller, sequence=sequence, acknowledged=max(0, sequence - 2))
    window = engine.state.windows.window(caller.sender, caller.client)
    assert window is not None
    assert sorted(window.answers) == [3, 4]
    with pytest.raises(MalformedCall, match="sequence 2 was acknowledged already"):
        call(engine, "add", "ada", caller=caller, sequence=2, acknowledged=2)


def test_sequences_may_come_in_any_order() -> None:
    """A later sequence does not spend an earlier one."""
    engine = open_shop()
    caller = a_caller(client="c")
    assert [value(committed(engine, "add", "ada", caller=caller, sequence=each)) for each in (7, 3, 5)] == [1, 2, 3]
    assert value(committed(engine, "add", "ada", caller=caller, sequence=3)) == 2


@pytest.mark.parametrize(("sequence", "acknowledged"), [(5, 5), (5, 9), (1, 1 << 40)])
def test_a_call_cannot_be_acknowledged_before_it_is_made(sequence: int, acknowledged: int) -> None:
    """A new call at or below what its client acknowledges is malformed: its answer could never be let go."""
    engine = open_shop()
    last = engine.write_path.last_offset
    with pytest.raises(MalformedCall, match="acknowledged"):
        call(engine, "add", "ada", caller=a_caller(client="c"), sequence=sequence, acknowledged=acknowledged)
    assert engine.write_path.last_offset == last
    assert engine.state.windows.size == 0


def test_a_full_window_is_overloaded_until_it_is_acknowledged() -> None:
    """A client that never acknowledges is refused, keeps its answers, and goes on once it acknowledges."""
    windows = Windows()
    for sequence in range(1, UNACKNOWLEDGED_CALLS_MAX + 1):
        keep(windows, keyed(sequence, ("c", sequence, 0)))
    window = windows.window(ADA, ClientId("c"))
    assert window is not None
    new = Sequence(UNACKNOWLEDGED_CALLS_MAX + 1)
    with pytest.raises(Overloaded, match=f"at most {UNACKNOWLEDGED_CALLS_MAX}"):
        window.find(new, Sequence(0), "act", b"\x90")
    assert window.find(Sequence(1), Sequence(0), "act", b"\x90")
    assert window.find(new, Sequence(1), "act", b"\x90") is None
    keep(windows, keyed(new, ("c", new, 1)))
    assert len(window.answers) == UNACKNOWLEDGED_CALLS_MAX


def test_large_answers_are_bounded_by_their_bytes() -> None:
    """Few answers may fill a window as well, if they are large."""
    windows = Windows()
    size = UNACKNOWLEDGED_BYTES_MAX // 10 + 1
    for sequence in range(1, 11):
        keep(windows, keyed(sequence, ("c", sequence, 0), size=size))
    window = windows.window(ADA, ClientId("c"))
    assert window is not None
    with pytest.raises(Overloaded, match="10 answers wait"):
        window.find(Sequence(11), Sequence(0), "act", b"\x90")
    assert window.find(Sequence(11), Sequence(1), "act", b"\x90") is None
    keep(windows, keyed(11, ("c", 11, 10)))
    assert window.size == 0


def test_of_a_large_call_only_answer_and_digest_are_kept() -> None:
    """Large arguments cost no memory once their call is answered."""
    windows = Windows()
    args = encode([bytes(100_000)])
    keep(windows, keyed(1, ("c", 1, 0), args=args))
    keep(windows, keyed(2, ("k", 0, 0), args=args))
    assert windows.size < 200
    window = windows.window(ADA, ClientId("c"))
    assert window is not None
    for first in (window.find(Sequence(1), Sequence(0), "act", args), windows.find_key(ADA, "k", "act", args)):
        assert isinstance(first, FirstAnswer)
        assert (first.outcome, first.value) == ("", NIL)


def test_memory_stays_under_its_limits_in_a_long_run() -> None:
    """However long a client calls and acknowledges, its window holds what is on its way and no more."""
    windows = Windows()
    in_flight = 50
    for sequence in range(1, 20_001):
        size = 2_000 if sequence % 100 == 0 else 0
        keep(windows, keyed(sequence, ("c", sequence, max(0, sequence - in_flight)), size=size))
        if sequence % 1_000 == 0:
            window = windows.window(ADA, ClientId("c"))
            assert window is not None
            assert len(window.answers) == in_flight
            assert windows.size <= in_flight * SMALL_RECORD_SIZE
            assert window.size <= 2_100


def test_a_leap_of_what_is_acknowledged_is_cheap() -> None:
    """A client that acknowledges far beyond what exists makes nobody count all the way."""
    windows = Windows()
    keep(windows, keyed(1, ("c", 1, 0)))
    keep(windows, keyed(2, ("c", (1 << 53) - 1, (1 << 53) - 2)))
    window = windows.window(ADA, ClientId("c"))
    assert window is not None
    assert list(window.answers) == [(1 << 53) - 1]


def test_string_keys_are_bounded_by_number(monkeypatch: pytest.MonkeyPatch) -> None:
    """Past the limit the oldest key is forgotten, whoever sent it."""
    assert STRING_KEYS_MAX == 65_536
    monkeypatch.setattr(idempotency, "STRING_KEYS_MAX", 100)
    windows = Windows()
    for number in range(1, 151):
        keep(windows, keyed(number, (f"k{number}", 0, 0)), ("tests", f"sender {number % 3}"))
    assert len(windows._keys) == 100
    assert windows.find_key(("tests", "sender 2"), "k50", "act", b"\x90") is None
    first = windows.find_key(("tests", "sender 0"), "k51", "act", b"\x90")
    assert first is not None
    assert first.offset == 51


def test_string_keys_are_bounded_by_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Large answers push the oldest keys out before they fill the memory; the newest always stays."""
    monkeypatch.setattr(idempotency, "STRING_KEYS_BYTES_MAX", 100_000)
    windows = Windows()
    for number in range(1, 51):
        keep(windows, keyed(number, (f"k{number}", 0, 0), size=9_000))
        assert windows.size <= 100_000
    assert len(windows._keys) == 11
    assert windows.find_key(ADA, "k50", "act", b"\x90") is not None
    keep(windows, keyed(51, ("k51", 0, 0), size=200_000))
    assert windows.find_key(ADA, "k51", "act", b"\x90") is not None
    assert len(windows._keys) == 1
    keep(windows, keyed(52, ("c", 1, 0), timestamp=EXPIRY_MICROSECONDS + SWEEP_MICROSECONDS))
    assert (len(windows._keys), windows._keys_size) == (0, 0)


def test_past_the_limit_of_clients_the_longest_silent_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """A sixteenth goes at once; whoever has just called is remembered."""
    assert CLIENTS_MAX == 65_536
    monkeypatch.setattr(idempotency, "CLIENTS_MAX", 64)
    windows = Windows()
    for number in range(1, 66):
        keep(windows, keyed(number, (f"c{number}", 1, 0)))
    keep(windows, keyed(66, ("c66", 1, 0)))
    assert windows.clients == 62
    remembered = [number for number in range(1, 67) if windows.window(ADA, ClientId(f"c{number}"))]
    assert remembered == list(range(5, 67))


def test_the_window_of_a_forgotten_client_is_not_used_any_more() -> None:
    """A connection that holds a window finds out that it is forgotten, so live and replayed state agree."""
    engine = open_shop()
    caller = a_caller(client="c")
    for sequence in (1, 2):
        committed(engine, "add", "ada", caller=caller, sequence=sequence)
    memory_clock(engine).advance(EXPIRY_MICROSECONDS + SWEEP_MICROSECONDS)
    committed(engine, "add", "bob", caller=a_caller("bob", client="c"), sequence=1)
    assert value(committed(engine, "add", "ada", caller=caller, sequence=3)) == 4
    assert value(committed(engine, "add", "ada", caller=caller, sequence=1)) == 5
    window = engine.state.windows.window(caller.sender, caller.client)
    assert window is not None
    assert list(window.answers) == [3, 1]


@pytest.mark.parametrize("key", [{"sequence": 1}, {"key": "k"}])
def test_keys_expire_by_record_timestamp(crashes: Any, key: dict[str, Any]) -> None:
    """After a day without a word of its client, a key is forgotten; the clock alone forgets nothing."""
    engine = open_shop()
    committed(engine, "add", "ada", caller=a_caller(client="c"), **key)
    memory_clock(engine).advance(EXPIRY_MICROSECONDS + SWEEP_MICROSECONDS)
    engine = crashes(engine)
    assert value(committed(engine, "add", "ada", caller=a_caller(client="c"), **key)) == 1
    committed(engine, "add", "bob", caller=a_caller("bob", client="other"), sequence=1)
    engine = crashes(engine)
    assert value(committed(engine, "add", "ada", caller=a_caller(client="c"), **key)) == 3


def test_a_client_that_speaks_is_not_forgotten() -> None:
    """Expiry counts from a client's last call, however old its oldest unacknowledged one is."""
    engine = open_shop()
    caller = a_caller(client="c")
    for sequence in (1, 2, 3):
        committed(engine, "add", "ada", caller=caller, sequence=sequence)
        memory_clock(engine).advance(EXPIRY_MICROSECONDS * 2 // 3)
    assert value(committed(engine, "add", "ada", caller=caller, sequence=1)) == 1


@pytest.mark.parametrize("size", [0, 2_000])
def test_all_clients_together_are_bounded(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    """Many clients that never acknowledge: the longest silent ones are forgotten, the one that calls never is."""
    monkeypatch.setattr(idempotency, "ANSWERS_MAX", 100)
    monkeypatch.setattr(idempotency, "ANSWERS_BYTES_MAX", 100 * 2_100)
    windows = Windows()
    for offset in range(1, 1_001):
        client = f"c{offset // 10}"
        keep(windows, keyed(offset, (client, offset, 0), size=size))
        kept = windows.window(ADA, ClientId(client))
        assert kept is not None
        assert offset in kept.answers
        answers = sum(len(each.answers) for each in windows._clients.values())
        assert answers == windows._total.answers <= 100
        assert windows._total.size == sum(each.size for each in windows._clients.values())
    for offset in range(1_001, 1_011):
        keep(windows, keyed(offset, ("c100", offset, offset - 1), size=size))
    kept = windows.window(ADA, ClientId("c100"))
    assert kept is not None
    assert len(kept.answers) == 1
    assert windows._total.answers == sum(len(each.answers) for each in windows._clients.values())
