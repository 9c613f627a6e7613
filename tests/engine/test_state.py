"""The state: what follows from the log, whoever applies it."""

import re
from itertools import repeat
from pathlib import Path

import msgspec
import pytest

from store.codec import encode_transaction
from store.engine.idempotency import SMALL_RECORD_SIZE
from store.engine.identity import Identity
from store.engine.remembered import Remembered, RememberedClient, RememberedKey
from store.engine.state import SYSTEM_VERSION, EpochRecord, State, System, decode_epoch, decode_system
from store.ids import ClientId, Epoch, IdentityReference, Offset, Timestamp
from store.snapshot import format as snapshot_format
from store.tables.batch_moves import BatchMoves
from store.tables.changes import Changes
from store.transaction import Kind, Op
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


def test_a_batch_is_taken_in_as_one_by_one() -> None:
    """Rows, indexes, first answers under both kinds of key, identities, the last moment: also in several batches."""
    engine = open_shop()
    for sequence in range(1, 8):
        call(engine, "add", "ada", f"s{sequence}", caller=a_caller(client="c"), sequence=sequence, acknowledged=0)
        call(engine, "give", sequence, f"owner {sequence % 2}", caller=a_caller("bob"), key=f"k{sequence}")
    engine.group_commit.commit()
    log = logged(memory_disk(engine))
    schema = next(place for place, each in enumerate(log, 1) if each.kind == Kind.SCHEMA)
    for size in (1, 3, len(log)):
        state = State(row_types())
        for each in log[:schema]:
            state.absorb(each, None)
        moves = BatchMoves(state.database.tables)
        for begin in range(schema, len(log), size):
            batch = log[begin : begin + size]
            state.absorb_batch(batch, [encode_transaction(each) for each in batch], moves)
        assert canonical(state) == canonical(engine.state)


def test_a_gap_or_a_step_back_in_a_batch_is_a_bug() -> None:
    """As in a single transaction: the next one has the next offset and a later moment."""
    engine = open_shop()
    committed(engine, "add", "ada")
    log = logged(memory_disk(engine))
    schema = next(place for place, each in enumerate(log, 1) if each.kind == Kind.SCHEMA)
    state = State({})
    for each in log[:schema]:
        state.absorb(each, None)
    moves = BatchMoves(state.database.tables)
    behind, last = log[schema], log[schema + 1]
    for wrong in (
        [last],
        [behind, behind],
        [behind, msgspec.structs.replace(last, timestamp=behind.timestamp)],
    ):
        with pytest.raises(AssertionError):
            state.absorb_batch(wrong, repeat(None), moves)


def test_an_epoch_record_is_read_as_it_was_written() -> None:
    """Name, parent, first offset and reason."""
    engine = open_shop()
    assert decode_epoch(logged(memory_disk(engine))[0].args) == EpochRecord(engine.epoch, Epoch(b""), Offset(1), "new")


def a_full_state() -> State:
    """A state with everything in it that a state can hold."""
    engine = open_shop()
    for sequence in range(1, 8):
        call(engine, "add", "ada", f"s{sequence}", caller=a_caller(client="c"), sequence=sequence, acknowledged=0)
        call(engine, "put", "large", bytes(2_000), caller=a_caller("bob"), key=f"k{sequence}")
    committed(engine, "make", key="k")
    return open_shop(memory_disk(engine).copy(), seed=2).state


def loaded(system: bytes, state: State) -> State:
    """A fresh state with that system part, and the other's rows."""
    fresh = State(row_types())
    fresh.load_system(decode_system(system))
    fresh.database.adopt(state.database.schema)
    for table_id, table in state.database.tables.items():
        for key, row in table.rows.items():
            fresh.database.apply([(table_id, Op.INSERT, key, None, row)])
        fresh.database.tables[table_id].next_key = table.next_key
    return fresh


def test_the_system_part_is_all_but_schema_and_rows() -> None:
    """What was dumped and loaded is the same state, and dumps to the same bytes."""
    state = a_full_state()
    assert len(state.epochs) == 2
    again = loaded(state.dump_system(), state)
    assert canonical(again) == canonical(state)
    assert again.dump_system() == state.dump_system()
    assert (again.next_offset, again.epoch) == (state.next_offset, state.epoch)


def test_a_loaded_state_takes_in_what_comes_next() -> None:
    """The record behind it, and no other."""
    engine = open_shop()
    committed(engine, "add", "ada", key="first")
    state = loaded(engine.state.dump_system(), engine.state)
    committed(engine, "add", "ada", "s", key="second")
    last = logged(memory_disk(engine))[-1]
    state.absorb(last, encode_transaction(last))
    assert canonical(state) == canonical(engine.state)


def test_a_later_field_of_the_system_part_is_ignored() -> None:
    """As in records: new fields go last."""
    system = a_full_state().dump_system()
    more = msgspec.msgpack.encode([*msgspec.msgpack.decode(system), "more"])
    assert decode_system(more) == decode_system(system)


def test_a_state_can_keep_less_than_all_rows() -> None:
    """With another database it takes in the same log, and everything but the rows is the same."""
    engine = open_shop()
    committed(engine, "add", "ada", key="k")
    changes = Changes()
    state = State({}, changes)
    for each in logged(memory_disk(engine)):
        state.absorb(each, encode_transaction(each))
    assert state.database is changes
    assert state.dump_system() == engine.state.dump_system()
    assert changes.net == {table_id: dict(table.rows) for table_id, table in engine.database.tables.items()}


PAGE = (Path(snapshot_format.__file__).parent / "FORMAT.md").read_text().split("## 12  The system part")[1]


def test_the_worked_example_of_the_page_is_what_is_written() -> None:
    """snapshot/FORMAT.md §12, byte for byte, both ways; each line stands at the place that it says."""
    lines = re.findall(r"^([0-9a-f]{4})  ((?:[0-9a-f]{2} ?)+)", PAGE, re.MULTILINE)
    shown = b""
    for place, data in lines:
        assert int(place, 16) == len(shown)
        shown += bytes.fromhex(data)
    epoch = EpochRecord(Epoch(bytes(range(0x10, 0x20))), Epoch(b""), Offset(1), "new")
    ada = Identity("ops", "ada", ("call",))
    answer = (Offset(8), "", b"\x07", bytes(range(0x20, 0x40)))
    last, sweep = Timestamp(1_700_000_000_000_009), Timestamp(1_700_000_600_000_005)
    client = RememberedClient("ops", "ada", ClientId("c1"), 2, Timestamp(last - 1), ((3, answer),))
    key = RememberedKey("ops", "ada", "k", last, b"\x9e\x01")
    system = System(
        SYSTEM_VERSION, Offset(9), last, (epoch,), ((IdentityReference(4), ada),), Remembered(sweep, (client,), (key,))
    )
    assert decode_system(shown) == system
    state = State({})
    state.load_system(system)
    assert state.dump_system() == shown


def test_the_table_of_fields_is_the_system_part() -> None:
    """§12 lists the fields by name, in order, and says which records are kept whole."""
    listed = re.findall(r"^\| \d+ \| ([a-z ]+) \|", PAGE, re.MULTILINE)
    assert [each.replace(" ", "_") for each in listed] == list(System.__struct_fields__)
    assert f"at most {SMALL_RECORD_SIZE:,} bytes" in PAGE
