"""What a log says of the fingerprint: at every offset, from whichever side a snapshot stands."""

from store.ids import Offset
from store.upkeep.evidence import changes, fingerprint_at
from tests.engine.past import a_past
from tests.engine.snapshots import DAMAGES


def test_at_every_offset_it_is_that_of_the_rows() -> None:
    """From the log's start, and from the nearest snapshot at or before."""
    past = a_past()
    for offset in range(1, past.last + 1):
        assert fingerprint_at(past.disk, Offset(offset)) == past.state(offset)["fingerprint"]


def test_a_later_snapshot_tells_as_much_as_an_earlier_one() -> None:
    """Where log leads on to it: what came between is taken away again."""
    past = a_past()
    first, second = past.snapshots
    past = past.drop_log(first)
    past.disk.remove(f"snapshot/{first:020d}.json")
    for offset in (first, first + 1, second - 1, second):
        assert fingerprint_at(past.disk, Offset(offset)) == past.state(offset)["fingerprint"]


def test_where_nothing_tells_it_is_none() -> None:
    """Before the log that is left, behind its end, and where it is damaged on the way."""
    past = a_past()
    first, second = past.snapshots
    past = past.drop_log(second)
    assert fingerprint_at(past.disk, Offset(first - 1)) is None
    assert fingerprint_at(past.disk, Offset(past.last + 1)) is None
    for name in past.disk.names("log"):
        DAMAGES["flip"](past.disk, f"log/{name}")
    assert fingerprint_at(past.disk, Offset(past.last)) is None


def test_changes_are_of_what_was_asked_for() -> None:
    """Behind one offset through another, each once, in order; nothing between an offset and itself."""
    past = a_past()
    assert [offset for offset, _ in changes(past.disk, Offset(7), Offset(23))] == list(range(8, 24))
    assert list(changes(past.disk, Offset(7), Offset(7))) == []
