"""What is begun elsewhere, and looked at when it is done."""

import threading

import pytest

from store.env.hands import Hands, OwnHands, ThreadHands

ALL = [OwnHands(), ThreadHands()]


@pytest.mark.parametrize("hands", ALL, ids=["own", "threads"])
def test_what_is_begun_comes_to_an_end(hands: Hands) -> None:
    """With what came of it, and no error."""
    ended = threading.Event()

    def work() -> int:
        ended.set()
        return 7

    errand = hands.begin(work)
    assert ended.wait(60)
    while not errand.done:
        pass
    assert (errand.result(), errand.error) == (7, None)


@pytest.mark.parametrize("hands", ALL, ids=["own", "threads"])
def test_what_it_raises_is_for_whoever_asks(hands: Hands) -> None:
    """It is done all the same."""

    def work() -> None:
        raise OSError("away")

    errand = hands.begin(work)
    while not errand.done:
        pass
    assert str(errand.error) == "away"
    with pytest.raises(OSError, match="away"):
        errand.result()


def test_threads_keep_nobody_waiting() -> None:
    """Neither whoever begins it, nor the end of the process."""
    release, begun = threading.Event(), threading.Event()

    def work() -> bool:
        begun.set()
        return release.wait(60)

    errands = [ThreadHands().begin(work) for _ in range(3)]
    assert begun.wait(60)
    assert not any(each.done for each in errands)
    assert all(each.daemon for each in threading.enumerate() if each.name == "errand")
    release.set()
    while not all(each.done for each in errands):
        pass
    assert [each.result() for each in errands] == [True] * 3


def test_own_hands_are_done_at_once() -> None:
    """Before whoever begins it goes on."""
    seen: list[int] = []
    errand = OwnHands().begin(lambda: seen.append(1))
    assert (errand.done, seen) == (True, [1])
