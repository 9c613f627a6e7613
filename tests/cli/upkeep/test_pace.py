"""The rules of what a restore is said to take: by what one took here, else cautiously."""

from dataclasses import replace
from pathlib import Path

import pytest

from store.cli.upkeep.pace import BYTES_MIN, PACE, TRANSACTIONS_MIN, Pace, note_pace, read_pace
from store.ids import Epoch, Offset, Timestamp
from store.upkeep.making import Restored

EPOCH = Epoch(bytes(16))
LARGE = Restored(
    offset=Offset(1),
    timestamp=Timestamp(1),
    parent=EPOCH,
    fingerprint="",
    seconds=9.0,
    base=None,
    replayed=TRANSACTIONS_MIN,
    rows=1,
    bytes=BYTES_MIN,
    passed_over=(),
    store=EPOCH,
    copying_s=2.0,
    proving_s=4.0,
)


def test_what_one_took_is_what_the_next_is_said_to_take(tmp_path: Path) -> None:
    """Twice as much takes twice as long."""
    assert read_pace(tmp_path) == Pace()
    note_pace(tmp_path, LARGE)
    pace = read_pace(tmp_path)
    assert pace == Pace(BYTES_MIN / 2, TRANSACTIONS_MIN / 4)
    assert pace.seconds(2 * BYTES_MIN, 2 * TRANSACTIONS_MIN) == 12.0
    assert [each.name for each in tmp_path.iterdir()] == [PACE]


def test_what_is_too_small_tells_nothing(tmp_path: Path) -> None:
    """Neither of bytes nor of transactions; what was known of each stays."""
    note_pace(tmp_path, replace(LARGE, bytes=1, replayed=1))
    assert not (tmp_path / PACE).exists()
    note_pace(tmp_path, LARGE)
    note_pace(tmp_path, replace(LARGE, bytes=1, proving_s=1.0))
    assert read_pace(tmp_path) == Pace(BYTES_MIN / 2, TRANSACTIONS_MIN)


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[1]", b'{"copied_per_s": 0}', b'{"replayed_per_s": -1}', b'{"copied_per_s": "x"}']
)
def test_a_note_that_says_nothing_is_none(tmp_path: Path, content: bytes) -> None:
    """Nobody divides by it."""
    (tmp_path / PACE).write_bytes(content)
    assert read_pace(tmp_path) == Pace()


def test_where_it_cannot_be_written_nothing_is_said(tmp_path: Path) -> None:
    """It is no reason for a restore that went well to fail."""
    note_pace(tmp_path / "gone", LARGE)
    assert read_pace(tmp_path / "gone") == Pace()
