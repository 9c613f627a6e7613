"""The options of snapshots."""

from store.snapshot.options import SnapshotOptions


def test_what_is_kept_leaves_recovery_something_to_fall_back_to() -> None:
    """Two snapshots at least, and longer than any copy of the directory takes."""
    options = SnapshotOptions()
    assert options.keep_last >= 2
    assert options.grace_s > options.lease_s > 0
