"""`store token`: who may come in. Tokens for a token file, JSON Web Tokens, and the keys that sign them."""

import os
import secrets
import shlex
import sys
import time
from pathlib import Path
from typing import Annotated, Any, Final

import jwt
import typer
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from store.cli.arguments import TOKENS_FILE, ConfigFile, Data, configure, development_token
from store.cli.output import JsonFlag, note, print_json, stdout
from store.cli.streams import telling_of
from store.engine.identity import SCOPES
from store.errors import ConfigError
from store.server.auth import AuthOptions, hash_token
from store.server.mint import add_token, mint_jwt, mint_token

JWT_LIFETIME_S: Final = 3_600.0
"""Seconds a JWT lives where nothing is said: it cannot be withdrawn."""
DEVELOPER: Final = "developer"
"""The subject of the development token."""

token_app = typer.Typer(no_args_is_help=True, help="Make tokens and keys.", rich_markup_mode=None)

Subject = Annotated[str, typer.Argument(help="Who it is for.")]
Scopes = Annotated[
    list[str] | None,
    typer.Option("--scope", help=f"What it may: {', '.join(SCOPES)}; may be repeated.  [default: all]"),
]


@token_app.command()
def mint(
    subject: Subject = DEVELOPER,
    scope: Scopes = None,
    lifetime: Annotated[float | None, typer.Option(help="Seconds until it expires.  [default: never]")] = None,
    data: Data = None,
    token_file: Annotated[
        Path | None, typer.Option(help="The token file.  [default: auth.token_file, or `tokens` in the data directory]")
    ] = None,
    config: ConfigFile = None,
    json: JsonFlag = False,  # noqa: FBT002  # A flag.
) -> None:
    """Make a token, note its hash in the token file, and print it: this is the only time it is seen.

    The first one for "developer" in a data directory is kept there as the development token, for its owner alone.
    """
    options = configure(config, tenant__data=data, auth__token_file=token_file)
    served = configure(config, tenant__data=data).auth
    folder = options.tenant.data
    file = options.auth.token_file or folder / TOKENS_FILE
    token, line = mint_token(subject, scope or SCOPES, expiry=None if lifetime is None else time.time() + lifetime)
    _make_folder(file.parent)
    add_token(file, line)
    mine = development_token(folder)
    if token_file is None and subject == DEVELOPER and not mine.exists():
        write_secret(mine, f"{token}\n".encode())
        note(f"{mine} holds it, so that commands with --data {folder} find it")
    taken = sources_of(served)
    if taken and served.token_file is None:
        note(
            f"`store serve` takes no token file as it is configured here, only {'; '.join(taken)}: "
            f"for this token to be taken, start it with --token-file {shlex.quote(str(file))}"
        )
    with telling_of(
        f"the token is made, and its hash is noted in {file}",
        hint="Nobody has seen it: take its line, the last one, out of that file, and make another",
    ):
        if json:
            print_json({"token": token, "subject": subject, "token_file": str(file)})
        else:
            note(f"its hash is noted in {file}")
            stdout.print(token, markup=False, soft_wrap=True)


@token_app.command(name="hash")
def hash_(
    token: Annotated[str, typer.Argument(help="The token, or - to read it from stdin.")] = "-",  # noqa: S107  # No password.
    json: JsonFlag = False,  # noqa: FBT002  # A flag.
) -> None:
    """Print a token's SHA-256, as a token file has it."""
    try:
        text = sys.stdin.readline().strip() if token == "-" else token  # noqa: S105  # No secret: stdin's name.
        digest = hash_token(text).hex()
    except UnicodeError:
        raise ConfigError("expected a token as text on stdin, found bytes that are none") from None
    if not text:
        raise ConfigError("there is no token to hash")
    if json:
        print_json({"hash": digest})
    else:
        stdout.print(digest)


@token_app.command()
def keys(
    folder: Annotated[Path, typer.Argument(help="Where the key files go.")],
    secret: Annotated[bool, typer.Option("--secret", help="An HS256 secret instead of an Ed25519 pair.")] = False,  # noqa: FBT002  # A flag.
    json: JsonFlag = False,  # noqa: FBT002  # A flag.
) -> None:
    """Make the keys that sign JSON Web Tokens: an Ed25519 pair, of which the store needs the public one alone."""
    _make_folder(folder)
    if secret:
        made = {"jwt_secret_file": folder / "jwt.secret"}
        write_secret(made["jwt_secret_file"], secrets.token_hex(32).encode() + b"\n")
    else:
        made = {"jwt_private_key_file": folder / "jwt-private.pem", "jwt_public_key_file": folder / "jwt-public.pem"}
        private = Ed25519PrivateKey.generate()
        pem, plain = serialization.Encoding.PEM, serialization.NoEncryption()
        write_secret(made["jwt_private_key_file"], private.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain))
        made["jwt_public_key_file"].write_bytes(
            private.public_key().public_bytes(pem, serialization.PublicFormat.SubjectPublicKeyInfo)
        )
    if json:
        print_json({name: str(path) for name, path in made.items()})
        return
    for name, path in made.items():
        stdout.print(f"{name:<22} {path}", markup=False, soft_wrap=True)


@token_app.command(name="jwt")
def jwt_(  # Options of a command.
    subject: Subject,
    key: Annotated[Path, typer.Option(help="The HS256 secret, or the Ed25519 private key as PEM.")],
    scope: Scopes = None,
    lifetime: Annotated[float, typer.Option(help="Seconds until it expires; it cannot be withdrawn.")] = JWT_LIFETIME_S,
    issuer: Annotated[str, typer.Option(help="Its `iss`.")] = "",
    audience: Annotated[str, typer.Option(help="Its `aud`.")] = "",
    json: JsonFlag = False,  # noqa: FBT002  # A flag.
) -> None:
    """Make a JSON Web Token: HS256 with a secret, EdDSA with an Ed25519 key."""
    said = scope or list(SCOPES)
    private = _private_key(key)
    if private is None:
        made = mint_jwt(subject, said, secret_file=key, lifetime_s=lifetime, issuer=issuer, audience=audience)
    else:
        made = jwt.encode(_claims(subject, said, lifetime, issuer, audience), private, algorithm="EdDSA")
    if json:
        print_json({"token": made, "algorithm": "HS256" if private is None else "EdDSA"})
    else:
        stdout.print(made, markup=False, soft_wrap=True)


def sources_of(auth: AuthOptions) -> list[str]:
    """Which tokens are taken, and by which file each kind is known; [] where no source is named."""
    sources = (
        ("the token file", auth.token_file),
        ("JSON Web Tokens (HS256), by the secret", auth.jwt_secret_file),
        ("JSON Web Tokens (EdDSA), by the public key", auth.jwt_public_key_file),
    )
    return [f"{kind} {file}" for kind, file in sources if file is not None]


def mint_development_token(data: Path) -> None:
    """Make the development token of a data directory, where it has none yet."""
    file = development_token(data)
    if file.exists():
        return
    token, line = mint_token(DEVELOPER)
    _make_folder(data)
    add_token(data / TOKENS_FILE, line)
    write_secret(file, f"{token}\n".encode())


def write_secret(path: Path, content: bytes) -> None:
    """Write a new file that its owner alone may read. ConfigError: it is there already, or cannot be."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
    except FileExistsError:
        raise ConfigError(f"{path} exists already", hint="Remove it first, or name another folder") from None
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error}") from None


def _make_folder(path: Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"{path} cannot be made: {error}") from None


def _private_key(path: Path) -> Ed25519PrivateKey | None:
    """The Ed25519 key in a PEM file, or None where it is no PEM file."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"the key file {path} cannot be read: {error}") from None
    if not content.startswith(b"-----BEGIN"):
        return None
    try:
        key = serialization.load_pem_private_key(content, password=None)
    except (ValueError, TypeError) as error:
        raise ConfigError(f"{path} is no private key: {error}") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise ConfigError(f"{path} holds no Ed25519 private key", hint="`store token keys` makes one")
    return key


def _claims(subject: str, scopes: list[str], lifetime_s: float, issuer: str, audience: str) -> dict[str, Any]:
    unknown = [each for each in scopes if each not in SCOPES]
    if unknown:
        raise ConfigError(f"{unknown[0]!r} is no scope; scopes are {', '.join(SCOPES)}")
    claims = {"sub": subject, "scope": " ".join(scopes), "exp": int(time.time() + lifetime_s)}
    further = {"iss": issuer, "aud": audience}
    return {**claims, **{name: value for name, value in further.items() if value}}
