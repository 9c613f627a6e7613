"""The beginning of a trail that may go: whole, past its locks, and nothing that anybody still needs."""

from pathlib import Path

import pytest

from store.audit.objects.batches import expand
from store.audit.objects.layout import What, manifest_name, read_name
from store.audit.objects.manifest import read_manifest
from store.audit.shipping.pruning import Prefix, prunable, prune
from store.env.worm import Protected
from store.env.worm_folder import FolderWorm
from store.snapshot.options import SnapshotOptions
from store.transaction import Kind
from store.upkeep import retention
from store.upkeep.lineage import beginning, lineage
from tests.audit.test_keeping import Kept
from tests.engine.scenes import logged
from tests.engine.snapshots import proven, taken

DAY = 86_400_000_000
LONG = 40 * DAY
KEEP_NOTHING = SnapshotOptions(keep_for_s=0, grace_s=0, keep_daily=0)


class Old(Kept):
    """A trail in a folder, of a store whose log begins at a snapshot; with a second start behind its first batches."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = FolderWorm(folder, self.clock)
        self.folder.create(retention_days=30)
        self.store = self.folder  # type: ignore[assignment]  # As the keeper wants one.
        self.begin()
        self.live(60).run()
        start = next(each.args for each in logged(self.disk) if each.reducer == "start")
        self.engine.write_path.record(Kind.LIFECYCLE, "start", start)
        self.live(60).run()

    def let_log_go(self) -> "Old":
        """What the trail has shipped is in snapshots alone."""
        for _ in range(2):
            taken(self.disk)
            self.live(30)
        self.engine.housekeeping.seal()
        proven(self.engine)
        self.run()
        retention.prune(self.disk, now=self.clock.wall(), options=KEEP_NOTHING)
        assert beginning(self.disk).after > 0
        return self

    def found(self) -> Prefix:
        """What may go."""
        after = beginning(self.disk).after
        return prunable(self.folder, self.keeper.log, epochs=lineage(self.disk), after=after, now=self.clock.wall())

    def found_later(self) -> Prefix:
        """What may go when all locks are over."""
        self.clock.advance(LONG)
        return self.found()

    def starts(self) -> list[int]:
        """The batches that tell of a start."""
        manifests = [
            read_manifest(self.folder.get(each.key)) for each in self.folder.versions() if "/manifest/" in each.key
        ]
        return [each.batch for each in manifests if b'"operation":"start"' in expand(self.folder.get(each.key))]

    def numbers(self, what: What) -> list[int]:
        """Of the objects of one kind."""
        names = (read_name(each.key) for each in self.folder.versions("audit/v1/"))
        return [name.number for name in names if name is not None and name.what is what]


@pytest.fixture(name="old")
def _old(tmp_path: Path) -> Old:
    return Old(tmp_path / "bucket")


def test_what_is_over_goes_as_a_whole(old: Old) -> None:
    """Batches and manifests from the first on; keys and checkpoints stay, and the rest goes on from its frontier."""
    old.let_log_go().clock.advance(LONG)
    kinds = {what: old.numbers(what) for what in What}
    prefix = old.found()
    gone = [each.batch for each in prefix.manifests]
    assert gone == list(range(len(gone))) != []
    told: list[int] = []
    prune(old.folder, old.keeper.log, prefix, progress=told.append)
    assert told[-1] == len(gone)
    for what in (What.BATCH, What.MANIFEST):
        assert old.numbers(what) == kinds[what][len(gone) :]
    for what in (What.KEY, What.CHECKPOINT):
        assert old.numbers(what) == kinds[what]
    assert old.found().manifests == ()
    size = old.keeper.status()["events"]
    old.live(5).run()
    assert old.keeper.status()["checkpoint_events"] > size
    assert old.keeper.status()["problem"] == ""


def test_nothing_that_is_locked_goes(old: Old) -> None:
    """Nor anything behind it; and the folder itself lets nobody remove it."""
    old.let_log_go()
    prefix = old.found()
    assert (prefix.manifests, "is locked" in prefix.why) == ((), True)
    (first, *_) = (each.key for each in old.folder.versions("audit/v1/") if "/batch/" in each.key)
    with pytest.raises(Protected, match="locked"):
        old.folder.remove(first)
    assert old.folder.get(first)


def test_nothing_under_a_hold_goes(old: Old) -> None:
    """However long its lock is over: what is before it may, and what is behind it stays with it."""
    old.let_log_go().clock.advance(LONG)
    held = old.found().manifests[1].key
    (version,) = old.folder.versions_of(held)
    old.folder.hold(held, version.version_id, on=True)
    prefix = old.found()
    assert ([each.batch for each in prefix.manifests], "under a hold" in prefix.why) == ([0], True)
    with pytest.raises(Protected, match="hold"):
        old.folder.remove(held)


def test_nothing_goes_that_a_lost_ledger_would_need(old: Old) -> None:
    """While the log begins at its first record, nobody else knows the identities and tables that batches tell of."""
    old.clock.advance(LONG)
    prefix = old.found()
    assert (prefix.manifests, "the log itself still begins before" in prefix.why) == ((), True)


def test_the_newest_start_of_the_store_stays(old: Old) -> None:
    """It says which arguments are hidden: without it a ledger that is made anew would not know."""
    prefix = old.let_log_go().found_later()
    (later,) = (each for each in old.starts() if each > 0)
    assert later not in {each.batch for each in prefix.manifests}
    assert prefix.why == f"batch {later}: no start of the store is told behind it"


@pytest.mark.parametrize("removed", [[], ["manifest"], ["manifest", "batch"]])
@pytest.mark.parametrize("cut", ["manifest", "batch", "neither"])
def test_a_removal_that_was_cut_short_is_finished(old: Old, removed: list[str], cut: str) -> None:
    """Whatever it had come to: a manifest is removed before its batch, the bytes of each before its notes."""
    prefix = old.let_log_go().found_later()
    first = prefix.manifests[0]
    keys = {"manifest": manifest_name(first.log, first.batch), "batch": first.key}
    for each in removed:
        old.folder.remove(keys[each])
    if cut in keys and cut not in removed and (cut == "manifest" or removed):
        (Path(old.folder.url) / keys[cut]).unlink()
    prune(old.folder, old.keeper.log, old.found(), progress=lambda _: None)
    assert old.numbers(What.BATCH) == old.numbers(What.MANIFEST)
    assert old.numbers(What.BATCH)[0] == prefix.manifests[-1].batch + 1
    old.live(1).run()
