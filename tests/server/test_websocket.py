"""The WebSocket door: who is let in, what ends a connection and with which code, and that nobody waits for another."""

import json
import socket
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import jwt
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.frames import Frame, Opcode

from store.server.auth import AuthOptions
from store.server.options import ServerOptions
from store.server.websocket import WebSocketConnection, source_of
from store.subscribe.messages import (
    CLOSE_MALFORMED_FRAME,
    CLOSE_STOPPING,
    CLOSE_SUBPROTOCOL,
    CLOSE_TOO_LARGE,
    CLOSE_TOO_SLOW,
    CLOSE_UNAUTHORIZED,
    SUBPROTOCOL_JSON,
    SUBPROTOCOL_MSGPACK,
)
from store.subscribe.options import Options
from tests.server.scenes import LIMIT_S, Talk, Tenant, serving

FRAME_SIZE_MAX = 64 << 10
OUTBOX_BYTES_MAX = 256 << 10
ALL = "SELECT * FROM notes"


@pytest.fixture(scope="module")
def tenant(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tenant]:
    """One tenant for most of these tests, with small limits."""
    sessions = Options(frame_size_max=FRAME_SIZE_MAX, outbox_bytes_max=OUTBOX_BYTES_MAX)
    options = ServerOptions(port=0, close_grace_s=0.3, connections_max=50)
    with serving(tmp_path_factory.mktemp("tenant"), options, sessions) as tenant:
        yield tenant


def end_of(talk: Talk) -> tuple[int, str]:
    """The close code and reason that the server gives; what came before is read over."""
    for _ in read_on(talk):
        pass
    talk.close()
    assert talk.connection.close_code is not None
    return talk.connection.close_code, talk.connection.close_reason or ""


def read_on(talk: Talk) -> Iterator[str | bytes]:
    """Every frame until the connection ends."""
    try:
        while True:
            yield talk.connection.recv(LIMIT_S)
    except ConnectionClosed:
        return


class StalledClient:
    """A raw socket that follows all notes and reads nothing more than it must."""

    def __init__(self, tenant: Tenant) -> None:
        self.socket = socket.socket()
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        self.socket.settimeout(LIMIT_S)
        self.socket.connect((tenant.host, tenant.port))
        self.socket.sendall(
            b"GET /v1/connect HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
            b"Sec-WebSocket-Protocol: store.v1.json\r\nAuthorization: Bearer " + tenant.token.encode() + b"\r\n\r\n"
        )
        assert self.socket.recv(4_096).startswith(b"HTTP/1.1 101")
        payload = b'[["hello"],["subscribe",1,"%b"]]' % ALL.encode()
        self.socket.sendall(bytes((0x81, 0x80 | len(payload), 0, 0, 0, 0)) + payload)
        assert b"welcome" in self.socket.recv(100)

    def read_until_quiet(self) -> int:
        """Bytes until the last chunk is there."""
        size, last = 0, b""
        while not last.endswith(b"false]]"):
            data = self.socket.recv(1 << 20)
            assert data
            size, last = size + len(data), (last + data)[-16:]
        return size

    def close(self) -> None:
        """Go."""
        self.socket.close()


def refused(tenant: Tenant, **how: object) -> tuple[int, dict[str, object]]:
    """The HTTP status and body that a handshake ends with."""
    with pytest.raises(InvalidStatus) as caught:
        tenant.connect(**how)  # type: ignore[arg-type]  # What each test says.
    body = caught.value.response.body
    assert body is not None
    return caught.value.response.status_code, json.loads(body)


@pytest.mark.parametrize("subprotocol", [SUBPROTOCOL_MSGPACK, SUBPROTOCOL_JSON])
def test_conversation(tenant: Tenant, subprotocol: str) -> None:
    """A client that has a token and speaks a subprotocol of ours is served over it."""
    with tenant.greet(subprotocol) as talk:
        talk.say(["call", 1, "write", [1, "hello"]], ["query", 1, ALL])
        heard = talk.hear()
        assert [message[0] for message in heard] == ["result", "rows"]
        assert talk.connection.subprotocol == subprotocol


def test_preference(tenant: Tenant) -> None:
    """Of both subprotocols MessagePack is taken, in whatever order they are offered."""
    with tenant.connect(None, subprotocols=[SUBPROTOCOL_JSON, SUBPROTOCOL_MSGPACK]) as talk:
        assert talk.connection.subprotocol == SUBPROTOCOL_MSGPACK


@pytest.mark.parametrize("offered", [None, ["graphql-ws", "store.v2.msgpack"]])
def test_no_subprotocol(tenant: Tenant, offered: list[str] | None) -> None:
    """Who offers no subprotocol of ours is told so by a close code, which a browser shows where it hides a status."""
    talk = tenant.connect(None, subprotocols=offered)
    code, reason = end_of(talk)
    assert code == CLOSE_SUBPROTOCOL
    assert SUBPROTOCOL_MSGPACK in reason


@pytest.mark.parametrize("token", ["", "nobody", "a.b.c", "x" * 5_000])
def test_bad_token(tenant: Tenant, token: str) -> None:
    """A missing, unknown, malformed or oversized token is answered 401 in JSON, before the upgrade."""
    status, body = refused(tenant, token=token)
    assert status == 401
    assert body["error"] == "denied"
    assert "nobody" not in str(body)


def test_other_scheme(tenant: Tenant) -> None:
    """Only the Bearer scheme is taken."""
    status, _ = refused(tenant, token="", additional_headers={"Authorization": f"Basic {tenant.token}"})
    assert status == 401


def test_no_scope(tenant: Tenant) -> None:
    """A token that opens nothing is answered 403."""
    assert refused(tenant, token=tenant.add_token("idle", ()))[0] == 403


def test_token_parameter(tenant: Tenant) -> None:
    """A browser, which cannot send the header, sends the token as access_token."""
    with tenant.connect(token="", path=f"/v1/connect?access_token={tenant.token}") as talk:
        talk.say(["hello", ""])
        assert talk.hear()[0][0] == "welcome"
    assert refused(tenant, token="", path="/v1/connect?access_token=nobody")[0] == 401


def test_other_path(tenant: Tenant) -> None:
    """WebSocket is spoken at one path alone."""
    status, body = refused(tenant, path="/v1/elsewhere")
    assert (status, body["error"]) == (404, "not_found")


def test_bad_handshake(tenant: Tenant) -> None:
    """A handshake that is none is answered in JSON, and says which version is taken."""
    said = tenant.request(
        "GET",
        "/v1/connect",
        headers={
            "Connection": "Upgrade",
            "Upgrade": "websocket",
            "Sec-WebSocket-Key": "AAAA",
            "Sec-WebSocket-Version": "13",
        },
    )
    assert said.status == 400
    assert said.body["error"] == "bad_handshake"
    assert tenant.request("GET", "/v1/connect").status == 404


def test_connections_max(tmp_path: Path) -> None:
    """One connection too many is answered 503 with Retry-After, and the others go on."""
    with serving(tmp_path, ServerOptions(port=0, connections_max=1)) as tenant, tenant.greet() as talk:
        assert tenant.request("GET", "/readyz").status == 503
        talk.say(["query", 1, ALL])
        assert talk.hear()[0][0] == "rows"


@pytest.mark.parametrize(
    ("subprotocol", "frame"), [(SUBPROTOCOL_MSGPACK, "[]"), (SUBPROTOCOL_JSON, b"\x90"), (SUBPROTOCOL_MSGPACK, b"\xc1")]
)
def test_wrong_frame(tenant: Tenant, subprotocol: str, frame: str | bytes) -> None:
    """Text for MessagePack, binary for JSON, and bytes that are no frame close with a code; others do not notice."""
    with tenant.greet() as other:
        talk = tenant.greet(subprotocol)
        talk.connection.send(frame)
        assert end_of(talk)[0] == CLOSE_MALFORMED_FRAME
        other.say(["query", 1, ALL])
        assert other.hear()[0][0] == "rows"


def test_frame_size_max(tenant: Tenant) -> None:
    """A frame past frame_size_max closes with 1009, whether it comes whole or in fragments."""
    talk = tenant.greet()
    talk.connection.send(bytes(FRAME_SIZE_MAX + 1))
    assert end_of(talk)[0] == CLOSE_TOO_LARGE
    talk = tenant.greet()
    talk.connection.send([bytes(FRAME_SIZE_MAX), b"x"])
    assert end_of(talk)[0] == CLOSE_TOO_LARGE


def test_fragments(tenant: Tenant) -> None:
    """A message may come in fragments, with pings between them."""
    with tenant.connect(SUBPROTOCOL_JSON) as talk:
        talk.connection.send(['[["hello"', ',""', "]]"])
        assert talk.hear()[0][0] == "welcome"


def test_ping(tenant: Tenant) -> None:
    """A client's ping is answered."""
    with tenant.greet() as talk:
        assert talk.connection.ping(b"still there?").wait(LIMIT_S)


def test_polite_close(tenant: Tenant) -> None:
    """A client that says goodbye is answered in kind, and nothing of it stays."""
    talk = tenant.greet()
    talk.say(["subscribe", 1, ALL])
    talk.hear()
    talk.close()
    assert talk.connection.close_code == 1000
    tenant.wait_until(lambda: tenant.service.subscriptions.subscription_count == 0)


def test_vanished_client(tenant: Tenant) -> None:
    """A client that is simply gone leaves nothing behind."""
    talk = tenant.greet()
    talk.say(["subscribe", 1, ALL])
    talk.hear()
    talk.connection.socket.shutdown(socket.SHUT_RDWR)
    tenant.wait_until(lambda: not tenant.service.connections)
    assert tenant.on_loop(lambda: tenant.service.subscriptions.subscription_count) == 0
    talk.close()


def test_expiry(tenant: Tenant) -> None:
    """A connection ends with its token."""
    talk = tenant.greet(token=tenant.add_token("guest", expiry=time.time() + 0.6))
    assert end_of(talk) == (CLOSE_UNAUTHORIZED, "the token has run out")


def test_what_was_run_before_the_expiry_is_answered(tenant: Tenant) -> None:
    """A call that waits for the disk when the token runs out is answered before the close; a later one is not run."""
    talk = tenant.greet(SUBPROTOCOL_JSON, token=tenant.add_token("late"))
    (connection,) = tenant.on_loop(lambda: tuple(tenant.service.connections))
    assert isinstance(connection, WebSocketConnection)

    def run_out() -> None:
        said = [["call", 1, "write", [901, "in time"]]]
        connection._session.receive(json.dumps(said).encode(), text=True)  # type: ignore[union-attr]  # It is open.
        connection._credential = replace(connection.credential, expiry=time.time() - 1)
        connection._look_at_expiry()
        said = [["call", 2, "write", [902, "too late"]]]
        connection.data_received(Frame(Opcode.TEXT, json.dumps(said).encode()).serialize(mask=True))

    tenant.on_loop(run_out)
    ((kind, sequence, *_),) = talk.hear()
    assert (kind, sequence) == ("result", 1)
    assert end_of(talk) == (CLOSE_UNAUTHORIZED, "the token has run out")
    with tenant.greet() as other:
        other.say(["query", 1, "SELECT id FROM notes WHERE id > 900"])
        assert other.hear()[0][-1] == [[901]]


def test_withdrawn(tenant: Tenant) -> None:
    """A connection ends when its token is taken out of the file; the others go on."""
    token = tenant.add_token("leaver")
    line = tenant.tokens.read_text().splitlines(keepends=True)[-1]
    with tenant.greet() as other:
        talk = tenant.greet(token=token)
        tenant.tokens.write_text(tenant.tokens.read_text().replace(line, ""))
        tenant.on_loop(tenant.service.end_withdrawn)
        assert end_of(talk) == (CLOSE_UNAUTHORIZED, "the token was withdrawn")
        other.say(["query", 1, ALL])
        assert other.hear()[0][0] == "rows"


def test_too_slow(tenant: Tenant) -> None:
    """A subscriber that stops reading is cut off with a code that says so, and costs the others nothing."""
    stalled, reads = tenant.greet(max_queue=1), tenant.greet()
    for talk in (stalled, reads):
        talk.say(["subscribe", 1, "SELECT * FROM notes WHERE id = 77"])
        talk.hear()
    sequence = 0
    while tenant.on_loop(lambda: len(tenant.service.connections)) == 2:
        sequence += 1
        reads.say(["call", sequence, "fill", [77, 40_000 + sequence]])
        assert [message[0] for message in reads.hear()] == ["delta", "result"]
    assert tenant.service.metrics.closed[str(CLOSE_TOO_SLOW)] == 1
    reads.close()
    end_of(stalled)


def test_unread_results(tenant: Tenant) -> None:
    """A caller that does not read its results is not read any more, until it reads again; nothing is lost."""
    talk = tenant.greet(max_queue=1)
    tenant.call("fill", 78, 50_000)
    for number in range(1, 5):
        talk.say(["query", number, "SELECT * FROM notes WHERE id = 78"])
    heard: list[int] = []
    while len(heard) < 4:
        heard += [message[1] for message in talk.hear()]
    assert heard == [1, 2, 3, 4]
    talk.close()


def test_silence(tmp_path: Path) -> None:
    """A client that answers no ping is cut off; one that does stays."""
    options = ServerOptions(port=0, ping_interval_s=0.05, ping_timeout_s=0.5, close_grace_s=0.05)
    with serving(tmp_path, options) as tenant, tenant.greet() as lively:
        dead = socket.create_connection((tenant.host, tenant.port))
        dead.sendall(
            b"GET /v1/connect HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
            b"Sec-WebSocket-Protocol: store.v1.json\r\nAuthorization: Bearer " + tenant.token.encode() + b"\r\n\r\n"
        )
        dead.settimeout(LIMIT_S)
        heard = b""
        while data := dead.recv(4096):
            heard += data
        dead.close()
        head, _, frames = heard.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 101 ")
        assert frames.startswith(b"\x89\x00")
        assert frames.endswith(b"no answer to a ping")
        lively.say(["query", 1, ALL])
        assert lively.hear()[0][0] == "rows"


def test_stalled(tmp_path: Path) -> None:
    """A client that takes nothing of what waits for it is cut off as too slow, also where nothing more is sent."""
    options = ServerOptions(port=0, ping_interval_s=0.05, ping_timeout_s=0.05, close_grace_s=0.05)
    with serving(tmp_path, options, Options(frame_size_max=1 << 20)) as tenant:
        for number in range(16):
            tenant.call("fill", number, 500_000)
        talk = tenant.greet(max_queue=1)
        for number in range(6):
            talk.say(["query", number, ALL])
        tenant.wait_until(lambda: tenant.service.metrics.closed == {str(CLOSE_TOO_SLOW): 1})
        tenant.wait_until(lambda: not tenant.service.connections)
        talk.connection.socket.close()
        talk.close()


def test_stopping(tmp_path: Path) -> None:
    """When the server stops, what was asked is answered first, then every client is told to come back."""
    with serving(tmp_path) as tenant:
        talk = tenant.greet()
        talk.say(["call", 1, "write", [1, "last words"]])
        tenant.server.stop()
        assert talk.hear()[0][0] == "result"
        assert end_of(talk) == (CLOSE_STOPPING, "the server stops")


def test_compression(tmp_path: Path) -> None:
    """With the option, large messages are sent compressed and small ones as they are; compressed ones are taken."""
    with serving(tmp_path, ServerOptions(port=0, compression=True)) as tenant, tenant.greet() as talk:
        assert talk.connection.protocol.extensions
        before = tenant.on_loop(lambda: sum(each._written for each in tenant.service.connections))  # type: ignore[attr-defined]  # Ours.
        talk.say(["call", 1, "write", [1, "again " * 10_000]], ["query", 1, ALL])
        assert talk.hear()[1][4][0][1] == "again " * 10_000
        written = tenant.on_loop(lambda: sum(each._written for each in tenant.service.connections)) - before  # type: ignore[attr-defined]  # Ours.
        assert written < 1_000
        talk.say(["query", 2, "SELECT * FROM notes WHERE id = 2"])
        assert talk.hear()[0][0] == "rows"


def test_stalled_sockets(tmp_path: Path) -> None:
    """A hundred clients that read nothing are each cut off as too slow; another hears every change meanwhile."""
    sessions = Options(outbox_bytes_max=OUTBOX_BYTES_MAX)
    with serving(tmp_path, ServerOptions(port=0, close_grace_s=0.3), sessions) as tenant:
        stalled = [StalledClient(tenant) for _ in range(100)]
        lively, writer = tenant.greet(), tenant.greet()
        lively.say(["subscribe", 1, ALL])
        lively.hear()
        cut, heard, most = {str(CLOSE_TOO_SLOW): 100}, 0, 0
        while tenant.on_loop(lambda: dict(tenant.service.metrics.closed)) != cut:
            heard += 1
            writer.say(["call", heard, "fill", [77, 60_000 + heard % 2]])
            assert writer.hear()[0][0] == "result"
            assert [message[0] for message in lively.hear()] == ["delta"]
            most = max(most, tenant.on_loop(lambda: tenant.service.metrics.gauges().outbox_bytes))
        assert most <= 100 * (OUTBOX_BYTES_MAX + 70_000)
        tenant.wait_until(lambda: len(tenant.service.connections) == 2)
        assert tenant.on_loop(lambda: tenant.service.metrics.gauges().outbox_bytes) == 0
        for each in stalled:
            each.close()
        lively.close()
        writer.close()


def test_all_outboxes_are_bounded_together(tmp_path: Path) -> None:
    """Past outboxes_bytes_max those with the most to read are cut off, and no more of them than must."""
    options = ServerOptions(port=0, outboxes_bytes_max=3_000_000, close_grace_s=0.1)
    with serving(tmp_path, options) as tenant, tenant.greet() as writer:
        stalled = [StalledClient(tenant) for _ in range(4)]
        number = 0
        while tenant.on_loop(lambda: tenant.service.metrics.gauges().outbox_bytes) < 3_500_000:
            number += 1
            writer.say(["call", number, "fill", [77, 200_000 + number % 2]])
            writer.hear()
        tenant.on_loop(tenant.service.bound_outboxes)
        assert 1 <= tenant.on_loop(lambda: tenant.service.metrics.closed[str(CLOSE_TOO_SLOW)]) < 4
        assert tenant.on_loop(lambda: tenant.service.metrics.gauges().outbox_bytes) <= 3_000_000
        for each in stalled:
            each.close()


def test_first_rows_of_a_slow_reader(tmp_path: Path) -> None:
    """Many rows wait for who reads slowly: what is made ahead is bounded, others are answered, and all rows come."""
    sessions = Options(ahead_max=100_000)
    with serving(tmp_path, sessions=sessions) as tenant:
        for number in range(120):
            tenant.call("fill", number, 60_000)
        slow = StalledClient(tenant)
        with tenant.greet() as other:
            other.say(["query", 1, "SELECT * FROM notes WHERE id = 999"])
            assert other.hear()[0][0] == "rows"
            other.say(["subscribe", 1, ALL])
            rows, more = 0, True
            while more:
                for message in other.hear():
                    rows += len(message[6] if message[0] == "subscribed" else message[2])
                    more = message[7] if message[0] == "subscribed" else message[4]
            assert rows == 120
            waiting = tenant.on_loop(lambda: max(each.outbox_bytes() for each in tenant.service.connections))
            assert waiting <= 100_000 + 130_000
        size = slow.read_until_quiet()
        assert size > 120 * 60_000
        slow.close()


def test_no_compression(tenant: Tenant) -> None:
    """Compression is not offered unless an option says so."""
    with tenant.greet() as talk:
        assert not talk.connection.protocol.extensions


def test_error_of_ours(tenant: Tenant, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """An unexpected error under a frame ends that connection with 1011, is logged, and tells nothing of itself."""
    with tenant.greet() as other:
        talk = tenant.greet()
        monkeypatch.setattr(
            "store.subscribe.session.Session.receive", lambda *_, **__: (_ for _ in ()).throw(ValueError("secret"))
        )
        talk.say(["query", 1, ALL])
        assert end_of(talk) == (1011, "an error of the server's own; it was logged")
        monkeypatch.undo()
        other.say(["query", 1, ALL])
        assert other.hear()[0][0] == "rows"
    assert "secret" in caplog.text


@pytest.mark.parametrize("where", ["service.Service.admit", "websocket.Session"])
def test_error_at_the_door(
    tenant: Tenant, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, where: str
) -> None:
    """An unexpected error under a handshake is a 500 in JSON, or 1011 once it was accepted; it tells nothing."""

    def fail(*_: object, **__: object) -> None:
        raise ValueError("secret")

    said = "an error of the server's own; it was logged"
    monkeypatch.setattr(f"store.server.{where}", fail)
    if where == "websocket.Session":
        assert end_of(tenant.connect()) == (1011, said)
    else:
        status, body = refused(tenant)
        assert (status, body["error"], body["message"]) == (500, "internal", said)
    assert "secret" in caplog.text


def test_source() -> None:
    """A client's address is written as host:port, with brackets around an IPv6 one."""
    assert source_of(("10.0.0.1", 80)) == "10.0.0.1:80"
    assert source_of(("::1", 80, 0, 0)) == "[::1]:80"
    assert source_of(None) == ""
    assert source_of("") == ""


def test_jwt(tmp_path: Path) -> None:
    """A JWT opens the door as a token from the file does."""
    secret = tmp_path / "secret"
    secret.write_bytes(b"s" * 32)
    auth = AuthOptions(jwt_secret_file=secret, jwt_leeway_s=0.0)
    token = jwt.encode({"sub": "eve", "exp": time.time() + 60, "scope": "read"}, b"s" * 32, algorithm="HS256")
    with serving(tmp_path, auth=auth) as tenant, tenant.greet(token=token) as talk:
        talk.say(["query", 1, ALL], ["call", 1, "write", [1, "x"]])
        assert [message[0] for message in talk.hear()] == ["rows", "failure"]
