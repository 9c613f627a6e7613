"""A backup seen as a directory: everything that reads one works on it, and nothing in it is believed unchecked."""

import errno
from collections.abc import Callable, Iterator

import pytest

from store.backup.bucket import open_bucket
from store.backup.checking import check
from store.backup.keys import OperatorKey
from store.backup.view import AHEAD, BackupDisk
from store.env.memory_objects import MemoryObjects
from store.errors import CorruptionError, DirectoryError, NotRestorable, StoreError
from store.ids import Offset, Position
from store.log.reader import LogReader
from store.log.survey import chain_at, holds, proven_end, segments
from store.snapshot.repository import Repository
from store.upkeep.ranges import restorable
from tests.backup.scenes import KEY, Shop, content, restored, sealed_through, state_at, view


@pytest.fixture(name="key", params=["plain", "encrypted"])
def _key(request: pytest.FixtureRequest) -> OperatorKey | None:
    """Without encryption and with."""
    return KEY if request.param == "encrypted" else None


@pytest.fixture(name="objects")
def _objects() -> MemoryObjects:
    """An empty object store."""
    return MemoryObjects()


@pytest.fixture(name="shop")
def _shop(objects: MemoryObjects, key: OperatorKey | None) -> Shop:
    """A store with two snapshots and sealed segments, pushed."""
    shop = Shop(objects, key=key).work(20).seal().snapshot().work(20).seal().snapshot().work(5).seal()
    shop.push()
    return shop


def files(names: Iterator[str], folder: str) -> list[str]:
    """With their folder."""
    return [f"{folder}/{name}" for name in names]


def test_every_file_is_as_it_was(shop: Shop) -> None:
    """Segments, manifests and blocks, by name, size and content."""
    seen = view(shop)
    for folder in ("log", "snapshot", "block"):
        names = [name for name in shop.disk.names(folder) if not name.endswith(".verified")]
        assert seen.names(folder) == names
        for name in names[: -1 if folder == "log" else None]:
            assert content(seen, f"{folder}/{name}") == shop.disk.content(f"{folder}/{name}")
    assert seen.names() == []
    assert seen.names("pin") == []


def test_the_last_segment_is_proven_durable(shop: Shop) -> None:
    """By an empty one behind it, which the backup does not hold."""
    seen = view(shop)
    end, chain = proven_end(seen)
    assert end == sealed_through(shop.disk)
    assert chain == proven_end(shop.disk)[1]
    assert [each.last_offset for each in LogReader(seen, check_all=True)][-1] == end


def test_the_survey_is_the_directorys(shop: Shop) -> None:
    """And costs nothing but notes."""
    seen = view(shop)
    found, expected = segments(seen), segments(shop.disk)
    for one, other in zip(found[:-1], expected[:-1], strict=True):
        fields = (
            "name",
            "first_offset",
            "last_offset",
            "epoch",
            "created",
            "chain_before",
            "chain_after",
            "size",
            "sealed",
        )
        assert [getattr(one, each) for each in fields] == [getattr(other, each) for each in fields]
        assert one.first_timestamp is not None
        assert one.last_timestamp is not None
    assert not found[-1].sealed
    assert seen.fetched == 0


def test_every_moment_is_restored(shop: Shop) -> None:
    """Every offset, from whichever snapshot leads there, is what it was."""
    for offset in range(1, sealed_through(shop.disk) + 1, 3):
        found, done = restored(view(shop), Offset(offset))
        assert done.offset == offset
        assert state_at(found) == state_at(shop.disk, Offset(offset))


def test_the_ranges_are_the_directorys(shop: Shop) -> None:
    """As far as it is sealed."""
    (found,), (expected,) = restorable(view(shop)), restorable(shop.disk)
    assert (found.first, found.bases, found.epoch) == (expected.first, expected.bases, expected.epoch)
    assert found.last == sealed_through(shop.disk)
    assert found.first_time == expected.first_time


def test_snapshots_hold(shop: Shop) -> None:
    """Block by block, and fit the log."""
    seen = view(shop)
    repository = Repository(seen)
    manifests, refused = repository.whole()
    assert (len(manifests), refused) == (2, [])
    for each in manifests:
        repository.check(each, deep=True)
        assert holds(seen, each.offset, each.chain)
        assert chain_at(seen, each.offset) == chain_at(shop.disk, each.offset)


def test_only_what_is_read_is_fetched(shop: Shop, objects: MemoryObjects) -> None:
    """Opening fetches notes; a restore the snapshot and the log behind it, each object once."""
    objects.acts.clear()
    seen = view(shop)
    assert {name.partition("/")[0] for act, name in objects.acts if act == "get"} <= {"backup.json", "push", "keys"}
    seen.open(f"log/{seen.names('log')[0]}").size()
    objects.acts.clear()
    restored(seen)
    got = [name for act, name in objects.acts if act == "get"]
    assert len(got) == len(set(got))
    assert sum(name.startswith("log/") for name in got) < len(seen.branch.segments)


def test_blocks_are_asked_for_a_few_at_once(
    shop: Shop, objects: MemoryObjects, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever reads one block of a snapshot reads the next ones, too; one that is damaged harms no other."""
    batches: list[list[str]] = []

    def watching(act: Callable[[str], object], items: list[str]) -> Iterator[object]:
        batches.append(items)
        return map(act, items)

    monkeypatch.setattr(objects, "each", watching)
    seen = view(shop)
    manifest = Repository(seen).whole()[0][0]
    blocks = [f"block/{each.file}.blk" for table in manifest.tables for each in table.blocks]
    content(seen, blocks[0])
    ((first, *others),) = batches
    assert [first, *others][: len(blocks)] == blocks[:AHEAD]
    third = seen.bucket.block_object(blocks[2][6:70])
    del objects.content[third]
    for each in blocks[1:AHEAD]:
        content(seen, each)
    fresh = view(shop)
    Repository(fresh).manifest(fresh.names("snapshot")[-1].removesuffix(".json"))
    assert content(fresh, blocks[0]) == content(seen, blocks[0])
    assert content(fresh, blocks[3]) == content(seen, blocks[3])
    with pytest.raises(FileNotFoundError):
        content(fresh, blocks[2])


def test_the_cache_is_bounded(shop: Shop) -> None:
    """Files larger than it are read one at a time."""
    seen = view(shop, cache_size=1)
    for name in seen.names("log"):
        content(seen, f"log/{name}")
        assert len(seen._cache) <= 1
    found, _ = restored(seen)
    assert state_at(found) == state_at(shop.disk, sealed_through(shop.disk))


def test_nothing_is_changed_through_it(shop: Shop) -> None:
    """Every such act is refused as on a disk that is mounted for reading."""
    seen = view(shop)
    file = seen.open(f"log/{seen.names('log')[0]}")
    acts: list[Callable[[], object]] = [
        lambda: seen.create("a"),
        lambda: seen.remove("log/a"),
        lambda: seen.rename("log/a", "log/b"),
        lambda: seen.sync_directory("log"),
        lambda: file.write(Position(0), b"x"),
        lambda: file.truncate(0),
        file.sync,
    ]
    for act in acts:
        with pytest.raises(OSError, match="only ever read") as raised:
            act()
        assert raised.value.errno == errno.EROFS
    assert seen.free_bytes() == 0
    seen.lock("snapshot")
    seen.unlock("snapshot")


def test_what_is_not_there_is_file_not_found(shop: Shop) -> None:
    """As on any disk; a closed file does nothing more."""
    seen = view(shop)
    for name in ("a", "log/00000000000000099999.log", f"block/{'0' * 64}.blk", "snapshot/x", "block/../backup.json"):
        with pytest.raises(FileNotFoundError):
            seen.open(name)
    with pytest.raises(FileNotFoundError):
        seen.place("a")
    assert seen.place(f"log/{seen.names('log')[0]}") == (0, 0)
    file = seen.open(f"log/{seen.names('log')[0]}")
    file.close()
    with pytest.raises(OSError, match="closed"):
        file.size()


def test_a_backup_without_notes_reads_the_same(shop: Shop, objects: MemoryObjects) -> None:
    """All is found by reading the objects."""
    expected = view(shop)
    for name in [each for each in objects.content if each.startswith("push/")]:
        del objects.content[name]
    seen = view(shop)
    assert seen.branch == expected.branch
    assert segments(seen) == segments(expected)
    found, _ = restored(seen)
    assert state_at(found) == state_at(shop.disk, sealed_through(shop.disk))


def test_a_log_that_was_let_go_is_restored_from_its_snapshot(objects: MemoryObjects, key: OperatorKey | None) -> None:
    """And what is before it is said not to be restorable."""
    shop = Shop(objects, key=key).work(20).seal().snapshot().forget().work(10).seal()
    shop.push()
    first = Repository(shop.disk).whole()[0][0].offset
    for offset in (first, first + 3, sealed_through(shop.disk)):
        found, _ = restored(view(shop), Offset(offset))
        assert state_at(found) == state_at(shop.disk, Offset(offset))
    with pytest.raises(NotRestorable):
        restored(view(shop), Offset(first - 1))


def test_a_snapshot_alone_is_restored(objects: MemoryObjects, key: OperatorKey | None) -> None:
    """Without any segment beside it."""
    shop = Shop(objects, key=key).work(20).seal().snapshot()
    shop.push()
    for name in [each for each in objects.content if each.startswith(("log/", "push/"))]:
        del objects.content[name]
    found, done = restored(view(shop))
    assert done.offset == Repository(shop.disk).whole()[0][0].offset
    assert state_at(found) == state_at(shop.disk, done.offset)


def test_two_histories_with_snapshots_at_one_offset_are_kept_apart(
    objects: MemoryObjects, key: OperatorKey | None
) -> None:
    """Each view shows its own."""
    shop = Shop(objects, key=key).work(20).seal().snapshot().work(4).seal()
    shop.push()
    directory, _ = restored(view(shop), Offset(15))
    fork = shop.reopen_restored(directory)
    fork.work(sealed_through(shop.disk) + 6 - fork.last).seal().snapshot()
    shop.work(fork.last - shop.last).seal().snapshot()
    fork.push()
    shop.push()
    assert Repository(fork.disk).names()[-1] == Repository(shop.disk).names()[-1]
    for each in (shop, fork):
        seen = view(each, epoch=each.engine.epoch.hex())
        assert Repository(seen).whole()[0][0] == Repository(each.disk).whole()[0][0]
        found, _ = restored(seen)
        assert state_at(found) == state_at(each.disk, sealed_through(each.disk))


Damage = Callable[[MemoryObjects, str, str], None]


def _lose(objects: MemoryObjects, name: str, _other: str) -> None:
    del objects.content[name]


def _cut(objects: MemoryObjects, name: str, _other: str) -> None:
    objects.content[name] = objects.content[name][: len(objects.content[name]) // 2]


def _flip(objects: MemoryObjects, name: str, _other: str) -> None:
    data = bytearray(objects.content[name])
    data[len(data) // 2] ^= 4
    objects.content[name] = bytes(data)


def _empty(objects: MemoryObjects, name: str, _other: str) -> None:
    objects.content[name] = b""


def _swap(objects: MemoryObjects, name: str, other: str) -> None:
    objects.content[name], objects.content[other] = objects.content[other], objects.content[name]


def _overgrow(objects: MemoryObjects, name: str, _other: str) -> None:
    objects.content[name] += b"x"


@pytest.mark.parametrize("damage", [_lose, _cut, _flip, _empty, _swap, _overgrow])
@pytest.mark.parametrize("noted", [True, False], ids=["noted", "unnoted"])
def test_whatever_is_damaged_is_named_and_never_believed(
    shop: Shop,
    objects: MemoryObjects,
    key: OperatorKey | None,
    damage: Damage,
    noted: bool,  # noqa: FBT001  # A column.
) -> None:
    """Each object in turn: a restore gives what was, or less of it, or an error; the check names the object."""
    if not noted:
        for name in [each for each in objects.content if each.startswith("push/")]:
            del objects.content[name]
    before = dict(objects.content)
    names = sorted(name for name in before if name.startswith(("block/", "log/", "snapshot/")))
    states = {}
    for place, name in enumerate(names):
        same = [each for each in names if each.partition("/")[0] == name.partition("/")[0] and each != name]
        damage(objects, name, same[place % len(same)])
        if noted or damage is not _lose:
            assert name in {each.name for each in check(objects, key=key)}
        try:
            found, done = restored(BackupDisk(objects, key=key))
        except (StoreError, FileNotFoundError) as error:
            assert str(error)  # noqa: PT017  # Any of several kinds, each with its words.
        else:
            if done.offset not in states:
                states[done.offset] = state_at(shop.disk, done.offset)
            assert state_at(found) == states[done.offset]
        objects.content = dict(before)


def test_an_object_of_another_tenant_is_refused(shop: Shop, objects: MemoryObjects) -> None:
    """A manifest that was copied here names another store."""
    if shop.key is not None:
        return
    other = MemoryObjects()
    stranger = Shop(other).work(3)
    stranger.engine.close()
    name = next(each for each in objects.content if each.startswith("snapshot/"))
    bucket = open_bucket(objects, None)
    text = objects.content[name].replace(bucket.marker.store.encode(), b"f" * 32)
    objects.content[name] = text
    for each in [each for each in objects.content if each.startswith("push/")]:
        del objects.content[each]
    assert name in view(shop).contents.refused


def test_a_lying_note_is_found_out(shop: Shop, objects: MemoryObjects) -> None:
    """What it says of an object is held against the object."""
    import msgspec  # noqa: PLC0415  # As above.

    from store.backup import index as notes  # noqa: PLC0415  # Only here are notes made up.
    from store.backup.facts import SegmentFacts  # noqa: PLC0415  # As above.

    bucket = open_bucket(objects, shop.key)
    name = next(each for each in bucket.objects.names("push/"))
    head, entries = notes.decode(bucket.get(name), name=name)
    for change in ({"chain_before": "11" * 32}, {"epoch": "22" * 16}):
        lies = [
            msgspec.structs.replace(each, segment=msgspec.structs.replace(each.segment, **change))
            if isinstance(each.segment, SegmentFacts) and each.segment.first == 1
            else each
            for each in entries
        ]
        del objects.content[name]
        bucket.put(name, notes.encode(head, lies))
        seen = view(shop)
        with pytest.raises((CorruptionError, NotRestorable, FileNotFoundError)):
            content(seen, "log/00000000000000000001.log")


def test_an_encrypted_backup_needs_its_key(objects: MemoryObjects) -> None:
    """None, or another one, is told."""
    shop = Shop(objects, key=KEY).work(5).seal().snapshot()
    shop.push()
    for wrong in (None, OperatorKey(bytes(32))):
        with pytest.raises(DirectoryError, match="key"):
            BackupDisk(objects, key=wrong)


def test_no_backup_is_told() -> None:
    """Nothing is there to be seen."""
    with pytest.raises(NotRestorable, match="no backup"):
        BackupDisk(MemoryObjects())
