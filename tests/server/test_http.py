"""The HTTP doors: what each answers, and how each says no."""

import json
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from store.errors import CALL_ERRORS
from store.ids import Offset
from store.server.options import ServerOptions
from store.server.service import STATUS
from store.subscribe.options import Options
from store.transaction import Kind
from tests.server.scenes import Tenant, serving

ALL = {"sql": "SELECT * FROM notes"}
PACKED = {"Content-Type": "application/msgpack"}
DOORS = [
    ("POST", "/v1/call/write", [9, "nine"]),
    ("POST", "/v1/query", ALL),
    ("GET", "/v1/schema", None),
    ("POST", "/v1/clock/confirm", None),
    ("GET", "/metrics", None),
    ("GET", "/healthz", None),
    ("GET", "/readyz", None),
]


@pytest.fixture(scope="module")
def tenant(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tenant]:
    """One tenant for all of these tests, with small limits."""
    options = ServerOptions(port=0, body_size_max=10_000, body_timeout_s=0.5)
    with serving(tmp_path_factory.mktemp("tenant"), options, Options(outbox_bytes_max=50_000)) as tenant:
        tenant.call("write", 1, "first")
        tenant.call("hide", 1)
        yield tenant


@pytest.mark.parametrize(("method", "path", "body"), DOORS)
@pytest.mark.parametrize("authorization", [None, "Bearer nobody", "Bearer ", "Basic dXNlcjpwYXNz", "Bearer a.b.c"])
def test_no_token(tenant: Tenant, method: str, path: str, body: object, authorization: str | None) -> None:
    """Every door wants a token that counts, and says 401 in JSON without one."""
    headers = {"Authorization": authorization} if authorization else {}
    said = tenant.request(method, path, body, token="", headers=headers)
    assert said.status == 401
    assert said.body["error"] == "denied"
    assert said.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize(
    ("scopes", "allowed"),
    [
        ((), {"/healthz", "/readyz"}),
        (("call",), {"/healthz", "/readyz", "/v1/call/write", "/v1/schema"}),
        (("read",), {"/healthz", "/readyz", "/v1/query", "/v1/schema", "/metrics"}),
        (("operate",), {"/healthz", "/readyz", "/v1/query", "/v1/schema", "/metrics", "/v1/clock/confirm"}),
    ],
)
def test_scopes(tenant: Tenant, scopes: tuple[str, ...], allowed: set[str]) -> None:
    """A token opens the doors of its scopes; the others say 403."""
    token = tenant.add_token("somebody", scopes)
    said = {path: tenant.request(method, path, body, token=token).status for method, path, body in DOORS}
    assert said == {path: 200 if path in allowed else 403 for path in said}


def test_token_parameter(tenant: Tenant) -> None:
    """HTTP takes no token from the address, where logs would keep it."""
    assert tenant.request("GET", f"/v1/schema?access_token={tenant.token}", token="").status == 401


def test_call(tenant: Tenant) -> None:
    """A call takes its arguments in order or by name, and answers its offset and value."""
    in_order = tenant.call("write", 2, "second")
    by_name = tenant.request("POST", "/v1/call/write", {"text": "third", "note": 3})
    assert (in_order.status, in_order.body["value"]) == (200, 2)
    offset = by_name.body["offset"]
    assert by_name.body == {"offset": offset, "value": 3}
    assert offset > in_order.body["offset"]
    (record, *_) = tenant.on_loop(lambda: tenant.engine.feed.tail(offset - 1)) or []
    assert (record.reducer, msgspec.msgpack.decode(record.args)) == ("write", [3, "third"])


def test_call_without_body(tenant: Tenant) -> None:
    """A call without a body is one without arguments; what JSON cannot carry travels in its plain form."""
    assert tenant.request("POST", "/v1/call/big").body["value"] == [str(2**60), "AP8="]


def test_call_msgpack(tenant: Tenant) -> None:
    """A call in MessagePack is answered in MessagePack."""
    said = tenant.request("POST", "/v1/call/write", msgspec.msgpack.encode([4, "fourth"]), headers=PACKED)
    assert said.headers["content-type"] == "application/msgpack"
    assert msgspec.msgpack.decode(said.body)["value"] == 4
    big = tenant.request("POST", "/v1/call/big", headers=PACKED)
    assert msgspec.msgpack.decode(big.body)["value"] == [2**60, b"\x00\xff"]


@pytest.mark.parametrize(
    ("reducer", "body", "status", "code"),
    [
        ("write", b"[1,", 400, "malformed_call"),
        ("write", b"17", 400, "malformed_call"),
        ("write", b"[1,2,3,4]", 400, "malformed_call"),
        ("write", b'["one"]', 400, "malformed_call"),
        ("write", b'{"nobody":1}', 400, "malformed_call"),
        ("write", b"[" * 10_000, 400, "malformed_call"),
        ("write", b"\xff\xfe", 400, "malformed_call"),
        ("nobody", b"[]", 404, "unknown_reducer"),
        ("write", b"[1]", 409, "refused"),
        ("write", b'[50,"first"]', 409, "constraint_violation"),
        ("stumble", b"[]", 500, "reducer_failed"),
    ],
)
def test_call_failed(tenant: Tenant, reducer: str, body: bytes, status: int, code: str) -> None:
    """Each way a call can fail has a status and a code, and tells nothing of the inside."""
    said = tenant.request("POST", f"/v1/call/{reducer}", body)
    assert (said.status, said.body["error"]) == (status, code)
    assert set(said.body) == {"error", "message", "details", "offset"}
    assert "1234" not in json.dumps(said.body)
    assert "Traceback" not in json.dumps(said.body)


def test_refusal(tenant: Tenant) -> None:
    """A refusal carries the domain's own reason and details, and the offset at which it was recorded."""
    said = tenant.call("write", 7)
    assert said.body["details"] == {"note": 7, "reason": "empty"}
    assert said.body["offset"] > 0


@pytest.mark.parametrize("key", ["abc", '"abc"'])
def test_idempotency_key(tenant: Tenant, key: str) -> None:
    """A retry under the same key gets the first answer, with or without the quotes of a structured header."""
    first = tenant.call("write", 5, "fifth", headers={"Idempotency-Key": "abc"})
    again = tenant.call("write", 5, "fifth", headers={"Idempotency-Key": key})
    assert again.body == first.body
    other = tenant.call("write", 6, "sixth", headers={"Idempotency-Key": key})
    assert (other.status, other.body["error"]) == (400, "malformed_call")


@pytest.mark.parametrize("key", ["", '""', "x" * 256, "smörgås"])
def test_bad_key(tenant: Tenant, key: str) -> None:
    """A key that is empty, too long or not plain ASCII is refused."""
    said = tenant.call("write", 5, "fifth", headers={"Idempotency-Key": key})
    assert (said.status, said.body["error"]) == (400, "malformed_call")


@pytest.mark.parametrize("keys", [("abc", "xyz"), ("abc", "abc")])
def test_more_than_one_key(tenant: Tenant, keys: tuple[str, str]) -> None:
    """Two keys are refused, also where they are the same: which one counts is not guessed, and nothing runs."""
    both = dict(zip(("Idempotency-Key", "idempotency-key"), keys, strict=True))
    said = tenant.call("write", 51, "fifty-first", headers=both)
    assert (said.status, said.body["error"], said.body["offset"]) == (400, "malformed_call", 0)
    assert "expected one Idempotency-Key, found 2" in said.body["message"]


def test_query(tenant: Tenant) -> None:
    """A query answers its offset, its columns and its rows."""
    said = tenant.request("POST", "/v1/query", {"sql": "SELECT * FROM notes WHERE id = $1", "params": [1]})
    assert said.body["columns"][0] == {"name": "id", "type": "int", "nullable": False}
    assert said.body["rows"] == [[1, "first", ""]]
    assert said.body["offset"] > 0


def test_query_msgpack(tenant: Tenant) -> None:
    """A query in MessagePack is answered in MessagePack."""
    said = tenant.request("POST", "/v1/query", msgspec.msgpack.encode(ALL), headers=PACKED)
    assert msgspec.msgpack.decode(said.body)["rows"][0] == [1, "first", b""]


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"{}", b'{"sql":1}', b'{"sql":"DROP TABLE notes"}', b'{"sql":"SELECT * FROM nobody"}', b"\xc1"],
)
def test_bad_query(tenant: Tenant, body: bytes) -> None:
    """A query that cannot be read or answered is refused."""
    said = tenant.request("POST", "/v1/query", body)
    assert (said.status, said.body["error"]) == (400, "malformed_query")


def test_private_table(tenant: Tenant) -> None:
    """A private table is shown to an operator alone, by query, by schema and by metrics."""
    reads = tenant.add_token("reader", ("read",))
    secret = {"sql": "SELECT * FROM secrets"}
    assert tenant.request("POST", "/v1/query", secret).body["rows"] == [[1]]
    assert tenant.request("POST", "/v1/query", secret, token=reads).status == 403
    assert b'table="secrets"' in tenant.request("GET", "/metrics").body
    assert b'table="secrets"' not in tenant.request("GET", "/metrics", token=reads).body
    names = [table["name"] for table in tenant.request("GET", "/v1/schema", token=reads).body["tables"]]
    assert names == ["notes"]


def test_large_query(tenant: Tenant) -> None:
    """Rows past outbox_bytes_max are not sent: the answer says so and asks to come back with less."""
    tenant.call("fill", 60, 60_000)
    said = tenant.request("POST", "/v1/query", ALL)
    assert (said.status, said.body["error"], said.headers["retry-after"]) == (503, "overloaded", "1")
    tenant.call("fill", 60, 1)


def test_schema(tenant: Tenant) -> None:
    """The schema names tables, columns, reducers with their parameters, the epoch and the versions."""
    schema = tenant.request("GET", "/v1/schema").body
    notes = schema["tables"][0]
    assert (notes["name"], notes["key"], notes["public"]) == ("notes", "id", True)
    assert notes["columns"][1] == {"name": "text", "type": "str", "nullable": False, "index": True, "unique": True}
    write = next(each for each in schema["reducers"] if each["name"] == "write")
    assert write["parameters"] == [
        {"name": "note", "type": "int", "required": True},
        {"name": "text", "type": "str", "required": False},
    ]
    assert write["description"].startswith("Write a note")
    assert len(bytes.fromhex(schema["epoch"])) == 16
    assert schema["schema_version"] == 1


def test_schema_by_scope(tenant: Tenant) -> None:
    """The schema shows tables to who may read and reducers to who may call."""
    for scope, shown, hidden in (("call", "reducers", "tables"), ("read", "tables", "reducers")):
        schema = tenant.request("GET", "/v1/schema", token=tenant.add_token("x", (scope,))).body
        assert schema[shown]
        assert not schema[hidden]


def test_body_size_max(tenant: Tenant) -> None:
    """A body past body_size_max is answered 413."""
    said = tenant.request("POST", "/v1/call/write", b" " * 10_001)
    assert (said.status, said.body["error"]) == (413, "too_large")


def test_late_body(tenant: Tenant) -> None:
    """A body that does not come in time is answered 408."""
    connection = tenant.ask("POST", "/v1/call/write", b"[1", headers={"Content-Length": "100"})
    assert connection.getresponse().status == 408
    connection.close()


def test_unknown_door(tenant: Tenant) -> None:
    """A path that is no door is 404, a wrong method 405, both in JSON."""
    assert tenant.request("GET", "/").body["error"] == "not_found"
    said = tenant.request("GET", "/v1/query")
    assert (said.status, said.headers["allow"]) == (405, "POST")


def test_overloaded(tenant: Tenant) -> None:
    """While calls are refused the answer is 503 with Retry-After, readiness says why, and reads go on."""
    with tenant.full_disk():
        said = tenant.call("write", 1, "x")
        assert (said.status, said.headers["retry-after"]) == (503, "1")
        assert said.body["details"]["reason"] == "disk"
        ready = tenant.request("GET", "/readyz")
        assert (ready.status, ready.body["ready"], list(ready.body["reasons"])) == (503, False, ["disk"])
        assert "make space" in ready.body["reasons"]["disk"]
        assert tenant.request("GET", "/healthz").status == 503
        assert tenant.request("POST", "/v1/query", ALL).status == 200
    assert tenant.request("GET", "/readyz").body["ready"] is True


def test_a_call_that_no_reducer_takes_is_told(tmp_path: Path) -> None:
    """What was asked for, by its path, and why in a word; never what was sent."""
    with serving(tmp_path) as tenant:
        assert tenant.request("POST", "/v1/call/nobody").status == 404
        assert tenant.call("write", "hunter2").status == 400
        assert tenant.call("write", 1, "first").status == 200  # Its answer rests on all before it.
        records = tenant.on_loop(lambda: tenant.engine.feed.tail(Offset(0))) or []
    told = [msgspec.msgpack.decode(each.args) for each in records if each.kind == Kind.DENIED]
    assert [(each["target"], each["reason"]) for each in told] == [
        ("/v1/call/nobody", "unknown_reducer"),
        ("/v1/call/write", "malformed_call"),
    ]
    assert "hunter2" not in str(told)


def test_confirm_clock(tenant: Tenant) -> None:
    """An operator who confirms the clock lets calls run again, and that is recorded."""
    tenant.on_loop(lambda: tenant.engine.housekeeping.refuse_clock("it jumped"))
    assert tenant.call("write", 1, "x").status == 503
    said = tenant.request("POST", "/v1/clock/confirm")
    assert said.status == 200
    (record, *_) = tenant.on_loop(lambda: tenant.engine.feed.tail(said.body["offset"] - 1)) or []
    assert (record.reducer, msgspec.msgpack.decode(record.args)) == ("confirm_clock", ["tokens", "ada"])
    assert tenant.call("write", 1, "first").status == 200


def test_caller(tenant: Tenant) -> None:
    """A call's record names the caller and where it came from, and no two requests are the same connection."""
    offsets = [tenant.call("write", 1, "first").body["offset"] for _ in range(2)]
    records = tenant.on_loop(lambda: tenant.engine.feed.tail(offsets[0] - 1)) or []
    first, last = records[0], records[-1]
    assert first.source.startswith("127.0.0.1:")
    assert first.connection != last.connection
    assert tenant.engine.state.identities[first.identity].subject == "ada"


def test_error_of_ours(tenant: Tenant, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """An unexpected error is logged, answered 500 in JSON, and tells nothing of itself."""
    monkeypatch.setattr("store.server.http._describe_table", lambda _: 1 / 0)
    said = tenant.request("GET", "/v1/schema")
    assert (said.status, said.body["error"]) == (500, "internal")
    assert "division" not in json.dumps(said.body)
    assert "ZeroDivisionError" in caplog.text


def test_error_at_the_door(tenant: Tenant, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """An unexpected error while a token is looked at is a 500 in JSON as well."""
    monkeypatch.setattr("store.server.service.Service.admit", lambda *_, **__: 1 / 0)
    for path in ("/v1/schema", "/readyz"):
        said = tenant.request("GET", path)
        assert (said.status, said.body["error"]) == (500, "internal")
    assert "ZeroDivisionError" in caplog.text


def test_error_before_the_record(tenant: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    """An unexpected error before anything was recorded fails that one request; the store goes on."""
    monkeypatch.setattr("store.engine.arguments.Arguments.read_json", lambda *_: 1 / 0)
    assert tenant.call("write", 1, "x").status == 500
    monkeypatch.undo()
    assert tenant.call("write", 1, "first").status == 200


def test_every_code() -> None:
    """Every code of a call error has an HTTP status."""
    assert set(STATUS) == set(CALL_ERRORS)


def test_page() -> None:
    """HTTP.md names every door, every status and every code."""
    page = (Path(__file__).parents[2] / "store" / "server" / "HTTP.md").read_text()
    for _, path, _ in DOORS:
        assert path.replace("/write", "/{reducer}") in page
    for code, status in STATUS.items():
        assert f"| {int(status)} | `{code}` |" in page
