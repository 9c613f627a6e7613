"""One object, encrypted: chunks under AES-256-GCM with a key of the object's own; FORMAT.md §5 is the same in prose.

Laws: nothing is believed before its chunk's tag holds. The same content under the same name and data key gives the
same bytes, so that an interrupted push can see what is there already; no other two objects share a key, so that a
nonce is never used twice. A chunk is bound to its object's name, its place, and whether it is the last.
"""

import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from struct import Struct
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from store.errors import CorruptionError, DirectoryError

MAGIC: Final = b"CMTSEAL\n"
VERSION: Final = 1
CHUNK_SIZE: Final = 1 << 20
"""Bytes of plaintext in every chunk but the last."""
TAG_SIZE: Final = 16
KEY_SIZE: Final = 32
KEY_ID_SIZE: Final = 16

# magic, version, header size, chunk size, data key id, salt, plaintext length
_HEADER: Final = Struct("<8sHHI16s32sQ")
HEADER_SIZE: Final = _HEADER.size
_PLACE: Final = Struct("<QB")

assert HEADER_SIZE == 72  # FORMAT.md's ruler says so.


@dataclass(frozen=True)
class DataKey:
    """What objects are encrypted under. It never leaves RAM but wrapped."""

    id: str
    """32 hex digits, random; may be shown."""
    secret: bytes = field(repr=False)
    generation: int = 1
    """Rotation counts it up; the highest is the one in use."""

    def derive(self, purpose: bytes, salt: bytes = b"") -> bytes:
        """A key for one purpose (HKDF, RFC 5869)."""
        return HKDF(SHA256(), KEY_SIZE, salt, b"commitstore backup " + purpose).derive(self.secret)


def seal(key: DataKey, name: str, data: bytes) -> bytes:
    """The object that holds `data` under `name`."""
    content = name.encode("ascii") + b"\0" + sha256(data).digest()
    salt = hmac.digest(key.derive(b"salt"), content, "sha256")
    header = _HEADER.pack(MAGIC, VERSION, HEADER_SIZE, CHUNK_SIZE, bytes.fromhex(key.id), salt, len(data))
    cipher = AESGCM(key.derive(b"object" + header, salt))
    count = chunk_count(len(data))
    view = memoryview(data)
    chunks = (
        cipher.encrypt(_nonce(each), view[each * CHUNK_SIZE : (each + 1) * CHUNK_SIZE], _bound(name, each, count))
        for each in range(count)
    )
    return b"".join((header, *chunks))


def unseal(keys: Mapping[str, DataKey], name: str, sealed: bytes, *, size_max: int) -> bytes:
    """What `sealed` holds, if it is whole, stored under this very name, and under one of `keys`.

    CorruptionError names the position; DirectoryError: it is of a newer version, or under a key that is not here.
    """
    key, salt, size = _read_header(keys, name, sealed)
    count = chunk_count(size)
    expected = HEADER_SIZE + size + count * TAG_SIZE
    if size > size_max or len(sealed) != expected:
        raise _damaged(name, 0, f"expected an encrypted object of {expected} bytes, found {len(sealed)}")
    cipher = AESGCM(key.derive(b"object" + sealed[:HEADER_SIZE], salt))
    view = memoryview(sealed)
    parts = []
    for each in range(count):
        begin = HEADER_SIZE + each * (CHUNK_SIZE + TAG_SIZE)
        try:
            parts.append(
                cipher.decrypt(_nonce(each), view[begin : begin + CHUNK_SIZE + TAG_SIZE], _bound(name, each, count))
            )
        except InvalidTag:
            raise _damaged(name, begin, f"chunk {each} of {count} is not what was encrypted here") from None
    return b"".join(parts)


def chunk_count(size: int) -> int:
    """Of that many bytes; nothing at all is one empty chunk."""
    return max(-(-size // CHUNK_SIZE), 1)


def _read_header(keys: Mapping[str, DataKey], name: str, sealed: bytes) -> tuple[DataKey, bytes, int]:
    if len(sealed) < HEADER_SIZE or not sealed.startswith(MAGIC):
        raise _damaged(name, 0, f"expected an encrypted object, found other content of {len(sealed)} bytes")
    _, version, header_size, chunk_size, key_id, salt, size = _HEADER.unpack_from(sealed)
    if version != VERSION:
        raise DirectoryError(
            f"{name} was encrypted in format version {version}; this store reads version {VERSION}",
            hint="Use the newer version of the store",
        )
    if (header_size, chunk_size) != (HEADER_SIZE, CHUNK_SIZE):
        raise _damaged(name, 10, f"expected a header of {HEADER_SIZE} bytes and chunks of {CHUNK_SIZE}, found others")
    key = keys.get(key_id.hex())
    if key is None:
        raise DirectoryError(
            f"{name} is encrypted under the data key {key_id.hex()}, which the operator's key does not open",
            hint="Give the operator's key that this backup was last rotated to; if this is it, the header is damaged",
        )
    return key, salt, size


def _nonce(chunk: int) -> bytes:
    return chunk.to_bytes(12, "big")


def _bound(name: str, chunk: int, count: int) -> bytes:
    return name.encode("ascii") + b"\0" + _PLACE.pack(chunk, chunk == count - 1)


def _damaged(name: str, position: int, message: str) -> CorruptionError:
    return CorruptionError(message, file=name, position=position, hint=HINT)


HINT: Final = (
    "This object of the backup is damaged, cut or swapped. Choose a moment that does not need it, or remove it there "
    "and push again from a store that still has it"
)
