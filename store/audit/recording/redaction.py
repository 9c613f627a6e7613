"""What of a call's arguments an event shows: all, nothing, a keyed hash, or what only one person's key opens.

Laws: a rule is declared beside its parameter, and logged; an argument without a declaration is not shown. What
sensitive tables were asked with is a keyed hash, as are their rows and keys. Hashes of what is hidden are keyed, for a
plain hash of something small can be guessed. The same record and keys give the same bytes.
"""

import hmac
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from store.audit.objects.layout import Malformed
from store.audit.objects.notes import decode_base64, encode_base64
from store.audit.recording.context import Declared
from store.env.subjects import SubjectKeys

REDACT: Final = "redact"
HASH: Final = "hash"
SUBJECT: Final = "subject:"
"""Followed by the name of the parameter that says whose data it is."""

_NONCE_SIZE: Final = 12

_TOKEN: Final = re.compile(
    r"""(?P<literal>'(?:[^']|'')*'(?!') | (?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?(?![\w$]))
    | "(?:[^"]|"")*"(?!") | \$[0-9]+(?![\w$]) | [A-Za-z_]\w*(?![$]) | \s+ | -(?!-) | /(?!\*) | [^\w\s'"$/-]""",
    re.VERBOSE,
)
"""One token of a query: what is in quotes or begins with a digit is a literal. Comments are none."""

REDACTED: Final = {"redacted": True}
FORGOTTEN: Final = {"forgotten": True}
"""In place of an argument whose person's key was destroyed before its event was written."""

_raw_arguments: Final[Callable[[bytes], list[msgspec.Raw]]] = msgspec.msgpack.Decoder(list[msgspec.Raw]).decode


@dataclass(frozen=True)
class Shown:
    """A call's arguments as an event shows them, and the key of the event's hashes."""

    args: dict[str, Any]
    key: bytes


def hides(declared: Declared) -> bool:
    """Whether any parameter has a rule."""
    return any(rule for _, rule in declared)


def show(declared: Declared, args: bytes, values: Sequence[Any], keys: SubjectKeys, place: bytes) -> Shown:
    """Arguments of a call to a reducer with rules. `place` names the record: no other has it."""
    raws = _raw_arguments(args)
    named = {name: value for (name, _), value in zip(declared, values, strict=True)}
    used: list[bytes] = []
    shown: dict[str, Any] = {}
    for (name, rule), value, raw in zip(declared, values, raws, strict=True):
        if not rule:
            shown[name] = value
        elif rule == HASH:
            shown[name] = _hashed(keys, bytes(raw))
        elif rule.startswith(SUBJECT) and (subject := subject_of(named.get(rule.removeprefix(SUBJECT)))):
            key = keys.key_of(subject)
            shown[name] = FORGOTTEN if key is None else {"sealed": seal(key, place + b"/" + name.encode(), bytes(raw))}
            used.extend([key] if key else [])
        else:
            shown[name] = REDACTED
    return Shown(shown, event_key(keys, used))


def event_key(keys: SubjectKeys, used: Sequence[bytes] = ()) -> bytes:
    """The key of an event's other hashes. `used`: of the persons whom it seals for, so that they go with theirs."""
    return hmac.digest(keys.log_secret(), b"event\0" + b"".join(used), "sha256")


def hashed_argument(keys: SubjectKeys, value: Any) -> dict[str, str]:
    """What stands for a value: equal ones are seen to be equal, in arguments and in queries."""
    return _hashed(keys, msgspec.msgpack.encode(value))


def _hashed(keys: SubjectKeys, packed: bytes) -> dict[str, str]:
    return {"hmac_sha256": keyed_hash(keys.log_secret(), b"argument", packed)}


def without_literals(sql: str) -> str | None:
    """A query's text with `:hidden` for each text in quotes and each number; None where it cannot be told apart."""
    pieces, end = [], 0
    for found in _TOKEN.finditer(sql):
        if found.start() != end:
            return None
        pieces.append(":hidden" if found.lastgroup == "literal" else found[0])
        end = found.end()
    return "".join(pieces) if end == len(sql) else None


def subject_of(value: Any) -> str:
    """The name under which a person's key is kept, from the argument that says who it is; "" where it says nobody."""
    if isinstance(value, bytes):
        return value.hex()
    return "" if value is None else str(value)


def keyed_hash(key: bytes, what: str | bytes, data: bytes) -> str:
    """HMAC-SHA256 as hex digits. `what` keeps hashes of different things apart."""
    said = what if isinstance(what, bytes) else what.encode()
    return hmac.digest(key, said + b"\0" + data, "sha256").hex()


def seal(key: bytes, place: bytes, data: bytes) -> str:
    """AES-256-GCM with a nonce that follows from key and place, so that it is never used for anything else: base64."""
    nonce = hmac.digest(key, b"nonce\0" + place, "sha256")[:_NONCE_SIZE]
    return encode_base64(nonce + AESGCM(key).encrypt(nonce, data, place))


def open_sealed(key: bytes, place: bytes, sealed: str) -> Any:
    """The argument that was sealed. Malformed where the key, the place or the bytes are others."""
    data = decode_base64(sealed, "a sealed argument")
    try:
        return msgspec.msgpack.decode(AESGCM(key).decrypt(data[:_NONCE_SIZE], data[_NONCE_SIZE:], place))
    except (InvalidTag, ValueError):
        raise Malformed("a sealed argument does not open: another key, another event, or changed bytes") from None


def place_of(log: str, epoch: str, offset: int) -> bytes:
    """What names a record among all of a log."""
    return f"{log}/{epoch}/{offset}".encode()
