"""The server as a whole: its port, TLS, its start and its stop."""

import ipaddress
import socket
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from store.errors import ConfigError
from store.server.app import Server
from store.server.auth import AuthOptions
from store.server.mint import add_token, mint_token
from store.server.options import ServerOptions
from tests.server.scenes import LIMIT_S, serving


def certify(folder: Path) -> tuple[Path, Path]:
    """A self-signed certificate for 127.0.0.1 and its key, as PEM files."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "store")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    (folder / "cert.pem").write_bytes(certificate.public_bytes(Encoding.PEM))
    (folder / "key.pem").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return folder / "cert.pem", folder / "key.pem"


@pytest.fixture
def auth(tmp_path: Path) -> AuthOptions:
    """One token that counts."""
    add_token(tmp_path / "tokens", mint_token("ada")[1])
    return AuthOptions(token_file=tmp_path / "tokens")


def test_tls(tmp_path: Path) -> None:
    """With a certificate and its key both HTTP and WebSocket are spoken over TLS, and nothing without."""
    certificate, key = certify(tmp_path)
    options = ServerOptions(port=0, tls_certificate=certificate, tls_key=key)
    with serving(tmp_path, options) as tenant:
        tenant.tls = ssl.create_default_context(cafile=str(certificate))
        assert tenant.call("write", 1, "secret").body["value"] == 1
        with tenant.greet() as talk:
            talk.say(["query", 1, "SELECT * FROM notes"])
            assert talk.hear()[0][4] == [[1, "secret", b""]]
        with socket.create_connection((tenant.host, tenant.port), timeout=LIMIT_S) as plain:
            plain.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
            assert b"HTTP" not in heard_from(plain)


def heard_from(sock: socket.socket) -> bytes:
    """All that comes until the other side is gone, one way or another."""
    heard = b""
    try:
        while data := sock.recv(65_536):
            heard += data
    except ConnectionError:
        pass
    return heard


@pytest.mark.parametrize("spoiled", ["cert.pem", "key.pem"])
@pytest.mark.parametrize("how", ["missing", "nonsense"])
def test_bad_certificate(tmp_path: Path, auth: AuthOptions, spoiled: str, how: str) -> None:
    """A certificate or key that cannot be used is named before anything starts."""
    certificate, key = certify(tmp_path)
    if how == "missing":
        (tmp_path / spoiled).unlink()
    else:
        (tmp_path / spoiled).write_text("nonsense")
    with pytest.raises(ConfigError, match="tls_certificate"):
        Server(ServerOptions(port=0, tls_certificate=certificate, tls_key=key), auth)


def test_port(auth: AuthOptions) -> None:
    """Port 0 takes a free port and tells it; a port that is taken is named."""
    server = Server(ServerOptions(port=0), auth)
    _, port = server.address
    assert port > 0
    listening = socket.create_server(("127.0.0.1", 0))
    with pytest.raises(ConfigError, match=r"cannot listen on 127\.0\.0\.1 port"):
        Server(ServerOptions(port=listening.getsockname()[1]), auth)
    listening.close()
    server.close()


def test_bad_host(auth: AuthOptions) -> None:
    """A host that is none of this machine's is named."""
    with pytest.raises(ConfigError, match=r"192\.0\.2\.1"):
        Server(ServerOptions(host="192.0.2.1", port=0), auth)


def test_not_listening(auth: AuthOptions) -> None:
    """Between taking the port and serving, while a store recovers, connections are refused and not left hanging."""
    server = Server(ServerOptions(port=0), auth)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(server.address, timeout=LIMIT_S)
    server.close()


def test_ipv6(tmp_path: Path) -> None:
    """An IPv6 address is listened on."""
    if not socket.has_ipv6:
        pytest.skip("no IPv6 here")
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("no IPv6 address here")
    with serving(tmp_path, ServerOptions(host="::1", port=0)) as tenant:
        assert tenant.call("write", 1, "one").status == 200


def test_stop(tmp_path: Path) -> None:
    """A stop closes the engine in order: its last record is the stop, and the directory is free."""
    with serving(tmp_path) as tenant:
        tenant.call("write", 1, "one")
    (record,) = tenant.engine.feed.tail(tenant.engine.write_path.last_offset - 1) or []  # type: ignore[arg-type]  # An offset.
    assert record.reducer == "stop"
    tenant.memory.handle().lock()


def test_quiet(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Nothing is printed by serving."""
    with serving(tmp_path) as tenant:
        tenant.call("write", 1, "one")
        tenant.request("GET", "/nowhere", token="")
    assert capfd.readouterr() == ("", "")
