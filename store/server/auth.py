"""Who knocks: bearer tokens from a token file, and JSON Web Tokens, turned into identities.

Laws: deny by default: without a configured source nobody comes in. A token is compared by its hash, in constant time.
A key takes one algorithm, and `none` is none. An identity holds only what stays the same from token to token, so that
the log names a caller once. The token file is read again when it changes, so a removed line ends that token's life.

The token file has one token a line: its SHA-256 as 64 hexadecimal digits, a space, and a JSON object of claims with
the names of RFC 7519 and 8693. `sub` is required; `scope` is a string of scopes; `exp` (seconds since 1970) may be left
out; whatever else is there travels with the identity. Empty lines and lines that begin with # say nothing.

    9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08 {"sub": "ada", "scope": "call read"}
"""

import hashlib
import hmac
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import jwt
import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from store.engine.identity import SCOPES, Identity, encode_identity
from store.errors import ConfigError, Denied
from store.values import encode

ISSUER_FILE: Final = "tokens"
"""The issuer of every identity from the token file. No JWT may claim it."""
ISSUER_JWT: Final = "jwt"
"""The issuer of an identity whose JWT names none. The empty issuer is the store's own."""
TRANSIENT_CLAIMS: Final = frozenset(
    {"exp", "iat", "nbf", "jti", "auth_time", "nonce", "at_hash", "c_hash", "s_hash", "sid"}
)
"""Claims that change from token to token; an identity leaves them out."""
OWN_CLAIMS: Final = frozenset({"iss", "sub", "scope"})
"""Claims that an identity holds in fields of their own."""
TOKEN_SIZE_MAX: Final = 4_096
"""Characters a token may have: it travels in one header line."""
CLAIMS_SIZE_MAX: Final = 4_096
"""Bytes an identity's further claims may have: they are kept in RAM and in the log."""
TOKENS_MAX: Final = 10_000
"""Tokens one token file may hold: it is read at once, while nothing else happens."""
JWT_SECRET_SIZE_MIN: Final = 32
"""Bytes an HS256 secret has at least (RFC 7518 §3.2)."""

_LINE: Final = re.compile(r"([0-9a-f]{64})[ \t]+(\{.*\})")
_HS256: Final = "HS256"
_EDDSA: Final = "EdDSA"
_UNREADABLE: Final = (ValueError, TypeError, OverflowError, RecursionError)
"""What claims raise that are too deep, too large or no text."""


class Unauthorized(Denied):
    """There is no token, or none that counts: the caller is nobody. Where somebody may not, it is Denied."""


@dataclass(frozen=True)
class AuthOptions:
    """Where tokens come from. At least one source must be named."""

    token_file: Path | None = None
    """A path to a file of hashed tokens, which `store token mint` writes and which is read again when it changes.
    The default is none: where no other source is named, `store serve` takes the file `tokens` in the data directory. A
    token can be withdrawn at once, sooner than any JWT; but every new one is an edit of the file."""

    jwt_secret_file: Path | None = None
    """A path to a file with the HS256 secret of at least 32 bytes, a line end behind it not counted; default none: no
    such tokens are taken. Others can then issue tokens without an edit here; but it is less safe than a public key,
    since whoever can check such a token can make one."""

    jwt_public_key_file: Path | None = None
    """A path to a PEM file with an Ed25519 public key for EdDSA; default none: no such tokens are taken. Better than a
    secret where somebody else issues the tokens; but a JWT cannot be withdrawn before it expires."""

    jwt_issuer: str = ""
    """The `iss` a JWT must have, as text; default "": any, or none. With one, a key that signs for several issuers lets
    in fewer; without, identities of several issuers may share this store, each under its own name."""

    jwt_audience: str = ""
    """The `aud` a JWT must hold, as text; default "": not looked at. With one, a token for another store of the same
    issuer is refused; without, the issuer has one thing less to set."""

    jwt_leeway_s: float = 10.0
    """Seconds by which the issuer's clock may differ from ours; default 10. More tolerates worse clocks and lets
    expired tokens live longer by as much."""


@dataclass(frozen=True)
class Credential:
    """A token that counts: who it is for, and until when (seconds since 1970, None: until it is withdrawn)."""

    identity: Identity
    expiry: float | None
    token_hash: bytes = b""
    """SHA-256 of a token from the token file; b"" of a JWT."""


class Authenticator:
    """Turns tokens into credentials. ConfigError where a source is missing, unreadable or too weak."""

    def __init__(self, options: AuthOptions, *, now: Callable[[], float] = time.time) -> None:
        self._options: Final = options
        self._now: Final = now
        self._keys: Final = _read_keys(options)
        self._tokens: dict[bytes, Credential] = {}
        self._stamp: tuple[int, int, int] | None = None
        self.changes = 0
        """How often the token file was found changed."""
        self.problem = ""
        """Why the token file cannot be read now, or "": meanwhile it lets nobody new in."""
        if options.token_file is None and not self._keys:
            raise ConfigError(
                "no source of tokens is named, so nobody could come in",
                hint="Name a token_file, a jwt_secret_file or a jwt_public_key_file",
            )
        if options.token_file is not None:
            self._stamp = _stamp(options.token_file)
            self._tokens = read_token_file(options.token_file)

    def authenticate(self, token: str) -> Credential:
        """Who holds this token. Unauthorized says why it does not count, without repeating it."""
        if not token:
            raise Unauthorized("a bearer token is needed", hint="Send Authorization: Bearer and a token")
        if len(token) > TOKEN_SIZE_MAX:
            raise Unauthorized(f"the token has {len(token)} characters, at most {TOKEN_SIZE_MAX} are taken")
        credential = self._find(token)
        if credential is None:
            if token.count(".") != 2 or not self._keys:
                hint = "It may be mistyped, or was withdrawn"
                if self._options.token_file is None:
                    hint = "Only JSON Web Tokens are taken here: it is none"
                raise Unauthorized("the token is not known here", hint=hint)
            credential = self._read_jwt(token)
        if credential.expiry is not None and self._now() >= credential.expiry:
            raise Unauthorized("the token has expired", hint="Get a new one")
        return credential

    def withdrawn(self, credential: Credential) -> bool:
        """Whether a credential that counted once is gone from a token file that can be read, or says less now."""
        if not credential.token_hash or self.problem:
            return False
        return self._tokens.get(credential.token_hash) != credential

    @property
    def token_count(self) -> int:
        """Tokens that the file held when it was last read."""
        return len(self._tokens)

    def reload(self) -> bool:
        """Read the token file again if it has changed; whether it was. One that cannot be read lets nobody new in."""
        file = self._options.token_file
        if file is None:
            return False
        stamp = _stamp(file)
        if stamp == self._stamp:
            return False
        self._stamp = stamp
        self.changes += 1
        try:
            self._tokens = read_token_file(file)
        except ConfigError as error:
            self.problem = str(error)
        else:
            self.problem = ""
        return True

    def _find(self, token: str) -> Credential | None:
        self.reload()
        if self.problem:
            return None
        digest = hash_token(token)
        found = self._tokens.get(digest)
        # Looking up by a digest tells nothing about a token; the last word is compared in constant time all the same.
        return found if found is not None and hmac.compare_digest(found.token_hash, digest) else None

    def _read_jwt(self, token: str) -> Credential:
        options = self._options
        try:
            algorithm = str(jwt.get_unverified_header(token).get("alg"))
            key = self._keys.get(algorithm)
            if key is None:
                raise Unauthorized(
                    f"the token is signed by {algorithm!r:.20}; taken are {', '.join(self._keys)}",
                    hint="Each key takes one algorithm",
                )
            claims = jwt.decode(
                token,
                key,
                algorithms=[algorithm],
                issuer=options.jwt_issuer or None,
                audience=options.jwt_audience or None,
                leeway=options.jwt_leeway_s,
                options={"require": ["exp", "sub"], "verify_aud": bool(options.jwt_audience)},
            )
            expiry = float(claims["exp"]) + options.jwt_leeway_s
        except (
            jwt.PyJWTError,
            *_UNREADABLE,
        ) as error:  # The library lets numbers and depths past its own bounds through.
            raise Unauthorized(f"the token does not count: {error}") from None
        issuer = claims.get("iss", ISSUER_JWT)
        if not isinstance(issuer, str) or issuer in {"", ISSUER_FILE}:
            raise Unauthorized(f"the token's issuer cannot be {issuer!r:.60}")
        try:
            identity = read_claims(issuer, claims)
        except _UNREADABLE as error:
            raise Unauthorized(f"the token's claims cannot be kept: {error}") from None
        return Credential(identity, expiry)


def hash_token(token: str) -> bytes:
    """SHA-256 of a token: it is random enough (`mint_token`) to need no salt and no stretching."""
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()


def read_claims(issuer: str, claims: Mapping[str, Any]) -> Identity:
    """The identity that claims speak of; scopes that mean nothing here are left out. ValueError says what is wrong."""
    subject, scope = claims.get("sub"), claims.get("scope", "")
    if not isinstance(subject, str) or not 0 < len(subject) <= 255:
        raise ValueError("sub is a string of 1 to 255 characters")
    if not isinstance(scope, str):
        raise ValueError("scope is one string, such as 'call read' (RFC 8693 §4.2)")  # noqa: TRY004  # One kind of wrong.
    said = scope.split()
    further = {name: value for name, value in claims.items() if name not in TRANSIENT_CLAIMS and name not in OWN_CLAIMS}
    kept = encode(further)
    if len(kept) > CLAIMS_SIZE_MAX:
        raise ValueError(f"they have {len(kept)} bytes, at most {CLAIMS_SIZE_MAX} are kept")
    identity = Identity(issuer, subject, tuple(each for each in SCOPES if each in said), kept)
    encode_identity(
        identity
    )  # JSON can say a lone surrogate, which no log can keep: ValueError now, not at every call.
    return identity


def read_token_file(path: Path) -> dict[bytes, Credential]:
    """Every credential of a token file, by the token's hash. ConfigError names the line that cannot be read."""
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"the token file {path} cannot be read: {error}", hint="`store token mint` makes one"
        ) from None
    credentials: dict[bytes, Credential] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.startswith("#"):
            continue
        try:
            credential = _read_line(line.strip())
        except _UNREADABLE as error:
            raise ConfigError(
                f"line {number} of the token file {path} cannot be read: {error}",
                hint="A line is a token's SHA-256 in hexadecimal digits, a space, and a JSON object of claims",
            ) from None
        credentials[credential.token_hash] = credential
        if len(credentials) > TOKENS_MAX:
            raise ConfigError(f"the token file {path} holds more than {TOKENS_MAX} tokens")
    return credentials


def _read_line(line: str) -> Credential:
    match = _LINE.fullmatch(line)
    if match is None:
        raise ValueError("it is no hash and claims")
    claims = msgspec.json.decode(match[2], type=dict[str, Any])
    if "iss" in claims:
        raise ValueError(f"iss is always {ISSUER_FILE!r} here, leave it out")
    unknown = sorted(set(str(claims.get("scope", "")).split()) - set(SCOPES))
    if unknown:
        raise ValueError(f"{unknown[0]!r} is no scope; scopes are {', '.join(SCOPES)}")
    expiry = claims.get("exp")
    if expiry is not None and (isinstance(expiry, bool) or not isinstance(expiry, int | float)):
        raise ValueError("exp is a number of seconds since 1970")
    token_hash = bytes.fromhex(match[1])
    return Credential(read_claims(ISSUER_FILE, claims), None if expiry is None else float(expiry), token_hash)


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino


def _read_keys(options: AuthOptions) -> dict[str, bytes | Ed25519PublicKey]:
    """The keys by the one algorithm that each takes."""
    keys: dict[str, bytes | Ed25519PublicKey] = {}
    if options.jwt_secret_file is not None:
        secret = read_secret(options.jwt_secret_file)
        keys[_HS256] = secret
    if options.jwt_public_key_file is not None:
        pem = _read_key_file(options.jwt_public_key_file)
        try:
            public_key = load_pem_public_key(pem)
        except ValueError as error:
            raise ConfigError(f"jwt_public_key_file {options.jwt_public_key_file} is no PEM key: {error}") from None
        if not isinstance(public_key, Ed25519PublicKey):
            raise ConfigError(f"jwt_public_key_file {options.jwt_public_key_file} holds no Ed25519 public key")
        keys[_EDDSA] = public_key
    return keys


def read_secret(path: Path) -> bytes:
    """An HS256 secret. ConfigError where it is shorter than JWT_SECRET_SIZE_MIN."""
    secret = _read_key_file(path).rstrip(b"\r\n")
    if len(secret) < JWT_SECRET_SIZE_MIN:
        raise ConfigError(
            f"jwt_secret_file {path} has {len(secret)} bytes, an HS256 secret has at least {JWT_SECRET_SIZE_MIN}",
            hint="Make one: openssl rand -hex 32",
        )
    return secret


def _read_key_file(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(f"the key file {path} cannot be read: {error}") from None
