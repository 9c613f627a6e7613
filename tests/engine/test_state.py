"""The state: what follows from the log, whoever applies it."""

import pytest

from store.codec import encode_transaction
from store.engine.state import EpochRecord, State, decode_epoch
from store.ids import Epoch, Offset
from tests.canonical import canonical
from tests.engine.scenes import DOMAIN, a_caller, call, committed, logged, memory_disk, open_shop


def row_types() -> dict[str, type]:
    """The shop's tables by name."""
    return {each.__table__.name: each for each in DOMAIN.tables}


def test_before_the_first_record_there_is_nothing() -> None:
    """No epoch, no table, no offset; but the store itself is known."""
    state = State({})
    assert (state.epoch, state.last_offset, state.database.tables, list(state.identities)) == (b"", 0, {}, [0])


def test_the_state_follows_from_the_records_alone() -> None:
    """Absorbing what was logged makes the live state, with or without its authors' classes."""
    engine = open_shop()
    for sequence in range(1, 8):
        call(engine, "add", "ada", f"s{sequence}", caller=a_caller(client="c"), sequence=sequence, acknowledged=0)
        call(engine, "give", sequence, "bob")
    committed(engine, "make", key="k")
    for types in (row_types(), {}):
        state = State(types)
        for each in logged(memory_disk(engine)):
            state.absorb(each, encode_transaction(each))
        assert canonical(state) == canonical(engine.state)


def test_a_gap_or_a_step_back_is_a_bug() -> None:
    """The next record has the next offset and a later moment."""
    engine = open_shop()
    committed(engine, "add", "ada")
    first, second, *_ = logged(memory_disk(engine))
    state = State({})
    with pytest.raises(AssertionError):
        state.absorb(second, None)
    state.absorb(first, None)
    with pytest.raises(AssertionError):
        state.absorb(first, None)


def test_an_epoch_record_is_read_as_it_was_written() -> None:
    """Name, parent, first offset and reason."""
    engine = open_shop()
    assert decode_epoch(logged(memory_disk(engine))[0].args) == EpochRecord(engine.epoch, Epoch(b""), Offset(1), "new")
