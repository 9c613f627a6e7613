"""Holdings: what is there is told apart from what only seems to be."""

import hashlib
import json

import pytest

from store.env.memory import MemoryDisk
from store.errors import CorruptionError
from store.ids import Offset
from store.snapshot.format import SNAPSHOT_VERSION
from store.snapshot.repository import Pin, Repository
from store.upkeep.holdings import CONDEMNED, read_condemned, survey, write_condemned
from tests.engine.directories import Directory, a_directory, moment


def test_an_empty_directory_holds_nothing() -> None:
    """That is no error."""
    found = survey(MemoryDisk())
    assert (found.snapshots, found.damaged, found.newer, found.segments) == ((), (), (), ())
    assert (found.pins, found.condemned) == ({}, {})


def test_snapshots_come_oldest_first_with_what_they_are_judged_by() -> None:
    """Their offset, their moment, whether they were read back, whether the log goes on from them."""
    made = Directory()
    made.write(3)
    made.snapshot()
    made.write(3)
    made.snapshot(verified=False)
    first, second = survey(made.disk).snapshots
    assert (first.offset, first.timestamp, first.verified, first.fits, first.base) == (3, moment(3), True, True, True)
    assert (second.offset, second.verified, second.fits, second.base) == (6, False, True, False)


def test_a_snapshot_inside_a_segment_fits_by_its_chain() -> None:
    """Not only where a segment begins right behind it."""
    made = Directory()
    made.write(3)
    name = made.snapshot()
    made.write(3)
    made.disk.remove("log/00000000000000000004.log")
    manifest = Repository(made.disk).manifest(name)
    assert survey(made.disk).snapshots[0].fits
    made.disk.remove("log/00000000000000000001.log")
    assert not survey(made.disk).snapshots[0].fits
    assert manifest.offset == 3


def test_one_of_another_history_does_not_fit() -> None:
    """Though its offset does: it was copied here by hand."""
    mine, other = Directory(), Directory()
    mine.write(5)
    mine.seal()
    other.write(3)
    other.write(2, b"other")
    name = other.snapshot()
    for folder in ("snapshot", "block"):
        for each in other.disk.names(folder):
            mine.disk.replace(f"{folder}/{each}", other.disk.content(f"{folder}/{each}"))
    (found,) = survey(mine.disk).snapshots
    assert (found.name, found.verified, found.fits) == (name, True, False)


def test_one_that_lacks_a_block_is_not_verified() -> None:
    """Whatever was noted of it once."""
    made = a_directory(2)
    made.disk.remove(f"block/{Repository(made.disk).whole()[0][0].system.file}.blk")
    assert [each.verified for each in survey(made.disk).snapshots] == [True, False]


def of_next_version(content: bytes) -> bytes:
    """A manifest as a newer store might write it: sound, but for its number."""
    before, after = (b'"snapshot":%d' % version for version in (SNAPSHOT_VERSION, SNAPSHOT_VERSION + 1))
    assert before in content
    *lines, trailer, _ = content.replace(before, after).split(b"\n")
    head = b"".join(line + b"\n" for line in lines)
    said = {**json.loads(trailer), "sha256": hashlib.sha256(head).hexdigest()}
    return head + json.dumps(said, separators=(",", ":")).encode() + b"\n"


def test_a_manifest_that_does_not_read_is_damaged_or_newer() -> None:
    """One may go some day, the other is not ours to judge."""
    made = a_directory(3)
    first, second, _ = Repository(made.disk).names()
    made.disk.flip(f"snapshot/{first}.json", 1_000)
    made.disk.replace(f"snapshot/{second}.json", of_next_version(made.disk.content(f"snapshot/{second}.json")))
    found = survey(made.disk)
    assert (found.damaged, found.newer, len(found.snapshots)) == ((first,), (second,), 1)


def test_pins_and_notes_are_among_them() -> None:
    """A pin that does not read stops everything: nobody knows what it needs."""
    made = a_directory(2)
    pin = Pin(offset=Offset(5), reason="a test", until=None, kind="pin")
    Repository(made.disk).pin("mine", pin)
    write_condemned(made.disk, {"log/x": moment(1)})
    found = survey(made.disk)
    assert (found.pins, found.condemned) == ({"mine": pin}, {"log/x": moment(1)})
    made.disk.replace("pin/mine.json", b"{")
    with pytest.raises(CorruptionError, match="expected a pin"):
        survey(made.disk)


def test_the_note_is_written_only_where_it_changes_and_replaced_at_once() -> None:
    """A crash leaves the old one or the new one."""
    disk = MemoryDisk()
    write_condemned(disk, {})
    assert disk.operations == 0
    write_condemned(disk, {"log/x": moment(1)})
    before = disk.operations
    write_condemned(disk, {"log/x": moment(1)})
    assert disk.operations == before
    disk.create(f"{CONDEMNED}.new")
    write_condemned(disk, {"log/y": moment(2)})
    assert read_condemned(disk) == {"log/y": moment(2)}
    assert read_condemned(disk.crash_drop_all()) == {"log/y": moment(2)}
