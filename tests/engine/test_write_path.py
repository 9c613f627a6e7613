"""The write path: numbers, moments, identities, refusals; nothing is told before it is durable."""

from itertools import pairwise
from typing import Any

import msgspec
import pytest

from store.engine.engine import Engine
from store.engine.identity import Identity, decode_identity
from store.errors import CallError, Denied, EngineStopped, MalformedCall, Overloaded, UnknownReducer
from store.ids import Offset
from store.transaction import Kind
from store.values import encode
from tests.engine.scenes import (
    Listener,
    Watcher,
    a_caller,
    call,
    committed,
    logged,
    memory_clock,
    memory_disk,
    open_shop,
    reopen,
    value,
)


def records(engine: Engine) -> list[Any]:
    """What the log holds."""
    return logged(memory_disk(engine))


def test_offsets_have_no_gaps() -> None:
    """Every call that ran takes the next offset, whether it wrote, refused or failed."""
    engine = open_shop()
    for name, *args in (("add", "ada"), ("fail", "refuse"), ("look",), ("fail", "raise"), ("add", "bob")):
        committed(engine, name, *args)
    assert [each.offset for each in records(engine)] == list(range(1, engine.write_path.last_offset + 1))
    assert engine.write_path.last_offset == 3 + 1 + 5


def test_a_record_holds_all_that_went_in_and_came_out() -> None:
    """Kind, caller, connection, address, key, schema version, reducer, canonical arguments, outcome, value, writes."""
    engine = open_shop()
    answer = committed(engine, "add", "ada", caller=a_caller(client="c"), sequence=3, acknowledged=1)
    record = records(engine)[-1]
    assert record.kind == Kind.CALL
    assert record.call_key == ("c", 3, 1)
    assert (record.connection, record.source, record.schema_version) == (1, "memory:1", 1)
    assert (record.reducer, record.args) == ("add", encode(["ada", None, ""]))
    assert (record.offset, record.outcome, record.value) == (answer.offset, "", encode(1))
    ((table_id, op, key, before, after),) = record.writes
    assert (table_id, op, key, before, msgspec.msgpack.decode(after)) == (1, 1, 1, None, [1, "ada", None, ""])


@pytest.mark.parametrize("json", [False, True])
def test_arguments_come_through_either_door(json: bool) -> None:  # noqa: FBT001  # A parameter of the test.
    """MessagePack and JSON leave the same record, in order or by name."""
    engine = open_shop()
    door = msgspec.json.encode if json else encode
    for said in (["ada"], {"owner": "ada", "note": ""}):
        engine.write_path.call(a_caller(), "add", door(said), json=json)
    engine.group_commit.commit()
    assert [each.args for each in records(engine)[-2:]] == [encode(["ada", None, ""])] * 2


@pytest.mark.parametrize(
    ("name", "returned"),
    [("add", int), ("make", str), ("look", list), ("give", type(None)), ("remove", bool)],
)
def test_return_values_reach_the_caller(name: str, returned: type) -> None:
    """As MessagePack; None where a reducer returns nothing."""
    engine = open_shop()
    committed(engine, "add", "ada")
    args: dict[str, list[Any]] = {"add": ["bob"], "give": [1, "bob"], "remove": [1]}
    assert type(value(committed(engine, name, *args.get(name, [])))) is returned


@pytest.mark.parametrize("jump", [0, -1, -3_600_000_000, 1, 5_000_000])
def test_timestamps_rise_whatever_the_clock_does(jump: int) -> None:
    """Standing still, jumping back or forward: each record's moment is above the one before."""
    engine = open_shop()
    for _ in range(5):
        committed(engine, "look")
        memory_clock(engine).jump(jump)
    engine = reopen(engine)
    engine.housekeeping.confirm_clock()
    committed(engine, "look")
    moments = [each.timestamp for each in records(engine)]
    assert all(before < after for before, after in pairwise(moments))
    if jump <= 0:
        assert moments == list(range(moments[0], moments[0] + len(moments)))


def test_a_clock_that_runs_gives_the_moment() -> None:
    """Where the wall clock is ahead of the last record, its time is the record's."""
    engine = open_shop()
    committed(engine, "look")
    memory_clock(engine).advance(5_000_000)
    committed(engine, "look")
    assert records(engine)[-1].timestamp == memory_clock(engine).wall()


def test_an_identity_is_logged_once() -> None:
    """Its record comes before its first call; every later connection with the same claims refers to it."""
    engine = open_shop()
    for subject in ("ada", "bob", "ada"):
        for _ in range(2):
            committed(engine, "look", caller=a_caller(subject))
    engine = reopen(engine)
    committed(engine, "look", caller=a_caller("ada"))
    committed(engine, "look", caller=a_caller("ada", scopes=("call",)))
    identities = [each for each in records(engine) if each.kind == Kind.IDENTITY]
    assert [decode_identity(each.args) for each in identities] == [
        Identity("tests", "ada", ("call", "read", "operate")),
        Identity("tests", "bob", ("call", "read", "operate")),
        Identity("tests", "ada", ("call",)),
    ]
    names = {each.offset: decode_identity(each.args).subject for each in identities}
    assert [names[each.identity] for each in records(engine) if each.kind == Kind.CALL] == [
        "ada", "ada", "bob", "bob", "ada", "ada", "ada", "ada",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("caller", "name", "args", "error"),
    [
        (a_caller(scopes=("read", "operate")), "add", encode(["ada"]), Denied),
        (a_caller(scopes=()), "nothing", b"", Denied),
        (a_caller(), "nothing", encode([]), UnknownReducer),
        (a_caller(), "", encode([]), UnknownReducer),
        (a_caller(), "add", encode([]), MalformedCall),
        (a_caller(), "add", encode([1]), MalformedCall),
        (a_caller(), "add", encode(["a"] * 9), MalformedCall),
        (a_caller(), "add", b"\xc1", MalformedCall),
        (a_caller(), "add", b"", MalformedCall),
        (a_caller(), "add", encode(["x" * (5 << 20)]), MalformedCall),
    ],
)
@pytest.mark.parametrize("key", [{}, {"key": "k"}])
def test_what_is_denied_unknown_or_malformed_leaves_no_record(
    caller: Any, name: str, args: bytes, error: type[CallError], key: dict[str, Any]
) -> None:
    """The error names what is wrong; no offset is taken, no identity logged, nothing is to be synced."""
    engine = open_shop()
    last = engine.write_path.last_offset
    with pytest.raises(error):
        engine.write_path.call(caller, name, args, **key)
    assert engine.write_path.last_offset == last
    assert not engine.group_commit.is_due()


def test_while_calls_are_refused_nothing_is_recorded() -> None:
    """The reason reaches the caller; the store's own records still go in."""
    engine = open_shop()
    last = engine.write_path.last_offset
    engine.admission.close("disk", "the disk is full")
    with pytest.raises(Overloaded, match="the disk is full"):
        call(engine, "add", "ada")
    assert engine.write_path.last_offset == last
    assert engine.write_path.record(Kind.LIFECYCLE, "heartbeat", b"\x90").offset == last + 1


def test_followers_see_the_tables_at_the_call_before_it_is_answered() -> None:
    """What a follower holds for a caller leaves before the caller's own answer, which is held afterwards."""
    engine = open_shop()
    watcher, listener = Watcher(engine), Listener(engine)
    engine.feed.follow(watcher)

    class Teller:
        """Holds a delta for the listener."""

        def evaluate(self, transaction: Any) -> None:
            """Hold it."""
            engine.feed.hold(listener, ("delta", transaction.offset))

    engine.feed.follow(Teller())
    call(engine, "look")  # The identity's record comes first.
    engine.group_commit.commit()
    listener.heard.clear()
    answer = call(engine, "add", "ada")
    engine.feed.hold(listener, ("result", answer.offset))
    engine.group_commit.commit()
    assert listener.heard == [("delta", answer.offset), ("result", answer.offset)]
    assert watcher.seen[-1].offset == answer.offset


def test_nothing_is_released_before_the_sync_has_returned() -> None:
    """While the disk is busy nobody hears of anything: not of a result, a refusal, or a read of what is not durable."""
    engine = open_shop()
    listener = Listener(engine)
    answer = call(engine, "add", "ada")
    engine.feed.hold(listener, "result")
    engine.feed.hold(listener, "a read")
    sync = engine.group_commit.begin()
    assert listener.heard == []
    call(engine, "add", "bob")
    engine.feed.hold(listener, "of the next group")
    sync.run()
    assert listener.heard == []
    engine.group_commit.complete(sync)
    assert listener.heard == ["result", "a read"]
    assert all(durable >= answer.offset for durable in listener.durable)
    assert engine.group_commit.is_due()
    engine.group_commit.commit()
    assert listener.heard[2:] == ["of the next group"]


def test_a_failed_sync_tells_nobody() -> None:
    """What was held stays untold for ever."""
    engine = open_shop()
    listener = Listener(engine)
    call(engine, "add", "ada")
    engine.feed.hold(listener, "result")
    memory_disk(engine).fail_sync()
    with pytest.raises(EngineStopped):
        engine.group_commit.commit()
    assert listener.heard == []
    with pytest.raises(EngineStopped):
        call(engine, "add", "bob")
    assert engine.log.durable_offset < Offset(5)


def test_a_leap_of_the_clock_is_seen_before_a_call_is_stamped() -> None:
    """No housekeeping has looked yet: the call is refused, and no first answer is forgotten by a wrong moment."""
    engine = open_shop()
    ada = a_caller(client="ada")
    first = committed(engine, "add", "ada", caller=ada, sequence=1)
    before = engine.state.last_timestamp
    memory_clock(engine).jump(26 * 3600 * 1_000_000)
    with pytest.raises(Overloaded, match="clock"):
        call(engine, "add", "bob", caller=a_caller(client="bob"), sequence=1)
    engine.write_path.record(Kind.ADMIN, "heartbeat", b"\x90")
    assert engine.state.last_timestamp == before + 1
    memory_clock(engine).jump(-26 * 3600 * 1_000_000)
    engine.housekeeping.confirm_clock()
    assert committed(engine, "add", "ada", caller=ada, sequence=1).offset == first.offset
