"""What operators did while nobody could log it: noted, logged at the next start, once, through any crash."""

from typing import Any

import msgspec
import pytest

from store.engine.acts import (
    ACTS,
    ACTS_MAX,
    BEGUN,
    DONE,
    FAILED,
    NOT_IN_FORCE,
    NOTE_SIZE_MAX,
    Act,
    Note,
    OwedActs,
    acting,
    forget_acts,
    note,
    note_making,
    person_of,
)
from store.engine.directory import RESTORING, Restoring, abandon, begin_making
from store.engine.engine import Engine
from store.engine.housekeeping import SYSTEM_SPACE_MIN
from store.env.memory import CAPACITY, MemoryClock, MemoryDisk, PowerLoss, SeededEntropy
from store.errors import DirectoryError, EngineStopped
from store.ids import Position
from store.transaction import Kind
from tests.engine.scenes import committed, logged, memory_disk, open_shop

EVE = ("host:den", "eve")
DICE = SeededEntropy(11)


def a_stopped_store() -> MemoryDisk:
    """A directory with one task in it."""
    engine = open_shop()
    committed(engine, "add", "ada")
    engine.close()
    return memory_disk(engine)


def an_act(name: str = "retention", **more: Any) -> Act:
    """Of eve's."""
    return acting(name, EVE, MemoryClock(), {"reason": "by hand"}, **more)


def noted(disk: MemoryDisk, **more: Any) -> Note:
    """A note of it."""
    return note(disk, an_act(**more), DICE)


def told(disk: MemoryDisk) -> list[tuple[str, Any, Any]]:
    """(name, what, who) of every act that the log tells of."""
    found = [each for each in logged(disk) if each.kind == Kind.ADMIN]
    return [(each.reducer, *msgspec.msgpack.decode(each.args)) for each in found]


def states(disk: MemoryDisk) -> list[str]:
    """How far each act came that the log tells of."""
    return [what["state"] for _, what, _ in told(disk)]


def put(disk: MemoryDisk, name: str, data: bytes) -> None:
    """A file in the folder of notes."""
    file = disk.create(f"{ACTS}/{name}")
    file.write(Position(0), data)
    file.sync()
    file.close()
    disk.sync_directory(ACTS)


def notes_left(disk: MemoryDisk) -> list[str]:
    """What lies in the folder."""
    return disk.names(ACTS)


def test_the_next_start_logs_what_was_done() -> None:
    """What, how it ended, when and by whom, before the start itself; then the note is gone."""
    disk = a_stopped_store()
    noted(disk).end(DONE, {"segments": 3})
    at = an_act().at
    engine = open_shop(disk)
    ((name, what, who),) = told(disk)
    assert (name, who) == ("retention", list(EVE))
    assert {each: what[each] for each in ("reason", "segments", "state", "at")} == {
        "reason": "by hand",
        "segments": 3,
        "state": DONE,
        "at": at,
    }
    assert [each.reducer for each in logged(disk)][-2:] == ["retention", "start"]
    assert notes_left(disk) == []
    engine.close()
    assert len(told(memory_disk(open_shop(disk)))) == 1


def test_what_made_a_directory_follows_its_epoch() -> None:
    """A first start logs the epoch, then who made the directory, then itself."""
    disk = MemoryDisk()
    begin_making(disk, Restoring("clone", 7))
    note_making(disk, an_act("clone"), DICE)
    disk.remove(RESTORING)
    engine = open_shop(disk)
    assert [each.reducer for each in logged(memory_disk(engine))][:2] == ["epoch", "clone"]
    assert states(disk) == [DONE]


def test_an_act_whose_end_nobody_knows_is_told_as_begun() -> None:
    """At a start alone: it may still be going on beside a store that runs. Its end is told, too, once it comes."""
    disk = a_stopped_store()
    going_on = noted(disk)
    assert OwedActs(disk).due(starting=False) == []
    open_shop(disk).close()
    assert states(disk) == [BEGUN]
    going_on.end(FAILED, {"problem": "no room"})
    assert len(OwedActs(disk).due(starting=False)) == 1
    open_shop(disk).close()
    (_, first, _), (_, second, _) = told(disk)
    assert (second["state"], second["problem"], second["id"]) == (FAILED, "no room", first["id"])


def test_an_act_is_done_by_the_generation_that_is_in_force() -> None:
    """The rename that puts it in force decides; where it was not made, the log says so."""
    for generation, state in (("restored-a", DONE), ("", NOT_IN_FORCE)):
        disk = a_stopped_store()
        note(disk, an_act("restore", in_force="restored-a", state=DONE), DICE)
        acts = OwedActs(disk, generation)
        open_shop(disk, acts=acts)
        assert states(disk) == [state]


def test_what_cannot_be_read_is_logged_as_that_and_what_is_no_note_stays() -> None:
    """By its name, its size and its hash: nobody can empty the folder by spoiling a note, nor stop a start."""
    disk = a_stopped_store()
    good = msgspec.json.encode(an_act())
    nested = b'{"name":"a","issuer":"b","subject":"c","at":1,"content":{"x":' + b"[" * 30_000 + b"]" * 30_000 + b"}}"
    hostile = [
        b"",
        good[:-1],
        b"[]",
        good.replace(b"retention", b"Not A Name"),
        good.replace(b'"by hand"', b"1" * 40),
        bytes(NOTE_SIZE_MAX + 1),
        nested,
    ]
    for number, data in enumerate(hostile):
        put(disk, f"{number:020d}-{0:016x}.json", data)
    put(disk, "readme", b"mine")
    open_shop(disk).close()
    assert [name for name, _, _ in told(disk)] == ["unreadable"] * len(hostile)
    assert told(disk)[1][1]["size"] == len(good) - 1
    assert notes_left(disk) == ["readme"]


def test_a_note_that_is_cut_or_flipped_never_stops_a_start() -> None:
    """At any byte: it is logged, as what it says or as unreadable."""
    good = msgspec.json.encode(an_act())
    broken = [good[:size] for size in range(0, len(good), 7)]
    broken += [good[:at] + bytes([good[at] ^ 0x80]) + good[at + 1 :] for at in range(0, len(good), 5)]
    disk = a_stopped_store()
    for number, data in enumerate(broken):
        put(disk, f"{number:020d}-{0:016x}.json", data)
    open_shop(disk).close()
    assert len(told(disk)) == len(broken)


def test_more_notes_than_one_look_takes_come_with_the_next() -> None:
    """Oldest first; none is lost."""
    disk = a_stopped_store()
    for number in range(ACTS_MAX + 3):
        put(disk, f"{number:020d}-{0:016x}-ended.json", msgspec.json.encode(an_act()))
    open_shop(disk).close()
    assert (len(told(disk)), len(notes_left(disk))) == (ACTS_MAX, 3)
    open_shop(disk).close()
    assert (len(told(disk)), len(notes_left(disk))) == (ACTS_MAX + 3, 0)


def test_a_store_on_a_full_disk_opens_and_owes_on() -> None:
    """There is no room for a record: the next start, or the server, has it."""
    disk = a_stopped_store()
    noted(disk).end(DONE, {})
    disk.set_capacity(CAPACITY - disk.free_bytes() + SYSTEM_SPACE_MIN // 2)
    open_shop(disk).close()
    assert (told(disk), len(notes_left(disk))) == ([], 1)
    disk.set_capacity(CAPACITY)
    open_shop(disk).close()
    assert (states(disk), notes_left(disk)) == ([DONE], [])


def test_a_record_says_who_asked() -> None:
    """As [what, [issuer, subject]], or as that pair alone; nobody where the store did it by itself."""
    for said, person in (
        ([{"a": 1}, ["i", "s"]], ("i", "s")),
        (["i", "s"], ("i", "s")),
        ([{}, []], None),
        ([], None),
        ({"a": 1}, None),
        ([1, 2], None),
    ):
        assert person_of(msgspec.msgpack.encode(said)) == person
    assert person_of(b"\xc1") is None


def crashes(disk: MemoryDisk) -> list[MemoryDisk]:
    """What may be left of it after a power loss."""
    return [disk.crash_keep_all(), disk.crash_drop_all(), *(disk.crash(SeededEntropy(seed)) for seed in range(3))]


@pytest.mark.parametrize("copied", [False, True])
def test_power_fails_while_a_start_logs_an_act(copied: bool) -> None:  # noqa: FBT001  # A parameter.
    """At any operation: the act is in the log exactly once after the next start, also where an epoch opens."""
    for after in range(200):
        disk = a_stopped_store()
        noted(disk, name="first").end(DONE, {})
        noted(disk, name="second").end(DONE, {})
        disk = disk.copy() if copied else disk
        disk.cut_power(after=after)
        try:
            open_shop(disk).close()
        except PowerLoss:
            for left in crashes(disk):
                open_shop(left).close()
                assert sorted(name for name, _, _ in told(left)) == ["first", "second"]
                assert notes_left(left) == []
        else:
            return
    raise AssertionError("it never ends")


def test_power_fails_while_an_act_is_noted() -> None:
    """The log tells of nothing, of its beginning or of its end; never twice of one, and nothing of an end is lost."""
    ends = set()
    for after in range(50):
        disk = a_stopped_store()
        disk.cut_power(after=after)
        ended = False
        try:
            noted(disk).end(DONE, {})
            ended = True
        except PowerLoss:
            pass
        for left in crashes(disk):
            open_shop(left).close()
            ends.add(tuple(states(left)))
            assert not ended or states(left) == [DONE]
        if ended:
            assert ends == {(), (BEGUN,), (DONE,)}
            return
    raise AssertionError("it never ends")


def test_a_crash_is_settled_in_the_generation_that_logged() -> None:
    """What one generation was about to log says nothing of another's log, where those offsets are other records."""
    disk = a_stopped_store()
    noted(disk).end(DONE, {})
    acts = OwedActs(disk, "restored-a")
    acts.log(acts.due(starting=True), logged(disk)[-1].offset, lambda *_: None)
    open_shop(disk, acts=OwedActs(disk, "")).close()
    assert (states(disk), notes_left(disk)) == ([DONE], [])


def test_a_failing_disk_loses_no_act_and_tells_none_twice() -> None:
    """Whichever sync of a start fails: it ends the start, or the log is told later."""
    for after in range(40):
        disk = a_stopped_store()
        noted(disk).end(DONE, {})
        disk.fail_sync(after=after)
        engine: Engine | None = None
        try:
            engine = open_shop(disk)
            engine.close()
        except (OSError, EngineStopped):
            pass
        left = disk.crash_keep_all()
        open_shop(left).close()
        assert states(left) == [DONE]
        assert notes_left(left) == []


def test_a_note_that_has_no_room_leaves_nothing() -> None:
    """Nobody would ever remove it."""
    disk = a_stopped_store()
    disk.set_capacity(CAPACITY - disk.free_bytes())
    with pytest.raises(OSError, match=r"full|space"):
        noted(disk)
    assert notes_left(disk) == []


def test_notes_are_no_reason_to_begin_a_directory_anew() -> None:
    """What is being made begins without the notes of an attempt before; a folder of notes alone is somebody's."""
    disk = MemoryDisk()
    note(disk, an_act(), DICE)
    with pytest.raises(DirectoryError, match="found acts/"):
        begin_making(disk, Restoring("restore", 3))
    forget_acts(disk)
    begin_making(disk, Restoring("restore", 3))
    note_making(disk, an_act(), DICE)
    note_making(disk, an_act(), DICE)
    assert len(notes_left(disk)) == 1
    begin_making(disk, Restoring("restore", 3))
    assert notes_left(disk) == []
    note_making(disk, an_act(), DICE)
    abandon(disk)
    assert (disk.names(), notes_left(disk)) == ([], [])
