"""Pins of a directory hold in its backup: pushed with it, of its own epoch alone, and what they hold stays."""

from typing import Any

import pytest

from store.backup.checking import check
from store.backup.listing import listing
from store.backup.pins import PIN, read_pins, take_away
from store.env.memory_objects import MemoryObjects
from store.errors import CorruptionError
from store.ids import Offset, Timestamp
from store.snapshot.repository import Pin, Repository
from tests.backup.scenes import KEY, Shop, restored, state_at, view
from tests.backup.test_prune import HOUR, NOTHING_KEPT, Yard, offsets


def pin(shop: Shop, name: str, offset: int, *, until: int | None = None, kind: Any = "pin") -> None:
    """Hold on to an offset in the directory."""
    end = None if until is None else Timestamp(until)
    Repository(shop.disk).pin(name, Pin(Offset(offset), "the audit", end, kind))


def pushed_pins(shop: Shop) -> list[tuple[str, int]]:
    """(name, offset) of what the backup holds."""
    return [(each.name, each.offset) for each in listing(shop.objects, key=shop.key).pins]


@pytest.mark.parametrize("key", [None, KEY])
def test_what_is_pinned_in_the_directory_stays_in_the_backup(key: Any) -> None:
    """It, and every later moment; once it is unpinned and pushed it goes as all else does."""
    shop = Yard(MemoryObjects(), key=key).days(5)
    pin(shop, "keep", 13)
    assert shop.push(clock=shop.clock).pins == 1
    assert pushed_pins(shop) == [("keep", 13)]
    done = shop.prune()
    assert 13 in offsets(shop)
    assert done.histories[0].floors["pin keep of epoch " + listing(shop.objects, key=key).pins[0].epoch[:8]] == 10
    into, _ = restored(view(shop), Offset(13))
    assert state_at(into) == state_at(shop.disk, Offset(13))
    assert check(shop.objects, key=key) == []
    Repository(shop.disk).unpin("keep")
    assert shop.push(clock=shop.clock).pins == 0
    shop.prune()
    assert 13 not in offsets(shop)
    assert shop.objects.names(PIN) == []


def test_leases_and_cursors_hold_nothing_in_a_backup() -> None:
    """They are of processes that read the directory."""
    shop = Yard(MemoryObjects()).days(1)
    pin(shop, "lease-1", 3, kind="lease")
    pin(shop, "cursor-1", 3, kind="cursor")
    assert (shop.push(clock=shop.clock).pins, shop.objects.names(PIN)) == (0, [])


def test_a_pin_holds_until_its_time_is_over() -> None:
    """Then it goes, though nobody pushes any more."""
    shop = Yard(MemoryObjects()).days(4)
    pin(shop, "keep", 7, until=shop.clock.wall() + 48 * HOUR)
    shop.push(clock=shop.clock)
    shop.prune()
    assert 7 in offsets(shop)
    shop.clock.advance(49 * HOUR)
    would = shop.prune(dry_run=True)
    done = shop.prune()
    assert len(would.pins) == len(done.pins) == 1
    assert 7 not in offsets(shop)
    assert shop.objects.names(PIN) == []


def test_a_pin_in_a_history_that_was_given_up_stays() -> None:
    """The store that was restored from it pushes pins of another epoch; those of the old one nobody takes away."""
    shop = Yard(MemoryObjects()).days(4)
    pin(shop, "old", 7)
    shop.push(clock=shop.clock)
    into, _ = restored(shop.disk, Offset(shop.last - 12))
    other = Yard(shop.objects, engine=shop.reopen_restored(into).engine).days(3)
    pin(other, "new", other.last - 3)
    other.push(clock=other.clock)
    assert [name for name, _ in pushed_pins(other)] == ["new", "old"]
    end = shop.last
    other.prune()
    old = view(shop, epoch=shop.engine.epoch.hex())
    assert restored(old, Offset(7))[1].offset == 7
    assert restored(old, Offset(end))[1].offset == end
    (name,) = [each for each, one in read_pins(old.bucket).items() if one.name == "old"]
    assert take_away(old.bucket, name)
    other.prune()
    assert 7 not in {
        each
        for branch in listing(shop.objects).branches
        for one in branch.stretches()
        for each in range(one.first, one.last + 1)
    }


def test_a_pin_that_is_moved_is_one_pin() -> None:
    """The new one is there before the old one goes, wherever a push is killed."""
    for act in ("put", "remove"):
        objects = MemoryObjects()
        shop = Yard(objects).days(3)
        pin(shop, "keep", 7)
        shop.push(clock=shop.clock)
        pin(shop, "keep", 17)
        objects.fail(act)
        with pytest.raises(OSError, match="as was asked for"):
            shop.push(clock=shop.clock)
        assert set(pushed_pins(shop)) & {("keep", 7), ("keep", 17)}
        shop.push(clock=shop.clock)
        assert pushed_pins(shop) == [("keep", 17)]


def test_a_pin_that_comes_while_a_prune_decides_is_heeded(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is decided anew."""
    objects = MemoryObjects()
    shop = Yard(objects).days(5)
    pushed: list[int] = []

    def meanwhile(phase: str, *_: int) -> None:
        if not pushed:
            pushed.append(1)
            pin(shop, "keep", 7)
            shop.push(clock=shop.clock)

    shop.prune(NOTHING_KEPT, progress=meanwhile)
    assert 7 in offsets(shop)


def test_a_pin_that_does_not_read_stops_a_prune() -> None:
    """Nobody knows what it holds; a check names it. Pushed again it is whole."""
    shop = Yard(MemoryObjects()).days(4)
    pin(shop, "keep", 7)
    shop.push(clock=shop.clock)
    (name,) = shop.objects.names(PIN)
    assert isinstance(shop.objects, MemoryObjects)
    good = shop.objects.content[name]
    for bad in (b"", b"[" * 5_000, good[:-1], good.replace(b'"offset":7', b'"offset":8'), bytes(70_000)):
        shop.objects.content[name] = bad
        with pytest.raises(CorruptionError, match=name):
            shop.prune()
        assert [each.name for each in check(shop.objects)] == [name]
        assert name in listing(shop.objects).refused
    shop.objects.remove(name)
    shop.push(clock=shop.clock)
    assert shop.objects.content[name] == good


def test_a_pin_under_a_lock_stays_and_is_told_of() -> None:
    """It holds what it holds."""
    objects = MemoryObjects()
    shop = Yard(objects).days(3)
    pin(shop, "keep", 7, until=shop.clock.wall() + HOUR)
    shop.push(clock=shop.clock)
    objects.held.add(objects.names(PIN)[0])
    shop.clock.advance(2 * HOUR)
    assert shop.prune().retained == objects.names(PIN)
    assert len(objects.names(PIN)) == 1
