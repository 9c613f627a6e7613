"""A trail and a snapshot: rows are what was written last; what was hidden, given up or never told is not guessed at."""

from collections.abc import Callable
from hashlib import sha256
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from store.audit.reading.verifying.findings import Kind, Outcome, Verdict
from store.audit.reading.verifying.request import Request
from store.audit.reading.verifying.snapshot import AgainstSnapshot
from store.audit.reading.verifying.trail import Verification
from store.audit.reading.verifying.writes import told_of
from store.engine.audit_rules import hashed
from store.engine.engine import Engine
from store.engine.reducer import Context, Domain, reducer
from store.env.memory import MemoryClock, MemoryDisk
from store.env.worm import WormStore
from store.env.worm_memory import MemoryWorm
from store.ids import Key, Offset
from store.log.segment import segment_offsets
from store.log.survey import read_header
from store.snapshot.format import Manifest, TableContent, content_of, fingerprint_of, snapshot_name
from store.snapshot.merge import merge
from store.snapshot.repository import Repository
from store.values import encode
from tests.audit.real_trails import KEY, LOG, Shipping
from tests.engine import shop
from tests.engine.past import a_past, restored, start
from tests.engine.scenes import committed, memory_disk, open_shop
from tests.engine.snapshots import a_life, proven, taken

Rows = dict[Key, bytes]


def shipping() -> Shipping:
    """A trail that begins, in a bucket in memory."""
    return Shipping(MemoryWorm(MemoryClock()))


def against(store: WormStore, disk: MemoryDisk, offset: int) -> Outcome:
    """What comes out."""
    snapshot = AgainstSnapshot(Repository(disk), snapshot_name(Offset(offset)))
    run = Verification(store, Request(LOG, KEY.key, with_writes=True))
    for _, checked in run.steps():
        snapshot.take(checked)
    snapshot.rest(run.outcome)
    return run.outcome


def a_store(*, calls: int = 12) -> tuple[Engine, MemoryDisk, Manifest]:
    """A store with rows that came, changed and went, all proven, and a snapshot of them."""
    engine = a_life(calls=calls)
    committed(engine, "give", 1, "eve")
    committed(engine, "remove", 2)
    proven(engine)
    return engine, memory_disk(engine), taken(memory_disk(engine)).manifest


def forge(disk: MemoryDisk, manifest: Manifest, change: Callable[[Rows], None], table: str = "task") -> None:
    """Somebody who knows the format writes the snapshot again, with other rows in one table; all of it adds up."""
    repository = Repository(disk)
    contents = []
    for each in manifest.tables:
        rows = {key: row for ref in each.blocks for key, row in zip(*repository.block(ref), strict=True)}
        if each.name == table:
            change(rows)
        blocks = merge(repository, (), dict(rows), each.table, 200)
        contents.append(TableContent(each.table, each.name, len(rows), each.next_key, tuple(blocks)))
    values = {name: getattr(manifest, name) for name in Manifest.__struct_fields__}
    values |= {
        "tables": tuple(contents),
        "fingerprint": fingerprint_of(contents),
        "content": content_of(contents, manifest.system),
    }
    repository.put_manifest(Manifest(**values))


def change(rows: Rows) -> None:
    """A row of task 3 that nobody wrote."""
    rows[3] = encode([3, "mallory", "s2", "n" * 40])


def lose(rows: Rows) -> None:
    """Task 4 is not there."""
    del rows[4]


def slip_in(rows: Rows) -> None:
    """A task comes from nowhere."""
    rows[99] = encode([99, "mallory", None, ""])


def revive(rows: Rows) -> None:
    """Task 2, which was removed, is back."""
    rows[2] = encode([2, "ada", "s1", "n" * 40])


def test_a_snapshot_holds_what_the_trail_says() -> None:
    """Every row of every table, and nothing is found."""
    _, disk, manifest = a_store()
    outcome = against(shipping().tell(disk).store, disk, manifest.offset)
    assert (outcome.verdict, outcome.findings.kept) == (Verdict.VERIFIED, [])
    assert (outcome.counts.snapshot_rows, outcome.counts.snapshot_rows_hidden) == (manifest.rows, 0)
    assert manifest.rows > 30
    assert not any("rows of the snapshot" in each for each in outcome.not_checked)


def test_what_was_written_behind_the_snapshot_does_not_count() -> None:
    """The trail may go on."""
    engine, disk, manifest = a_store()
    committed(engine, "remove", 5)
    committed(engine, "add", "bob")
    proven(engine)
    outcome = against(shipping().tell(memory_disk(engine)).store, disk, manifest.offset)
    assert (outcome.verdict, outcome.counts.snapshot_rows) == (Verdict.VERIFIED, manifest.rows)


@pytest.mark.parametrize(
    ("forged", "what"),
    [
        (change, "key 3 has other bytes"),
        (lose, "key 4 is missing"),
        (slip_in, "key 99 is a row that nobody wrote"),
        (revive, "key 2 is a row that nobody wrote"),
    ],
)
def test_rows_that_were_changed_are_found(forged: Callable[[Rows], None], what: str) -> None:
    """However well the snapshot adds up by itself."""
    _, disk, manifest = a_store()
    made = shipping().tell(disk)
    forge(disk, manifest, forged)
    outcome = against(made.store, disk, manifest.offset)
    assert outcome.verdict == Verdict.TAMPER
    (found,) = outcome.findings.kept
    assert (found.kind, found.where) == (Kind.TAMPER, f"snapshot {snapshot_name(manifest.offset)}")
    assert what in found.what


def test_a_table_that_was_emptied_is_found() -> None:
    """Each row that is not there."""
    _, disk, manifest = a_store(calls=3)
    made = shipping().tell(disk)
    forge(disk, manifest, dict.clear, table="note")
    outcome = against(made.store, disk, manifest.offset)
    assert outcome.findings.counts == {Kind.TAMPER: 3}
    assert 'key "k0" is missing' in outcome.findings.kept[0].what


def test_a_block_that_does_not_hold_is_found() -> None:
    """A snapshot that cannot be read to its end is not what was written."""
    _, disk, manifest = a_store()
    made = shipping().tell(disk)
    disk.flip(f"block/{manifest.tables[0].blocks[0].file}.blk", 300)
    outcome = against(made.store, disk, manifest.offset)
    assert outcome.verdict == Verdict.TAMPER


def test_a_trail_that_ends_before_the_snapshot_proves_nothing_of_it() -> None:
    """It is incomplete, and no row is judged."""
    engine = a_life(calls=6)
    made = shipping().tell(memory_disk(engine))
    committed(engine, "add", "bob")
    proven(engine)
    offset = taken(memory_disk(engine)).manifest.offset
    outcome = against(made.store, memory_disk(engine), offset)
    assert (outcome.verdict, outcome.counts.snapshot_rows) == (Verdict.INCOMPLETE, 0)
    assert f"as of {offset}: not compared" in outcome.findings.kept[0].what


def test_a_trail_of_another_history_proves_nothing_of_it() -> None:
    """None of its events is of an epoch that led to the snapshot."""
    _, disk, manifest = a_store(calls=3)
    outcome = against(shipping().tell(memory_disk(a_life(calls=4, seed=2))).store, disk, manifest.offset)
    assert outcome.verdict == Verdict.INCOMPLETE
    assert "no event of its history" in outcome.findings.kept[0].what


@pytest.mark.parametrize("forged", [None, change, lose, revive])
def test_a_trail_that_begins_late_judges_the_keys_that_it_has_seen(forged: Callable[[Rows], None] | None) -> None:
    """Others are counted, and said not to be checked; a key that it saw deleted must not be there."""
    engine = a_life(calls=3)
    begin = engine.state.last_offset
    committed(engine, "give", 3, "eve")
    committed(engine, "add", "bob")
    committed(engine, "remove", 2)
    proven(engine)
    disk = memory_disk(engine)
    manifest = taken(disk).manifest
    made = shipping()
    made.trail.skip(read_header(disk, segment_offsets(disk)[0]).epoch, Offset(begin))
    made.tell(disk, after=begin)
    if forged is not None:
        forge(disk, manifest, forged)
    outcome = against(made.store, disk, manifest.offset)
    assert outcome.verdict == (Verdict.VERIFIED if forged is None else Verdict.TAMPER)
    assert outcome.counts.snapshot_rows == {None: 2, revive: 2}.get(forged, 1)
    unknown = manifest.rows - 2
    assert f"{unknown} rows of the snapshot, which were last written before offset {begin + 1}" in str(
        outcome.not_checked
    )


@reducer(audit={"note": hashed()})
def confide(ctx: Context, owner: str, note: str) -> int:
    """Add a task of which a part is not shown."""
    return ctx.table(shop.Task).insert(shop.Task(owner=owner, note=note)).id


@reducer(audit={"body": hashed()})
def whisper(ctx: Context, key: str, body: bytes) -> None:
    """Write a note that is not shown."""
    ctx.table(shop.Note).upsert(shop.Note(key=key, body=body))


@pytest.mark.parametrize("forged", [None, lose, slip_in])
def test_rows_whose_hashes_are_keyed_are_counted_and_not_judged(forged: Callable[[Rows], None] | None) -> None:
    """A row under a number is known to be there; of rows under hidden text it is not even known which."""
    hidden = ModuleType(__name__)
    hidden.__dict__.update(confide=confide, whisper=whisper)
    engine = open_shop(domain=Domain.of(shop, hidden))
    for number in range(6):
        committed(engine, "confide" if number % 2 else "add", "ada", f"n{number}")
        committed(engine, "whisper" if number == 3 else "put", f"k{number}", bytes(20))
    proven(engine)
    disk = memory_disk(engine)
    manifest = taken(disk).manifest
    made = shipping().tell(disk)
    if forged is not None:
        forge(disk, manifest, forged)
    outcome = against(made.store, disk, manifest.offset)
    if forged is not None:
        assert outcome.verdict == Verdict.TAMPER
        return
    assert (outcome.verdict, outcome.findings.kept) == (Verdict.VERIFIED, [])
    # Three tasks are hidden; of the notes, only those are known that came behind the hidden one.
    assert (outcome.counts.snapshot_rows, outcome.counts.snapshot_rows_hidden) == (3 + 2, 3)
    said = [each for each in outcome.not_checked if "rows of the snapshot" in each]
    assert "bytes of 3 rows" in said[0]
    assert "4 rows of the snapshot, which were last written under a key that is hidden" in said[1]


def test_after_a_restore_the_given_up_history_does_not_count() -> None:
    """The snapshot of what is in force follows from the events before the restore and behind it."""
    past = a_past()
    made = shipping().tell(past.disk)
    disk, _ = restored(past.disk, 40)
    engine = start(disk)
    for number in range(5):
        committed(engine, "add", "ada", f"after {number}", "n")
    proven(engine)
    made.tell(memory_disk(engine), after=40)
    manifest = taken(memory_disk(engine)).manifest
    outcome = against(made.store, memory_disk(engine), manifest.offset)
    assert (outcome.verdict, outcome.findings.kept) == (Verdict.VERIFIED, [])
    assert outcome.counts.snapshot_rows == manifest.rows > 5


def test_a_snapshot_of_a_given_up_history_is_warned_of() -> None:
    """It is what was written then, and not what is in force."""
    past = a_past().copy()
    made = shipping().tell(past.disk)
    offset = taken(past.disk).manifest.offset
    disk, _ = restored(past.disk, 40)
    engine = start(disk)
    proven(engine)
    made.tell(memory_disk(engine), after=40)
    outcome = against(made.store, past.disk, offset)
    assert (outcome.verdict, [each.kind for each in outcome.findings.kept]) == (Verdict.VERIFIED, [Kind.WARNING])
    assert "was given up" in outcome.findings.kept[0].what


@given(
    st.one_of(
        st.binary(max_size=60), st.recursive(st.none() | st.integers() | st.text(), st.lists).map(repr).map(str.encode)
    )
)
def test_an_event_of_any_shape_is_taken_for_one_that_may_have_written_anything(line: bytes) -> None:
    """It never ends a verification by itself, and is not taken for one that wrote nothing."""
    (told,) = told_of([line], [("e", 7)])
    assert (told.offset, told.written, told.whole) == (7, (), False)


def test_a_hash_of_another_length_is_none() -> None:
    """An event may say anything; what is no SHA-256 is not compared with one."""
    line = b'{"unmapped":{"writes":[{"table":"t","key":1,"op":"insert","after_sha256":"%s"}]}}'
    assert not told_of([line % b""], [("e", 1)])[0].whole
    digest = sha256(b"row")
    assert told_of([line % digest.hexdigest().encode()], [("e", 1)])[0].written == (("t", b"1", digest.digest()),)
