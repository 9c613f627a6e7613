"""Minting: what is made counts at the door, and only its hash is kept."""

import time
from pathlib import Path

import pytest

from store.errors import ConfigError
from store.server.auth import Authenticator, AuthOptions
from store.server.mint import TOKEN_PREFIX, add_token, mint_jwt, mint_token


def test_token(tmp_path: Path) -> None:
    """A minted token counts once its line is in the file; the file holds no token and is its owner's alone."""
    path = tmp_path / "tokens"
    token, line = mint_token("ada", ("read",), expiry=time.time() + 60, claims={"team": "red"})
    add_token(path, line)
    credential = Authenticator(AuthOptions(token_file=path)).authenticate(token)
    assert (credential.identity.subject, credential.identity.scopes) == ("ada", ("read",))
    assert token.startswith(TOKEN_PREFIX)
    assert token not in path.read_text()
    assert path.stat().st_mode & 0o777 == 0o600


def test_fresh() -> None:
    """No two tokens are the same."""
    assert len({mint_token("ada")[0] for _ in range(100)}) == 100


def test_append(tmp_path: Path) -> None:
    """A line is added below what is there, also where the last line has no end."""
    path = tmp_path / "tokens"
    path.write_text("# by hand")
    tokens = []
    for subject in ("ada", "bob"):
        token, line = mint_token(subject)
        add_token(path, line)
        tokens.append(token)
    authenticator = Authenticator(AuthOptions(token_file=path))
    assert [authenticator.authenticate(token).identity.subject for token in tokens] == ["ada", "bob"]
    assert path.read_text().startswith("# by hand\n")


def test_jwt(tmp_path: Path) -> None:
    """A minted JWT counts where its secret, issuer and audience are asked for."""
    secret = tmp_path / "secret"
    secret.write_bytes(b"s" * 32)
    token = mint_jwt("eve", ("call",), secret_file=secret, lifetime_s=60, issuer="us", audience="store")
    options = AuthOptions(jwt_secret_file=secret, jwt_issuer="us", jwt_audience="store")
    identity = Authenticator(options).authenticate(token).identity
    assert (identity.issuer, identity.subject, identity.scopes) == ("us", "eve", ("call",))


def test_refused(tmp_path: Path) -> None:
    """An unknown scope, a subject that is none and a file that cannot be written are named."""
    with pytest.raises(ConfigError, match="admin"):
        mint_token("ada", ("admin",))
    with pytest.raises(ConfigError, match="subject"):
        mint_token("")
    with pytest.raises(ConfigError, match="cannot be written"):
        add_token(tmp_path, "line\n")
