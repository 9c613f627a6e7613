"""Notes: text with signatures, as c2sp.org/signed-note has them, and the keys that make and check them.

Laws: a text says nothing until a signature of a known key holds. Signatures of unknown keys are passed over; a bad one
of a known key refuses the whole note. Secret keys are written and read here; where they lie is the world's business.
"""

import base64
import binascii
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Final, Protocol

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from store.audit.objects.layout import Malformed
from store.errors import ConfigError

ED25519: Final = 1
"""A signature over the text itself."""
COSIGNATURE: Final = 4
"""A witness's: Ed25519 over a time and the text (c2sp.org/tlog-cosignature)."""

NOTE_SIZE_MAX: Final = 1 << 20
"""Bytes of a note, at most."""
SIGNATURES_MAX: Final = 100
"""Signatures a note may carry."""
TIME_MAX: Final = 2**63 - 1

_SECRET_PREFIX: Final = "PRIVATE+KEY+"  # noqa: S105  # What a secret key begins with, not one.
_DASH: Final = "\u2014 "
_KEY_ID: Final = re.compile(r"[0-9a-f]{8}", re.ASCII)
_PUBLIC_SIZE: Final = 32
SIGNATURE_SIZE: Final = 64
_TIME_SIZE: Final = 8
KEY_ID_SIZE: Final = 4


@dataclass(frozen=True)
class VerifierKey:
    """A public key: what it is called, and how its signatures are checked."""

    name: str
    algorithm: int
    """ED25519 or COSIGNATURE."""
    public: bytes
    """32 bytes, as RFC 8032 has them."""

    @property
    def id(self) -> bytes:
        """The four bytes that, with the name, say whose a signature is."""
        return _key_id(self.name, bytes((self.algorithm,)) + self.public)

    @property
    def key_id(self) -> str:
        """The same, as 8 hex digits."""
        return self.id.hex()

    def __str__(self) -> str:
        """As the C2SP pages write a key: name+id+base64."""
        return f"{self.name}+{self.key_id}+{encode_base64(bytes((self.algorithm,)) + self.public)}"

    def holds(self, text: str, signature: bytes) -> bool:
        """Whether `signature`, without the key's id, is this key's under `text`."""
        if self.algorithm != COSIGNATURE:
            return self.confirms(text.encode(), signature)
        return self.confirms(cosigned_message(cosigned_at(signature), text), signature[_TIME_SIZE:])

    def confirms(self, message: bytes, signature: bytes) -> bool:
        """Whether `signature` is this key's under these very bytes."""
        try:
            Ed25519PublicKey.from_public_bytes(self.public).verify(signature, message)
        except (InvalidSignature, ValueError):
            return False
        return True


def _key_id(name: str, key: bytes) -> bytes:
    return sha256(name.encode() + b"\n" + key).digest()[:KEY_ID_SIZE]


def cosigned_at(signature: bytes) -> int:
    """When a witness says that it signed: seconds since 1970."""
    return int.from_bytes(signature[:_TIME_SIZE], "big")


def cosigned_message(time: int, text: str) -> bytes:
    """What a witness signs: that it saw this checkpoint's text at that time, in seconds since 1970."""
    return f"cosignature/v1\ntime {time}\n{text}".encode()


def check_key_name(name: str) -> str:
    """The same name. Malformed where it cannot stand in a note."""
    if not name or "+" in name or not name.isprintable() or any(each.isspace() for each in name):
        raise Malformed(f"a key's name has neither spaces nor plus signs, found {name!r:.100}")
    return name


def read_key(text: str) -> VerifierKey:
    """A public key from its line. Malformed says what is wrong with it."""
    parts = text.strip().split("+", 2)
    if len(parts) != 3 or not _KEY_ID.fullmatch(parts[1]):
        raise Malformed(f"expected a public key as name+8 hex digits+base64, found {text!r:.120}")
    name, said, encoded = check_key_name(parts[0]), parts[1], decode_base64(parts[2], "a public key")
    if len(encoded) != 1 + _PUBLIC_SIZE or encoded[0] not in {ED25519, COSIGNATURE}:
        raise Malformed(
            f"expected an Ed25519 key (type 1, or 4 for a witness) of {_PUBLIC_SIZE} bytes, found type"
            f" {encoded[0] if encoded else 'none'} and {max(len(encoded) - 1, 0)} bytes in the key {name}"
        )
    found = VerifierKey(name, encoded[0], encoded[1:])
    if found.key_id != said:
        raise Malformed(f"the key {name} says that its id is {said}, but its bytes give {found.key_id}")
    return found


class Signer(Protocol):
    """Something that signs: a key in this process, or a key service."""

    @property
    def key(self) -> VerifierKey:
        """The public key whose signatures it makes."""
        ...

    def sign(self, message: bytes) -> bytes:
        """64 bytes: the Ed25519 signature of these very bytes. OSError where the service cannot be reached."""
        ...


class SecretKey:
    """A Signer whose secret is in this process. Neither its text nor an error shows the secret."""

    __slots__ = ("_secret", "key")

    def __init__(self, name: str, seed: bytes, algorithm: int = ED25519) -> None:
        """`seed`: the 32 secret bytes of RFC 8032."""
        self._secret: Final = Ed25519PrivateKey.from_private_bytes(seed)
        public = self._secret.public_key().public_bytes_raw()
        self.key: Final = VerifierKey(check_key_name(name), algorithm, public)

    def sign(self, message: bytes) -> bytes:
        """64 bytes."""
        return self._secret.sign(message)

    def __repr__(self) -> str:
        return f"SecretKey({self.key})"

    def write(self) -> bytes:
        """The line that `read_secret_key` reads: for the file that only its owner may read."""
        seed = self._secret.private_bytes_raw()
        encoded = encode_base64(bytes((self.key.algorithm,)) + seed)
        return f"{_SECRET_PREFIX}{self.key.name}+{self.key.key_id}+{encoded}\n".encode("ascii")


def read_secret_key(data: bytes) -> SecretKey:
    """A secret key from its line. ConfigError, without a byte of it, where it is none."""
    try:
        text = data.decode("ascii").strip()
        name, said, encoded = text.removeprefix(_SECRET_PREFIX).split("+", 2)
        raw = base64.b64decode(encoded, validate=True)
        found = SecretKey(name, raw[1:], raw[0])
        whole = text.startswith(_SECRET_PREFIX) and found.key.key_id == said
        whole = whole and found.key.algorithm in {ED25519, COSIGNATURE}
    except (ValueError, IndexError, Malformed):
        whole = False
    if not whole:
        raise ConfigError(
            "the audit key is not readable: expected one line PRIVATE+KEY+name+id+base64",
            hint="Bring the key's file back from its copy; a new key is introduced by `store audit keys rotate`",
        )
    return found


@dataclass(frozen=True)
class Signature:
    """One line below a text."""

    name: str
    key_id: bytes
    """Four bytes."""
    signature: bytes
    """Without the key's id."""

    def __str__(self) -> str:
        """As it stands in a note, with its newline."""
        return f"{_DASH}{self.name} {encode_base64(self.key_id + self.signature)}\n"


@dataclass(frozen=True)
class Note:
    """A text, which ends with a newline, and the signatures below it. Not checked yet."""

    text: str
    signatures: tuple[Signature, ...]

    def encode(self) -> bytes:
        """Its bytes."""
        return f"{self.text}\n{''.join(map(str, self.signatures))}".encode()

    def signed_by(self, keys: Iterable[VerifierKey]) -> dict[VerifierKey, Signature]:
        """Which of these keys have signed it. Malformed: a signature in the name of one of them does not hold."""
        known = {(each.name, each.id): each for each in keys}
        found: dict[VerifierKey, Signature] = {}
        for each in self.signatures:
            key = known.get((each.name, each.key_id))
            if key is None:
                continue
            if not key.holds(self.text, each.signature):
                raise Malformed(f"the signature of {key.name} ({key.key_id}) is not this note's")
            found[key] = each
        return found

    def joined(self, more: Iterable[Signature]) -> "Note":
        """The note with these signatures as well, each once."""
        return Note(self.text, tuple(dict.fromkeys((*self.signatures, *more))))


def sign(text: str, signers: Sequence[Signer], *, time: int = 0) -> Note:
    """The note of `text`, signed by each. A witness's key signs `time`, seconds since 1970, as well."""
    _check_text(text)
    assert signers  # An unsigned note says nothing.
    return Note(text, tuple(_sign(text, each, time) for each in signers))


def _sign(text: str, signer: Signer, time: int) -> Signature:
    key = signer.key
    if key.algorithm == COSIGNATURE:
        assert 0 < time <= TIME_MAX  # 0 would say that nothing is said of the time.
        made = time.to_bytes(_TIME_SIZE, "big") + sign_bytes(cosigned_message(time, text), signer)
    else:
        made = sign_bytes(text.encode(), signer)
    return Signature(key.name, key.id, made)


def sign_bytes(message: bytes, signer: Signer) -> bytes:
    """The signer's 64 bytes under `message`. ConfigError where its own public key does not confirm them."""
    made = signer.sign(message)
    if not signer.key.confirms(message, made):
        raise ConfigError(
            f"the signer of {signer.key.name} ({signer.key.key_id}) gave a signature that its public key refuses",
            hint="The secret key and the public one do not belong together",
        )
    return made


def read_note(data: bytes) -> Note:
    """A note from its bytes. Malformed says what is wrong; whose signatures hold, `Note.signed_by` says."""
    if len(data) > NOTE_SIZE_MAX:
        raise Malformed(f"a note has at most {NOTE_SIZE_MAX} bytes, found {len(data)}")
    try:
        whole = data.decode()
    except UnicodeDecodeError:
        raise Malformed("a note is UTF-8 text, found other bytes") from None
    text, blank, below = whole.rpartition("\n\n")
    if not blank or not text or not below.endswith("\n"):
        raise Malformed("expected a text, an empty line and signatures, each line with its end, found something else")
    _check_text(text + "\n")
    return Note(text + "\n", read_signatures(below))


def read_signatures(below: str) -> tuple[Signature, ...]:
    """Signature lines, each with its end. Malformed says what is wrong."""
    lines = below.removesuffix("\n").split("\n")
    if not below.endswith("\n") or len(lines) > SIGNATURES_MAX:
        raise Malformed(f"expected 1 to {SIGNATURES_MAX} lines of signatures, found {len(lines)}")
    return tuple(map(_read_signature, lines))


def _read_signature(line: str) -> Signature:
    name, space, encoded = line.removeprefix(_DASH).partition(" ")
    if not line.startswith(_DASH) or not space:
        raise Malformed(f"expected a signature: a dash, a name and base64, found {line!r:.100}")
    raw = decode_base64(encoded, "a signature")
    if len(raw) <= KEY_ID_SIZE:
        raise Malformed(f"a signature begins with the four bytes of its key's id, found {len(raw)} in all")
    return Signature(check_key_name(name), raw[:KEY_ID_SIZE], raw[KEY_ID_SIZE:])


def _check_text(text: str) -> None:
    if not text.endswith("\n") or any(each < " " and each != "\n" for each in text):
        raise Malformed("a note's text ends with a newline and has no other control characters")


def encode_base64(data: bytes) -> str:
    """Base64 in its one form (RFC 4648 §4)."""
    return base64.b64encode(data).decode("ascii")


def decode_base64(text: str, what: str) -> bytes:
    """What base64 in its one form says: at least a byte. Malformed, naming `what`, where it is not that."""
    try:
        found = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        found = b""
    if not found or encode_base64(found) != text:
        raise Malformed(f"expected base64 (RFC 4648 §4) in {what}, found {text!r:.60}")
    return found


def decode_hash(text: str, what: str) -> bytes:
    """A hash of 32 bytes from its base64."""
    found = decode_base64(text, what)
    if len(found) != sha256().digest_size:
        raise Malformed(f"expected a hash of 32 bytes in {what}, found {len(found)}")
    return found


def encode_hash(found: bytes) -> str:
    """A hash as base64."""
    return encode_base64(found)
