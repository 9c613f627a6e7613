"""The trail: the same log gives the same bytes, however it is read."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from store.audit.objects.batches import expand, lines_of
from store.audit.objects.manifest import Manifest
from store.audit.recording.context import Context, load_context
from store.audit.recording.trail import (
    BEGINNING,
    Closed,
    Gap,
    Limits,
    Standing,
    Trail,
    decode_standing,
    encode_standing,
)
from store.ids import Epoch, Offset
from tests.audit.records import HERE, beginning, call, epoch, events_of, identity, keys, record, start
from tests.audit.scenes import EPOCH, LOG, NOON, manifest_of

LATER = Epoch(bytes(range(16)))
RECORDS = [*beginning(), *map(call, range(5, 15)), identity(15, "bob"), call(16, identity=15), start(17), call(18)]
RECORDS.append(record(19, 1, "enrol", ["ada", "ada@example.com", 1234, "private"]))
LINES = events_of(RECORDS)


def new_trail(*, events_max: int = 5_000, raw_size_max: int = 1 << 22, standing: Standing = BEGINNING) -> Trail:
    """A trail that begins."""
    limits = Limits(events_max=events_max, raw_size_max=raw_size_max)
    return Trail(LOG, keys=keys(), standing=standing, context=Context(), limits=limits)


def lines(found: list[Closed]) -> list[bytes]:
    """The events of batches."""
    return [line for each in found for line in lines_of(expand(each.frozen.data))]


def closed(trail: Trail) -> list[Closed]:
    """The open batch, closed."""
    found = trail.close()
    return [found] if found else []


@settings(deadline=None)
@given(st.data())
def test_the_same_log_gives_the_same_trail(data: st.DataObject) -> None:
    """However its records come in, wherever batches are cut, and however often one begins again from what was kept."""
    events_max = data.draw(st.integers(1, 8), label="events a batch")
    found: list[Closed] = []
    kept: dict[bytes, bytes] = {}
    trail = new_trail(events_max=events_max)
    place = 0
    while place < len(RECORDS):
        again = data.draw(st.booleans(), label="begin again")
        if again:
            standing = found[-1].standing if found else BEGINNING
            trail = Trail(
                LOG,
                keys=keys(),
                standing=decode_standing(encode_standing(standing)),
                context=load_context(kept),
                limits=Limits(events_max=events_max),
            )
            place = max(0, standing.offset - data.draw(st.integers(0, 3), label="taken before"))
        count = data.draw(st.integers(1, 6), label="records")
        new = trail.take(HERE, RECORDS[place : place + count])
        new += closed(trail) if data.draw(st.booleans(), label="close") else []
        found += new
        for each in new:
            kept |= each.context
        place += count
    found += closed(trail)
    assert lines(found) == LINES
    whole = new_trail()
    assert whole.take(HERE, RECORDS) == []
    (at_once,) = closed(whole)
    assert found[-1].frozen.after == at_once.frozen.after
    assert found[-1].standing == Standing(len(found), len(LINES), at_once.frozen.after.roots, EPOCH, 19)


def test_batches_follow_each_other() -> None:
    """Number, first event, tree and offsets of each go on from the one before."""
    found = new_trail(events_max=7).take(HERE, RECORDS)
    assert [each.frozen.batch for each in found] == [0, 1]
    assert [each.frozen.ranges for each in found] == [((EPOCH, 1, 7),), ((EPOCH, 8, 14),)]
    assert found[1].frozen.before == found[0].frozen.after
    assert (found[1].frozen.t_first, found[1].frozen.t_last) == (NOON + 8, NOON + 14)
    first = manifest_of(found[0].frozen)
    second: Manifest = manifest_of(found[1].frozen, first.digest)
    assert second.frontier_before == tuple(each.hex() for each in found[0].frozen.after.roots)


def test_a_batch_is_closed_by_its_bytes() -> None:
    """Once its lines have as many, the last one whole."""
    found = new_trail(raw_size_max=2_000).take(HERE, RECORDS)
    assert all(each.frozen.raw_size >= 2_000 for each in found)
    assert all(each.frozen.raw_size - len(lines([each])[-1]) - 1 < 2_000 for each in found)


def test_an_open_batch_says_how_much_and_since_when() -> None:
    """So that whoever has a clock closes it in time; an empty one is not closed."""
    trail = new_trail()
    assert (trail.waiting, trail.waiting_since, trail.close()) == (0, None, None)
    trail.take(HERE, RECORDS[:3])
    assert (trail.waiting, trail.waiting_since, trail.place) == (3, NOON + 1, (EPOCH, 3))


def test_what_is_kept_says_only_what_is_new() -> None:
    """Batches without identities, schemas or starts keep nothing of the context."""
    found = new_trail(events_max=7).take(HERE, RECORDS[:14])
    assert sorted(found[0].context) == [b"declared", b"identity/00000000000000000004", b"sensitive", b"tables"]
    assert found[1].context == {}


def test_a_missing_record_is_refused() -> None:
    """It is named, and nothing behind it is taken."""
    trail = new_trail()
    trail.take(HERE, RECORDS[:4])
    with pytest.raises(Gap, match=r"offset 5 of epoch .* found 7"):
        trail.take(HERE, RECORDS[6:])
    assert trail.waiting == 4


def test_where_a_record_is_missing_nothing_is_taken() -> None:
    """Not even what comes before it, however many batches that would fill: none of them may be lost."""
    for where in (HERE, LATER):
        trail = new_trail(events_max=2)
        with pytest.raises(Gap):
            trail.take(where, [*RECORDS[:6], *RECORDS[7:]])
        assert trail.standing == BEGINNING
        assert len(trail.take(HERE, RECORDS[:6])) == 3


def test_a_gap_that_was_accepted_shows_in_the_ranges() -> None:
    """Each event still has its number, and the manifest says which offsets they are."""
    trail = new_trail()
    trail.take(HERE, RECORDS[:4])
    trail.skip(HERE, Offset(6))
    trail.take(HERE, RECORDS[6:10])
    found = closed(trail)
    assert found[0].frozen.ranges == ((EPOCH, 1, 4), (EPOCH, 7, 10))
    assert manifest_of(found[0].frozen).count == 8
    assert [json.loads(line)["metadata"]["sequence"] for line in lines(found)] == list(range(8))


def test_a_trail_may_begin_behind_the_first_record() -> None:
    """Where auditing was turned on later: its first range says where."""
    trail = new_trail()
    trail.take(HERE, RECORDS[9:])
    (found,) = closed(trail)
    assert (found.frozen.first, found.frozen.ranges) == (0, ((EPOCH, 10, 19),))


def test_another_epoch_goes_on_where_it_opens() -> None:
    """After a restore that is before the last record; numbers of events go on, and each says its epoch."""
    trail = new_trail()
    trail.take(HERE, RECORDS[:10])
    again = [epoch(8, reason="restore", of=LATER), call(9), call(10)]
    trail.take(LATER, again)
    found = closed(trail)
    assert found[0].frozen.ranges == ((EPOCH, 1, 10), (LATER.hex(), 8, 10))
    *_, opened, _, last = map(json.loads, lines(found))
    assert opened["unmapped"]["args"]["reason"] == "restore"
    assert (last["unmapped"]["epoch"], last["unmapped"]["offset"]) == (LATER.hex(), 10)
    assert manifest_of(found[0].frozen).ranges == found[0].frozen.ranges


def test_an_epoch_may_open_at_a_batchs_edge() -> None:
    """Then its range is the batch's first."""
    trail = new_trail(events_max=10)
    (first,) = trail.take(HERE, RECORDS[:10])
    trail.take(LATER, [epoch(8, reason="restore", of=LATER)])
    (second,) = closed(trail)
    assert first.frozen.ranges == ((EPOCH, 1, 10),)
    assert second.frozen.ranges == ((LATER.hex(), 8, 8),)


def test_skipping_at_a_batchs_edge_leaves_no_empty_range() -> None:
    """Nor does skipping twice."""
    trail = new_trail(events_max=4)
    (first,) = trail.take(HERE, RECORDS[:4])
    trail.skip(HERE, Offset(6))
    trail.skip(HERE, Offset(8))
    trail.take(HERE, RECORDS[8:10])
    trail.skip(HERE, Offset(12))
    trail.skip(HERE, Offset(12))
    trail.take(HERE, RECORDS[12:13])
    (second,) = closed(trail)
    assert first.frozen.ranges == ((EPOCH, 1, 4),)
    assert second.frozen.ranges == ((EPOCH, 9, 10), (EPOCH, 13, 13))
