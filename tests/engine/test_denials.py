"""Who was turned away, in the log: singly while they are few, counted under a flood, and never more than a bound."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from store.codec import encode_transaction
from store.engine import denials
from store.engine.denials import (
    EACH_MAX,
    INTERVAL_S,
    RECORD_SIZE_MAX,
    SINGLE_MAX,
    SOURCES_MAX,
    SOURCES_TOLD,
    Summary,
    is_told,
)
from store.engine.engine import Engine
from store.engine.identity import Caller, Identity
from store.errors import CallError, Denied, MalformedCall, MalformedQuery, Overloaded, UnknownReducer
from store.ids import ConnectionId
from store.transaction import Kind, Transaction
from tests.engine.scenes import OPTIONS, logged, memory_clock, memory_disk, open_shop, reopen

ERROR = Denied("a bearer token is needed", hint="Send one")


def deny(
    engine: Engine, source: str = "10.0.0.1:5000", *, act: str = "authenticate", caller: Caller | None = None
) -> None:
    """One denial at the HTTP door."""
    engine.denials.note(act, ERROR, door="http", target="/v1/query", source=source, caller=caller)


def wait(engine: Engine, seconds: float) -> None:
    """Let time pass."""
    memory_clock(engine).advance(round(seconds * 1_000_000))


def denied(engine: Engine) -> list[Transaction]:
    """Every record of denials, after all was committed."""
    engine.group_commit.commit()
    return [each for each in logged(memory_disk(engine)) if each.kind == Kind.DENIED]


def summaries(found: list[Transaction]) -> list[Summary]:
    """What the summaries among them say."""
    return [msgspec.msgpack.decode(each.args, type=Summary) for each in found if each.reducer == denials.SUMMARY]


def number(found: list[Transaction]) -> int:
    """How many denials records stand for."""
    return sum(each.count for each in summaries(found)) + sum(each.reducer != denials.SUMMARY for each in found)


def test_a_denial_is_a_record_with_what_was_asked_by_whom_and_where() -> None:
    """Its outcome is the error's code, its value the error as of a failed call."""
    engine = open_shop()
    caller = Caller(Identity("tokens", "bob", ("read",)), ConnectionId(7), "10.0.0.1:5000")
    deny(engine, act="call", caller=caller)
    (record,) = denied(engine)
    assert (record.reducer, record.connection, record.source, record.outcome) == ("call", 7, "10.0.0.1:5000", "denied")
    assert engine.state.identities[record.identity].subject == "bob"
    assert msgspec.msgpack.decode(record.args) == {"door": "http", "target": "/v1/query", "reason": str(ERROR)}
    assert msgspec.msgpack.decode(record.value) == [str(ERROR), {}, ""]


def test_a_stranger_is_nobody() -> None:
    """Without a token there is no identity; the address is kept."""
    engine = open_shop()
    deny(engine)
    (record,) = denied(engine)
    assert (record.identity, record.connection, record.source) == (0, 0, "10.0.0.1:5000")


def test_of_one_source_and_reason_a_few_each_second_have_a_record() -> None:
    """The rest of the second is counted, whatever port it comes from; other sources have their own few."""
    engine = open_shop()
    for port in range(10):
        deny(engine, f"10.0.0.1:{port}")
    deny(engine, "10.0.0.2:1")
    assert [each.source for each in denied(engine)] == ["10.0.0.1:0", "10.0.0.1:1", "10.0.0.1:2", "10.0.0.2:1"]
    assert engine.denials.counted == 10 - EACH_MAX
    wait(engine, 1.1)
    deny(engine)
    assert len(denied(engine)) == EACH_MAX + 2


def test_what_was_counted_is_summarised_when_the_interval_ends() -> None:
    """With its number, the first and the last moment, the reasons and the sources with the most."""
    engine = open_shop()
    for place in range(SINGLE_MAX + 100):
        deny(engine, f"10.0.0.{place % 20}:1", act="call" if place % 2 else "authenticate")
    engine.denials.look()
    assert summaries(denied(engine)) == []
    wait(engine, INTERVAL_S)
    engine.denials.look()
    (summary,) = summaries(denied(engine))
    assert summary.count == 100
    assert sum(summary.reasons.values()) == 100
    assert summary.reasons.keys() == {"authenticate/denied", "call/denied"}
    assert len(summary.sources) == SOURCES_TOLD
    assert sum(summary.sources.values()) + summary.others == 100
    assert summary.first <= summary.last
    engine.denials.look()
    assert engine.denials.counted == 0


def test_a_stop_summarises_first() -> None:
    """So that a store that stops in order loses no number."""
    engine = open_shop()
    for _ in range(50):
        deny(engine)
    disk = memory_disk(engine)
    engine.close()
    found = [each for each in logged(disk) if each.kind == Kind.DENIED]
    assert number(found) == 50
    assert logged(disk)[-1].reducer == "stop"


@given(acts=st.lists(st.tuples(st.integers(0, 40), st.floats(0, 4)), max_size=60), crash=st.booleans())
def test_no_number_is_lost_and_no_interval_writes_more_than_its_bound(
    *, acts: list[tuple[int, float]], crash: bool
) -> None:
    """However many come from wherever, whenever: records and counts add up, and a crash loses the count alone."""
    engine = open_shop()
    total = 0
    for many, pause in acts:
        for place in range(many):
            deny(engine, f"10.0.{place % 7}.1:1")
            total += 1
        wait(engine, pause)
        engine.denials.look()
    found = denied(engine)
    assert number(found) + engine.denials.counted == total
    assert number(found) == engine.denials.recorded + engine.denials.summarised
    seconds = sum(pause for _, pause in acts)
    intervals = int(seconds / INTERVAL_S) + 1
    assert len(found) <= intervals * (SINGLE_MAX + 1)
    if crash:
        again = reopen(engine)
        assert number(denied(again)) == number(found)


def test_every_record_of_denials_is_bounded() -> None:
    """Whatever a stranger says, in whatever letters, is cut and kept as text."""
    engine = open_shop()
    for place in range(SOURCES_MAX + 200):
        error = Denied("\ud800" + "ü" * 100_000)
        engine.denials.note(
            "authenticate",
            error,
            door="websocket",
            target="\udfff" + "語" * 100_000,
            source=f"{place}" + "語" * 9_999 + ":1",
        )
    wait(engine, INTERVAL_S)
    engine.denials.look()
    found = denied(engine)
    assert number(found) == SOURCES_MAX + 200
    assert max(len(encode_transaction(each)) for each in found) <= RECORD_SIZE_MAX


def test_while_the_disk_is_low_denials_are_counted() -> None:
    """A stranger takes nothing of the reserve; when there is space again, the number is told."""
    engine = open_shop()
    engine.admission.close("disk", "low")
    for _ in range(5):
        deny(engine)
    wait(engine, INTERVAL_S)
    engine.denials.look()
    assert denied(engine) == []
    assert engine.denials.counted == 5
    engine.admission.open("disk")
    engine.denials.look()
    assert number(denied(engine)) == 5


def test_denials_survive_a_restart() -> None:
    """They are records as all others: a replay passes them by."""
    engine = open_shop(options=OPTIONS)
    deny(engine)
    before = denied(engine)
    assert denied(reopen(engine)) == before


@pytest.mark.parametrize(
    ("act", "error"), [("call", UnknownReducer), ("call", MalformedCall), ("message", MalformedCall)]
)
def test_of_a_call_that_cannot_be_read_no_argument_is_kept(act: str, error: type[CallError]) -> None:
    """Who, from where, what name and why in a word: the error's text may quote what no log may hold."""
    engine = open_shop()
    secret = error("'hunter2' is no number")
    assert is_told(act, secret)
    engine.denials.note(act, secret, door="websocket", target="pay", source="10.0.0.1:5000")
    (record,) = denied(engine)
    assert (record.reducer, record.outcome) == (act, error.code)
    assert msgspec.msgpack.decode(record.args) == {"door": "websocket", "target": "pay", "reason": error.code}
    assert b"hunter2" not in encode_transaction(record)


def test_a_flood_of_calls_that_cannot_be_read_is_counted() -> None:
    """Within the same bound as denials, under a reason of its own."""
    engine = open_shop()
    for _ in range(1_000):
        engine.denials.note("call", UnknownReducer("no"), door="http", target="x" * 10_000, source="10.0.0.1:1")
    wait(engine, INTERVAL_S)
    engine.denials.look()
    found = denied(engine)
    assert len(found) <= SINGLE_MAX + 1
    assert number(found) == 1_000
    assert [each.reasons.keys() for each in summaries(found)] == [{"call/unknown_reducer"}]
    assert all(len(encode_transaction(each)) <= RECORD_SIZE_MAX for each in found)


def test_other_answers_that_say_no_are_not_told() -> None:
    """A query that cannot be read asks for nothing, and a store that is busy turns nobody away for good."""
    assert is_told("query", Denied("no"))
    assert not is_told("query", MalformedQuery("no"))
    assert not is_told("subscribe", MalformedCall("no"))
    assert not is_told("call", Overloaded("no"))
