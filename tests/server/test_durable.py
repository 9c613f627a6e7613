"""Durable before visible, at every door: while a sync is held, nobody is told anything that rests on it."""

import http.client
from collections.abc import Iterator
from pathlib import Path

import pytest

from store.engine.options import EngineOptions
from store.server.options import ServerOptions
from store.subscribe.messages import SUBPROTOCOL_JSON, SUBPROTOCOL_MSGPACK
from tests.server.scenes import Tenant, answer_of, serving, unanswered

IN_A_THREAD = EngineOptions(fsync_inline_max_ms=-1.0)
"""Every sync runs on the thread: the loop goes on while one is held."""
ALL = "SELECT * FROM notes"


@pytest.fixture(scope="module")
def serves(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tenant]:
    """One tenant for all of these tests."""
    options = ServerOptions(port=0, health_limit_s=20.0)
    with serving(tmp_path_factory.mktemp("tenant"), options, engine_options=IN_A_THREAD) as tenant:
        tenant.call("write", 1, "first")
        yield tenant


@pytest.fixture
def tenant(serves: Tenant) -> Iterator[Tenant]:
    """The tenant; afterwards nothing of the test waits any more."""
    yield serves
    serves.gate.open()
    serves.wait_until(lambda: not serves.engine.feed.waiting and not serves.engine.log.unsynced)


def hold(tenant: Tenant) -> http.client.HTTPConnection:
    """Shut the gate, and send a call whose sync now waits there."""
    tenant.gate.shut()
    held = tenant.ask("POST", "/v1/call/write", [2, f"held at {tenant.engine.write_path.last_offset}"])
    assert tenant.gate.reached.wait(20)
    return held


def waits(tenant: Tenant, receivers: int) -> None:
    """Come back once so many receivers wait for the next sync."""
    tenant.wait_until(lambda: tenant.engine.feed.waiting >= receivers)


@pytest.mark.parametrize("subprotocol", [SUBPROTOCOL_MSGPACK, SUBPROTOCOL_JSON])
@pytest.mark.parametrize(
    ("message", "answer"),
    [
        (["call", 1, "write", [3, "third"]], "result"),
        (["call", 1, "write", [3]], "failure"),
        (["call", 1, "stumble", []], "failure"),
        (["call", 1, "nobody", []], "failure"),
        (["query", 1, ALL], "rows"),
        (["query", 1, "SELECT nonsense"], "failure"),
        (["subscribe", 1, ALL], "subscribed"),
        (["unsubscribe", 1], "failure"),
    ],
    ids=lambda value: value if isinstance(value, str) else "-".join(map(str, value)),
)
def test_websocket(tenant: Tenant, subprotocol: str, message: list[object], answer: str) -> None:
    """A result, a failure, a refusal, rows and first rows wait for the sync of what they may rest on."""
    with tenant.greet(subprotocol) as talk:
        held = hold(tenant)
        talk.say(message)
        waits(tenant, 1)
        assert talk.silent
        tenant.gate.open()
        assert talk.hear()[0][0] == answer
        held.close()


def test_delta(tenant: Tenant) -> None:
    """A subscriber hears of a change when it is durable, not before."""
    with tenant.greet() as talk:
        talk.say(["subscribe", 1, ALL])
        talk.hear()
        held = hold(tenant)
        assert talk.silent
        tenant.gate.open()
        assert talk.hear()[0][0] == "delta"
        held.close()


def test_call_itself(tenant: Tenant) -> None:
    """The caller whose sync runs is not answered before it is done."""
    held = hold(tenant)
    assert unanswered(held)
    tenant.gate.open()
    assert answer_of(held).status == 200
    held.close()


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "/v1/call/write", [3, "third"], 200),
        ("POST", "/v1/call/write", [3], 409),
        ("POST", "/v1/call/write", [3, "first"], 409),
        ("POST", "/v1/call/stumble", [], 500),
        ("POST", "/v1/call/write", "nonsense", 400),
        ("POST", "/v1/call/nobody", [], 404),
        ("POST", "/v1/query", {"sql": ALL}, 200),
        ("POST", "/v1/query", {"sql": "SELECT nonsense"}, 400),
        ("GET", "/v1/schema", None, 200),
        ("GET", "/metrics", None, 200),
        ("GET", "/healthz", None, 200),
        ("POST", "/v1/clock/confirm", None, 200),
    ],
)
def test_http(tenant: Tenant, method: str, path: str, body: object, status: int) -> None:
    """Every HTTP door that reads or writes, and every refusal, waits for the sync of what it may rest on."""
    held = hold(tenant)
    connection = tenant.ask(method, path, body)
    waits(tenant, 1)
    assert unanswered(connection)
    tenant.gate.open()
    assert answer_of(connection).status == status
    held.close()
    connection.close()


def test_order(tenant: Tenant) -> None:
    """A caller hears its own delta before its result."""
    with tenant.greet() as talk:
        talk.say(["subscribe", 1, ALL])
        talk.hear()
        talk.say(["call", 1, "write", [5, "fifth"]])
        heard = talk.hear()
        assert [message[0] for message in heard] == ["delta", "result"]
        assert heard[0][1] == heard[1][2]


def test_next_group(tenant: Tenant) -> None:
    """Whatever arrives while a sync runs is answered together after the next one."""
    with tenant.greet() as one, tenant.greet() as other:
        held = hold(tenant)
        one.say(["call", 1, "write", [3, "third"]])
        other.say(["call", 1, "write", [4, "fourth"]])
        waits(tenant, 2)
        before = tenant.on_loop(lambda: tenant.engine.log.durable_offset)
        tenant.gate.open()
        assert one.hear()[0][2] == before + 2
        assert other.hear()[0][2] == before + 3
        held.close()


def test_hanging_disk(tmp_path: Path) -> None:
    """While the disk hangs, /healthz says so in time, and /metrics leaves out what is not durable."""
    options = ServerOptions(port=0, health_limit_s=0.05)
    with serving(tmp_path, options, engine_options=IN_A_THREAD) as tenant:
        held = hold(tenant)
        sick = tenant.request("GET", "/healthz")
        assert sick.status == 503
        assert "0.05 s" in sick.body["reason"]
        text = tenant.request("GET", "/metrics").body
        assert b"store_durable_offset" in text
        assert b"store_last_offset" not in text
        assert b"store_table_rows" not in text
        tenant.gate.open()
        held.close()
