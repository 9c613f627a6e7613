"""The order of rows as what can be compared."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from store.query.live import compile_live
from store.query.options import Followed
from store.query.shaping.ordering import rank_maker
from tests.query.scenes import SCHEMA, Sample, database, samples
from tests.query.test_asking import answer


@pytest.mark.parametrize("column", ["a", "f", "n", "t", "y", "d", "w", "k"])
@pytest.mark.parametrize("how", ["", " DESC", " NULLS FIRST", " DESC NULLS LAST"])
@settings(max_examples=15, deadline=None, derandomize=True)
@given(rows=st.tuples(*(samples(number) for number in range(6))))
def test_ranks_are_in_the_order_of_a_query_that_is_asked_once(column: str, how: str, rows: tuple[Sample, ...]) -> None:
    """Of every type that has an order, either way, NULLs first or last; what ties is in the order of keys."""
    sql = f"SELECT id, {column} FROM sample ORDER BY {column}{how}"  # noqa: S608  # The tests' own SQL.
    live = compile_live(f"{sql} LIMIT 9", (), SCHEMA, options=Followed())
    assert live.shape is not None
    rank = rank_maker(live.shape.keys)
    kept = database(*rows)
    table = kept.table("sample")
    assert table is not None
    decoded = [table.codec.decode(each) for each in table.rows.values()]
    ranked: list[Any] = sorted(decoded, key=lambda row: rank(row, row.id))
    assert [row.id for row in ranked] == [row[0] for row in answer(sql, of=kept)]
