"""A pulled directory is the backup's history, whole, or says that it is half made."""

import pytest

from store.backup.keys import OperatorKey
from store.backup.pull import pull
from store.backup.view import BackupDisk
from store.engine.directory import MARKER, RESTORING, inspect
from store.env.memory import MemoryDisk, PowerLoss
from store.env.memory_objects import MemoryObjects
from store.errors import CorruptionError, DirectoryError
from store.ids import Offset, Position
from store.upkeep.making import SPARE
from tests.backup.scenes import KEY, Shop, restored, sealed_through, state_at
from tests.engine.scenes import SMALL_SEGMENTS, reopen


@pytest.fixture(name="key", params=["plain", "encrypted"])
def _key(request: pytest.FixtureRequest) -> OperatorKey | None:
    """Without encryption and with."""
    return KEY if request.param == "encrypted" else None


@pytest.fixture(name="shop")
def _shop(key: OperatorKey | None) -> Shop:
    """A store with two snapshots and sealed segments, pushed."""
    shop = Shop(MemoryObjects(), key=key).work(12).seal().snapshot().work(9).seal().snapshot().work(5).seal()
    shop.push()
    return shop


def objects_of(shop: Shop) -> MemoryObjects:
    """Its backup, to be damaged."""
    assert isinstance(shop.objects, MemoryObjects)
    return shop.objects


def test_a_pulled_directory_is_the_history(shop: Shop) -> None:
    """Every file, checked; state and moments are those of the store."""
    into = MemoryDisk()
    done = pull(shop.objects, into, key=shop.key)
    assert done.last_offset == sealed_through(shop.disk)
    assert done.files == sum(len(into.names(folder)) for folder in ("log", "snapshot", "block"))
    assert state_at(into) == state_at(shop.disk, done.last_offset)
    found, _ = restored(into, Offset(7))
    assert state_at(found) == state_at(shop.disk, Offset(7))


def test_a_pulled_directory_opens_in_an_epoch_of_its_own(shop: Shop) -> None:
    """The store it was copied from may still run."""
    into = MemoryDisk()
    done = pull(shop.objects, into, key=shop.key)
    engine = reopen(shop.engine, into.crash_drop_all(), log_options=SMALL_SEGMENTS)
    assert engine.epoch != shop.engine.epoch
    assert engine.log.last_offset > done.last_offset


def test_an_interrupted_pull_goes_on(shop: Shop) -> None:
    """Cut off at any operation on the disk: nothing opens what is there, and pulling again completes it."""
    expected = MemoryDisk()
    pull(shop.objects, expected, key=shop.key)
    total = expected.operations
    for after in range(1, total, 7):
        into = MemoryDisk()
        into.cut_power(after=after)
        with pytest.raises(PowerLoss):
            pull(shop.objects, into, key=shop.key)
        into = into.crash_keep_all()
        if MARKER not in into.names() and into.names():
            with pytest.raises(DirectoryError, match="half made"):
                inspect(into)
        if MARKER not in into.names():
            pull(shop.objects, into, key=shop.key)
        assert RESTORING not in into.names()
        for folder in ("log", "snapshot", "block"):
            assert into.names(folder) == expected.names(folder)
            for name in into.names(folder):
                assert into.content(f"{folder}/{name}") == expected.content(f"{folder}/{name}")


def test_what_is_there_whole_is_not_fetched_again(shop: Shop) -> None:
    """Damaged files and those of another history are not left as they are."""
    into = MemoryDisk()
    objects = objects_of(shop)
    objects.fail("get", after=len(objects.content) - 3)
    with pytest.raises(OSError, match="as was asked for"):
        pull(shop.objects, into, key=shop.key)
    kept = {name: into.content(f"block/{name}") for name in into.names("block")}
    assert kept
    victim = f"block/{next(iter(kept))}"
    into.flip(victim, 9)
    into.replace("log/00000000000000099999.log", b"of another history")
    done = pull(shop.objects, into, key=shop.key)
    assert done.files_known >= len(kept) - 1
    assert "00000000000000099999.log" not in into.names("log")
    assert state_at(into) == state_at(shop.disk, sealed_through(shop.disk))


@pytest.mark.parametrize("file", ["log/00000000000000000001.log", MARKER, "mine.txt"])
def test_a_directory_that_holds_something_is_left_alone(shop: Shop, file: str) -> None:
    """Nothing is ever overwritten."""
    into = MemoryDisk()
    into.replace(file, b"mine")
    with pytest.raises(DirectoryError, match="expected an empty directory"):
        pull(shop.objects, into, key=shop.key)
    assert into.content(file) == b"mine"


def test_a_damaged_object_ends_a_pull(shop: Shop) -> None:
    """It is named, and the directory stays half made."""
    objects = objects_of(shop)
    name = max(each for each in objects.content if each.startswith("log/"))
    objects.content[name] = objects.content[name][:-1]
    into = MemoryDisk()
    with pytest.raises(CorruptionError, match=name):
        pull(shop.objects, into, key=shop.key)
    with pytest.raises(DirectoryError, match="half made"):
        inspect(into)


def test_a_pull_that_does_not_fit_is_refused_before_anything_is_written(shop: Shop) -> None:
    """With what it needs and what there is; what an interrupted one left there counts as there."""
    into = MemoryDisk(capacity=SPARE)
    with pytest.raises(DirectoryError, match=rf"expected room for \d+ bytes, found {SPARE} free"):
        pull(shop.objects, into, key=shop.key)
    assert into.names() == []


def test_a_full_disk_ends_a_pull_and_room_lets_it_go_on(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was copied is used."""
    into = MemoryDisk(capacity=2_000)
    monkeypatch.setattr(into, "free_bytes", lambda: 1 << 40)  # As when another fills it meanwhile.
    with pytest.raises(OSError, match="no space"):
        pull(shop.objects, into, key=shop.key)
    into.set_capacity(1 << 30)
    done = pull(shop.objects, into, key=shop.key)
    assert done.files_known > 0
    assert state_at(into) == state_at(shop.disk, sealed_through(shop.disk))


def test_an_epoch_may_be_chosen(shop: Shop) -> None:
    """Of the histories in the backup, that one is copied."""
    directory, _ = restored(BackupDisk(shop.objects, key=shop.key), Offset(10))
    fork = shop.reopen_restored(directory).work(5).seal()
    fork.push()
    into = MemoryDisk()
    done = pull(shop.objects, into, key=shop.key, epoch=shop.engine.epoch.hex())
    assert done.epoch == shop.engine.epoch.hex()
    assert state_at(into) == state_at(shop.disk, sealed_through(shop.disk))
    assert into.open(MARKER).read(Position(0), 1) == b"{"


def test_progress_rises_to_its_end(shop: Shop) -> None:
    """In files."""
    told: list[tuple[str, int, int]] = []
    pull(shop.objects, MemoryDisk(), key=shop.key, progress=lambda *each: told.append(each))
    assert [done for _, done, _ in told] == list(range(len(told)))
    assert told[-1][1] == told[-1][2]
