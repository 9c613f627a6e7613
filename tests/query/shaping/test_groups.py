"""Groups: which there are, what is told of them, and what is counted again."""

from decimal import Decimal

import msgspec
import pytest

from store.errors import MalformedQuery, Overloaded
from store.query.live import compile_live
from store.query.options import Followed
from store.query.shaping import ranked
from store.values import encode
from tests.query.results import Store
from tests.query.scenes import SCHEMA, Sample

BY_B = "SELECT b, count(*), sum(a) FROM sample GROUP BY b"


def rows(*values: tuple[int, int | None, int | None]) -> list[Sample]:
    """Samples of id, a and b."""
    return [Sample(id=number, a=a, b=b) for number, a, b in values]


def test_a_group_comes_with_its_first_row_and_goes_with_its_last() -> None:
    """Its key is a MessagePack array of its values, NULL among them."""
    store = Store(BY_B, *rows((1, 5, 10), (2, 6, None)))
    assert store.view == {encode([10]): [10, 1, "5"], encode([None]): [None, 1, "6"]}
    came = store.write({3: Sample(id=3, a=1, b=20)})
    assert ([msgspec.msgpack.decode(each) for each in came.rows], came.keys) == ([[20, 1, "1"]], [])
    assert store.write({2: None}).keys == [encode([None])]
    moved = store.write({1: Sample(id=1, a=5, b=20)})
    assert ([msgspec.msgpack.decode(each) for each in moved.rows], moved.keys) == ([[20, 2, "6"]], [encode([10])])


def test_a_group_that_is_as_it_was_is_not_told() -> None:
    """A row that changes elsewhere, or two that exchange values, change nothing here."""
    store = Store(BY_B, *rows((1, 5, 10), (2, 6, 10)))
    changed = store.write({1: Sample(id=1, a=6, b=10, u="x"), 2: Sample(id=2, a=5, b=10, u="y")})
    assert [*changed.rows, *changed.keys] == []


def test_without_keys_there_is_always_one_row() -> None:
    """Of no rows the count is 0, and all else NULL; HAVING may hide it."""
    store = Store("SELECT count(*), max(a), sum(f) FROM sample")
    assert store.view == {encode([]): [0, None, None]}
    store.write({1: Sample(id=1, a=3, f=0.5)})
    assert store.view == {encode([]): [1, 3, 0.5]}
    assert Store("SELECT count(*) FROM sample HAVING count(*) > 0").view == {}


def test_groups_are_bounded() -> None:
    """At the beginning and when one comes."""
    few = Followed(groups_max=2)
    store = Store(BY_B, *rows((1, 1, 1), (2, 1, 2)), options=few)
    store.write({2: None})
    store.write({3: Sample(id=3, b=3)})
    with pytest.raises(Overloaded, match="more than 2 groups") as raised:
        store.write({4: Sample(id=4, b=4)})
    assert raised.value.details == {"limit": "followed_groups_max"}
    with pytest.raises(Overloaded):
        Store(BY_B, *rows((1, 1, 1), (2, 1, 2), (3, 1, 3)), options=few)


def test_a_group_without_a_value_is_an_error() -> None:
    """A sum that is no value of its type ends the query where it is written."""
    store = Store("SELECT sum(f) FROM sample", Sample(id=1, f=1.7e308))
    with pytest.raises(MalformedQuery, match=r"at character 12: value out of range"):
        store.write({2: Sample(id=2, f=1.7e308)})


def test_groups_are_made_some_at_a_time() -> None:
    """What changes meanwhile is made once more, what has no rows any more is forgotten; nothing is told before."""
    store = Store("SELECT count(*) FROM sample")
    query = compile_live("SELECT b, count(*) FROM sample GROUP BY b", (), SCHEMA, options=Followed())
    assert query.shape is not None
    result = query.shape.begin(query.project, store.room, Followed())
    used = store.room.used
    result.take((n, result.image(Sample(id=n, b=n // 2), b"")) for n in range(10))
    assert result.prepare(4)
    moves = [(0, result.image(Sample(id=0, b=0), b""), result.image(Sample(id=0, b=1), b"")),
             (1, result.image(Sample(id=1, b=0), b""), None)]  # fmt: skip
    assert result.apply(moves, list) == ((), ())
    assert result.prepare(2)
    assert not result.prepare(2)
    rows = sorted(map(msgspec.msgpack.decode, result.rows(list)))
    assert rows == [[1, 3], [2, 2], [3, 2], [4, 2]]
    assert store.room.used - used == 4 * 2


def test_values_leave_as_they_came() -> None:
    """Sums of floats and scales of numerics are as though what left had never been there."""
    store = Store("SELECT sum(f), avg(f), sum(n * 1.0)::text FROM sample", Sample(id=1, f=0.1, n=Decimal(1)))
    before = dict(store.view)
    store.write({2: Sample(id=2, f=1e300, n=Decimal("0.001")), 3: Sample(id=3, f=5e-324)})
    store.write({2: None, 3: None})
    assert store.view == before


def test_what_is_not_known_any_more_is_counted_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of all groups at once; only what changed is told."""
    monkeypatch.setattr(ranked, "HELD_MAX", 8)
    monkeypatch.setattr(ranked, "LOW_VALUES", 2)
    store = Store("SELECT b, min(a) FROM sample GROUP BY b", *rows(*((n, n, n % 2) for n in range(60))))
    told = low = 0
    for number in range(0, 40, 2):
        low += store.result.is_low
        changed = store.write({number: None})
        told += len(changed.rows)
        assert store.view[encode([0])] == [0, number + 2]
        assert not changed.keys
    assert told == 20
    assert 0 < store.sources < 8
    assert low
