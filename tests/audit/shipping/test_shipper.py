"""Rows on their way: in order, each once, whatever goes wrong, and wherever the process ends."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from store.audit.objects.layout import What
from store.audit.recording.rows import State
from store.audit.shipping.putting import SKEW_MAX_S
from store.audit.shipping.shipper import CHECK_INTERVAL_S, CHECKPOINT_ROWS_MAX, GRACE_S, PAUSE_MAX_S
from store.env.worm import SECOND, BucketFacts, Garbled, Misconfigured, NotAllowed, Protected, Unreachable
from store.env.worm_memory import MemoryBucket, MemoryWorm
from tests.audit.shipping_scene import Crash, Scene


def test_a_batch_goes_its_way_one_step_at_a_time() -> None:
    """Object, manifest, checkpoint signed, stored, done; each step is one commit in the ledger."""
    scene = Scene().freeze()
    scene.step()
    seen = [scene.states()[0]]
    before = scene.ledger.commits
    while scene.states() != [State.ACKED]:
        scene.step()
        seen.append(scene.states()[0])
    assert seen == [State.STORED, State.MANIFESTED, State.MANIFESTED, State.CHECKPOINTED, State.ACKED]
    assert scene.ledger.commits - before == len(seen) - 1
    scene.check()


def test_nothing_waits_where_there_is_nothing() -> None:
    """The next step is a while away, and asks the store for nothing."""
    scene = Scene()
    scene.step()
    scene.store.acts.clear()
    assert scene.step() > 1
    assert scene.store.acts == []


def test_many_batches_share_a_checkpoint() -> None:
    """While others wait, up to a bound; a single one has its own."""
    scene = Scene().freeze(CHECKPOINT_ROWS_MAX + 5).ship().check()
    assert scene.notary.endorsed == [3 * CHECKPOINT_ROWS_MAX, 3 * (CHECKPOINT_ROWS_MAX + 5)]
    scene.freeze().ship().check()
    assert len(scene.keys(What.CHECKPOINT)) == 3


def test_a_checkpoint_comes_though_batches_never_cease() -> None:
    """After a while what is there is signed, however much waits behind it."""
    scene = Scene().freeze(CHECKPOINT_ROWS_MAX - 1)
    while not scene.notary.endorsed:
        scene.freeze().step()
        scene.step()
        scene.clock.advance(SECOND // 4)
    assert scene.notary.endorsed[0] < 3 * CHECKPOINT_ROWS_MAX // 2
    scene.ship().check()


def test_what_is_done_leaves_the_ledger_after_a_grace() -> None:
    """Not before, and never the newest row, which the next one goes on from."""
    scene = Scene().freeze(5).ship()
    full = scene.ledger.size()
    scene.step()
    assert len(list(scene.rows)) == 5
    scene.clock.advance((GRACE_S + 1) * SECOND)
    scene.step()
    assert [row.batch for row in scene.rows] == [4]
    assert scene.ledger.size() < full / 2
    scene.crash()
    scene.freeze(2).ship().check()


def test_a_crowded_ledger_knows_no_grace() -> None:
    """What is done goes at once where more than half is in use."""
    scene = Scene(size_max=3_000).freeze(4)
    assert scene.rows.crowded
    scene.ship()
    scene.clock.advance(SECOND)
    scene.step()
    assert [row.batch for row in scene.rows] == [3]


@settings(max_examples=60, deadline=None)
@given(
    crashes=st.lists(st.integers(1, 60), max_size=12),
    conditional=st.booleans(),
    says_hash=st.booleans(),
    batches=st.lists(st.integers(1, 3), min_size=1, max_size=4),
)
def test_no_crash_makes_a_gap_or_a_second_copy(
    crashes: list[int],
    conditional: bool,  # noqa: FBT001  # Drawn.
    says_hash: bool,  # noqa: FBT001  # Drawn.
    batches: list[int],
) -> None:
    """Before or after any act in the store and any commit in the ledger, as often as may be."""
    scene = Scene(conditional=conditional, says_hash=says_hash)
    for count in batches:
        scene.freeze(count)
        while scene.rows.waiting is not None:
            scene.crash_at = scene.moments + crashes.pop() if crashes else None
            try:
                scene.ship()
            except Crash:
                scene.crash()
    scene.check()
    scene.crash_at = None
    scene.crash()
    scene.ship().check()


def test_every_single_crash_is_survived() -> None:
    """One run for each moment there is, each crashing there once."""
    whole = Scene().freeze(2).ship().moments
    assert whole > 40
    for moment in range(1, whole + 1):
        scene = Scene()
        scene.crash_at = scene.moments + moment
        try:
            scene.freeze(2).ship()
        except Crash:
            scene.crash()
        scene.ship().check()


@pytest.mark.parametrize("act", ["versions_of", "put", "put answer", "lock_of", "now", "facts"])
@pytest.mark.parametrize("error", [Unreachable("503 SlowDown"), NotAllowed("AccessDenied"), Protected("locked")])
def test_what_may_pass_is_tried_again(act: str, error: Exception) -> None:
    """After a pause, with the same bytes; whoever runs it is told once, and nothing is there twice."""
    scene = Scene().freeze()
    scene.store.fail(act, error)
    first = next(pause for pause in iter(scene.step, None) if pause)
    assert first == 1
    assert (scene.shipper.status().trouble, scene.shipper.status().halted) == (str(error), "")
    assert sum(str(error) in each for each in scene.told) == 1
    scene.ship().check()
    assert scene.shipper.status().trouble == ""


def test_pauses_grow_up_to_a_bound() -> None:
    """And begin anew after a step that worked; asked before its time, nothing is done."""
    scene = Scene().freeze(2)
    pauses = []
    for _ in range(12):
        scene.store.fail("now")
        pauses.append(scene.step())
    assert pauses == [1, 2, 4, 8, 16, 32, 64, 128, 256, PAUSE_MAX_S, PAUSE_MAX_S, PAUSE_MAX_S]
    assert len([each for each in scene.told if "now failed" in each]) == 1
    assert scene.step() == 0
    scene.store.fail("now")
    assert scene.step() == 1
    scene.store.fail("now")
    scene.shipper.step()
    count = len(scene.store.acts)
    assert scene.shipper.step() == 2
    assert len(scene.store.acts) == count


def test_bytes_that_are_not_ours_stop_it_for_good() -> None:
    """The row stays, nothing else is put anywhere, and it is said what to find out."""
    scene = Scene().freeze(2)
    scene.store.overwrite(scene.frozen[0].name, b"foreign")
    scene.step()
    assert "log-id" in scene.shipper.status().halted
    acts = len(scene.store.acts)
    for _ in range(5):
        assert scene.step() == PAUSE_MAX_S
    assert len(scene.store.acts) == acts
    assert scene.states() == [State.FROZEN, State.FROZEN]
    assert scene.keys(What.MANIFEST) == []


def test_bytes_that_are_not_ours_are_not_looked_at_again() -> None:
    """Whoever asks for another look asks for what can be mended."""
    scene = Scene().freeze()
    scene.store.overwrite(scene.frozen[0].name, b"foreign")
    scene.step()
    acts = len(scene.store.acts)
    scene.shipper.look_again()
    assert scene.step() == PAUSE_MAX_S
    assert len(scene.store.acts) == acts


@pytest.mark.parametrize(
    "facts",
    [
        None,
        BucketFacts(versioning=False, lock=False, default_mode=None, default_days=None, enforced=True),
        BucketFacts(versioning=True, lock=False, default_mode=None, default_days=None, enforced=True),
    ],
)
def test_a_store_that_keeps_nothing_gets_nothing(facts: BucketFacts | None) -> None:
    """Until a later look finds it mended."""
    scene = Scene().freeze()
    good, scene.bucket.facts = scene.bucket.facts, facts
    assert scene.step() == PAUSE_MAX_S
    assert scene.shipper.status().halted
    assert scene.under("") == 0
    scene.bucket.facts = good
    scene.ship().check()
    assert scene.shipper.status().halted == ""


def test_a_store_is_looked_at_daily() -> None:
    """What it was at the start, it may no longer be."""
    scene = Scene().freeze().ship()
    assert scene.bucket.facts is not None
    scene.bucket.facts = BucketFacts(versioning=False, lock=True, default_mode=None, default_days=None, enforced=True)
    scene.freeze().ship()
    scene.clock.advance(int(CHECK_INTERVAL_S) * SECOND)
    scene.step()
    assert "versions" in scene.shipper.status().halted


@pytest.mark.parametrize("skew", [-SKEW_MAX_S - 1, SKEW_MAX_S + 1, 86_400])
def test_clocks_too_far_apart_stop_it(skew: int) -> None:
    """A lock that ends at a wrong time would be one for good; set right, it goes on."""
    scene = Scene().freeze()
    scene.store.skew = skew * SECOND
    assert scene.step() == PAUSE_MAX_S
    assert "clock" in scene.shipper.status().halted
    assert scene.under("") == 0
    scene.store.skew = SKEW_MAX_S * SECOND
    scene.ship().check()


def test_a_lock_ends_by_the_stores_clock() -> None:
    """Not by ours."""
    scene = Scene().freeze()
    scene.store.skew = 30 * SECOND
    scene.step()
    lock = scene.bucket.versions[scene.frozen[0].name][0].lock
    wanted = scene.clock.wall() + scene.store.skew + 31 * 86_400 * SECOND
    assert 0 <= (lock.retain_until or 0) - wanted < SECOND


def test_a_store_that_was_away_for_days_gets_whole_locks() -> None:
    """They count from when an object is stored, not from when it was frozen."""
    scene = Scene().freeze(3)
    scene.step()
    for _ in range(5_000):
        scene.store.fail("now")
        scene.step()
    assert scene.rows.counts()[State.FROZEN] >= 2
    scene.ship()
    for key in scene.keys(What.BATCH)[1:]:
        assert (scene.bucket.versions[key][0].lock.retain_until or 0) > scene.clock.wall() + 30 * 86_400 * SECOND


def test_a_missing_witness_holds_up_checkpoints_alone() -> None:
    """Batches and manifests go on; a checkpoint follows when it is signed."""
    scene = Scene().freeze(CHECKPOINT_ROWS_MAX + 3)
    scene.notary.failing = 4
    for _ in range(500):
        scene.step()
        if scene.rows.counts()[State.MANIFESTED] == CHECKPOINT_ROWS_MAX + 3:
            break
    assert scene.keys(What.CHECKPOINT) == []
    assert any("no witness answers" in each for each in scene.told)
    scene.ship().check()


def test_who_is_waited_for_is_told_once() -> None:
    """What is told is an event of the trail, so telling it for every size would never end; the status says it on."""
    scene = Scene()
    anchor = MemoryWorm(scene.clock, MemoryBucket())
    scene.anchors.append(anchor)
    scene.start()
    scene.notary.failing = 10**6
    for _ in range(5):
        scene.freeze()
        for _ in range(200):
            scene.step()
    assert sum("no witness answers" in each for each in scene.told) == 1
    assert "no witness answers" in scene.shipper.status().late
    scene.notary.failing = 0
    for _ in range(5):
        for _ in range(200):
            anchor.fail("now")
            scene.step()
        scene.freeze()
    assert sum("has no copy" in each for each in scene.told) == 1
    assert "has no copy" in scene.shipper.status().late
    assert scene.shipper.status().found_count == 0
    scene.ship().check()
    assert scene.shipper.status().late == ""


def test_a_checkpoint_is_copied_to_every_anchor() -> None:
    """Before its batches count as done; one that cannot be reached is waited for."""
    scene = Scene()
    anchor = MemoryWorm(scene.clock, MemoryBucket())
    scene.anchors.append(anchor)
    scene.start()
    scene.freeze()
    anchor.fail("put")
    scene.ship().check()
    [key] = scene.keys(What.CHECKPOINT)
    assert anchor.get(key) == scene.store.get(key)


@pytest.mark.parametrize("error", [Unreachable("away"), NotAllowed("no"), Misconfigured("no locks")])
def test_an_anchor_in_trouble_holds_up_nothing_else(error: Exception) -> None:
    """Batches and checkpoints go on; the newest checkpoint is copied when the anchor is back."""
    scene = Scene()
    anchor = MemoryWorm(scene.clock, MemoryBucket())
    scene.anchors.append(anchor)
    scene.start()
    pauses = []
    for _ in range(4):
        scene.freeze()
        anchor.fail("now", error)
        while scene.rows.counts()[State.CHECKPOINTED] < len(scene.frozen):
            pauses.append(scene.step())
        scene.step()
    assert max(pauses) == 0
    assert scene.shipper.status().halted == ""
    assert any(str(error) in each and "no copy" in each for each in scene.told)
    assert len(scene.keys(What.CHECKPOINT)) == 4
    scene.ship().check()
    assert anchor.get(scene.keys(What.CHECKPOINT)[-1])


def test_what_is_strange_is_told_and_goes_on() -> None:
    """A delete marker on what was stored, and a version of ours without a lock."""
    scene = Scene().freeze(2)
    first, second = (each.name for each in scene.frozen)
    scene.store.mark_deleted(first)
    scene.store.overwrite(second, scene.frozen[1].data)
    scene.ship()
    status = scene.shipper.status()
    assert any("delete marker" in each for each in status.found)
    assert any("without a lock" in each for each in status.found)
    assert status.found_count == len(status.found)
    assert all(stored[-1].lock.retain_until for stored in map(scene.bucket.versions.get, (first, second)) if stored)


def test_a_removal_that_a_lock_forbade_is_counted() -> None:
    """The store says so to whoever asks; we never do."""
    scene = Scene().freeze()
    scene.store.fail("put", Protected("locked"))
    scene.ship()
    assert scene.shipper.status().attacked == 1


def test_garbled_bytes_are_sent_again_a_few_times() -> None:
    """Within one step; then it is trouble as any other."""
    scene = Scene().freeze()
    scene.step()
    scene.store.fail("put", Garbled("BadDigest"))
    assert scene.step() == 0
    scene.ship().check()


def test_status_tells_where_it_stands() -> None:
    """Rows by state, since when the oldest waits, and the newest checkpoint."""
    scene = Scene().freeze(2)
    status = scene.shipper.status()
    assert (status.rows[State.FROZEN], status.waiting_since) == (2, scene.frozen[0].t_first)
    assert (status.checkpoint_size, status.checkpoint_at, status.conditional) == (0, None, None)
    scene.ship()
    status = scene.shipper.status()
    assert (status.rows[State.ACKED], status.waiting_since, status.checkpoint_size) == (2, None, 6)
    assert status.checkpoint_at == scene.clock.wall()
    assert (status.conditional, status.enforced) == (True, True)


def test_a_store_that_takes_taken_keys_is_found_out() -> None:
    """At the start, with two small versions that are not put again by later processes."""
    scene = Scene(conditional=False).freeze().ship().check()
    assert scene.shipper.status().conditional is False
    probes = scene.under("audit/v1/probe/")
    scene.crash()
    scene.freeze().ship().check()
    assert (probes, scene.under("audit/v1/probe/")) == (2, 2)


def test_a_store_of_another_kind_than_locks_is_found_out() -> None:
    """One that takes the date and keeps none: what it says when read back decides."""
    scene = Scene().freeze()

    def forget(key: str, version_id: str, until: int) -> None:
        """Nothing is noted."""

    scene.store.extend = forget  # type: ignore[method-assign]
    scene.store.overwrite(scene.frozen[0].name, scene.frozen[0].data)
    scene.step()
    assert "not locked" in scene.shipper.status().halted
    assert scene.states() == [State.FROZEN]
