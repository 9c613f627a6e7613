"""The ledger made anew: wherever it was lost, the trail goes on as if it had not been; or it is said why it cannot."""

from collections.abc import Callable
from functools import partial

import pytest

from store.audit.objects import batches
from store.audit.objects.batches import compress, expand
from store.audit.objects.layout import What, batch_name, read_name
from store.audit.recording.rows import Rows, State
from store.audit.shipping.putting import Conflict
from store.audit.shipping.rebuilding import NotRebuildable, Rebuilt
from store.env.worm import NoSuchVersion
from tests.audit.keeping import Kept
from tests.audit.shipping_scene import OtherHands


def test_a_lost_ledger_is_made_anew() -> None:
    """Rows, context, where the trail goes on, and the fence: what comes after is as if nothing had been."""
    kept = Kept().run()
    rows, context, fence = list(kept.recorder.rows), kept.recorder.rows.context, kept.ledger.fence
    trail = kept.recorder.rows.trail
    found = kept.lose().rebuild()
    assert found == Rebuilt(len(rows), 0, *[rows[-1].size_after] * 3)
    [row] = kept.recorder.rows
    assert (row.state, row.batch, row.manifest_digest) == (State.ACKED, rows[-1].batch, rows[-1].manifest_digest)
    assert (row.version_id, row.retain_until) == (rows[-1].version_id, rows[-1].retain_until)
    assert kept.recorder.rows.context == context
    assert kept.recorder.rows.trail == trail
    assert kept.ledger.fence > fence
    assert kept.work(6).run().lines() == kept.expected()


def test_wherever_it_is_lost_the_trail_goes_on() -> None:
    """Before and after every act in the store and every commit: no gap, no second copy, the same events."""
    whole = Kept()
    before = whole.moments
    moments = whole.run().moments - before
    assert moments > 60
    adopted = 0
    for moment in range(1, moments + 1):
        kept = Kept()
        assert kept.crash_in(moment)
        adopted += kept.lose().rebuild().adopted
        assert kept.run().lines() == kept.expected()
    assert adopted > 4


@pytest.mark.parametrize("done", [0, 8])
def test_a_batch_without_a_manifest_keeps_its_bytes(monkeypatch: pytest.MonkeyPatch, done: int) -> None:
    """Also where the compressor has become another meanwhile, and were it the first: its manifest follows."""
    kept = Kept()
    if done:
        kept.run().work(done)
    count = len(kept.names(What.BATCH))
    while len(kept.names(What.BATCH)) == count:
        kept.recorder.step()
        kept.shipper.step()
    stored = {name: kept.store.get(name) for name in kept.names(What.BATCH)[count:]}
    monkeypatch.setattr(batches, "_LEVEL", -20)
    assert all(compress(expand(data)) != data for data in stored.values())
    assert kept.lose().rebuild().adopted == len(stored) > 0
    waiting = [kept.recorder.rows.frozen(row) for row in kept.recorder.rows.all_in(State.FROZEN)]
    assert {each.name: each.data for each in waiting} == stored
    assert kept.run().lines() == kept.expected()
    assert {name: kept.store.get(name) for name in stored} == stored


def test_wherever_it_is_lost_while_several_are_on_their_way_the_trail_goes_on() -> None:
    """Batches are stored in any order: one that is not, before others that are, is told again from the log."""
    missing = 0
    for moment in range(20, 220, 4):
        kept = Kept()
        kept.hands = partial(OtherHands, moment)
        kept.start().run().work(24).crash_in(moment)
        rebuilt = kept.lose().rebuild()
        missing += len(list(kept.recorder.rows.all_in(State.FROZEN))) - rebuilt.adopted
        assert kept.run().lines() == kept.expected()
    assert missing > 5


def test_a_log_that_lost_a_missing_batch_is_said() -> None:
    """What lies behind it cannot be gone on with: nobody knows what came before."""
    kept = Kept().run()
    last = read_name(kept.names(What.BATCH)[-1])
    assert last is not None
    kept.store.overwrite(batch_name(kept.log, last.number + 2, first=last.last + 100, last=last.last + 101), b"")
    kept.lose()
    with pytest.raises(NotRebuildable, match="lies behind 1 batches that are not stored"):
        kept.rebuild()


def test_an_empty_store_leaves_an_empty_ledger() -> None:
    """The trail begins."""
    kept = Kept()
    assert kept.rebuild() == Rebuilt(0, 0, 0, 0, 0)
    assert kept.run().lines() == kept.expected()


def test_what_others_put_beside_ours_is_passed_over() -> None:
    """Later versions, delete markers, manifests that nobody signed for us."""
    kept = Kept().run()
    for what in (What.MANIFEST, What.CHECKPOINT):
        name = kept.names(what)[0]
        kept.store.overwrite(name, b"{}")
        kept.store.mark_deleted(name)
    assert kept.lose().rebuild().batches == len(kept.names(What.MANIFEST))


def hidden(kept: Kept, what: What, place: int) -> str:
    """Take one object away; its name."""
    name = kept.names(what)[place]
    kept.store.tamper(name, kept.store.bucket.versions[name][0].version_id, None)
    return name


def changed(kept: Kept, what: What, place: int) -> str:
    """Change one bit of it."""
    name = kept.names(what)[place]
    data = bytearray(kept.store.get(name))
    data[len(data) // 2] ^= 1
    kept.store.tamper(name, kept.store.bucket.versions[name][0].version_id, bytes(data))
    return name


@pytest.mark.parametrize("act", [hidden, changed])
@pytest.mark.parametrize("what", [What.MANIFEST, What.BATCH])
def test_a_trail_that_was_tampered_with_is_not_gone_on_with(act: Callable[[Kept, What, int], str], what: What) -> None:
    """It is said where, and to verify it; nothing was written."""
    kept = Kept().run()
    act(kept, what, 1)
    kept.lose()
    with pytest.raises((NotRebuildable, NoSuchVersion), match=r"audit verify|there is no version"):
        kept.rebuild()
    assert Rows(kept.ledger, kept.log).newest is None


def test_a_batch_that_somebody_else_put_is_not_adopted() -> None:
    """The log does not give its events: it would be signed as ours otherwise."""
    kept = Kept().run().work(3)
    last = read_name(kept.names(What.BATCH)[-1])
    assert last is not None
    name = batch_name(kept.log, last.number + 1, first=last.last + 1, last=last.last + 2)
    kept.store.overwrite(name, compress(b'{"forged":1}\n{"forged":2}\n'))
    kept.lose()
    with pytest.raises(NotRebuildable, match="does not give the same events"):
        kept.rebuild()


def test_two_batches_of_one_number_are_a_conflict() -> None:
    """Two processes shipped one trail: somebody has to look."""
    kept = Kept().run()
    last = read_name(kept.names(What.BATCH)[-1])
    assert last is not None
    for count in (1, 2):
        name = (
            f"audit/v1/{kept.log}/batch/{last.number + 1:012d}-{last.last + 1:020d}-{last.last + count:020d}.jsonl.zst"
        )
        kept.store.overwrite(name, b"")
    kept.lose()
    with pytest.raises(Conflict, match="several batches"):
        kept.rebuild()
