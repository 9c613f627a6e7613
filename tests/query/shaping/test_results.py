"""What results hold together is bounded, and given back."""

import pytest

from store.errors import Overloaded
from store.query.options import Followed
from store.query.shaping.results import Room, Share
from tests.query.results import Store
from tests.query.scenes import Sample


def test_a_share_is_given_back_whole() -> None:
    """What one result held, another may hold."""
    room = Room(10)
    one, other = Share(room), Share(room)
    one.spend(6)
    other.spend(3)
    one.spend(-2)
    assert room.used == 7
    one.close()
    one.close()
    assert room.used == 3
    other.spend(7)
    with pytest.raises(Overloaded, match=r"hold 10 rows, groups and values") as raised:
        other.spend(1)
    assert raised.value.details == {"limit": "followed_values_max"}


@pytest.mark.parametrize(
    ("sql", "values"),
    [
        ("SELECT id FROM sample LIMIT 5", 3),
        ("SELECT count(*) FROM sample", 2),
        ("SELECT b, count(*), min(a) FROM sample GROUP BY b", 2 * 3 + 3),
        ("SELECT count(DISTINCT a) FROM sample", 2 + 3),
        ("SELECT sum(DISTINCT n) FROM sample", 2 + 1),
        ("SELECT b, count(*) FROM sample GROUP BY b LIMIT 1", 2 * 2 + 2),
    ],
)
def test_what_is_held_is_counted(sql: str, values: int) -> None:
    """Each row of a window, each group with its aggregates, each value that MIN, MAX or DISTINCT remembers."""
    rows = [Sample(id=1, a=1, b=1), Sample(id=2, a=2, b=1), Sample(id=3, a=3, b=2, n=None)]
    store = Store(sql, *[*rows[:2], Sample(id=3, a=3, b=2, n=7)])  # type: ignore[arg-type]  # It becomes a Decimal.
    assert store.room.used == values
    store.write({1: None, 2: None, 3: None})
    store.result.close()
    assert store.room.used == 0
    with pytest.raises(Overloaded):
        Store(sql, *rows, room=0, options=Followed())
