"""A legal hold on a trail, or on a part of it: put, read back, lifted."""

import pytest

from store.audit.objects.layout import What, read_name
from store.audit.shipping.holding import Held, hold_trail
from store.env.worm import Misconfigured
from tests.audit.scenes import LOG
from tests.audit.shipping_scene import Scene


def shipped() -> Scene:
    """A trail of four batches of three events each, with two checkpoints."""
    return Scene().freeze(2).ship().freeze(2).ship()


def held(scene: Scene) -> set[str]:
    """Keys of which every version is held."""
    return {
        key
        for key, stored in scene.bucket.versions.items()
        if all(each.lock.legal_hold for each in stored if each.data is not None)
    }


def ignored(_: int) -> None:
    """Nobody is told."""


def test_a_trail_is_held_and_let_go() -> None:
    """Every version of it, once; nothing of another trail."""
    scene = shipped()
    ours = {key for key in scene.bucket.versions if read_name(key)}
    assert hold_trail(scene.store, LOG, on=True, progress=ignored) == Held(len(ours), len(ours))
    assert held(scene) == ours
    assert hold_trail(scene.store, LOG, on=True, progress=ignored) == Held(len(ours), 0)
    assert hold_trail(scene.store, "ab" * 16, on=True, progress=ignored) == Held(0, 0)
    assert hold_trail(scene.store, LOG, on=False, progress=ignored) == Held(len(ours), len(ours))
    assert held(scene) == set()


def test_what_attackers_put_is_held_too() -> None:
    """It is evidence as well; a delete marker cannot be."""
    scene = shipped()
    scene.store.overwrite(scene.frozen[0].name, b"other")
    scene.store.mark_deleted(scene.frozen[0].name)
    hold_trail(scene.store, LOG, on=True, progress=ignored)
    assert scene.frozen[0].name in held(scene)


@pytest.mark.parametrize(
    ("first", "last", "batches"), [(0, None, {0, 1, 2, 3}), (4, 4, {1}), (5, 6, {1, 2}), (9, None, {3}), (0, 2, {0})]
)
def test_a_part_is_held_with_what_proves_it(first: int, last: int | None, batches: set[int]) -> None:
    """The batches of these events with their manifests, and all checkpoints."""
    scene = shipped()
    hold_trail(scene.store, LOG, on=True, first=first, last=last, progress=ignored)
    names = [name for name in map(read_name, held(scene)) if name is not None]
    for what in (What.BATCH, What.MANIFEST):
        assert {name.number for name in names if name.what is what} == batches
    assert {name.number for name in names if name.what is What.CHECKPOINT} == {6, 12}


def test_progress_is_told_in_versions() -> None:
    """One by one."""
    scene, told = shipped(), list[int]()
    found = hold_trail(scene.store, LOG, on=True, progress=told.append)
    assert told == list(range(1, found.versions + 1))


def test_a_hold_that_is_not_kept_is_said() -> None:
    """What is read back decides."""
    scene = shipped()

    def hold(*_: object, **__: object) -> None:
        """Says that it did."""

    scene.store.hold = hold  # type: ignore[method-assign]
    with pytest.raises(Misconfigured, match="legal holds"):
        hold_trail(scene.store, LOG, on=True, progress=ignored)
