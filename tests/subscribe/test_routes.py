"""Where a write finds the queries it concerns, and what it means to each."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from store.ids import Key
from store.query.live import compile_live
from store.subscribe.followed import Followed
from store.subscribe.routes import BUCKET_MAX, Asked, Changed, Route
from tests.query.scenes import SCHEMA, Sample, database


class Table:
    """A table whose followed queries hear of writes."""

    def __init__(self) -> None:
        table = database().table("sample")
        assert table is not None
        self._codec = table.codec
        self.route = Route(table, lambda _: {})

    def follow(self, condition: str, *params: Any, columns: str = "*") -> Followed:
        """Follow a query."""
        sql = f"SELECT {columns} FROM sample" + (f" WHERE {condition}" if condition else "")  # noqa: S608  # Our own.
        followed = Followed(compile_live(sql, params, SCHEMA))
        self.route.add(followed)
        return followed

    def write(self, before: Sample | None, after: Sample | None) -> tuple[Changed, Asked]:
        """One write: whom it may concern."""
        rows = [None if each is None else self._codec.canonical(each)[1] for each in (before, after)]
        changed: Changed = {}
        asked: Asked = {}
        self.route.collect((before or after).id, *rows, changed, asked)  # type: ignore[union-attr]  # One is there.
        return changed, asked

    def told(self, before: Sample | None, after: Sample | None) -> dict[Followed, tuple[int, list[Key]]]:
        """One write: how many rows, and which keys, each query is told."""
        changes, asked = self.write(before, after)
        for followed, about in asked.items():
            change = followed.answer(about, {})
            if change is not None:
                assert followed not in changes
                changes[followed] = change
        return {followed: (len(change.rows), change.keys) for followed, change in changes.items()}


@pytest.mark.parametrize(
    ("condition", "columns"),
    [
        ("b = 1", "*"),
        ("b = 1", "id, b"),
        ("b = 1 AND a > 0", "*"),
        ("b IN (1, 2)", "*"),
        ("b IN (1, 2) AND a IN (5, 6)", "*"),
        ("b > 0", "*"),
        ("b = 1 OR b = 2", "*"),
        ("b = 1 OR b = 1 AND a > 0 OR a = 5", "*"),
        ("a = 5 OR id = 7 AND b > 0", "id, b"),
        ("b = 0 OR b BETWEEN 2 AND 3 OR a BETWEEN 3 AND 6", "*"),
        ("(b = 1 OR a = 5) AND b > 0", "*"),
        ("b = 1 OR u LIKE 'x%'", "*"),
        ("b = 1 OR NULL", "*"),
        ("a BETWEEN 3 AND 6", "*"),
        ("a > 0", "id, b"),
        ("id = 7", "*"),
        ("id = 7 AND b > 0", "*"),
        ("id IN (7, 8) AND b > 0", "*"),
        ("", "*"),
        ("", "id, a"),
        ("u LIKE 'x%'", "*"),
    ],
)
def test_a_query_is_told_what_a_fresh_look_would_show(condition: str, columns: str) -> None:
    """For rows that come, change, and go, however the query is found: in it now, or out of it."""
    table = Table()
    followed = table.follow(condition, columns=columns)
    versions = [None, *[Sample(id=7, a=a, b=b, u="x") for a in (None, 5) for b in (None, 0, 1, 2, 3)]]
    matches = followed.query.matches
    for before in versions:
        for after in versions:
            if before is after:
                continue
            told = table.told(before, after).get(followed, (0, []))
            was, now = before is not None and matches(before), after is not None and matches(after)
            shown = [followed.query.project(each, str(each).encode()) for each in (before, after) if each is not None]
            if now:
                assert told == ((0, []) if was and shown[0] == shown[1] else (1, []))
            elif was or followed.query.is_table:
                assert told == (0, [7])
            else:
                assert told == (0, [])


_columns = st.sampled_from(["a", "b", "id"])
_terms = st.one_of(
    st.builds("{} {} {}".format, _columns, st.sampled_from(["=", "=", "<", ">="]), st.sampled_from([0, 1, 2, 3, 7])),
    st.builds("{} IN ({}, {})".format, st.sampled_from("ab"), st.integers(0, 3), st.sampled_from(["1", "NULL"])),
    st.builds("b BETWEEN {} AND {}".format, st.integers(0, 3), st.integers(0, 3)),
    st.sampled_from(["u LIKE 'x%'", "a + 1 = b", "NULL"]),
)  # fmt: skip
_conditions = st.recursive(
    _terms,
    lambda inner: st.one_of(
        st.builds("({} OR {})".format, inner, inner),
        st.builds("({} OR {})".format, inner, inner),
        st.builds("({} AND {})".format, inner, inner),
        st.builds("(NOT {})".format, inner),
    ),
    max_leaves=6,
)
_rows = st.one_of(
    st.none(),
    st.builds(
        Sample,
        id=st.just(7),
        a=st.sampled_from([None, 0, 1, 2]),
        b=st.sampled_from([None, 0, 1, 2, 3]),
        u=st.sampled_from("xy"),
    ),
)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.lists(_conditions, min_size=1, max_size=5), st.lists(st.tuples(_rows, _rows), max_size=6))
def test_whatever_the_condition_a_write_finds_whom_it_concerns(
    conditions: list[str], writes: list[tuple[Sample | None, Sample | None]]
) -> None:
    """AND, OR and NOT in any order: each is told what a fresh look would show; nothing is left of those that went."""
    table = Table()
    many = [table.follow(each, columns="id, a, b") for each in conditions]
    for before, after in writes:
        told = table.told(before, after) if before or after else {}
        for followed in many:
            was, now = (
                each is not None and followed.query.matches(each) and (each.a, each.b) for each in (before, after)
            )
            assert told.get(followed, (0, [])) == ((0, []) if was == now else (1, []) if now else (0, [7]))
    for followed in many:
        table.route.remove(followed)
    assert table.route.empty
    route = table.route
    assert [route._by_key, route._by_column, route._by_range, route._others] == [{}, {}, {}, {}]


def test_an_or_is_looked_at_for_its_own_values() -> None:
    """By a term of each branch, whichever column it is of; once, also where a row has several of them."""
    table = Table()
    many = [
        table.follow("b = $1 OR a BETWEEN $2 AND $3 OR id = $4 AND f > 0", number, 10 * number, 10 * number + 9, number)
        for number in range(1, 100)
    ]
    _, asked = table.write(Sample(id=5, a=35, b=7), Sample(id=5, a=31, b=8))
    assert set(asked) == {many[2], many[4], many[6], many[7]}
    assert {len(each) for each in asked.values()} == {1}
    assert not table.write(None, Sample(id=1_000, a=5))[1]
    one = table.follow("b = 1 AND f > 0 OR a = $1", 2_000)
    changed, asked = table.write(Sample(id=3_000, a=2_000, b=1_000), Sample(id=3_000, a=2_000, b=1_001))
    assert (changed, set(asked)) == ({}, {one})


def test_other_values_are_not_looked_at() -> None:
    """A write finds the queries of its own values alone: by equality, and by range."""
    table = Table()
    many = [table.follow("b = $1 AND a > 0", number) for number in range(100)]
    _, asked = table.write(Sample(id=1, a=1, b=3), Sample(id=1, a=1, b=4))
    assert set(asked) == {many[3], many[4]}
    ranges = [table.follow("a BETWEEN $1 AND $2", 10 * number, 10 * number + 9) for number in range(100)]
    _, asked = table.write(Sample(id=1, a=35), Sample(id=1, a=-1))
    assert set(asked) == {ranges[3]}
    assert not table.write(Sample(id=1, a=None), Sample(id=1, a=1_000))[1]


def test_a_value_that_many_want_finds_them_all() -> None:
    """Also past what a small bucket holds; who goes is found no more."""
    table = Table()
    many = [table.follow("b = 1 AND a > $1", number) for number in range(3 * BUCKET_MAX)]
    row = Sample(id=1, a=5, b=1)
    assert list(table.write(None, row)[1]) == many
    for each in many[::2]:
        table.route.remove(each)
    assert set(table.write(None, row)[1]) == set(many[1::2])


def test_what_is_added_can_be_removed() -> None:
    """Nothing is left of a query that went."""
    table = Table()
    conditions = ["", "b = 1", "b IN (1, 2)", "id = 1", "id IN (1, 2) AND a = 1", "a > 1", "b IN (1, NULL)", "b = 1"]
    followed = [table.follow(each) for each in conditions] + [table.follow("", columns="id")]
    assert not table.route.empty
    for each in followed:
        table.route.remove(each)
    assert table.route.empty
    assert table.write(Sample(id=1, a=2, b=1), Sample(id=1, a=2, b=2)) == ({}, {})
