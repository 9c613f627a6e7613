"""Followed groups, and the first of an order: after every transaction what the query answers when it is asked once."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from store.errors import MalformedQuery
from store.query.live import LiveQuery, compile_live
from store.query.meaning.tables import ResultColumn
from store.query.options import Followed
from store.query.shaping import ranked, topk
from store.query.shaping.results import Forgotten
from tests.query.results import Store
from tests.query.scenes import SCHEMA, Sample, samples

TOPS = [
    "SELECT * FROM sample LIMIT 3",
    "SELECT * FROM sample ORDER BY id DESC LIMIT 2",
    "SELECT id, b FROM sample ORDER BY b LIMIT 3",
    "SELECT id, b FROM sample WHERE b > 0 ORDER BY b DESC LIMIT 2 OFFSET 2",
    "SELECT id, b, u FROM sample ORDER BY b DESC NULLS LAST, u NULLS FIRST LIMIT 4 OFFSET 1",
    "SELECT id, f, -n AS m FROM sample ORDER BY f DESC, m LIMIT 12",
    "SELECT d, w, k, y, id FROM sample ORDER BY d DESC, w DESC, k DESC, y DESC LIMIT 3",
    "SELECT id, lower(t) AS low FROM sample ORDER BY low DESC LIMIT 3",
    "SELECT id, u FROM sample ORDER BY u LIMIT 0",
    "SELECT id, u FROM sample WHERE false LIMIT 3",
]
GROUPS = [
    "SELECT count(*) FROM sample",
    "SELECT count(*), count(b), sum(b), avg(b), min(b), max(b) FROM sample WHERE b <> 1",
    "SELECT sum(a), avg(a), sum(f), avg(f), sum(n), avg(n), sum(n)::text AS said FROM sample",
    "SELECT sum(n * 1.00)::text AS x, sum(CASE WHEN d THEN n ELSE n * 1.000 END)::text AS y FROM sample",
    "SELECT min(n), max(n), min(t), max(t), min(w), max(w), min(f), max(g) FROM sample",
    "SELECT count(DISTINCT b), sum(DISTINCT b), avg(DISTINCT n), min(DISTINCT b), count(DISTINCT j) FROM sample",
    "SELECT sum(DISTINCT f), sum(DISTINCT CASE WHEN d THEN n ELSE n * 1.0 END)::text AS n FROM sample",
    "SELECT b, count(*) FROM sample GROUP BY b",
    "SELECT count(*) AS many, u, d, max(b) - min(b) AS width FROM sample GROUP BY u, d",
    "SELECT u, sum(b) FROM sample GROUP BY u HAVING count(*) > 1",
    "SELECT count(*) FROM sample HAVING count(*) > 2",
    "SELECT n, f, w, k, y, j, count(*) FROM sample GROUP BY 1, 2, 3, 4, 5, 6",
    "SELECT b % 2 AS odd, max(b) FROM sample GROUP BY odd",
    "SELECT b, count(*) FROM sample WHERE false GROUP BY b",
    "SELECT b, count(*) AS many FROM sample GROUP BY b ORDER BY many DESC LIMIT 2",
    "SELECT u, max(b) FROM sample GROUP BY u ORDER BY 2 DESC NULLS LAST LIMIT 1 OFFSET 1",
    "SELECT u, count(*) FROM sample GROUP BY u LIMIT 2",
]
ROWS = 9
transactions = st.lists(
    st.dictionaries(
        st.integers(1, ROWS), st.integers(1, ROWS).flatmap(lambda number: st.one_of(st.none(), samples(number))),
        min_size=1, max_size=4,
    ),
    min_size=1, max_size=12,
)  # fmt: skip


@pytest.fixture(autouse=True, scope="module")
def small() -> Any:
    """Nearly nothing is held to spare, so that all is counted again often."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(topk, "SPARE_ROWS", 1)
        monkeypatch.setattr(ranked, "HELD_MAX", 2)
        yield


def sample(number: int, row: Sample | None) -> Sample | None:
    """The row under another key."""
    return (
        None
        if row is None
        else Sample(**{**{each: getattr(row, each) for each in row.__struct_fields__}, "id": number})
    )


@pytest.mark.parametrize("sql", TOPS + GROUPS)
@settings(max_examples=40, deadline=None, derandomize=True)
@given(history=transactions)
def test_a_result_is_what_the_query_answers(sql: str, history: list[dict[int, Sample | None]]) -> None:
    """After every transaction, in the order that its columns say; and a result made anew from then on is the same."""
    store = Store(sql)
    for changes in history:
        try:
            store.write({number: sample(number, row) for number, row in changes.items()})
        except MalformedQuery:  # A sum that is no float ends the query, and is none where it is asked once.
            with pytest.raises(MalformedQuery):
                store.asked()
            return
        expected = store.asked()
        if store.shape.limit is None:
            assert sorted(map(repr, store.view.values())) == sorted(map(repr, expected))
        else:
            assert [repr(each) for each in store.ordered()] == [repr(each) for each in expected]
    store.result.close()
    assert store.room.used == 0


@pytest.mark.parametrize("sql", TOPS + GROUPS)
@settings(max_examples=40, deadline=None, derandomize=True)
@given(history=transactions, since=st.integers(0, 11))
def test_what_was_missed_leads_from_the_result_then_to_the_result_now(
    sql: str, history: list[dict[int, Sample | None]], since: int
) -> None:
    """By nothing that did not change, or it is said that it is not known; the result is what it was."""
    store = Store(sql)
    then, rows = dict(store.view), store.rows
    for number, changes in enumerate(history):
        if number == since:
            then, rows = dict(store.view), store.rows
        try:
            store.write({each: sample(each, row) for each, row in changes.items()})
        except MalformedQuery:  # A sum that is no float ends the query.
            return
    used = store.room.used
    try:
        missed = store.result.missed(store.went_back(rows))
    except Forgotten:
        assert store.shape.limit or " j" in sql or "min" in sql or "max" in sql
        return
    now, store.view = store.view, then
    store.follow(missed)
    assert {key: repr(row) for key, row in store.view.items()} == {key: repr(row) for key, row in now.items()}
    assert store.room.used == used
    store.view = now
    store.write({1: Sample(id=1, b=1), 2: None})
    assert sorted(map(repr, store.view.values())) == sorted(map(repr, store.asked()))


def live(sql: str, *params: Any, options: Followed | None = None) -> LiveQuery:
    """The query as a reader's token gets it."""
    return compile_live(sql, params, SCHEMA, options=options or Followed())


def test_a_follower_is_told_columns_key_and_order() -> None:
    """Places of columns: of the primary key or the values of GROUP BY, and of those of ORDER BY."""
    top = live("SELECT u, id, b FROM sample ORDER BY b DESC, u NULLS FIRST LIMIT $1 OFFSET $2", 5, 2)
    assert top.shape is not None
    assert (top.key, top.shape.limit, top.shape.offset) == (1, 5, 2)
    assert [tuple(each) for each in top.shape.order] == [(2, True, True), (0, False, True)]
    groups = live("SELECT count(*) AS many, u, b FROM sample GROUP BY b, u")
    assert groups.shape is not None
    assert (groups.key, groups.shape.key, groups.shape.order) == (-1, (2, 1), ())
    assert groups.columns == (
        ResultColumn("many", "int", nullable=True),
        ResultColumn("u", "str", nullable=True),
        ResultColumn("b", "int", nullable=True),
    )


def test_the_same_shape_has_the_same_id() -> None:
    """However it is written; another condition, order, bound, output, key or aggregate makes another."""
    written = [
        live("SELECT id, b FROM sample WHERE a > 1 ORDER BY b LIMIT 5"),
        live("select s.id, s.b from sample s where 1 < a order by 2 asc nulls last limit $1 offset 0", 5),
    ]
    assert len({each.id for each in written}) == 1
    others = [
        "SELECT id, b FROM sample WHERE a > 1",
        "SELECT id, b FROM sample ORDER BY b LIMIT 5",
        "SELECT id, b FROM sample WHERE a > 1 ORDER BY b DESC LIMIT 5",
        "SELECT id, b FROM sample WHERE a > 1 ORDER BY b NULLS FIRST LIMIT 5",
        "SELECT id, b FROM sample WHERE a > 1 ORDER BY b, id LIMIT 5",
        "SELECT id, b FROM sample WHERE a > 1 ORDER BY b LIMIT 6",
        "SELECT id, b FROM sample WHERE a > 1 ORDER BY b LIMIT 5 OFFSET 1",
        "SELECT id, b AS c FROM sample WHERE a > 1 ORDER BY b LIMIT 5",
        "SELECT * FROM sample WHERE a > 1 ORDER BY b LIMIT 5",
        "SELECT count(*) FROM sample WHERE a > 1",
        "SELECT count(b) FROM sample WHERE a > 1",
        "SELECT count(DISTINCT b) FROM sample WHERE a > 1",
        "SELECT sum(b) AS count FROM sample WHERE a > 1",
        "SELECT count(*) + 1 AS count FROM sample WHERE a > 1",
        "SELECT b, count(*) FROM sample WHERE a > 1 GROUP BY b",
        "SELECT b, count(*) FROM sample WHERE a > 1 GROUP BY b HAVING count(*) > 1",
        "SELECT b, count(*) FROM sample WHERE a > 1 GROUP BY b LIMIT 5",
        "SELECT b, count(*), sum(a) + min(a) FROM sample GROUP BY b",
        "SELECT b, count(*), min(a) + sum(a) FROM sample GROUP BY b",
    ]
    found = {sql: live(sql).id for sql in others}
    assert len({written[0].id, *found.values()}) == len(others) + 1


@pytest.mark.parametrize(
    ("sql", "at", "reason"),
    [
        ("EXPLAIN SELECT * FROM sample LIMIT 1", "EXPLAIN", "no EXPLAIN"),
        ("SELECT DISTINCT a FROM sample LIMIT 1", "SELECT", "no DISTINCT"),
        ("SELECT count(*) FROM sample JOIN other ON true", "other", "no JOIN"),
        ("SELECT * FROM sample ORDER BY a", "a", "with ORDER BY has a LIMIT"),
        ("SELECT * FROM sample ORDER BY a LIMIT NULL", "a", "with ORDER BY has a LIMIT"),
        ("SELECT * FROM sample OFFSET 5", "5", "with OFFSET has a LIMIT"),
        ("SELECT * FROM sample LIMIT 9000 OFFSET 1001", "9000", "come to at most 10000, found 10001"),
        ("SELECT * FROM sample LIMIT -1", "1", "must not be negative"),
        ("SELECT id FROM sample ORDER BY a LIMIT 5", "a", "ordered by its outputs only"),
        ("SELECT id, a FROM sample ORDER BY a + 1 LIMIT 5", "a + 1", "ordered by its outputs only"),
        ("SELECT * FROM sample ORDER BY j LIMIT 5", "j", "have no order"),
        ("SELECT a FROM sample LIMIT 5", "SELECT", "primary key"),
        ("SELECT count(*) FROM sample GROUP BY b", "b", "every value of GROUP BY"),
        ("SELECT b + 1, count(*) FROM sample GROUP BY b", "b", "every value of GROUP BY"),
        ("SELECT b, count(*) FROM sample GROUP BY b ORDER BY sum(a) LIMIT 5", "a", "ordered by its outputs only"),
        ("SELECT a, count(*) FROM sample", "a", "must be in GROUP BY"),
        ("SELECT count(*) FROM sample HAVING b > 1", "b", "must be in GROUP BY"),
        ("SELECT sum(u) FROM sample", "u", "no SUM of text"),
        ("SELECT b, b IN (SELECT a FROM other) FROM sample GROUP BY b", "b IN", "no subquery above its groups"),
        ("SELECT b FROM sample WHERE count(*) > 1 GROUP BY b", "count", "may not stand here"),
    ],
)
def test_what_has_no_shape_is_refused(sql: str, at: str, reason: str) -> None:
    """With its place and the reason."""
    with pytest.raises(MalformedQuery) as raised:
        live(sql)
    assert reason in str(raised.value)
    begin = raised.value.details["position"] - 1
    assert sql[begin:].startswith(at)


def test_a_bound_that_is_too_high_names_its_limit() -> None:
    """So that an operator knows which option it is."""
    with pytest.raises(MalformedQuery, match="at most 10, found 11") as raised:
        live("SELECT * FROM sample LIMIT 11", options=Followed(rows_max=10))
    assert raised.value.details["limit"] == "followed_rows_max"
