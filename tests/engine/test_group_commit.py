"""Group commit: one sync for all that came meanwhile; when it is written, where the sync runs, what failures mean."""

from threading import Thread
from typing import Any

import pytest

from store.engine.engine import Engine
from store.engine.group_commit import LARGE_GROUP_SIZE, LATENCY_SMOOTHING
from store.env.memory import MemoryClock, MemoryDisk, NoDeadline, SeededEntropy
from store.env.world import File, World
from store.errors import EngineStopped
from store.ids import Position
from store.log.commitlog import LogOptions
from store.transaction import Transaction
from tests.engine import shop
from tests.engine.scenes import OPTIONS, Listener, call, committed, memory_disk, open_shop, reopen, rows


class SlowFile:
    """A file whose sync takes time, by the clock in memory."""

    def __init__(self, file: File, disk: "SlowDisk") -> None:
        self._file = file
        self._disk = disk
        self.size, self.read, self.write = file.size, file.read, file.write
        self.truncate, self.close = file.truncate, file.close

    def write_out(self, position: Position, length: int) -> None:
        """As the file."""
        self._file.write_out(position, length)

    def sync(self) -> None:
        """Let time pass, then sync."""
        self._disk.clock.advance(self._disk.microseconds)
        self._file.sync()


class SlowDisk(MemoryDisk):
    """A disk in memory on which every sync takes `microseconds`."""

    def __init__(self, clock: MemoryClock) -> None:
        super().__init__()
        self.clock = clock
        self.microseconds = 0

    def create(self, name: str) -> File:
        """As a memory disk does, but slow."""
        return SlowFile(super().create(name), self)

    def open(self, name: str) -> File:
        """As a memory disk does, but slow."""
        return SlowFile(super().open(name), self)


def on_a_slow_disk() -> tuple[Engine, SlowDisk]:
    """An engine on a disk whose syncs take as long as it is told."""
    clock = MemoryClock()
    disk = SlowDisk(clock)
    return open_shop(world=World(disk, clock, SeededEntropy(1), NoDeadline())), disk


def test_all_that_came_meanwhile_shares_one_write_and_one_sync() -> None:
    """However many calls a group holds, the disk works twice for it."""
    engine = open_shop()
    committed(engine, "look")
    for _ in range(100):
        call(engine, "add", "ada")
    before = memory_disk(engine).operations
    engine.group_commit.commit()
    assert memory_disk(engine).operations == before + 2


class NotedFile(SlowFile):
    """A file that says what is done with it."""

    def __init__(self, file: File, disk: "NotedDisk") -> None:
        super().__init__(file, disk)
        self.noted = disk.noted

    def write_out(self, position: Position, length: int) -> None:
        """Say so."""
        assert len(self._file.read(position, length)) == length, "what was written, and no more"
        self.noted.append("write out")

    def sync(self) -> None:
        """Say so."""
        self.noted.append("sync")
        super().sync()


class NotedFollower:
    """A follower that says when it looks."""

    def __init__(self, noted: list[str]) -> None:
        self._noted = noted

    def evaluate(self, _transaction: Transaction) -> None:
        """Say so."""
        self._noted.append("evaluate")


class NotedDisk(SlowDisk):
    """A disk in memory whose files say what is done with them."""

    def __init__(self, clock: MemoryClock) -> None:
        super().__init__(clock)
        self.noted: list[str] = []

    def create(self, name: str) -> File:
        """As a memory disk does, and says so."""
        return NotedFile(MemoryDisk.create(self, name), self)


class NotedListener(Listener):
    """A receiver that says when it makes ready and when it lets out."""

    def __init__(self, engine: Engine, noted: list[str]) -> None:
        super().__init__(engine)
        self.noted = noted

    def prepare(self, parts: list[Any]) -> list[Any]:
        """Say so."""
        self.noted.append("prepare")
        return super().prepare(parts)

    def release(self, parts: list[Any]) -> None:
        """Say so."""
        self.noted.append("release")
        super().release(parts)


def test_what_is_told_is_made_ready_while_the_disk_works() -> None:
    """On the loop's thread the disk has begun by then, and nothing leaves before the sync; a thread has no haste."""
    clock = MemoryClock()
    disk = NotedDisk(clock)
    engine = open_shop(world=World(disk, clock, SeededEntropy(1), NoDeadline()))
    listener = NotedListener(engine, disk.noted)
    for with_thread in (False, True):
        call(engine, "look")
        engine.feed.hold(listener, "what rests on it")
        disk.noted.clear()
        if with_thread:
            sync = engine.group_commit.begin()
            sync.run()
            engine.group_commit.complete(sync)
        else:
            engine.group_commit.commit()
        assert disk.noted == (
            ["sync", "prepare", "release"] if with_thread else ["write out", "prepare", "sync", "release"]
        )


def test_a_caller_who_is_alone_is_written_before_anything_else_is_done_for_it() -> None:
    """After a group of one call the disk begins right behind the next append; after a larger group it does not."""
    clock = MemoryClock()
    disk = NotedDisk(clock)
    engine = open_shop(world=World(disk, clock, SeededEntropy(1), NoDeadline()))
    engine.feed.follow(NotedFollower(disk.noted))
    listener = NotedListener(engine, disk.noted)

    def group(calls: int) -> list[str]:
        disk.noted.clear()
        for _ in range(calls):
            call(engine, "look")
        engine.feed.hold(listener, "what rests on it")
        engine.group_commit.commit()
        assert engine.log.durable_offset == engine.log.last_offset
        return list(disk.noted)

    told = ["prepare", "sync", "release"]
    group(2)
    assert group(1) == ["evaluate", "write out", *told]
    assert group(1) == ["write out", "evaluate", *told]
    assert group(2) == ["write out", "evaluate", "evaluate", "write out", *told]
    assert group(2) == ["evaluate", "evaluate", "write out", *told]
    assert group(1) == ["evaluate", "write out", *told]
    group(0)
    assert group(1) == ["write out", "evaluate", *told], "a read alone changes nothing"


def test_nothing_is_due_when_nothing_waits() -> None:
    """An append is due, a held part is due; while a sync runs nothing is."""
    engine = open_shop()
    assert not engine.group_commit.is_due()
    call(engine, "look")
    assert engine.group_commit.is_due()
    sync = engine.group_commit.begin()
    call(engine, "look")
    assert not engine.group_commit.is_due()
    sync.run()
    engine.group_commit.complete(sync)
    assert engine.group_commit.is_due()
    engine.group_commit.commit()
    engine.feed.hold(Listener(engine), "rests on nothing new")
    assert engine.group_commit.is_due()


def test_a_read_alone_needs_no_sync() -> None:
    """Where nothing was appended, what is held leaves without the disk."""
    engine = open_shop()
    listener = Listener(engine)
    before = memory_disk(engine).operations
    engine.feed.hold(listener, "a read")
    sync = engine.group_commit.begin()
    sync.run()
    engine.group_commit.complete(sync)
    assert (listener.heard, memory_disk(engine).operations, sync.seconds) == (["a read"], before, 0)


def test_a_read_while_a_sync_runs_waits_for_the_next() -> None:
    """It may rest on a call that the running sync does not cover."""
    engine = open_shop()
    listener = Listener(engine)
    call(engine, "look")
    sync = engine.group_commit.begin()
    offset = call(engine, "add", "ada").offset
    engine.feed.hold(listener, "a read that saw the task")
    sync.run()
    engine.group_commit.complete(sync)
    assert listener.heard == []
    engine.group_commit.commit()
    assert listener.durable == [offset]


def test_a_sync_may_run_on_another_thread() -> None:
    """Only its wait for the disk does: calls go on meanwhile, and telling stays on the writer's thread."""
    engine = open_shop()
    listener = Listener(engine)
    offset = call(engine, "add", "ada").offset
    engine.feed.hold(listener, "result")
    sync = engine.group_commit.begin()
    thread = Thread(target=sync.run)
    thread.start()
    call(engine, "add", "bob")
    thread.join()
    assert listener.heard == []
    engine.group_commit.complete(sync)
    assert (listener.heard, listener.durable) == (["result"], [offset])


def test_a_large_group_is_due_at_once_and_has_a_thread() -> None:
    """However quick the disk is; what follows is small again."""
    engine = open_shop()
    commit = engine.group_commit
    call(engine, "add", "ada")
    assert not commit.large
    call(engine, "add", "b" * LARGE_GROUP_SIZE)
    assert commit.large
    assert (commit.is_short(), commit.inline) == (False, True)
    sync = commit.begin()
    assert not commit.large
    sync.run()
    commit.complete(sync)
    call(engine, "add", "cleo")
    assert commit.is_short()


def test_a_large_call_of_a_caller_who_is_alone_has_a_thread() -> None:
    """It is not written at once, so that its sync is the group's as ever."""
    engine = open_shop()
    committed(engine, "add", "ada")
    committed(engine, "look")
    call(engine, "add", "b" * LARGE_GROUP_SIZE)
    assert (engine.group_commit.large, engine.group_commit.is_short()) == (True, False)


def test_there_is_one_sync_at_a_time() -> None:
    """To begin a second one is a bug."""
    engine = open_shop()
    call(engine, "look")
    engine.group_commit.begin()
    with pytest.raises(AssertionError, match="one sync at a time"):
        engine.group_commit.begin()


def test_a_sync_says_how_much_it_made_durable_and_how_long_it_took() -> None:
    """In transactions and seconds."""
    engine, disk = on_a_slow_disk()
    committed(engine, "look")
    disk.microseconds = 7_000
    for _ in range(3):
        call(engine, "look")
    sync = engine.group_commit.begin()
    sync.run()
    engine.group_commit.complete(sync)
    assert sync.records == 3
    assert sync.seconds == pytest.approx(0.007)


def test_a_slow_disk_gets_a_thread_and_a_fast_one_gets_it_back() -> None:
    """Above the named latency syncs leave the writer's thread; they return only well below it."""
    engine, disk = on_a_slow_disk()
    bound = OPTIONS.fsync_inline_max_ms
    commit = engine.group_commit

    def settle(milliseconds: float) -> bool:
        disk.microseconds = int(milliseconds * 1_000)
        for _ in range(round(5 / LATENCY_SMOOTHING)):
            committed(engine, "look")
        assert commit.latency_ms == pytest.approx(milliseconds, rel=0.1)
        return commit.inline

    assert commit.inline
    assert settle(0.9 * bound)
    assert not settle(1.5 * bound)
    assert not settle(0.9 * bound)
    assert settle(0.4 * bound)
    assert settle(0.9 * bound)


def test_one_slow_sync_changes_nothing() -> None:
    """The average decides, not a hiccup of the disk."""
    engine, disk = on_a_slow_disk()
    disk.microseconds = int(5 * OPTIONS.fsync_inline_max_ms * 1_000)
    committed(engine, "look")
    assert engine.group_commit.inline


def test_a_write_at_once_that_fails_is_an_error_of_the_commit() -> None:
    """The call itself ends as any, and nobody is told of it."""
    engine = open_shop()
    committed(engine, "add", "ada")
    committed(engine, "look")
    listener = Listener(engine)
    memory_disk(engine).fail_write()
    offset = call(engine, "add", "bob").offset
    engine.feed.hold(listener, "result")
    assert engine.group_commit.is_due()
    with pytest.raises(EngineStopped, match=f"failed to write at offset {offset}, durable up to {offset - 1}.*start"):
        engine.group_commit.commit()
    assert listener.heard == []
    with pytest.raises(EngineStopped):
        call(engine, "add", "eve")
    assert len(rows(reopen(engine), shop.Task)) == 1


def test_a_write_at_once_that_fails_ends_a_group_without_a_sync_too() -> None:
    """A read that was on its way alone is not told any more, however durable what it rests on is."""
    engine = open_shop()
    committed(engine, "add", "ada")
    committed(engine, "look")
    listener = Listener(engine)
    engine.feed.hold(listener, "a read")
    sync = engine.group_commit.begin()
    assert sync.ticket is None
    memory_disk(engine).fail_write()
    offset = call(engine, "add", "bob").offset
    sync.run()
    with pytest.raises(EngineStopped, match=f"failed to write at offset {offset}"):
        engine.group_commit.complete(sync)
    assert listener.heard == []


@pytest.mark.parametrize("failing", ["write", "sync", "rotate"])
def test_after_a_failure_the_engine_stops_for_good(failing: str) -> None:
    """The error names act and offsets, later commits say the same, and the next start recovers.

    Nobody is told, but where what fails comes behind a sync that did not.
    """
    engine = open_shop(log_options=LogOptions(segment_size_max=400))
    committed(engine, "add", "ada")
    durable = engine.log.durable_offset
    disk, listener = memory_disk(engine), Listener(engine)
    offset = call(engine, "add", "b" * (500 if failing == "rotate" else 1)).offset
    engine.feed.hold(listener, "result")
    if failing == "write":
        disk.fail_write()
    else:
        disk.fail_sync(after=0 if failing == "sync" else 1)
    with pytest.raises(EngineStopped, match=f"failed to {failing} at offset {offset}.*start again"):
        engine.group_commit.commit()
    assert bool(listener.heard) == (failing == "rotate")
    for _ in range(2):
        with pytest.raises(EngineStopped, match=f"failed to {failing}"):
            engine.group_commit.begin()
    with pytest.raises(EngineStopped):
        call(engine, "add", "eve")
    engine = reopen(engine)
    survivors = {"write": 1, "sync": 1, "rotate": 2}[failing]
    assert len(rows(engine, shop.Task)) == survivors
    assert engine.report.last_offset >= durable
