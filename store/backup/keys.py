"""The operator's key, and the data keys that lie in the backup wrapped under it.

Laws: the operator's key is never stored and encrypts nothing but data keys. A wrapped key is bound to all that is said
of it. No secret is ever part of a name, an error or a repr.
"""

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from store.backup.encryption import KEY_ID_SIZE, KEY_SIZE, DataKey
from store.backup.layout import SMALL_SIZE_MAX, key_object, parse
from store.env.world import Entropy, ObjectStore
from store.errors import ConfigError, CorruptionError, DirectoryError
from store.ids import Timestamp

KEY_FORMAT: Final = 1
_NONCE_SIZE: Final = 12


@dataclass(frozen=True)
class OperatorKey:
    """32 secret bytes that the operator keeps somewhere else than the backup."""

    secret: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if len(self.secret) != KEY_SIZE:
            raise ConfigError(f"an operator's key has {KEY_SIZE} bytes, found {len(self.secret)}", hint=_KEY_HINT)

    @property
    def id(self) -> str:
        """16 hex digits that tell keys apart; may be shown."""
        return sha256(b"commitstore operator key id" + self.secret).hexdigest()[:16]

    @property
    def text(self) -> str:
        """The line of a key file."""
        return self.secret.hex()

    @classmethod
    def new(cls, entropy: Entropy) -> "OperatorKey":
        """A fresh one."""
        return cls(entropy.bytes(KEY_SIZE))

    @classmethod
    def read(cls, data: bytes) -> "OperatorKey":
        """From a file's or a variable's content: 64 hex digits, base64 or 32 raw bytes. ConfigError shows none."""
        text = data.strip()
        if len(text) == 2 * KEY_SIZE:
            try:
                return cls(bytes.fromhex(text.decode("ascii")))
            except ValueError:
                pass
        if len(text) == 44:
            try:
                return cls(base64.b64decode(text, validate=True))
            except binascii.Error:
                pass
        return cls(data if len(data) == KEY_SIZE else text)

    def wrapping(self) -> AESGCM:
        """What wraps data keys."""
        return AESGCM(HKDF(SHA256(), KEY_SIZE, b"", b"commitstore backup wrap").derive(self.secret))


_KEY_HINT: Final = "`store backup make-key` makes one: 64 hex digits, as `openssl rand -hex 32` prints them"


class WrappedKey(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A data key as it lies in the backup, JSON; bytes are hex digits."""

    format: int
    data_key: str
    operator_key: str
    generation: int
    store: str
    """The epoch that began the store whose backup this is."""
    created: Timestamp
    nonce: str
    wrapped: str

    def bound(self) -> bytes:
        """All that is said of the key, to be checked with it."""
        said = (self.format, self.data_key, self.operator_key, self.generation, self.store, self.created)
        return "\0".join(("commitstore data key", *map(str, said))).encode("utf-8")


def new_data_key(entropy: Entropy, *, generation: int) -> DataKey:
    """A fresh one."""
    return DataKey(entropy.bytes(KEY_ID_SIZE).hex(), entropy.bytes(KEY_SIZE), generation)


def wrap(key: DataKey, operator: OperatorKey, *, store: str, created: Timestamp, entropy: Entropy) -> WrappedKey:
    """The key as only this operator's key opens it."""
    nonce = entropy.bytes(_NONCE_SIZE)
    head = WrappedKey(KEY_FORMAT, key.id, operator.id, key.generation, store, created, nonce.hex(), "")
    wrapped = operator.wrapping().encrypt(nonce, key.secret, head.bound())
    return msgspec.structs.replace(head, wrapped=wrapped.hex())


def unwrap(data: bytes, operator: OperatorKey, *, name: str) -> tuple[DataKey, WrappedKey]:
    """CorruptionError: it is not what was wrapped under this name. DirectoryError: it is of a newer format."""
    try:
        found = msgspec.json.decode(data, type=WrappedKey)
        if found.format != KEY_FORMAT:
            raise DirectoryError(
                f"{name} is of format {found.format}, this store reads up to {KEY_FORMAT}",
                hint="Use the newer version of the store",
            )
        secret = operator.wrapping().decrypt(bytes.fromhex(found.nonce), bytes.fromhex(found.wrapped), found.bound())
    except (ValueError, InvalidTag) as error:  # msgspec's errors are ValueErrors.
        raise CorruptionError(
            f"expected a wrapped key, found other content ({type(error).__name__})",
            file=name,
            position=0,
            hint="Put the object back from a copy of the backup: without it what it encrypts is lost",
        ) from None
    if key_object(found.data_key, found.operator_key) != name or found.operator_key != operator.id:
        raise CorruptionError(
            f"expected the wrapped key of this name, found {found.data_key}", file=name, position=0, hint="It was moved"
        )
    return DataKey(found.data_key, secret, found.generation), found


def store_key(objects: ObjectStore, wrapped: WrappedKey) -> None:
    """Put a wrapped key, and read it back."""
    name = key_object(wrapped.data_key, wrapped.operator_key)
    data = msgspec.json.format(msgspec.json.encode(wrapped)) + b"\n"
    objects.put(name, data, if_absent=True)
    found = objects.get(name, 0, SMALL_SIZE_MAX)
    assert found == data, name  # Nobody else knows this key's id yet, or the operator's key.


def open_keys(objects: ObjectStore, operator: OperatorKey, *, store: str) -> Mapping[str, DataKey]:
    """Every data key that this operator's key opens, by id; {} where the backup has no keys at all.

    DirectoryError: they are all wrapped under other keys.
    """
    keys: dict[str, DataKey] = {}
    others: set[str] = set()
    for name in objects.names("keys/"):
        found = parse(name)
        if found is None:
            continue
        if found.parts[1] != operator.id:
            others.add(found.parts[1])
            continue
        key, said = unwrap(objects.get(name, 0, SMALL_SIZE_MAX), operator, name=name)
        if said.store != store:
            raise CorruptionError(
                f"expected a key of the store {store}, found one of {said.store}",
                file=name,
                position=0,
                hint="Remove it",
            )
        keys[key.id] = key
    if others and not keys:
        raise DirectoryError(
            f"the backup at {objects.url} is encrypted under the operator's key {', '.join(sorted(others))}, "
            f"not under {operator.id}",
            hint="Give that key (--key-file or STORE_BACKUP_KEY), or the one it was last rotated to",
        )
    return keys
