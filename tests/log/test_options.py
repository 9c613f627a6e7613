"""How the log is cut into files and batches."""

import pytest

from store.log.options import LogOptions


@pytest.mark.parametrize(
    "wrong",
    [
        {"batch_size_max": 2**32},
        {"batch_size_max": 0},
        {"record_size_max": 0},
        {"record_size_max": 2**32},
        {"segment_size_max": 100},
    ],
)
def test_options_that_cannot_be_written_are_refused(wrong: dict[str, int]) -> None:
    """A body's length has 32 bits, and a segment has room for more than its header."""
    with pytest.raises(AssertionError):
        LogOptions(**wrong)


def test_the_defaults_leave_room_for_a_whole_batch_in_a_segment() -> None:
    """A batch that was closed at its bound by the largest record is no larger than a segment."""
    options = LogOptions()
    assert options.batch_size_max + options.record_size_max <= options.segment_size_max
