"""First answers survive a snapshot: whoever retries after it gets what would have been answered without it."""

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from store.codec import encode_transaction
from store.engine.idempotency import (
    EXPIRY_MICROSECONDS,
    SMALL_RECORD_SIZE,
    STRING_KEYS_MAX,
    SWEEP_MICROSECONDS,
    Windows,
)
from store.engine.remembered import Remembered, dump_windows, load_windows
from store.errors import CallError
from store.ids import ConnectionId, IdentityReference, Offset, SchemaVersion, Timestamp
from store.transaction import Transaction
from store.values import encode
from tests.canonical import canonical_windows

decode = msgspec.msgpack.Decoder(Remembered).decode


class Memory:
    """Windows that are fed as a log feeds them."""

    def __init__(self, windows: Windows | None = None) -> None:
        self.windows = windows or Windows()
        self.offset = 0
        self.now = 0

    def keep(self, sender: str, key: tuple[Any, int, int], size: int = 3, after: int = 1) -> None:
        """A keyed call is committed."""
        self.offset += 1
        self.now += after
        transaction = Transaction(
            1,
            Offset(self.offset),
            Timestamp(self.now),
            (),
            key,
            IdentityReference(1),
            ConnectionId(1),
            "",
            SchemaVersion(1),
            "act",
            encode([bytes(size)]),
            "",
            encode(self.offset),
        )
        self.windows.keep(("tests", sender), transaction, encode_transaction(transaction))

    def again(self) -> "Memory":
        """The same after a snapshot."""
        windows = Windows()
        load_windows(windows, decode(msgspec.msgpack.encode(dump_windows(self.windows))))
        other = Memory(windows)
        other.offset, other.now = self.offset, self.now
        return other

    def all(self) -> Any:
        """Everything there is to know, orders and totals included."""
        windows = self.windows
        return (
            canonical_windows(windows),
            [(name, list(window.answers)) for name, window in windows._clients.items()],
            (windows._total.answers, windows._total.size, windows.size, windows.clients),
        )


calls = st.tuples(
    st.sampled_from(["ada", "bob"]),
    st.sampled_from(["c", "d", ""]),
    st.integers(0, 5),
    st.sampled_from([3, SMALL_RECORD_SIZE * 2]),
    st.sampled_from([1, SWEEP_MICROSECONDS, EXPIRY_MICROSECONDS // 2, EXPIRY_MICROSECONDS * 2]),
)


@given(st.lists(calls, max_size=20), st.integers(0, 20))
@settings(max_examples=120, deadline=None)
def test_what_is_remembered_goes_on_as_if_nothing_had_been(script: list[Any], place: int) -> None:
    """Small and large answers, clients and string keys, acknowledgements, sweeps: before, at and after the snapshot."""
    memory, other = Memory(), None
    for number, (sender, client, behind, size, after) in enumerate(script):
        if number == place:
            other = memory.again()
            assert other.all() == memory.all()
        sequence = number + 1
        key = (client, sequence, max(sequence - 1 - behind, 0)) if client else (f"key {number}", 0, 0)
        for each in filter(None, (memory, other)):
            each.keep(sender, key, size, after)
    if other is not None:
        assert other.all() == memory.all()


def test_a_retry_after_a_snapshot_gets_the_first_answer() -> None:
    """A client's and a string key's, small and large; another call under the key is refused as before."""
    memory = Memory()
    for sequence, size in ((1, 3), (2, 5_000)):
        memory.keep("ada", ("c", sequence, 0), size)
        memory.keep("ada", (f"k{sequence}", 0, 0), size)
    windows = memory.again().windows
    window = windows.window(("tests", "ada"), "c")  # type: ignore[arg-type]  # A client's name.
    assert window is not None
    for sequence, size in ((1, 3), (2, 5_000)):
        args = encode([bytes(size)])
        first = window.find(sequence, 0, "act", args)
        second = windows.find_key(("tests", "ada"), f"k{sequence}", "act", args)
        assert first is not None
        assert second is not None
        assert (msgspec.msgpack.decode(first.value), msgspec.msgpack.decode(second.value)) == (
            2 * sequence - 1,
            2 * sequence,
        )
        with pytest.raises(CallError, match="used for another call"):
            window.find(sequence, 0, "other", args)


def test_the_oldest_string_key_is_forgotten_first_also_after_a_snapshot() -> None:
    """Their order is remembered, not only what they are."""
    memory = Memory()
    for number in range(STRING_KEYS_MAX):
        memory.keep("ada", (f"k{number}", 0, 0))
    other = memory.again()
    other.keep("ada", ("one more", 0, 0))
    kept = [key for _, key in other.windows._keys]
    assert (kept[0], kept[-1], len(kept)) == ("k1", "one more", STRING_KEYS_MAX)


def test_nothing_remembered_is_nothing_loaded() -> None:
    """Empty windows, there and back."""
    assert Memory().again().all() == Memory().all()
