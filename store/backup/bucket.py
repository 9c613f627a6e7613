"""One backup's objects: from what a file holds to what is stored, and back.

Laws: an object is stored once, and read back before it counts. Nothing larger than its kind may be is taken into RAM
or unpacked. With a key everything must be encrypted, without one nothing may be: neither is ever taken for the other.
"""

import errno
import hmac
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

import msgspec
import zstandard

from store.backup.encryption import HEADER_SIZE, HINT, TAG_SIZE, DataKey, chunk_count, seal, unseal
from store.backup.keys import OperatorKey, new_data_key, open_keys, store_key, wrap
from store.backup.layout import MARKER, SIZE_MAX, SMALL_SIZE_MAX, Kind, block_object, parse
from store.env.world import Clock, Entropy, ObjectStore
from store.errors import CorruptionError, DirectoryError, NotRestorable
from store.ids import Timestamp

FORMAT: Final = 1
"""Of the backup as a whole: its marker says it."""

_ZSTD_LEVEL: Final = 3
_ZSTD_GROWTH: Final = 1 << 16
"""Bytes by which what cannot be compressed may grow: far more than zstd's bound for SEGMENT_SIZE_MAX."""


class Marker(msgspec.Struct, frozen=True):
    """What backup.json says."""

    format: int
    store: str
    """The epoch that began the store whose backup this is, 32 hex digits."""
    key: str
    """The first data key's id, whose holder knows the names of blocks; "" where nothing is encrypted."""
    created: Timestamp


@dataclass(frozen=True)
class Stored:
    """An object as it lies there."""

    size: int
    """Bytes, compressed and encrypted."""
    sha256: str
    sent: bool
    """False: it was there already, whole."""


class Bucket:
    """The objects of one backup, by their names."""

    def __init__(self, objects: ObjectStore, marker: Marker, keys: Mapping[str, DataKey]) -> None:
        """Made by `open_bucket` and `begin_bucket`."""
        self.objects = objects
        self.marker = marker
        self.keys = keys
        self._active = max(keys.values(), key=lambda key: (key.generation, key.id)) if keys else None
        self._naming = keys[marker.key].derive(b"names") if marker.key else b""

    @property
    def encrypted(self) -> bool:
        """Whether every object is."""
        return self._active is not None

    @property
    def active_key(self) -> str:
        """Of the data key that new objects are encrypted under; "" without."""
        return self._active.id if self._active else ""

    def block_object(self, digest: str) -> str:
        """Where a block lies. By the hash of its content a reader could try guesses; by one under a key not."""
        return block_object(self.hidden(digest))

    def hidden(self, digest: str) -> str:
        """A hash as it may stand in a name: itself, or where there is a key, that under the key; 64 hex digits."""
        if not self._naming:
            return digest
        return hmac.digest(self._naming, digest.encode("ascii"), "sha256").hex()

    def put(self, name: str, file: bytes) -> Stored:
        """Store what a file holds, and have it proved. FileExistsError: the name is taken by something else."""
        packed = self._pack(name, file)
        try:
            sent = self.objects.put(name, packed, if_absent=True)
        except FileExistsError:
            return self._same(name, file)
        digest = sha256(packed).hexdigest()
        if sent:
            self._prove(name, len(packed), digest)
        return Stored(len(packed), digest, sent)

    def get(self, name: str, *, stored: int | None = None, digest: str = "") -> bytes:
        """What the file held that is stored here. `stored` and `digest`: the object's size and SHA-256 where known.

        CorruptionError, with the object's name; FileNotFoundError; DirectoryError for a key that is not here.
        """
        packed = self.fetch(name, stored=stored)
        found = sha256(packed).hexdigest() if digest else ""
        if found != digest:
            raise _damaged(name, f"expected an object of hash {digest}, found {found}")
        return self.unpack(name, packed)

    def fetch(self, name: str, *, stored: int | None = None) -> bytes:
        """The object as it is stored, if it is no larger than it may be."""
        limit = _stored_max(_kind(name))
        if stored is not None and not 0 <= stored <= limit:
            raise _damaged(name, f"expected at most {limit} bytes, found {stored} in the index")
        limit = limit if stored is None else stored
        packed = self.objects.get(name, 0, limit + 1)
        if len(packed) > limit or (stored is not None and len(packed) < stored):
            found = "more" if len(packed) > limit else str(len(packed))
            raise _damaged(name, f"expected {'at most ' if stored is None else ''}{limit} bytes, found {found}")
        return packed

    def unpack(self, name: str, packed: bytes) -> bytes:
        """From what is stored to what the file held."""
        kind = _kind(name)
        size_max = SIZE_MAX[kind]
        if self._active is not None:
            packed = unseal(self.keys, name, packed, size_max=size_max + _ZSTD_GROWTH)
        return _decompress(name, packed, size_max) if kind == "segment" else packed

    def _pack(self, name: str, file: bytes) -> bytes:
        kind = _kind(name)
        assert len(file) <= SIZE_MAX[kind], name  # Whoever reads files has looked.
        packed = zstandard.ZstdCompressor(level=_ZSTD_LEVEL).compress(file) if kind == "segment" else file
        return packed if self._active is None else seal(self._active, name, packed)

    def _prove(self, name: str, size: int, digest: str) -> None:
        """Ask what is there now: a store that lost, cut or changed it is found out while we still have the file."""
        head = self.objects.head(name)
        found = head.sha256 if head is not None else ""
        if head is not None and found is None:
            found = sha256(self.fetch(name, stored=size)).hexdigest()
        if head is None or head.size != size or found != digest:
            raise _damaged(name, f"stored {size} bytes of hash {digest}, but {self.objects.url} now holds other ones")

    def _same(self, name: str, file: bytes) -> Stored:
        """Other bytes may hold the same: compressed by another version, or encrypted under an earlier key."""
        packed = self.fetch(name)
        try:
            same = self.unpack(name, packed) == file
        except CorruptionError as error:
            raise _taken(self.objects, name, f"damaged: {error.message}") from None
        if not same:
            raise _taken(self.objects, name, "other content")
        return Stored(len(packed), sha256(packed).hexdigest(), sent=False)


def open_bucket(objects: ObjectStore, key: OperatorKey | None) -> Bucket:
    """A backup that is there. NotRestorable: none is. DirectoryError: of a newer format, or the key is not its."""
    marker = read_marker(objects)
    if marker is None:
        _refuse_unmarked(objects)
        raise NotRestorable(
            f"there is no backup at {objects.url}: it holds no {MARKER}",
            hint="Is this the URL that was pushed to? `store backup push` begins a backup",
        )
    return Bucket(objects, marker, _keys(objects, marker, key))


def begin_bucket(
    objects: ObjectStore, key: OperatorKey | None, *, store: str, clock: Clock, entropy: Entropy
) -> Bucket:
    """The backup of this store, begun where there is none. DirectoryError: another store's, or as `open_bucket`."""
    marker = read_marker(objects)
    if marker is None:
        first = _first_key(objects, key, store=store, clock=clock, entropy=entropy) if key else ""
        made = Marker(FORMAT, store, first, clock.wall())
        with suppress(FileExistsError):  # Somebody was quicker: it is their backup that both push to.
            objects.put(MARKER, msgspec.json.encode(made) + b"\n", if_absent=True)
        marker = read_marker(objects)
        assert marker is not None
    if marker.store != store:
        raise DirectoryError(
            f"the backup at {objects.url} is that of another store ({marker.store}, not {store})",
            hint="Give every store a place of its own: another folder, or another prefix in the bucket",
        )
    return Bucket(objects, marker, _keys(objects, marker, key))


def read_marker(objects: ObjectStore) -> Marker | None:
    """What the backup says of itself; None where there is none."""
    try:
        data = objects.get(MARKER, 0, SMALL_SIZE_MAX)
    except FileNotFoundError:
        return None
    try:
        marker = msgspec.json.decode(data, type=Marker)
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise CorruptionError(
            f"expected a backup's marker, found other content ({error})",
            file=MARKER,
            position=0,
            hint="Remove it there and push again, which writes it anew; or put it back from a copy",
        ) from None
    if marker.format != FORMAT:
        raise DirectoryError(
            f"the backup at {objects.url} is of format {marker.format}, this store reads up to {FORMAT}",
            hint="Use the newer version of the store",
        )
    return marker


def _keys(objects: ObjectStore, marker: Marker, key: OperatorKey | None) -> Mapping[str, DataKey]:
    if key is None:
        if marker.key:
            raise DirectoryError(
                f"the backup at {objects.url} is encrypted, and no key was given",
                hint="Name the operator's key: --key-file, backup.key_file or STORE_BACKUP_KEY",
            )
        return {}
    if not marker.key:
        raise DirectoryError(
            f"the backup at {objects.url} is not encrypted, though a key was given",
            hint="Without the key it is read as it is, if you trust the place; encrypted ones begin at an empty URL",
        )
    keys = open_keys(objects, key, store=marker.store)
    if marker.key not in keys:
        raise CorruptionError(
            f"expected the wrapped data key {marker.key}, found none under the operator's key {key.id}",
            file="keys/",
            position=0,
            hint="Put it back from a copy of the backup: without it the names of blocks are lost",
        )
    return keys


def _first_key(objects: ObjectStore, key: OperatorKey, *, store: str, clock: Clock, entropy: Entropy) -> str:
    """The first data key's id: that of a backup that lost its marker, or a fresh one."""
    keys = open_keys(objects, key, store=store)
    if keys:
        return min(keys.values(), key=lambda each: (each.generation, each.id)).id
    made = new_data_key(entropy, generation=1)
    store_key(objects, wrap(made, key, store=store, created=clock.wall(), entropy=entropy))
    return made.id


def _refuse_unmarked(objects: ObjectStore) -> None:
    ours = [name for name in objects.names() if parse(name) is not None]
    if ours:
        raise CorruptionError(
            f"expected a backup's marker, found none beside {len(ours)} objects of a backup",
            file=MARKER,
            position=0,
            hint="Push again with the same key, which writes it anew; or put it back from a copy",
        )


def _decompress(name: str, packed: bytes, size_max: int) -> bytes:
    """One whole frame that says its size ahead: nothing is unpacked that would not fit."""
    try:
        size = zstandard.get_frame_parameters(packed).content_size
        if not 0 <= size <= size_max:
            raise _damaged(name, f"expected at most {size_max} bytes unpacked, found {size}")
        return zstandard.ZstdDecompressor().decompress(packed, max_output_size=size, allow_extra_data=False)
    except zstandard.ZstdError as error:
        raise _damaged(name, f"expected a zstd frame, found other content ({error})") from None


def _kind(name: str) -> Kind:
    found = parse(name)
    assert found is not None, name  # A foreign name is never read.
    return found.kind


def _stored_max(kind: Kind) -> int:
    size = SIZE_MAX[kind] + _ZSTD_GROWTH
    return HEADER_SIZE + size + chunk_count(size) * TAG_SIZE


def _taken(objects: ObjectStore, name: str, by: str) -> FileExistsError:
    return FileExistsError(
        errno.EEXIST,
        f"{objects.url} already holds this name with {by}; nothing is ever overwritten. "
        "Look at that object, remove it if it is not wanted, and push again",
        name,
    )


def _damaged(name: str, message: str) -> CorruptionError:
    return CorruptionError(message, file=name, position=0, hint=HINT)
