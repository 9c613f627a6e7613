"""Replay: the state at any offset, from snapshot and log, without touching the disk."""

import msgspec
import pytest

from store.codec import split_batch
from store.engine.replay import absorb_all, records, replay
from store.engine.state import State
from store.env.memory import MemoryDisk
from store.errors import CorruptionError, DirectoryError
from store.ids import Offset
from store.log.reader import LogReader
from tests.canonical import canonical
from tests.engine.scenes import call, committed, memory_disk, open_shop
from tests.engine.snapshots import Archive, a_life, drop_log, proven, row_types, taken


def test_every_offset_can_be_reached() -> None:
    """Before, at and behind each snapshot, also inside a batch; the nearest snapshot before it is used."""
    engine = a_life(calls=4)
    bases = [taken(memory_disk(engine), through=9).manifest.offset]
    for number in range(9):
        call(engine, "add", "zoe", f"z{number}")
    proven(engine)
    bases.append(taken(memory_disk(engine)).manifest.offset)
    for number in range(5):
        call(engine, "give", number + 1, "zoe")
    proven(engine)
    disk = memory_disk(engine)
    archive = Archive()
    archive.read(disk)
    for offset in range(1, engine.log.last_offset + 1):
        found = replay(disk, row_types(), through=Offset(offset))
        assert canonical(found.state) == canonical(archive.state(offset))
        base = max([each for each in bases if each <= offset], default=0)
        assert (0 if found.manifest is None else found.manifest.offset) == base
        assert found.replayed == offset - base


def test_without_an_end_it_goes_to_the_end() -> None:
    """Of all that lies whole in the log; behind it there is nothing more."""
    engine = a_life(calls=4)
    taken(memory_disk(engine), through=9)
    for through in (None, Offset(engine.log.last_offset + 100)):
        assert canonical(replay(memory_disk(engine), row_types(), through=through).state) == canonical(engine.state)


def test_the_disk_is_only_read() -> None:
    """Nothing is cut, mended or marked."""
    engine = a_life(calls=4)
    taken(memory_disk(engine), through=9)
    call(engine, "add", "bob")
    engine.log.flush()
    disk = memory_disk(engine)
    name = f"log/{disk.names('log')[-1]}"
    disk.replace(name, disk.content(name)[:-3])
    before = disk.operations
    assert replay(disk).state.last_offset == engine.log.last_offset - 1
    assert disk.operations == before


def test_a_copy_that_lags_ends_at_its_snapshot() -> None:
    """Where the log ends before it, or is not there at all."""
    engine = a_life(calls=4)
    newest = taken(memory_disk(engine)).manifest
    disk = memory_disk(engine).copy()
    for name in reversed(disk.names("log")):
        disk.remove(f"log/{name}")
        found = replay(disk, row_types(), ahead=True)
        assert (found.manifest, found.replayed) == (newest, 0)
        assert canonical(found.state) == canonical(engine.state)


def test_without_log_and_snapshots_there_is_nothing_to_replay() -> None:
    """DirectoryError, as the reader says it."""
    with pytest.raises(DirectoryError, match="there is no commitlog"):
        replay(MemoryDisk())


def test_progress_is_told_by_phase() -> None:
    """Loading, then replaying."""
    engine = a_life(calls=4)
    taken(memory_disk(engine), through=9)
    told: list[tuple[str, int, int]] = []
    replay(memory_disk(engine), progress=lambda *each: told.append(each))
    assert list(dict.fromkeys(phase for phase, _, _ in told)) == ["loading", "replaying"]
    assert told[-1][1] == told[-1][2]


def test_records_come_with_their_bytes_where_a_key_needs_them() -> None:
    """And with nothing where not: most need none."""
    engine = open_shop()
    call(engine, "add", "ada")
    committed(engine, "add", "bob", key="k")
    *_, batch = LogReader(memory_disk(engine))
    *_, (first, none), (second, raw) = records(batch)
    assert (first.call_key, none) == (None, None)
    assert second.call_key is not None
    assert raw == bytes(split_batch(batch.body)[-1])


def test_records_that_deny_their_batch_are_corruption() -> None:
    """A record of another offset than its place says is never read as data."""
    engine = open_shop()
    committed(engine, "add", "ada")
    first, *_ = LogReader(memory_disk(engine))
    moved = type(first)(
        **{name: getattr(first, name) for name in first.__struct_fields__ if name != "first_offset"},
        first_offset=Offset(first.first_offset + 1),
    )
    with pytest.raises(CorruptionError, match="expected offset 2, found 1"):
        list(records(moved))


def test_what_a_state_holds_already_is_passed() -> None:
    """Batches before it are not absorbed twice."""
    engine = a_life(calls=2)
    state = State(row_types())
    absorb_all(state, LogReader(memory_disk(engine)), through=Offset(5))
    assert state.last_offset == 5
    drop_log(memory_disk(engine), 0)
    absorb_all(state, LogReader(memory_disk(engine)))
    assert canonical(state) == canonical(engine.state)


def test_a_batch_may_bring_the_tables_that_it_writes_to() -> None:
    """The schema's record and rows of its tables in one batch, as a first start under load may leave it."""
    engine = open_shop()
    committed(engine, "add", "ada", "a")
    call(engine, "give", 1, "bob")
    engine.group_commit.commit()
    batches = list(LogReader(memory_disk(engine)))
    bodies = [raw for batch in batches for raw in split_batch(batch.body)]
    joined = msgspec.structs.replace(
        batches[0], count=len(bodies), body=msgspec.msgpack.encode([msgspec.Raw(bytes(raw)) for raw in bodies])
    )
    state = State(row_types())
    absorb_all(state, [joined])
    assert canonical(state) == canonical(engine.state)
