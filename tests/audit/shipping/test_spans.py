"""The tree at the end of any batch."""

import pytest

from store.audit.objects.layout import Malformed
from store.audit.objects.merkle import leaf_hashes, span_of
from store.audit.shipping.shipper import GRACE_S
from store.audit.shipping.spans import Spans
from store.env.worm import SECOND
from tests.audit.scenes import LOG, lines_of
from tests.audit.shipping_scene import Scene


def long_trail() -> Scene:
    """Six batches of three, of which only the newest ones are still in the ledger."""
    scene = Scene().freeze(4).ship()
    scene.clock.advance((GRACE_S + 1) * SECOND)
    scene.freeze(1).ship()
    while scene.step() == 0:
        pass
    return scene.freeze(1)


def test_a_tree_is_had_from_rows_or_from_the_store() -> None:
    """At the end of every batch, whether its row is there or long gone."""
    scene = long_trail()
    assert next(iter(scene.rows)).batch > 0
    spans = Spans(scene.rows, scene.store, LOG)
    for size in range(0, 19, 3):
        assert spans.tree(size) == span_of(0, leaf_hashes(lines_of(0, size)))


def test_leaves_between_are_had_from_rows_and_from_the_store() -> None:
    """From any batch's end to any other's."""
    scene = long_trail()
    spans = Spans(scene.rows, scene.store, LOG)
    leaves = leaf_hashes(lines_of(0, 18))
    for start in range(0, 19, 3):
        for end in range(start, 19, 3):
            assert spans.between(start, end) == span_of(start, leaves[start:end])


@pytest.mark.parametrize("size", [1, 4, 19, 100])
def test_where_no_batch_ends_there_is_no_tree(size: int) -> None:
    """The error names the size."""
    scene = long_trail()
    spans = Spans(scene.rows, scene.store, LOG)
    with pytest.raises(Malformed):
        spans.tree(size)
    with pytest.raises(Malformed):
        spans.between(0, size)


def test_a_later_version_of_a_manifest_counts_for_nothing() -> None:
    """What somebody put over it is not ours."""
    scene = long_trail()
    for name in [each for each in scene.bucket.versions if "/manifest/" in each]:
        scene.store.overwrite(name, b"{}")
    assert Spans(scene.rows, scene.store, LOG).between(0, 18).end == 18


def test_a_missing_manifest_is_said() -> None:
    """By its name."""
    scene = long_trail()
    for name in [each for each in scene.bucket.versions if "/manifest/" in each]:
        del scene.bucket.versions[name]
    with pytest.raises(Malformed, match="is missing"):
        Spans(scene.rows, scene.store, LOG).tree(3)
