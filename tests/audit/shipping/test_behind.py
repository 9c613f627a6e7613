"""A ledger and a store of which one knows more than the other: found out before anything is put."""

from functools import partial
from pathlib import Path
from typing import Any

import pytest

from store.audit.objects.layout import What, batch_name
from store.audit.shipping.behind import AHEAD_MAX, LedgerBehind
from store.audit.shipping.shipper import PAUSE_MAX_S
from store.env.worm import SECOND
from store.env.worm_folder import FolderWorm
from tests.audit.keeping import Kept
from tests.audit.scenes import LOG
from tests.audit.shipping_scene import OtherHands, Scene


def test_an_empty_ledger_before_a_full_store_is_found_out() -> None:
    """Before anything is put: what it would freeze might be cut otherwise."""
    kept = Kept().run()
    kept.lose().start()
    acts = len(kept.store.acts)
    with pytest.raises(LedgerBehind, match="store audit rebuild"):
        kept.run()
    assert "put" not in {act for act, _ in kept.store.acts[acts:]}


def test_an_older_ledger_does_no_harm() -> None:
    """One that was put back, by any number of commits: it is found out, or what it does again is the same."""
    kept = Kept()
    copies: list[dict[bytes, bytes]] = []
    commit = kept.ledger.commit

    def copying(*arguments: Any, **named: Any) -> None:
        copies.append(dict(kept.ledger._values))
        commit(*arguments, **named)

    kept.ledger.commit = copying  # type: ignore[method-assign]
    kept.run().work(5).run()
    found = 0
    for copy in copies:
        kept.lose().ledger._values = copy
        try:
            kept.start().run()
        except LedgerBehind:
            found += 1
            kept.lose().rebuild()
        assert kept.run().lines() == kept.expected()
    assert found > len(copies) // 2


def test_a_ledger_that_is_level_is_not_behind() -> None:
    """At no moment of a trail that goes its way, nor after any crash."""
    for moment in range(1, 70, 3):
        kept = Kept()
        kept.crash_in(moment)
        kept.ledger.crash()
        assert kept.start().run().lines() == kept.expected()


def test_an_older_ledger_does_no_harm_while_several_are_on_their_way() -> None:
    """Batches may be there before the one in front of them: each number that could be is looked at."""
    found = 0
    for moment in range(30, 230, 3):
        kept = Kept()
        kept.hands = partial(OtherHands, moment)
        kept.start()
        while kept.recorder.step():
            pass
        older = dict(kept.ledger._values)
        kept.work(2).crash_in(moment)
        kept.lose().ledger._values = older
        kept.work(1)
        try:
            kept.start().run()
        except LedgerBehind:
            found += 1
            kept.lose().rebuild()
        assert kept.run().lines() == kept.expected()
    assert found > 0


@pytest.mark.parametrize("ahead", range(AHEAD_MAX))
def test_a_batch_of_a_number_that_could_be_is_found_before_anything_is_put(ahead: int) -> None:
    """As another process, or this one with a newer ledger, left it there: cut otherwise."""
    scene = Scene().freeze(2)
    name = batch_name(LOG, ahead, first=3 * ahead, last=3 * ahead + 7)
    scene.store.overwrite(name, b"cut otherwise")
    with pytest.raises(LedgerBehind, match=name):
        scene.step()
    assert scene.under() == 1


@pytest.mark.parametrize("what", [What.BATCH, What.MANIFEST])
def test_a_store_that_lost_what_was_stored_is_not_gone_on_with(what: What) -> None:
    """Nothing is put behind the hole, and it is said; once all is back, shipping goes on."""
    scene = Scene().freeze(3).ship()
    taken = {key: scene.bucket.versions.pop(key) for key in scene.keys(what)}
    scene.crash()
    scene.freeze()
    puts = scene.under()
    scene.step()
    assert "does not hold" in scene.shipper.status().halted
    assert scene.under() == puts
    scene.bucket.versions.update(taken)
    scene.clock.advance(int(PAUSE_MAX_S * SECOND))
    scene.ship().check()


def test_a_folder_that_is_gone_is_not_made_anew(tmp_path: Path) -> None:
    """Its disk may have been unmounted: what was put in its place would lie where nobody looks for it."""
    scene = Scene()
    folder = FolderWorm(tmp_path / "bucket", scene.clock)
    folder.create(retention_days=1)
    scene.store = folder  # type: ignore[assignment]
    scene.start()
    scene.freeze().ship()
    (tmp_path / "bucket").rename(tmp_path / "elsewhere")
    scene.freeze().step()
    assert "no write-once folder" in scene.shipper.status().halted
    assert not (tmp_path / "bucket").exists()
    (tmp_path / "elsewhere").rename(tmp_path / "bucket")
    scene.ship()
    assert scene.shipper.status().halted == ""
