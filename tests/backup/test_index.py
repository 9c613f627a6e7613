"""What pushes note is read back whole or not at all, and losing it loses nothing."""

from hashlib import sha256

import msgspec
import pytest

from store.backup.branches import segment_of, snapshot_of
from store.backup.bucket import Bucket, begin_bucket
from store.backup.index import (
    INDEX_FORMAT,
    Entry,
    Head,
    Index,
    check_entry,
    decode,
    encode,
    merge_notes,
    read_index,
    write_note,
)
from store.backup.keys import OperatorKey
from store.env.memory import MemoryClock, SeededEntropy
from store.env.memory_objects import MemoryObjects
from store.errors import CorruptionError, DirectoryError
from store.ids import Timestamp
from tests.backup.test_branches import segment, snapshot

STORE = "aa" * 16
ENTROPY = SeededEntropy(5)
NAME = "push/20231114T221320.000042Z-01020304.json"
HEAD = Head(INDEX_FORMAT, STORE, Timestamp(5))
ENTRIES = [segment(1, 10, "", "a10"), snapshot(10, "a10"), Entry(f"block/{'ab' * 32}.blk", 7, "cd" * 32, 7)]


@pytest.fixture(name="bucket", params=["plain", "encrypted"])
def _bucket(request: pytest.FixtureRequest) -> Bucket:
    """A backup, without encryption and with."""
    key = OperatorKey(bytes(32)) if request.param == "encrypted" else None
    return begin_bucket(MemoryObjects(), key, store=STORE, clock=MemoryClock(), entropy=ENTROPY)


def block(number: int) -> Entry:
    """The entry of a block."""
    return Entry(f"block/{number:064x}.blk", 7, f"{number:064x}", 7)


def note(bucket: Bucket, numbers: range, at: int) -> str:
    """Blocks that are there, and a note of them."""
    for number in numbers:
        memory(bucket).content[block(number).object] = b"7 bytes"
    index = Index()  # As of somebody who saw no other note.
    return write_note(bucket, index, [block(each) for each in numbers], at=Timestamp(at), entropy=ENTROPY)


def memory(bucket: Bucket) -> MemoryObjects:
    """Its objects, to be damaged."""
    assert isinstance(bucket.objects, MemoryObjects)
    return bucket.objects


def known(index: Index) -> list[int]:
    """Numbers of the blocks that are known."""
    return sorted(int(name[6:70], 16) for name in index.entries)


def test_a_note_is_read_back() -> None:
    """Head and entries."""
    assert decode(encode(HEAD, ENTRIES), name=NAME) == (HEAD, ENTRIES)
    assert decode(encode(HEAD, []), name=NAME) == (HEAD, [])


def test_every_cut_and_every_flip_of_a_note_is_found() -> None:
    """With its name."""
    whole = encode(HEAD, ENTRIES)
    cuts = [whole[:size] for size in range(len(whole) - 1)]
    flips = [
        whole[:at] + bytes((whole[at] ^ 1 << bit,)) + whole[at + 1 :] for at in range(len(whole) - 1) for bit in (0, 4)
    ]
    for each in (*cuts, *flips):
        with pytest.raises((CorruptionError, DirectoryError), match=NAME):
            decode(each, name=NAME)


def test_a_newer_note_is_refused() -> None:
    """It says so."""
    with pytest.raises(DirectoryError, match="format 2"):
        decode(encode(msgspec.structs.replace(HEAD, format=2), []), name=NAME)


@pytest.mark.parametrize(
    "entry",
    [
        msgspec.structs.replace(ENTRIES[0], object=ENTRIES[1].object),
        msgspec.structs.replace(ENTRIES[0], object="log/../../etc/passwd"),
        msgspec.structs.replace(ENTRIES[0], segment=None),
        msgspec.structs.replace(ENTRIES[1], snapshot=None),
        msgspec.structs.replace(ENTRIES[2], segment=ENTRIES[0].segment),
        segment(11, 10, "a10", "a10"),
        segment(0, 10, "a10", "a10"),
        segment(5, 2**63, "a10", "a10"),
        snapshot(2**63, "a10"),
        msgspec.structs.replace(ENTRIES[2], stored=-1),
        msgspec.structs.replace(ENTRIES[2], size=-1),
        msgspec.structs.replace(ENTRIES[2], sha256="../.."),
        msgspec.structs.replace(ENTRIES[0], segment=msgspec.structs.replace(segment_of(ENTRIES[0]), created=-1)),
        msgspec.structs.replace(ENTRIES[0], segment=msgspec.structs.replace(segment_of(ENTRIES[0]), last_time=2**70)),
        msgspec.structs.replace(ENTRIES[0], segment=msgspec.structs.replace(segment_of(ENTRIES[0]), epoch="1" * 31)),
        msgspec.structs.replace(ENTRIES[0], segment=msgspec.structs.replace(segment_of(ENTRIES[0]), chain_before="0")),
        msgspec.structs.replace(ENTRIES[0], segment=msgspec.structs.replace(segment_of(ENTRIES[0]), chain_after="xy")),
        msgspec.structs.replace(ENTRIES[0], segment=msgspec.structs.replace(segment_of(ENTRIES[0]), last=12)),
        msgspec.structs.replace(ENTRIES[1], snapshot=msgspec.structs.replace(snapshot_of(ENTRIES[1]), offset=12)),
    ],
)
def test_an_entry_that_cannot_be_is_refused(entry: Entry) -> None:
    """It contradicts its name, or has values for which no format has a place; whoever made it up."""
    with pytest.raises(CorruptionError, match=NAME):
        check_entry(entry, NAME)


def test_all_notes_together_are_the_index(bucket: Bucket) -> None:
    """What is foreign, gone or not mentioned is told apart."""
    note(bucket, range(3), 1)
    note(bucket, range(3, 6), 2)
    memory(bucket).content |= {block(9).object: b"", "my/notes.txt": b""}
    del memory(bucket).content[block(4).object]
    index = read_index(bucket)
    assert known(index) == [0, 1, 2, 3, 5]
    assert [each.object for each in index.missing] == [block(4).object]
    assert index.foreign == ("my/notes.txt",)
    assert index.unindexed(["block"]) == [block(9).object]
    assert (index.uncovered, index.troubles) == (2, {})


def test_a_damaged_note_is_told_and_the_others_count(bucket: Bucket) -> None:
    """What it said is simply not known."""
    first = note(bucket, range(3), 1)
    note(bucket, range(3, 6), 2)
    memory(bucket).content[first] = memory(bucket).content[first][:-9]
    index = read_index(bucket)
    assert known(index) == [3, 4, 5]
    assert list(index.troubles) == [first]
    assert len(index.unindexed(["block"])) == 3


def test_a_note_of_another_store_is_not_believed(bucket: Bucket) -> None:
    """Put there by hand."""
    head = msgspec.structs.replace(HEAD, store="bb" * 16)
    bucket.put(NAME, encode(head, [block(1)]))
    index = read_index(bucket)
    assert index.entries == {}
    assert "expected " + STORE in index.troubles[NAME]


def test_the_newest_word_on_an_object_counts(bucket: Bucket) -> None:
    """It may have been removed, and stored anew."""
    memory(bucket).content[block(1).object] = b""
    new = msgspec.structs.replace(block(1), sha256=sha256(b"").hexdigest())
    write_note(bucket, Index(), [new], at=Timestamp(2), entropy=ENTROPY)
    write_note(bucket, Index(), [block(1)], at=Timestamp(1), entropy=ENTROPY)
    assert read_index(bucket).entries[block(1).object] == new


def test_merged_notes_are_read_as_one(bucket: Bucket) -> None:
    """Nothing of what they said is lost, and the old ones are read no more."""
    for number in range(5):
        note(bucket, range(number * 3, number * 3 + 3), number)
    name = merge_notes(bucket, at=Timestamp(9), entropy=ENTROPY)
    memory(bucket).acts.clear()
    index = read_index(bucket)
    assert known(index) == list(range(15))
    assert (index.uncovered, len(index.pushes)) == (1, 6)
    assert [each for each in memory(bucket).acts if each[0] == "get"] == [("get", name)]
    note(bucket, range(15, 18), 10)
    assert known(read_index(bucket)) == list(range(18))


def test_a_note_that_comes_late_with_an_early_name_is_read(bucket: Bucket) -> None:
    """A clock that is behind hides nothing: then all are read."""
    note(bucket, range(3), 5)
    merge_notes(bucket, at=Timestamp(9), entropy=ENTROPY)
    note(bucket, range(3, 6), 1)
    index = read_index(bucket)
    assert known(index) == list(range(6))
    assert index.uncovered == 3


def test_what_cannot_be_read_is_not_merged(bucket: Bucket) -> None:
    """It would be replaced by nothing."""
    name = note(bucket, range(3), 1)
    memory(bucket).content[name] = b"damaged"
    assert merge_notes(bucket, at=Timestamp(9), entropy=ENTROPY) is None


@pytest.mark.parametrize("at", [0, 1, 8, 9, 10])
def test_a_note_comes_behind_those_that_are_known(bucket: Bucket, at: int) -> None:
    """Though the clock stands still or is behind; so a merged one covers all it repeats."""
    note(bucket, range(3), 9)
    later = write_note(bucket, read_index(bucket), [block(7)], at=Timestamp(at), entropy=ENTROPY)
    merged = merge_notes(bucket, at=Timestamp(at), entropy=ENTROPY)
    pushes = read_index(bucket).pushes
    assert (pushes[-2], pushes[-1]) == (later, merged)
    assert read_index(bucket).uncovered == 1


def test_notes_at_one_moment_have_names_of_their_own(bucket: Bucket) -> None:
    """Though the dice fall the same."""
    names = {write_note(bucket, Index(), [block(each)], at=Timestamp(1), entropy=SeededEntropy(1)) for each in range(3)}
    assert len(names) == 3


def test_what_a_later_note_repeats_is_needed_no_more(bucket: Bucket) -> None:
    """Each may go, in any order, and the rest is read as before, by one look into the note that repeats them."""
    for number in range(4):
        note(bucket, range(number * 2, number * 2 + 2), number)
    assert read_index(bucket).covered == ()
    merged = merge_notes(bucket, at=Timestamp(9), entropy=ENTROPY)
    note(bucket, range(8, 10), 10)
    repeated = read_index(bucket).covered
    assert len(repeated) == 4
    assert merged not in repeated
    for name in (repeated[2], repeated[0], repeated[3], repeated[1]):
        bucket.objects.remove(name)
        index = read_index(bucket)
        assert known(index) == list(range(10))
        assert (index.uncovered, index.troubles) == (2, {})


def test_notes_are_read_again_where_one_went_meanwhile(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever removed it had written another that repeats it; where that never ends, what is not known is read."""
    for number in range(3):
        note(bucket, [number], number)
    objects, get = memory(bucket), memory(bucket).get

    def merge_first(name: str, *more: int) -> bytes:
        monkeypatch.setattr(objects, "get", get)
        merge_notes(bucket, at=Timestamp(9), entropy=ENTROPY)
        objects.remove(name)
        return get(name, *more)

    monkeypatch.setattr(objects, "get", merge_first)
    index = read_index(bucket)
    assert (known(index), index.troubles, index.uncovered) == ([0, 1, 2], {}, 1)

    def gone(name: str, *_: int) -> bytes:
        raise FileNotFoundError(name)

    monkeypatch.setattr(objects, "get", gone)
    assert (read_index(bucket).entries, read_index(bucket).troubles) == ({}, {})
