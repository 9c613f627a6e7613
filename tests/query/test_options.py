"""The options of queries that are asked once."""

from store.query.options import Options


def test_each_bound_is_positive() -> None:
    """A query may do something."""
    options = Options()
    assert min(options.rows_examined_max, options.rows_returned_max, options.time_max_ms) > 0
