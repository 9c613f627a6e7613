"""Tokens: what counts, what does not, and what an identity keeps of them."""

import json
import time
from base64 import urlsafe_b64encode
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jwt
import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from store.engine.identity import Identity
from store.errors import ConfigError
from store.server.auth import (
    CLAIMS_SIZE_MAX,
    Authenticator,
    AuthOptions,
    Unauthorized,
    hash_token,
    read_token_file,
)

SECRET = b"0123456789abcdef0123456789abcdef"
SIGNER = Ed25519PrivateKey.from_private_bytes(bytes(32))
SOON = int(time.time()) + 86_400


def line(token: str, **claims: Any) -> str:
    """A line of a token file."""
    return f"{hash_token(token).hex()} {json.dumps(claims)}\n"


@pytest.fixture
def tokens(tmp_path: Path) -> Path:
    """A token file with a token that counts and one that has expired."""
    path = tmp_path / "tokens"
    path.write_text(
        "# who may come in\n\n" + line("good", sub="ada", scope="read call") + line("old", sub="bob", exp=1)
    )
    return path


@pytest.fixture
def keys(tmp_path: Path) -> AuthOptions:
    """Options with both kinds of key."""
    (tmp_path / "secret").write_bytes(SECRET + b"\n")
    public = SIGNER.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    (tmp_path / "public.pem").write_bytes(public)
    return AuthOptions(
        jwt_secret_file=tmp_path / "secret", jwt_public_key_file=tmp_path / "public.pem", jwt_leeway_s=5.0
    )


def from_file(path: Path, **more: Any) -> Authenticator:
    """What lets in who is in this file."""
    return Authenticator(AuthOptions(token_file=path), **more)


def claims(**more: Any) -> dict[str, Any]:
    """Claims that count."""
    return {"sub": "eve", "exp": SOON, "scope": "call read", **more}


def signed(payload: dict[str, Any], key: Any = SECRET, algorithm: str | None = "HS256") -> str:
    """A JWT."""
    return jwt.encode(payload, key, algorithm=algorithm)


def test_file_token(tokens: Path) -> None:
    """A token in the file is its line's identity, with scopes in one order."""
    credential = from_file(tokens).authenticate("good")
    assert credential.identity == Identity("tokens", "ada", ("call", "read"))
    assert credential.expiry is None


@pytest.mark.parametrize(
    "token", ["", "unknown", "good ", hash_token("good").hex(), "a.b.c", "old", "x" * 10_000, "\udcff"]
)
def test_no_token(tokens: Path, token: str) -> None:
    """What is not in the file, or has expired, does not count; its hash does not, either; an error repeats no token."""
    with pytest.raises(Unauthorized) as caught:
        from_file(tokens).authenticate(token)
    assert not token or token not in str(caught.value)


def test_expiry(tmp_path: Path) -> None:
    """A token from the file counts until its exp."""
    (tmp_path / "tokens").write_text(line("t", sub="ada", exp=1000))
    now = [999.0]
    authenticator = from_file(tmp_path / "tokens", now=lambda: now[0])
    assert authenticator.authenticate("t").expiry == 1000
    now[0] = 1000.0
    with pytest.raises(Unauthorized, match="expired"):
        authenticator.authenticate("t")


def test_withdrawn(tokens: Path) -> None:
    """A line that is removed or changed ends its token at the next look; the others go on."""
    tokens.write_text(line("one", sub="ada") + line("two", sub="bob"))
    authenticator = from_file(tokens)
    one, two = authenticator.authenticate("one"), authenticator.authenticate("two")
    tokens.write_text(line("two", sub="bob") + "# changed\n")
    assert authenticator.reload()
    assert not authenticator.reload()
    assert authenticator.withdrawn(one)
    assert not authenticator.withdrawn(two)
    with pytest.raises(Unauthorized):
        authenticator.authenticate("one")


def test_changed(tokens: Path) -> None:
    """A token whose line says something else now is not what the connection was opened with."""
    authenticator = from_file(tokens)
    credential = authenticator.authenticate("good")
    tokens.write_text(line("good", sub="ada", scope="read"))
    authenticator.reload()
    assert authenticator.withdrawn(credential)


def test_added(tokens: Path) -> None:
    """A line that is added lets its token in at once."""
    authenticator = from_file(tokens)
    with tokens.open("a") as file:
        file.write(line("new", sub="carol"))
    assert authenticator.authenticate("new").identity.subject == "carol"


@pytest.mark.parametrize("spoil", [lambda path: path.write_text("nonsense\n"), lambda path: path.unlink()])
def test_unreadable_later(tokens: Path, spoil: Callable[[Path], Any]) -> None:
    """While the file cannot be read it lets nobody new in, and throws nobody out; mended, it is as before."""
    before = tokens.read_text()
    authenticator = from_file(tokens)
    credential = authenticator.authenticate("good")
    spoil(tokens)
    with pytest.raises(Unauthorized):
        authenticator.authenticate("good")
    assert authenticator.problem
    assert not authenticator.withdrawn(credential)
    tokens.write_text(before + "# mended\n")
    assert authenticator.authenticate("good") == credential
    assert not authenticator.problem


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("nonsense", "line 1"),
        ("ab12 {}", "line 1"),
        ("A" * 64 + ' {"sub":"x"}', "line 1"),
        ("a" * 64 + " {}", "sub"),
        ("a" * 64 + ' {"sub":""}', "sub"),
        ("a" * 64 + ' {"sub":7}', "sub"),
        ("a" * 64 + ' {"sub":"\\ud800"}', "line 1"),
        ("a" * 64 + ' {"sub":"x","exp":1' + "0" * 400 + "}", "line 1"),
        ("a" * 64 + ' {"sub":"x","iss":"me"}', "iss"),
        ("a" * 64 + ' {"sub":"x","scope":"admin"}', "admin"),
        ("a" * 64 + ' {"sub":"x","scope":["call"]}', "scope"),
        ("a" * 64 + ' {"sub":"x","exp":"soon"}', "exp"),
        ("a" * 64 + ' {"sub":"x","exp":true}', "exp"),
        ("a" * 64 + ' {"sub":"x","n":' + "9" * 30 + "}", "line 1"),
        ("a" * 64 + ' {"sub":"x","n":"' + "9" * CLAIMS_SIZE_MAX + '"}', "bytes"),
        ("a" * 64 + " {" + '"a":{' * 5000, "line 1"),
        ("\n# fine\n" + "a" * 64, "line 3"),
    ],
)
def test_bad_file(tmp_path: Path, text: str, reason: str) -> None:
    """A line that cannot be read keeps the server from starting; the error names it."""
    (tmp_path / "tokens").write_text(text)
    with pytest.raises(ConfigError, match=reason):
        from_file(tmp_path / "tokens")


def test_missing_file(tmp_path: Path) -> None:
    """A token file that is not there, or is none, is named."""
    for path in (tmp_path / "nowhere", tmp_path):
        with pytest.raises(ConfigError, match=path.name):
            read_token_file(path)


def test_no_source() -> None:
    """Without a source of tokens nothing starts: nobody could come in."""
    with pytest.raises(ConfigError, match="no source"):
        Authenticator(AuthOptions())


def test_jwt(keys: AuthOptions) -> None:
    """A JWT counts by HS256 with the secret and by EdDSA with the key, and keeps what does not change."""
    payload = claims(team="red", iat=1, jti="x", nonce="y", iss="https://issuer")
    for token in (signed(payload), signed(payload, SIGNER, "EdDSA")):
        credential = Authenticator(keys).authenticate(token)
        assert credential.identity.issuer == "https://issuer"
        assert credential.identity.subject == "eve"
        assert credential.identity.scopes == ("call", "read")
        assert msgspec.msgpack.decode(credential.identity.claims) == {"team": "red"}
        assert credential.expiry == SOON + 5.0


def test_one_identity(keys: AuthOptions) -> None:
    """Two tokens of one caller are one identity, whenever they were issued and however their claims are ordered."""
    authenticator = Authenticator(keys)
    one = authenticator.authenticate(signed(claims(a=1, b=2, iat=5)))
    two = authenticator.authenticate(signed({"b": 2, **claims(exp=SOON + 60, scope="read openid call"), "a": 1}))
    assert one.identity == two.identity


def test_no_issuer(keys: AuthOptions) -> None:
    """A JWT without an issuer is of the issuer jwt: never of the store's own, which has none."""
    assert Authenticator(keys).authenticate(signed(claims())).identity.issuer == "jwt"


PUBLIC_PEM = SIGNER.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def unsigned(payload: dict[str, Any]) -> str:
    """A JWT by the algorithm none."""
    return signed(payload, None, None)


def forged() -> str:
    """The classic: the public key, which everybody has, used as a secret. PyJWT itself refuses to make it."""
    import hmac  # noqa: PLC0415  # Here alone.

    head, body = (
        urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=") for part in ({"alg": "HS256", "typ": "JWT"}, claims())
    )
    signature = urlsafe_b64encode(hmac.digest(PUBLIC_PEM, head + b"." + body, "sha256")).rstrip(b"=")
    return b".".join((head, body, signature)).decode()


@pytest.mark.parametrize(
    "token",
    [
        pytest.param(unsigned(claims()), id="none"),
        pytest.param(signed(claims(), b"x" * 32), id="other-secret"),
        pytest.param(signed(claims(), SECRET * 2, "HS512"), id="other-algorithm"),
        pytest.param(forged(), id="public-key-as-secret"),
        pytest.param(signed(claims(), Ed25519PrivateKey.generate(), "EdDSA"), id="other-key"),
        pytest.param(signed(claims(exp=1)), id="expired"),
        pytest.param(signed({"sub": "eve"}), id="no-exp"),
        pytest.param(signed({"exp": SOON}), id="no-sub"),
        pytest.param(signed(claims(sub="")), id="empty-sub"),
        pytest.param(signed(claims(nbf=SOON)), id="not-yet"),
        pytest.param(signed(claims(exp="soon")), id="exp-no-number"),
        pytest.param(signed(claims(exp=10**400)), id="exp-past-all-numbers"),
        pytest.param(signed(claims(exp=float("inf"))), id="exp-never"),
        pytest.param(signed(claims(exp=[1])), id="exp-list"),
        pytest.param(signed(claims(sub="\ud800")), id="sub-lone-surrogate"),
        pytest.param(signed(claims(iss="\ud800")), id="iss-lone-surrogate"),
        pytest.param(signed(claims(more="\ud800")), id="claim-lone-surrogate"),
        pytest.param(urlsafe_b64encode(b"[" * 2_900).decode() + ".e30.AA", id="deep-head"),
        pytest.param(signed(claims(iss="tokens")), id="issuer-of-the-file"),
        pytest.param(signed(claims(iss="")), id="issuer-of-the-store"),
        pytest.param(signed(claims(scope=["call"])), id="scope-no-string"),
        pytest.param(signed(claims(big=2**70)), id="claim-past-64-bits"),
        pytest.param(signed(claims(big="x" * CLAIMS_SIZE_MAX)), id="claims-too-large"),
        pytest.param(
            signed(claims()).rpartition(".")[0] + "." + signed(claims(sub="ada")).rpartition(".")[2], id="swapped"
        ),
        pytest.param("a.b.c", id="nonsense"),
        pytest.param("..", id="empty-parts"),
    ],
)
def test_bad_jwt(keys: AuthOptions, token: str) -> None:
    """A JWT that is unsigned, signed otherwise, expired, unreadable, or without what it must say does not count."""
    with pytest.raises(Unauthorized) as caught:
        Authenticator(keys).authenticate(token)
    assert str(caught.value).encode()


def test_leeway(keys: AuthOptions) -> None:
    """An issuer's clock may differ by the leeway."""
    token = signed(claims(exp=int(time.time()) - 1))
    assert Authenticator(keys).authenticate(token).identity.subject == "eve"


def test_issuer_and_audience(tmp_path: Path, keys: AuthOptions) -> None:
    """With an issuer or an audience named, a JWT must have them."""
    del keys
    options = AuthOptions(jwt_secret_file=tmp_path / "secret", jwt_issuer="us", jwt_audience="store")
    authenticator = Authenticator(options)
    assert authenticator.authenticate(signed(claims(iss="us", aud=["store", "other"])))
    for wrong in (claims(iss="us"), claims(aud="store"), claims(iss="them", aud="store"), claims(iss="us", aud="x")):
        with pytest.raises(Unauthorized):
            authenticator.authenticate(signed(wrong))


def test_algorithm_per_key(tmp_path: Path, keys: AuthOptions) -> None:
    """With only one key, the other's algorithm is not taken."""
    del keys
    only_secret = Authenticator(AuthOptions(jwt_secret_file=tmp_path / "secret"))
    only_public = Authenticator(AuthOptions(jwt_public_key_file=tmp_path / "public.pem"))
    with pytest.raises(Unauthorized, match="EdDSA"):
        only_secret.authenticate(signed(claims(), SIGNER, "EdDSA"))
    with pytest.raises(Unauthorized, match="HS256"):
        only_public.authenticate(signed(claims()))
    with pytest.raises(Unauthorized):
        only_public.authenticate(forged())


def test_bad_keys(tmp_path: Path) -> None:
    """A secret that is too short, and a key of another kind, keep the server from starting."""
    (tmp_path / "short").write_bytes(b"x" * 31 + b"\n")
    with pytest.raises(ConfigError, match="32"):
        Authenticator(AuthOptions(jwt_secret_file=tmp_path / "short"))
    elliptic = generate_private_key(SECP256R1()).public_key()
    (tmp_path / "ec.pem").write_bytes(elliptic.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    with pytest.raises(ConfigError, match="Ed25519"):
        Authenticator(AuthOptions(jwt_public_key_file=tmp_path / "ec.pem"))
    (tmp_path / "no.pem").write_bytes(b"nonsense")
    with pytest.raises(ConfigError, match="PEM"):
        Authenticator(AuthOptions(jwt_public_key_file=tmp_path / "no.pem"))
    with pytest.raises(ConfigError, match="cannot be read"):
        Authenticator(AuthOptions(jwt_public_key_file=tmp_path / "nowhere"))
