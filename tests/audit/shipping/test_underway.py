"""Several objects on their way at once: which may be put when, and what is written down of them."""

from functools import partial
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from store.audit.objects.layout import What, read_name
from store.audit.recording.rows import State
from store.audit.shipping.behind import AHEAD_MAX
from store.audit.shipping.shipper import PAUSE_MIN_S
from store.env.worm import Unreachable
from tests.audit.shipping_scene import Crash, Held, OtherHands, Scene


def scene_with(hands: Any, batches: int) -> Scene:
    """A trail of which one batch was shipped, so that several may be on their way, and others wait."""
    scene = Scene().freeze().ship()
    scene.hands = lambda: hands
    scene.start()
    scene.freeze().step()
    while scene.states()[-1] is not State.ACKED:
        hands.let(0) if isinstance(hands, Held) and hands.waiting else None
        scene.step()
    return scene.freeze(batches)


def test_as_many_batches_go_side_by_side_as_are_allowed() -> None:
    """And no more, however many wait."""
    hands = Held()
    scene = scene_with(hands, AHEAD_MAX + 3)
    scene.step()
    scene.step()
    assert len(hands.waiting) == AHEAD_MAX
    assert scene.keys(What.BATCH) == [each.name for each in scene.frozen[:2]]


def test_one_that_is_stored_early_waits_for_those_before_it() -> None:
    """The ledger knows of it, and its manifest is made, once theirs are."""
    hands = Held()
    scene = scene_with(hands, 3)
    scene.step()
    hands.let(2)
    hands.let(1)
    scene.step()
    assert scene.states()[2:] == [State.FROZEN] * 3
    hands.let(0)
    for _ in range(3):
        scene.step()
    assert scene.states()[2:] == [State.STORED] * 3


def test_the_first_batch_of_a_process_goes_alone() -> None:
    """What is wrong with a store is found out with one."""
    scene = Scene()
    hands = Held()
    scene.hands = lambda: hands
    scene.start()
    scene.freeze(5).step()
    assert len(hands.waiting) == 1


def test_after_trouble_one_goes_alone() -> None:
    """However many were on their way: all of them failed for one reason, which is told once."""
    hands = Held()
    scene = scene_with(hands, 4)
    scene.step()
    for _ in range(4):
        scene.store.fail("put", Unreachable("503"))
        hands.let(0)
    assert scene.step() == PAUSE_MIN_S
    scene.step()
    assert len(hands.waiting) == 1
    assert (scene.shipper.status().attempts, scene.shipper.status().trouble) == (1, "503")
    assert sum("503" in each for each in scene.told) == 1
    scene.step()
    assert scene.shipper.status().trouble == "503", "whether it is over nobody knows yet"
    hands.let(0)
    scene.step()
    scene.step()
    assert len(hands.waiting) == 4


@settings(max_examples=60, deadline=None)
@given(
    crashes=st.lists(st.integers(1, 120), max_size=8),
    conditional=st.booleans(),
    says_hash=st.booleans(),
    batches=st.lists(st.integers(1, 2 * AHEAD_MAX), min_size=1, max_size=3),
    seed=st.integers(0, 1 << 30),
    failing=st.lists(st.sampled_from(["put", "put answer", "versions_of", "lock_of"]), max_size=4),
)
def test_in_whatever_order_they_arrive_there_is_no_gap_and_no_second_copy(
    crashes: list[int],
    conditional: bool,  # noqa: FBT001  # Drawn.
    says_hash: bool,  # noqa: FBT001  # Drawn.
    batches: list[int],
    seed: int,
    failing: list[str],
) -> None:
    """Wherever the process ends, and whatever fails; no manifest is ever in the store before the one before it."""
    scene = Scene(conditional=conditional, says_hash=says_hash)
    scene.hands = partial(OtherHands, seed)
    scene.start()
    put = scene.store.put

    def looked_at(key: str, *arguments: Any, **named: Any) -> str:
        version_id = put(key, *arguments, **named)
        numbers = [name.number for each in scene.keys(What.MANIFEST) if (name := read_name(each)) is not None]
        assert numbers == list(range(len(numbers)))
        return version_id

    scene.store.put = looked_at  # type: ignore[method-assign]
    for count in batches:
        scene.freeze(count)
        if failing:
            scene.store.fail(failing.pop(), after=count)
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


@pytest.mark.parametrize("seed", range(3))
def test_several_are_on_their_way_where_several_wait(seed: int) -> None:
    """Batches and manifests: what a long way to the store costs is paid once for all of them."""
    scene = Scene()
    hands = OtherHands(seed)
    scene.hands = lambda: hands
    scene.start()
    scene.freeze(4 * AHEAD_MAX).ship().check()
    assert hands.most == AHEAD_MAX
