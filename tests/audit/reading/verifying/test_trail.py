"""The store's own verifier: it finds what the auditor's tool finds, in any store, and says what it did not look at."""

import base64
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from store.audit.objects.layout import What, read_name
from store.audit.objects.notes import read_key
from store.audit.reading.verifying import findings as findings_module
from store.audit.reading.verifying.batch import Checked, Task
from store.audit.reading.verifying.findings import Findings, Kind, Outcome, Verdict
from store.audit.reading.verifying.listing import logs_in
from store.audit.reading.verifying.request import Request
from store.audit.reading.verifying.trail import Verification, work_of
from store.env.memory import MemoryClock
from store.env.worm import WormStore
from store.env.worm_folder import FolderWorm
from store.env.worm_memory import MemoryWorm
from store.ids import Timestamp
from tests.audit.attacks import ATTACKS, Attack
from tests.audit.small_trails import (
    FIRST_KEY,
    LOG,
    SECOND_KEY,
    START,
    WITNESS,
    Stored,
    Trail,
    event,
    small_trail,
    undone,
)

KEY = read_key(FIRST_KEY.vkey)
UNTIL = Timestamp(2_110_838_400_000_000)
"""The moment to which small trails are locked."""


def folder_of(trail: Trail, folder: Path, *, locks: bool = True) -> WormStore:
    """A trail in a folder, as a store."""
    return FolderWorm(trail.write(folder, locks=locks), MemoryClock())


def bucket_of(trail: Trail) -> MemoryWorm:
    """A trail in a bucket in memory, every object locked; batches get their version ids there, and are signed again."""
    store = MemoryWorm(MemoryClock(Timestamp(START)))
    for name, stored in trail.objects.items():
        store.overwrite(f"audit/v1/{trail.log}/{name}", stored.data, mode="COMPLIANCE", retain_until=UNTIL)
    return store


def verify(store: WormStore, **more: Any) -> Outcome:
    """What comes out, locks looked at."""
    return Verification(store, Request(LOG, more.pop("key", KEY), **{"check_locks": True, **more})).all()


def texts(outcome: Outcome) -> list[str]:
    """The findings, each as one text."""
    return [f"{each.kind.name} {each.where}: {each.what}" for each in outcome.findings.kept]


def outcome_of(attack: Attack, folder: Path) -> Outcome:
    """What comes out of an attacked trail."""
    keys = [read_key(each) for each in attack.witnesses]
    cosigned = (lambda note: len(note.signed_by(keys)) == len(keys)) if keys else None
    return verify(folder_of(attack.trail, folder), trusted=attack.trusted, cosigned=cosigned)


def test_a_sound_trail_is_verified(tmp_path: Path) -> None:
    """Every event is proven, every lock is seen, nothing is found; what nobody can know is said."""
    outcome = verify(folder_of(small_trail(), tmp_path))
    assert (outcome.verdict, outcome.findings.kept) == (Verdict.VERIFIED, [])
    assert (outcome.counts.events_proven, outcome.counts.locks, outcome.counts.objects) == (10, 14, 14)
    assert (outcome.proven_size, outcome.retained_until) == (10, (UNTIL, UNTIL))
    assert any("rewrote" in each for each in outcome.not_checked)


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda each: each.__name__)
def test_an_attack_is_found(attack: Any, tmp_path: Path) -> None:
    """With the exit code of its kind, and a finding that says what was done."""
    done: Attack = attack()
    outcome = outcome_of(done, tmp_path)
    assert outcome.verdict == done.found, texts(outcome)
    assert any(done.says in each for each in texts(outcome)), texts(outcome)


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_a_changed_byte_anywhere_in_any_object_is_found(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """Whichever object, whichever byte, whatever it becomes: never verified, never a crash."""
    trail = small_trail(2, 1)
    name = data.draw(st.sampled_from(sorted(trail.objects)))
    changed = bytearray(trail.objects[name].data)
    changed[data.draw(st.integers(0, len(changed) - 1))] ^= data.draw(st.integers(1, 255))
    trail.change(name, bytes(changed))
    assert verify(folder_of(trail, tmp_path_factory.mktemp("fuzz"))).verdict == Verdict.TAMPER


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_hostile_bytes_in_place_of_any_object_are_found(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """Cut short, doubled, or anything at all."""
    trail = small_trail(2, 1)
    name = data.draw(st.sampled_from(sorted(trail.objects)))
    old = trail.objects[name].data
    hostile = st.one_of(
        st.binary(max_size=200),
        st.integers(0, len(old) - 1).map(lambda end: old[:end]),
        st.sampled_from([old + old, old + b"\n", b"{}", b"[" * 10_000, b'{"v":' + b"9" * 5_000 + b"}", b"null"]),
    )
    trail.change(name, data.draw(hostile.filter(lambda each: each != old)))
    assert verify(folder_of(trail, tmp_path_factory.mktemp("fuzz"))).verdict == Verdict.TAMPER


def test_a_plain_copy_says_that_locks_were_not_checked(tmp_path: Path) -> None:
    """Whoever copied the bytes did not copy what the store says of them; version ids are other ones there."""
    trail = small_trail()
    outcome = verify(folder_of(trail, tmp_path, locks=False))
    assert (outcome.verdict, outcome.counts.locks) == (Verdict.VERIFIED, 0)
    assert any(each.startswith("locks and versions") for each in outcome.not_checked)


def test_a_folder_says_that_nobody_keeps_its_locks(tmp_path: Path) -> None:
    """They are its owner's word."""
    assert any("this is a folder" in each for each in verify(folder_of(small_trail(), tmp_path)).not_checked)


def test_in_a_bucket_the_first_version_counts(tmp_path: Path) -> None:
    """Whatever is laid above it, byte for byte the same or not, and also a delete marker: said, and no harm done."""
    trail = small_trail(2, 1)
    store = bucket_of(trail)
    for name in trail.objects:
        store.overwrite(f"audit/v1/{LOG}/{name}", b"other bytes")
        store.mark_deleted(f"audit/v1/{LOG}/{name}")
    outcome = verify(store, check_locks=False)
    batches = [each for each in texts(outcome) if "version that the manifest names" in each]
    assert len(batches) == 2  # Their ids are this bucket's own.
    assert {each.kind for each in outcome.findings.kept} == {Kind.TAMPER, Kind.WARNING}
    assert outcome.findings.counts[Kind.WARNING] == 2 * len(trail.objects)
    assert outcome.counts.events_proven == 3


def test_a_bucket_that_shows_no_locks_is_told_from_one_without(tmp_path: Path) -> None:
    """Whoever may not see a lock is told which right is missing."""
    trail = small_trail(1)
    store = MemoryWorm(MemoryClock(Timestamp(START)), shows_locks=False)
    for name, stored in trail.objects.items():
        store.overwrite(f"audit/v1/{LOG}/{name}", stored.data, mode="COMPLIANCE", retain_until=UNTIL)
    assert any("s3:GetObjectRetention" in each for each in texts(verify(store)))


@pytest.mark.parametrize(
    ("asked", "proven"),
    [({"first_seq": 4, "last_seq": 7}, 4), ({"first_seq": 9}, 2), ({"last_seq": 0}, 3),
     ({"since": START + 3_000_000, "until": START + 3_000_000}, 1)],
)  # fmt: skip
def test_a_part_is_verified_without_the_rest(asked: dict[str, Any], proven: int, tmp_path: Path) -> None:
    """By number or by time: events elsewhere are not read, and that is said."""
    outcome = verify(folder_of(small_trail(), tmp_path), **asked)
    assert (outcome.verdict, outcome.counts.events_proven) == (Verdict.VERIFIED, proven)
    assert any("not asked for" in each for each in outcome.not_checked)


def test_a_part_goes_on_to_the_next_signed_root(tmp_path: Path) -> None:
    """Where a checkpoint covers several batches, those behind the part are read as well."""
    trail = Trail()
    trail.introduce(FIRST_KEY)
    for number in range(4):
        trail.batch([event(2 * number), event(2 * number + 1)])
    trail.checkpoint()
    outcome = verify(folder_of(trail, tmp_path), first_seq=2, last_seq=3)
    assert (outcome.verdict, outcome.counts.events_proven) == (Verdict.VERIFIED, 6)


def test_what_no_checkpoint_signs_yet_is_not_proven(tmp_path: Path) -> None:
    """A trail that is being written verifies, and says how many events wait."""
    trail = small_trail(3)
    trail.batch([event(3), event(4)])
    outcome = verify(folder_of(trail, tmp_path))
    assert (outcome.verdict, outcome.counts.events_proven, outcome.counts.events) == (Verdict.VERIFIED, 3, 5)
    assert any(each.startswith("2 events are not proven") for each in outcome.not_checked)


def test_a_key_and_its_successor_verify_one_trail(tmp_path: Path) -> None:
    """Whichever of the two an auditor was given."""
    trail = small_trail(3)
    trail.introduce(SECOND_KEY, FIRST_KEY)
    trail.batch([event(3)])
    trail.checkpoint(FIRST_KEY, SECOND_KEY)
    store = folder_of(trail.grow(2), tmp_path)
    for each in (FIRST_KEY, SECOND_KEY):
        outcome = verify(store, key=read_key(each.vkey))
        assert (outcome.verdict, outcome.counts.keys) == (Verdict.VERIFIED, 2), texts(outcome)


def test_enough_witnesses_prove_that_nothing_was_rewritten(tmp_path: Path) -> None:
    """Then that is not among what was not checked."""
    trail = Trail()
    trail.introduce(FIRST_KEY)
    store = folder_of(trail.grow(3, 2, witnesses=[WITNESS]), tmp_path)
    witness = read_key(WITNESS.vkey)
    outcome = verify(store, cosigned=lambda note: bool(note.signed_by([witness])))
    assert (outcome.verdict, outcome.counts.checkpoints_counted) == (Verdict.VERIFIED, 2)
    assert not any("rewrote" in each for each in outcome.not_checked)


def test_what_was_signed_is_held_to_manifests_whose_batches_are_not_read(tmp_path: Path) -> None:
    """A part that was asked for does not hide another root elsewhere."""
    trail = small_trail()
    text = f"{trail.origin}\n3\n{base64.b64encode(bytes(32)).decode()}\n"
    trail.objects["checkpoint/00000000000000000003.ckpt"] = Stored(f"{text}\n{FIRST_KEY.line(text)}".encode())
    outcome = verify(folder_of(trail, tmp_path), first_seq=8)
    assert outcome.verdict == Verdict.TAMPER
    assert any("rewritten" in each for each in texts(outcome))


def test_a_silence_is_found_between_batches_and_within(tmp_path: Path) -> None:
    """Ended by a start it was a stop or a crash; else something is missing; and a trail may stand still."""
    late = {"timestamp": START + 500_000_000}
    for place, alone in enumerate((True, False)):
        trail = small_trail(2)
        events = [event(2), event(3, unmapped=late, time=(START + 500_000_000) // 1000)]
        for part in [[each] for each in events] if alone else [events]:
            trail.batch(part)
        trail.checkpoint()
        store = folder_of(trail, tmp_path / str(place))
        assert verify(store).verdict == Verdict.VERIFIED
        assert verify(store, heartbeat_s=180).verdict == Verdict.INCOMPLETE
        assert verify(store, heartbeat_s=600, now=START + 501_000_000).verdict == Verdict.VERIFIED
        assert verify(store, heartbeat_s=600, now=START + 5_000_000_000).verdict == Verdict.INCOMPLETE


def test_a_new_epoch_goes_on_from_an_earlier_offset(tmp_path: Path) -> None:
    """After a restore: offsets come again under another epoch."""
    trail = small_trail(5)
    trail.batch([event(5, epoch="e" * 32, offset=3), event(6, epoch="e" * 32, offset=4)])
    trail.checkpoint()
    outcome = verify(folder_of(trail, tmp_path))
    assert (outcome.verdict, outcome.findings.kept) == (Verdict.VERIFIED, [])


@pytest.mark.parametrize(("offset", "lacks"), [(4, ""), (6, "offsets 4 to 5")])
def test_a_restore_that_was_undone_goes_on_where_its_epoch_was_left(tmp_path: Path, offset: int, lacks: str) -> None:
    """Offset 3, then another epoch, then offset 4: nothing is missing. Within a batch, and from one to another."""
    for number, batches in enumerate(undone(offset)):
        trail = small_trail(3)
        for each in batches:
            trail.batch(each)
        trail.checkpoint()
        store = folder_of(trail, tmp_path / str(number))
        expected = [f"INCOMPLETE event 4: {lacks} of epoch {LOG} have no event"] if lacks else []
        assert texts(verify(store)) == expected
        assert texts(verify(store, first_seq=3)) == expected


def test_a_gap_within_a_batch_is_found(tmp_path: Path) -> None:
    """Its manifest's ranges show it."""
    trail = small_trail(2)
    trail.batch([event(2), event(3, offset=9)])
    trail.checkpoint()
    outcome = verify(folder_of(trail, tmp_path))
    assert texts(outcome) == [f"INCOMPLETE event 3: offsets 4 to 8 of epoch {LOG} have no event"]


def test_batches_may_be_read_elsewhere_ahead_of_their_turn(tmp_path: Path) -> None:
    """Whoever runs them takes as many tasks as it likes, and answers in order."""
    store = folder_of(small_trail(), tmp_path)
    work = work_of(store)

    def all_at_once(tasks: Any) -> Any:
        made: list[Task] = list(tasks)
        found: list[Checked] = [work(each) for each in made]
        return iter(found)

    assert Verification(store, Request(LOG, KEY), run=all_at_once).all().counts.events_proven == 10


def test_progress_is_told_in_bytes(tmp_path: Path) -> None:
    """Up to all bytes of all batches."""
    told: list[tuple[str, int, int]] = []
    trail = small_trail()
    Verification(folder_of(trail, tmp_path), Request(LOG, KEY), progress=lambda *each: told.append(each)).all()
    size = sum(len(each.data) for name, each in trail.objects.items() if name.startswith("batch/"))
    assert told[-1] == ("verifying batches", size, size)


def test_the_logs_of_a_store_are_listed(tmp_path: Path) -> None:
    """A bucket may hold the trails of several stores, and what is none."""
    small_trail(1).write(tmp_path)
    small_trail(1, log="f" * 32).write(tmp_path)
    (tmp_path / "audit" / "v1" / "probe").mkdir()
    (tmp_path / "audit" / "v1" / "probe" / "if-none-match").write_bytes(b"")
    assert logs_in(FolderWorm(tmp_path, MemoryClock()), "audit/v1/") == [LOG, "f" * 32]


def test_of_many_findings_some_are_kept_and_all_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """A hostile store cannot fill the memory."""
    monkeypatch.setattr(findings_module, "FINDINGS_MAX", 3)
    found = Findings()
    for place in range(10):
        found.add(Kind.WARNING, str(place), "foreign")
    found.add(Kind.UNLOCKED, "last", "no lock")
    assert (len(found.kept), found.counts[Kind.WARNING], found.verdict) == (4, 10, Verdict.UNLOCKED)


def test_every_object_of_a_trail_has_a_name_that_is_read() -> None:
    """What the tests' own writer names, the store's layout knows."""
    names = {read_name(f"audit/v1/{LOG}/{each}") for each in small_trail().objects}
    assert {each.what for each in names if each is not None} == {
        What.BATCH, What.MANIFEST, What.CHECKPOINT, What.KEY, What.POLICY}  # fmt: skip
    assert None not in names
