"""A push stores what is missing, once, whole, and nothing else; wherever it is killed, the next one goes on."""

from collections import Counter
from collections.abc import Callable

import pytest

from store.backup.bucket import open_bucket
from store.backup.checking import check
from store.backup.index import read_index
from store.backup.keys import OperatorKey
from store.backup.listing import listing
from store.backup.options import BackupOptions
from store.backup.view import BackupDisk
from store.env.memory import MemoryDisk
from store.env.memory_objects import MemoryObjects
from store.errors import DirectoryError
from store.ids import Offset
from store.snapshot.repository import Repository
from tests.backup.scenes import KEY, SECRET_WORD, Shop, pushed, restored, sealed_through, state_at
from tests.engine.scenes import SMALL_SEGMENTS, open_shop


class WatchedObjects(MemoryObjects):
    """Objects in memory, with something to be done before one of them is put."""

    def __init__(self) -> None:
        super().__init__()
        self.before_put: Callable[[str], None] = lambda _: None

    def put(self, name: str, data: bytes, *, if_absent: bool) -> bool:
        """Do it first."""
        self.before_put(name)
        return super().put(name, data, if_absent=if_absent)


@pytest.fixture(name="key", params=["plain", "encrypted"])
def _key(request: pytest.FixtureRequest) -> OperatorKey | None:
    """Without encryption and with."""
    return KEY if request.param == "encrypted" else None


@pytest.fixture(name="objects")
def _objects() -> WatchedObjects:
    """An empty object store."""
    return WatchedObjects()


@pytest.fixture(name="shop")
def _shop(objects: WatchedObjects, key: OperatorKey | None) -> Shop:
    """A store with two snapshots and sealed segments."""
    return Shop(objects, key=key).work(20).seal().snapshot().work(20).seal().snapshot().work(5).seal()


def stored(objects: MemoryObjects) -> set[str]:
    """Names of the objects that hold a store's files."""
    return {name for name in objects.content if name.startswith(("block/", "log/", "snapshot/"))}


def damage(disk: MemoryDisk, name: str) -> None:
    """Flip a bit in the middle of a file."""
    disk.flip(name, len(disk.content(name)) * 4)


def test_the_first_push_stores_everything(shop: Shop, objects: WatchedObjects, key: OperatorKey | None) -> None:
    """All sealed segments, verified snapshots and their blocks; the backup then is whole and reaches as far."""
    done = shop.push()
    assert done.objects_sent == len(stored(objects))
    assert done.bytes_sent == sum(len(objects.content[name]) for name in stored(objects))
    assert (done.snapshots, done.last_offset, done.objects_known) == (2, sealed_through(shop.disk), 0)
    assert (done.encrypted, done.refused) == (key is not None, {})
    assert done.index in objects.content
    assert check(objects, key=key) == []


def test_a_push_without_news_sends_nothing(shop: Shop, objects: WatchedObjects) -> None:
    """Not a byte, not a note; nothing is asked of single objects."""
    first = shop.push()
    before = dict(objects.content)
    objects.acts.clear()
    again = shop.push()
    assert (again.objects_sent, again.bytes_sent, again.index) == (0, 0, "")
    assert again.objects_known == first.objects_sent
    assert again.last_offset == first.last_offset
    assert objects.content == before
    assert not [act for act, _ in objects.acts if act in {"put", "head"}]


def test_a_later_push_sends_what_is_new(shop: Shop, objects: WatchedObjects) -> None:
    """Blocks that the new snapshot shares with an older one stay where they are."""
    shop.push()
    before = dict(objects.content)
    shop.work(3).seal().snapshot()
    done = shop.push()
    new = stored(objects) - before.keys()
    assert done.objects_sent == len(new)
    assert {name.partition("/")[0] for name in new} == {"block", "log", "snapshot"}
    assert all(objects.content[name] == data for name, data in before.items())
    assert done.last_offset == sealed_through(shop.disk)


@pytest.mark.parametrize("moment", ["put", "put answer", "head"])
def test_a_push_may_be_killed_at_any_object(key: OperatorKey | None, moment: str) -> None:
    """Before it is stored, after it, or before it is proved: the next push ends with the same backup.

    Nothing whole is stored twice.
    """
    whole = Shop(MemoryObjects(), key=key).work(8).seal().snapshot().work(3).seal()
    whole.push()
    expected = stored(whole.objects)  # type: ignore[arg-type]  # It is in memory.
    for after in range(100):
        objects = MemoryObjects()
        objects.fail(moment, after=after)
        try:
            pushed(whole.disk, objects, key=key)
        except OSError:
            pass
        else:
            break
        done = pushed(whole.disk, objects, key=key)
        puts = Counter(name for act, name in objects.acts if act == "put answer" and name in expected)
        assert stored(objects) == expected
        assert set(puts.values()) == {1}
        assert done.last_offset == sealed_through(whole.disk)
        assert check(objects, key=key) == []
    assert after > len(expected)


def test_an_interrupted_push_notes_what_it_did(objects: WatchedObjects) -> None:
    """Now and then, so that the next one need not ask for each object."""
    shop = Shop(objects).work(20).seal().snapshot()
    total = len(shop.disk.names("block"))
    objects.fail("put", after=1 + total + total // 2)  # The marker, notes and objects.
    with pytest.raises(OSError, match="as was asked for"):
        shop.push(options=BackupOptions(index_every=2))
    noted = read_index(open_bucket(objects, None))
    assert len(noted.entries) >= total // 2
    assert len(noted.unindexed(["block", "segment", "snapshot"])) <= 2


def test_a_lease_holds_what_is_still_to_be_sent(shop: Shop, objects: WatchedObjects) -> None:
    """Everything at first, less as it goes; none is left when it ends, however it ends."""
    held: list[set[int]] = []

    def look(_: str) -> None:
        pins = Repository(shop.disk).pins().values()
        assert {(pin.kind, pin.until is not None) for pin in pins} == {("lease", True)}
        held.append({pin.offset for pin in pins})

    objects.before_put = look
    shop.push()
    snapshots = {each.offset for each in Repository(shop.disk).whole()[0]}
    assert any(each >= snapshots for each in held[1:4])
    assert 0 in held[0]
    assert len(held[-2]) == 1
    assert min(held[-2]) > max(snapshots) - 1
    assert Repository(shop.disk).pins() == {}
    shop.work(3).seal()
    objects.fail("put")
    with pytest.raises(OSError, match="as was asked for"):
        shop.push()
    assert Repository(shop.disk).pins() == {}


def test_what_the_lease_holds_is_enough(objects: WatchedObjects) -> None:
    """Whoever lets go of all that no lease needs, at every moment, takes nothing from the push."""
    shop = Shop(objects).work(20).seal().snapshot().work(20).seal().snapshot().work(5).seal()
    expected = shop.push()
    fresh = WatchedObjects()

    def let_go(_: str) -> None:
        pinned = min(pin.offset for pin in Repository(shop.disk).pins().values())
        for each in sorted(shop.disk.names("log"))[:-1]:
            following = min(int(name[:20]) for name in shop.disk.names("log") if name > each)
            if following - 1 <= pinned:
                shop.disk.remove(f"log/{each}")

    fresh.before_put = let_go
    done = pushed(shop.disk, fresh)
    assert done.refused == {}
    assert done.objects_sent == expected.objects_sent


def test_another_tenants_backup_is_refused(shop: Shop, objects: WatchedObjects, key: OperatorKey | None) -> None:
    """Before anything is stored there."""
    shop.push()
    before = dict(objects.content)
    other = Shop(objects, key=key, engine=open_shop(seed=99, log_options=SMALL_SEGMENTS)).work(5).seal().snapshot()
    with pytest.raises(DirectoryError, match=r"another store.*a place of its own"):
        other.push()
    assert objects.content == before


def test_a_restored_store_pushes_into_the_same_backup(
    shop: Shop, objects: WatchedObjects, key: OperatorKey | None
) -> None:
    """Both histories are there, what they share once, and each can be restored."""
    shop.push()
    directory, _ = restored(BackupDisk(objects, key=key), Offset(30))
    fork = shop.reopen_restored(directory).work(12).seal().snapshot()
    before = len(stored(objects))
    done = fork.push()
    assert done.objects_sent == len(stored(objects)) - before
    assert done.objects_known > 0
    shop.work(10).seal().snapshot().push()
    assert check(objects, key=key) == []
    epochs = {branch.epoch for branch in listing(objects, key=key).branches}
    assert len(epochs) == 2
    for each in (shop, fork):
        epoch = each.engine.epoch.hex()
        found, _ = restored(BackupDisk(objects, key=key, epoch=epoch))
        assert state_at(found) == state_at(each.disk, sealed_through(each.disk))


def test_pushes_at_once_do_no_harm(shop: Shop, objects: WatchedObjects, key: OperatorKey | None) -> None:
    """One in the middle of another, at every object: both end well, and the backup is whole."""
    other = WatchedObjects()
    moments = shop.push().objects_sent
    for moment in range(0, moments, 5):
        fresh = WatchedObjects()
        left = [moment]

        def meanwhile(_: str, fresh: WatchedObjects = fresh, left: list[int] = left) -> None:
            left[0] -= 1
            if left[0] == -1:
                pushed(shop.disk, fresh, key=key)

        fresh.before_put = meanwhile
        pushed(shop.disk, fresh, key=key)
        assert check(fresh, key=key) == []
        assert len(stored(fresh)) == moments
    assert not other.content


def test_a_taken_name_is_never_overwritten(shop: Shop, objects: WatchedObjects) -> None:
    """It says which and what to do; the push goes no further."""
    shop.push()
    name = max(each for each in objects.content if each.startswith("log/"))
    del objects.content[min(each for each in objects.content if each.startswith("push/"))]
    objects.content[name] = b"something else"
    with pytest.raises(FileExistsError, match="nothing is ever overwritten"):
        shop.push()
    assert objects.content[name] == b"something else"


def test_what_is_gone_from_the_backup_is_sent_again(
    shop: Shop, objects: WatchedObjects, key: OperatorKey | None
) -> None:
    """If the store still has it."""
    shop.push()
    for prefix in ("block/", "log/", "snapshot/"):
        del objects.content[min(each for each in objects.content if each.startswith(prefix))]
    assert len(check(objects, key=key)) >= 3
    shop.push()
    missing = check(objects, key=key)
    assert [each.name.partition("/")[0] for each in missing] in (["block"], [])


def test_a_backup_without_notes_is_known_again(shop: Shop, objects: WatchedObjects, key: OperatorKey | None) -> None:
    """Nothing is sent; what is there is noted anew."""
    shop.push()
    for name in [each for each in objects.content if each.startswith("push/")]:
        del objects.content[name]
    before = stored(objects)
    done = shop.push()
    assert (done.objects_sent, stored(objects)) == (0, before)
    assert done.objects_known == len(before)
    assert read_index(open_bucket(objects, key)).unindexed(["block", "segment", "snapshot"]) == []


def test_damage_stays_here(shop: Shop, objects: WatchedObjects, key: OperatorKey | None) -> None:
    """A damaged segment or snapshot is told and not sent; all else is."""
    oldest, newest = Repository(shop.disk).names()
    blocks = set(shop.disk.names("block"))
    segment = f"log/{sorted(shop.disk.names('log'))[1]}"
    manifest = Repository(shop.disk).manifest(newest)
    old = {each.file for table in Repository(shop.disk).manifest(oldest).tables for each in table.blocks}
    own = next(each.file for table in manifest.tables for each in table.blocks if each.file not in old)
    damage(shop.disk, f"block/{own}.blk")
    damage(shop.disk, segment)
    done = shop.push()
    assert set(done.refused) == {f"snapshot/{newest}.json", segment}
    assert (done.snapshots, done.segments) == (1, len(shop.disk.names("log")) - 2)
    assert blocks
    assert check(objects, key=key) == []


def test_a_damaged_manifest_stays_here(shop: Shop) -> None:
    """It is told by its name."""
    newest = Repository(shop.disk).names()[-1]
    damage(shop.disk, f"snapshot/{newest}.json")
    done = shop.push()
    assert list(done.refused) == [f"snapshot/{newest}"]
    assert done.snapshots == 1


def test_a_file_that_vanishes_is_told(objects: WatchedObjects) -> None:
    """The rest is pushed."""
    shop = Shop(objects).work(20).seal().snapshot().work(10).seal()
    victim = f"log/{sorted(shop.disk.names('log'))[1]}"

    def vanish(_: str) -> None:
        if victim.partition("/")[2] in shop.disk.names("log"):
            shop.disk.remove(victim)

    objects.before_put = vanish
    done = shop.push()
    assert list(done.refused) == [victim]
    assert done.segments == len(shop.disk.names("log")) - 1


def test_unverified_snapshots_stay_here(objects: WatchedObjects) -> None:
    """Until somebody has looked."""
    shop = Shop(objects).work(20).seal().snapshot()
    (name,) = Repository(shop.disk).names()
    shop.disk.remove(f"snapshot/{name}.verified")
    done = shop.push()
    assert (done.snapshots, list(done.refused)) == (0, [f"snapshot/{name}"])
    assert "verif" in done.refused[f"snapshot/{name}"]


def test_nothing_to_push_is_told(objects: WatchedObjects) -> None:
    """With what to do; no backup is begun."""
    with pytest.raises(DirectoryError, match="nothing to push yet"):
        Shop(objects).work(2).push()
    assert objects.content == {}


def test_a_log_that_was_let_go_is_no_hindrance(objects: WatchedObjects) -> None:
    """What was pushed before stays in the backup; what was never pushed is a gap."""
    shop = Shop(objects).work(20).seal().snapshot().forget().work(10).seal()
    done = shop.push()
    assert done.refused == {}
    (branch,) = listing(objects).branches
    ((first, last),) = [(each.first, each.last) for each in branch.stretches()]
    assert (first, last) == (Repository(shop.disk).whole()[0][0].offset, sealed_through(shop.disk))
    shop.work(10).seal().snapshot().forget().forget_snapshots().push()
    (branch,) = listing(objects).branches
    assert branch.stretches()[0].first == first
    assert len(branch.snapshots) == 2


def test_many_notes_become_one(objects: WatchedObjects, key: OperatorKey | None) -> None:
    """So that readers read few."""
    shop = Shop(objects, key=key).work(5).seal().snapshot()
    for _ in range(8):
        shop.work(5).seal().push(options=BackupOptions(index_merge=3))
    index = read_index(open_bucket(objects, key))
    assert index.uncovered <= 4
    assert len(index.pushes) > 8
    assert index.unindexed(["block", "segment", "snapshot"]) == []


def test_nothing_readable_is_stored_under_a_key(objects: WatchedObjects) -> None:
    """No row, no key of one, no name of a table, no hash of a block, not the operator's key."""
    shop = Shop(objects, key=KEY).work(40).seal().snapshot()
    plain = MemoryObjects()
    pushed(shop.disk, plain)
    shop.push()
    digests = [name.removesuffix(".blk").encode() for name in shop.disk.names("block")]
    words = [
        SECRET_WORD.encode(),
        b"Task",
        b"task",
        b"owner",
        b"segment",
        b"rows",
        KEY.secret,
        KEY.text.encode(),
        *digests,
    ]
    everything = b"\n".join(name.encode() + b"\n" + data for name, data in objects.content.items())
    assert [word for word in words if word in everything] == []
    assert any(b"ask" in data for data in plain.content.values())


def test_progress_rises_to_its_end(shop: Shop) -> None:
    """In bytes of files, phase by phase."""
    told: list[tuple[str, int, int]] = []
    shop.push(progress=lambda *each: told.append(each))
    assert [phase for phase, _, _ in told] == sorted((phase for phase, _, _ in told), reverse=True)
    assert [done for _, done, _ in told] == sorted(done for _, done, _ in told)
    assert told[-1][1] == told[-1][2] > 0
    assert {total for _, _, total in told} == {told[-1][2]}


def test_the_directory_is_as_before(shop: Shop) -> None:
    """A push reads, and leaves nothing."""

    def everything() -> dict[str, bytes]:
        folders = ("", "log", "snapshot", "block", "pin")
        names = [f"{folder}/{name}".lstrip("/") for folder in folders for name in shop.disk.names(folder)]
        return {name: shop.disk.content(name) for name in names}

    before = everything()
    shop.push()
    assert everything() == before
