"""Makes tokens: for development, for tests, and for an operator who keeps a token file.

Laws: a token is shown once, to whoever asked for it; the file holds its hash. It has 256 random bits, so its hash
needs neither salt nor stretching.
"""

import json
import os
import secrets
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import jwt

from store.engine.identity import SCOPES
from store.errors import ConfigError
from store.server.auth import TRANSIENT_CLAIMS, hash_token, read_secret

TOKEN_PREFIX: Final = "cst_"  # noqa: S105  # Not a secret: what scanners know our tokens by.
TOKEN_BYTES: Final = 32
"""Random bytes in a token."""


def mint_token(
    subject: str,
    scopes: Sequence[str] = SCOPES,
    *,
    expiry: float | None = None,
    claims: Mapping[str, Any] | None = None,
) -> tuple[str, str]:
    """A new token, and its line for a token file. `expiry` in seconds since 1970, None: until the line is removed."""
    token = TOKEN_PREFIX + secrets.token_urlsafe(TOKEN_BYTES)
    said = _claims(subject, scopes, claims)
    if expiry is not None:
        said["exp"] = expiry
    return token, f"{hash_token(token).hex()} {json.dumps(said, ensure_ascii=False)}\n"


def add_token(path: Path, line: str) -> None:
    """Append a line to a token file, which is made readable for its owner alone where there is none."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "r+b") as file:
            size = file.seek(0, os.SEEK_END)
            if size and os.pread(descriptor, 1, size - 1) != b"\n":
                line = "\n" + line
            file.write(line.encode())
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise ConfigError(f"the token file {path} cannot be written: {error}") from None


def mint_jwt(
    subject: str,
    scopes: Sequence[str] = SCOPES,
    *,
    secret_file: Path,
    lifetime_s: float,
    issuer: str = "",
    audience: str = "",
    claims: Mapping[str, Any] | None = None,
) -> str:
    """A JWT signed by HS256 with the secret in a file. It cannot be withdrawn: keep `lifetime_s` short."""
    said = {**_claims(subject, scopes, claims), "exp": int(time.time() + lifetime_s)}
    if issuer:
        said["iss"] = issuer
    if audience:
        said["aud"] = audience
    return jwt.encode(said, read_secret(secret_file), algorithm="HS256")


def _claims(subject: str, scopes: Sequence[str], claims: Mapping[str, Any] | None) -> dict[str, Any]:
    unknown = [scope for scope in scopes if scope not in SCOPES]
    if unknown:
        raise ConfigError(f"{unknown[0]!r} is no scope; scopes are {', '.join(SCOPES)}")
    if not 0 < len(subject) <= 255:
        raise ConfigError("a token's subject has 1 to 255 characters")
    further = {name: value for name, value in (claims or {}).items() if name not in TRANSIENT_CLAIMS}
    return {**further, "sub": subject, "scope": " ".join(scopes)}
