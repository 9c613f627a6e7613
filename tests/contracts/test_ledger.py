"""What every Ledger guarantees, run over all that claim to be one."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from store.env.ledger import LEDGER_KEY_SIZE_MAX, Ledger, LedgerFull
from store.env.ledger_memory import MemoryLedger
from store.env.lmdb import LmdbLedger
from store.errors import DirectoryError

Openers = Callable[[], Ledger]

SIZE_MAX = 1 << 20


@pytest.fixture(name="opener", params=["memory", "lmdb"])
def _opener(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Openers]:
    """Opens the same ledger, empty at first."""
    if request.param == "memory":
        yield memory_opener()
        return
    made: list[LmdbLedger] = []

    def lmdb() -> Ledger:
        made.append(LmdbLedger(tmp_path / "ledger", size_max=SIZE_MAX))
        return made[-1]

    yield lmdb
    for each in made:
        each.close()


def memory_opener() -> Openers:
    """A ledger in memory, closed."""
    memory = MemoryLedger(size_max=SIZE_MAX)
    memory.close()
    return memory.open


@pytest.fixture(name="ledger")
def _ledger(opener: Openers) -> Ledger:
    """An empty ledger."""
    return opener()


def content(ledger: Ledger, prefix: bytes = b"") -> dict[bytes, bytes]:
    """All that the ledger holds."""
    return dict(ledger.items(prefix))


def fill(ledger: Ledger) -> int:
    """Commit until it is full; how many there was room for."""
    for number in range(1_000):
        try:
            ledger.commit({b"data/%03d" % number: bytes(50_000)})
        except LedgerFull:
            return number
    raise AssertionError("it is never full")


def test_what_was_committed_is_got(ledger: Ledger) -> None:
    """Empty values and large ones, too; what was never set is None."""
    puts: dict[bytes, bytes | None] = {b"a": b"1", b"b": b"", b"c": bytes(range(256)) * 1_000}
    ledger.commit(puts)
    assert {key: ledger.get(key) for key in puts} == puts
    assert ledger.get(b"d") is None


def test_a_commit_replaces_and_removes(ledger: Ledger) -> None:
    """Removing what is not there is nothing."""
    ledger.commit({b"a": b"1", b"b": b"2"})
    ledger.commit({b"a": b"3", b"b": None, b"c": None})
    assert content(ledger) == {b"a": b"3"}


def test_it_is_there_after_opening_again(opener: Openers) -> None:
    """All of it, in order."""
    ledger = opener()
    ledger.commit({b"b": b"2", b"a": b"1"})
    ledger.close()
    assert list(opener().items()) == [(b"a", b"1"), (b"b", b"2")]


def test_items_are_ordered_by_key(ledger: Ledger) -> None:
    """Those that begin with the prefix, as bytes."""
    ledger.commit({key: key for key in (b"row/2", b"row/10", b"rox", b"ro", b"\xff\xff", b"\xff")})
    assert list(content(ledger)) == [b"ro", b"row/10", b"row/2", b"rox", b"\xff", b"\xff\xff"]
    assert list(content(ledger, b"row/")) == [b"row/10", b"row/2"]
    assert list(content(ledger, b"\xff")) == [b"\xff", b"\xff\xff"]
    assert content(ledger, b"s") == {}


def test_items_are_as_of_when_they_were_asked_for(ledger: Ledger) -> None:
    """Commits while somebody goes through them do not show."""
    ledger.commit({b"a": b"1", b"b": b"2"})
    seen = []
    for key, value in ledger.items():
        ledger.commit({b"b": b"3", b"c": b"4", key: None})
        seen.append((key, value))
    assert seen == [(b"a", b"1"), (b"b", b"2")]


def test_one_opener_at_a_time(opener: Openers) -> None:
    """Another is told so, and may when the first has closed."""
    ledger = opener()
    with pytest.raises(DirectoryError, match="in use"):
        opener()
    ledger.close()
    opener()


def test_each_opening_counts_the_fence_up(opener: Openers) -> None:
    """Nothing was committed between; it is no key that anybody sees."""
    fences = []
    for _ in range(3):
        ledger = opener()
        fences.append(ledger.fence)
        assert content(ledger) == {}
        ledger.close()
    assert fences == sorted(set(fences))
    assert fences[0] > 0


def test_a_fence_may_be_raised(opener: Openers) -> None:
    """Above what others wrote before the ledger was lost; never lowered."""
    ledger = opener()
    ledger.raise_fence(40)
    assert ledger.fence == 40
    ledger.raise_fence(7)
    assert ledger.fence == 40
    ledger.close()
    assert opener().fence == 41


def test_a_full_ledger_refuses(ledger: Ledger) -> None:
    """The whole commit, and says its bound; what was there stays, and what is removed makes room."""
    count = fill(ledger)
    assert 10 < count < 25
    with pytest.raises(LedgerFull, match=str(SIZE_MAX)):
        ledger.commit({b"other": b"1", b"data/999": bytes(50_000)})
    assert (ledger.get(b"other"), ledger.get(b"data/999")) == (None, None)
    assert len(content(ledger)) == count
    ledger.commit({b"data/000": None, b"data/001": None, b"data/002": None})
    ledger.commit({b"data/999": bytes(50_000)})


def test_a_full_ledger_lets_those_go_on_who_free_it(ledger: Ledger) -> None:
    """A commit that may use the reserve is done."""
    fill(ledger)
    for number in range(50):
        ledger.commit({b"state": b"%d" % number, b"note": bytes(10_000)}, reserve=True)
    assert ledger.get(b"state") == b"49"


def test_its_size_follows_what_it_holds(ledger: Ledger) -> None:
    """It grows with what is put and shrinks with what is removed."""
    empty = ledger.size()
    ledger.commit({b"a": bytes(200_000)})
    full = ledger.size()
    assert empty + 200_000 <= full <= ledger.size_max
    ledger.commit({b"a": None})
    assert ledger.size() < empty + 100_000


@pytest.mark.parametrize("key", [b"", bytes(LEDGER_KEY_SIZE_MAX + 1)], ids=["none", "long"])
def test_a_key_has_bounds(ledger: Ledger, key: bytes) -> None:
    """Nobody but a bug goes past them."""
    with pytest.raises(AssertionError):
        ledger.commit({key: b""})
