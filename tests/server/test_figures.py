"""Figures: counted as it happens, and whatever a child says, metrics are numbers."""

import pytest

from store.server.figures import Figures, counts_of, number


def test_what_was_let_go_adds_up() -> None:
    """The newest word counts for what stands now, all words for what went."""
    figures = Figures()
    figures.note_pruned({"segments": ["a", "b"], "snapshots": ["c"], "bytes": 10, "floor": 5, "waiting": 3})
    figures.note_pruned({"segments": ["d"], "snapshots": [], "bytes": 1, "floor": 7, "waiting": 0})
    values, _ = figures.measured()
    assert values["store_retention_segments_total"] == 3
    assert values["store_retention_snapshots_total"] == 1
    assert values["store_retention_bytes_total"] == 11
    assert (values["store_retention_floor_offset"], values["store_retention_waiting"]) == (7, 0)


def test_nothing_has_happened_at_first() -> None:
    """Every value is 0, and no label is told."""
    values, labelled = Figures().measured()
    assert set(values.values()) == {0}
    assert all(not counts for counts in labelled.values())


@pytest.mark.parametrize("said", ["7", None, [1], {}])
def test_what_is_no_number_counts_as_none(said: object) -> None:
    """From a child that is of another version, or mad."""
    assert number({"seconds": said}, "seconds") == 0
    figures = Figures(snapshot={"seconds": said})
    figures.note_pruned({"segments": 5, "snapshots": "abc", "bytes": said})
    values, _ = figures.measured()
    assert values["store_retention_segments_total"] == values["store_snapshot_seconds"] == 0


def test_what_is_a_number_counts() -> None:
    """Whole or not."""
    assert number({"seconds": 2.5}, "seconds") == 2.5
    assert number({"seconds": 2}, "seconds") == 2


def test_of_each_kind_the_last_success_and_the_last_failure_are_kept() -> None:
    """A failure does not hide what went well before it, nor the other way round."""
    figures = Figures()
    assert figures.last() == {}
    figures.backup, figures.backup_at = {"url": "x"}, 5.0
    figures.note_failed("backup", "no network", at=7.0)
    figures.note_failed("backup", "no bucket", at=8.0)
    assert figures.last() == {"backup": {"done": {"url": "x"}, "done_at": 5.0, "failed": "no bucket", "failed_at": 8.0}}
    assert figures.measured().labelled["store_maintenance_failures_total"] == {"backup": 2}


def test_what_a_record_says_of_many_names_is_how_many() -> None:
    """A prune of a large backup names thousands of objects, and a record has a limit."""
    assert counts_of({"segments": ["a", "b"], "unread": {}, "bytes": 7}) == {"segments": 2, "unread": 0, "bytes": 7}
