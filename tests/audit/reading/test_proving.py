"""That one event is in a trail, proven without the trail."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from store.audit.objects.checkpoint import read_proof
from store.audit.objects.layout import Malformed
from store.audit.objects.merkle import leaf_hash
from store.audit.objects.notes import read_key, read_note
from store.audit.reading.proving import NotProven, prove
from store.env.memory import MemoryClock
from store.env.worm_folder import FolderWorm
from store.env.worm_memory import MemoryWorm
from store.ids import Timestamp
from tests.audit.attacks import missing_batch, missing_manifest, one_bit
from tests.audit.small_trails import FIRST_KEY, LOG, START, Trail, event, small_trail


def store_of(trail: Trail) -> MemoryWorm:
    """A trail in memory."""
    store = MemoryWorm(MemoryClock(Timestamp(START)))
    for name, stored in trail.objects.items():
        store.overwrite(f"audit/v1/{trail.log}/{name}", stored.data)
    return store


@given(counts=st.lists(st.integers(1, 5), min_size=1, max_size=4), every=st.integers(1, 3), data=st.data())
def test_every_event_under_a_checkpoint_is_proven(counts: list[int], every: int, data: st.DataObject) -> None:
    """Wherever batches are cut and however many of them a checkpoint covers; no other line fits the proof."""
    trail = Trail()
    trail.introduce(FIRST_KEY)
    for number, count in enumerate(counts, start=1):
        trail.batch([event(len(trail.lines) + each) for each in range(count)])
        if number % every == 0 or number == len(counts):
            trail.checkpoint()
    seq = data.draw(st.integers(0, len(trail.lines) - 1))
    found = prove(store_of(trail), LOG, seq)
    assert found.line == trail.lines[seq]
    read = read_proof(found.proof.encode())
    assert (read, read.index) == (found.proof, seq)
    assert read.shows(trail.leaves[seq])
    assert not read.shows(leaf_hash(found.line + b" "))


def test_the_smallest_checkpoint_is_taken() -> None:
    """So that few batches are read."""
    found = prove(store_of(small_trail()), LOG, 3)
    assert b"\n4\n" in found.proof.checkpoint


def test_what_no_checkpoint_signs_is_not_proven() -> None:
    """It says up to which event there is a proof."""
    trail = small_trail(3)
    trail.batch([event(3)])
    with pytest.raises(NotProven, match="0 to 2"):
        prove(store_of(trail), LOG, 3)


@pytest.mark.parametrize("attack", [missing_batch, missing_manifest, one_bit])
def test_a_trail_that_does_not_hold_proves_nothing(attack, tmp_path: Path) -> None:
    """No proof comes out that would not be believed."""
    store = FolderWorm(attack().trail.write(tmp_path), MemoryClock())
    with pytest.raises(Malformed):
        prove(store, LOG, 3)


def test_a_proof_is_signed_by_whoever_signed_the_checkpoint() -> None:
    """Which is for its reader to say."""
    signed = read_note(prove(store_of(small_trail()), LOG, 0).proof.checkpoint)
    assert list(signed.signed_by([read_key(FIRST_KEY.vkey)])) == [read_key(FIRST_KEY.vkey)]
