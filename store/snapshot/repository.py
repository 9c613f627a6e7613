"""The snapshots of one data directory: what is there, whether it holds, and how another comes and goes.

Laws: blocks first, the manifest last, each under its name only once it is on disk; so a manifest that is there names
blocks that were. Files are written once. Who writes or removes holds the lock of `snapshot/`; who reads may do so at
any time. A manifest goes before its blocks, and a block only when no manifest names it.
"""

import hashlib
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Final, Literal, NoReturn

import msgspec

from store.env.world import Disk, File
from store.errors import CorruptionError, DirectoryError
from store.ids import Key, Offset, Position, TableId, Timestamp
from store.snapshot.blocks import FILE_SIZE_MAX, decode_block, decode_rows, encode_block, encode_rows
from store.snapshot.format import (
    BLOCK_FOLDER,
    HINT,
    MANIFEST_SIZE_MAX,
    NAME,
    NEW_SUFFIX,
    SNAPSHOT_FOLDER,
    BlockRef,
    Manifest,
    SystemRef,
    block_file,
    manifest_file,
    row_sum,
    snapshot_name,
)
from store.snapshot.manifest import decode_manifest, encode_manifest
from store.snapshot.rows import KeyReader, read_schema

PIN_FOLDER: Final = "pin"
PIN_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_.-]{0,99}")
_NOTE_SIZE_MAX: Final = 1 << 16
"""Bytes of a pin or a note of verification: a few hundred are usual."""

Progress = Callable[[int, int], None]
"""Told (bytes done, bytes in all)."""


class Pin(msgspec.Struct, frozen=True):
    """Somebody needs what leads to an offset: its snapshot, or the one before and the log since."""

    offset: Offset
    """The log stays from behind this offset on; 0 keeps everything."""
    reason: str
    until: Timestamp | None
    """When it ends by itself; None: when it is taken away."""
    kind: Literal["pin", "lease", "cursor"]


class Verification(msgspec.Struct, frozen=True):
    """When a snapshot was last found whole."""

    at: Timestamp
    fingerprint: str


class Repository:
    """The snapshots in one data directory."""

    def __init__(self, disk: Disk) -> None:
        self._disk: Final = disk
        self._fresh: Final[set[str]] = set()

    # What is there.

    def names(self) -> list[str]:
        """The names of all snapshots, oldest first, whether they hold or not."""
        ends = [each.removesuffix(".json") for each in self._disk.names(SNAPSHOT_FOLDER) if each.endswith(".json")]
        return sorted(each for each in ends if NAME.fullmatch(each))

    def manifest(self, name: str) -> Manifest:
        """One manifest. FileNotFoundError; CorruptionError; DirectoryError for a newer version."""
        file = manifest_file(name)
        manifest = decode_manifest(self._read(file, MANIFEST_SIZE_MAX), file=file)
        if snapshot_name(manifest.offset) != name:
            raise CorruptionError(
                f"expected the snapshot at offset {int(name)}, found that at {manifest.offset}",
                file=file,
                position=0,
                hint=HINT,
            )
        return manifest

    def whole(self) -> tuple[list[Manifest], list[tuple[str, str]]]:
        """The manifests that read, newest first, and of the others (name, why not). No block is looked at."""
        found: list[Manifest] = []
        refused: list[tuple[str, str]] = []
        for name in reversed(self.names()):
            try:
                found.append(self.manifest(name))
            except (CorruptionError, DirectoryError) as error:
                refused.append((name, str(error)))
            except FileNotFoundError:
                continue  # It went while we looked.
        return found, refused

    def system(self, manifest: Manifest) -> bytes:
        """What of a snapshot is no row. CorruptionError names the block."""
        ref = manifest.system
        content, rows = decode_block(self._bytes(ref.file, ref.size), file=block_file(ref.file))
        if rows:
            raise _unlike(ref.file, f"expected the system part, found {rows} rows")
        return content

    def block(self, ref: BlockRef) -> tuple[list[Key], list[bytes]]:
        """The keys of a block, which rise, and its rows. CorruptionError names the block."""
        file = block_file(ref.file)
        content, count = decode_block(self._bytes(ref.file, ref.size), file=file)
        if not count == ref.rows:
            raise _unlike(ref.file, f"expected {ref.rows} rows, found {count}")
        keys, rows = decode_rows(content, count=count, kind=type(ref.first), file=file)
        if keys[0] != ref.first or keys[-1] != ref.last:
            raise _unlike(ref.file, f"expected keys {ref.first!r} to {ref.last!r}, found {keys[0]!r} to {keys[-1]!r}")
        return keys, rows

    def check(self, manifest: Manifest, progress: Progress | None = None, *, deep: bool = False) -> None:
        """Read all of a snapshot: every block by its hash, those that were put here by their content, too.

        `deep` looks into every block, adds up its rows, and compares each key with the one its row holds.
        CorruptionError names the first file that does not hold.
        """
        done, total = 0, manifest.size
        schema = read_schema(manifest) if deep else None
        for table in manifest.tables:
            keys_of = None if schema is None else KeyReader(manifest, schema, table)
            for ref in table.blocks:
                if keys_of is not None:
                    self._check_rows(ref, table.table, keys_of)
                elif ref.file in self._fresh:
                    self.block(ref)
                else:
                    self._bytes(ref.file, ref.size)
                done += ref.size
                if progress is not None:
                    progress(done, total)
        self.system(manifest)
        if progress is not None:
            progress(total, total)

    def verified(self, name: str) -> Verification | None:
        """When a snapshot was last found whole, or None where nobody has looked."""
        try:
            return _decode_verification(self._read(_note(name), _NOTE_SIZE_MAX))
        except (FileNotFoundError, CorruptionError, msgspec.DecodeError, msgspec.ValidationError):
            return None

    # How one comes. The caller holds the lock of `snapshot/`.

    def put_block(self, keys: Sequence[Key], rows: Sequence[bytes], table: TableId) -> BlockRef:
        """Write a block of rows, by rising key, and read it back; one that is there already is used."""
        assert keys
        assert len(keys) == len(rows)
        file, size = self._put(encode_rows(keys, rows), len(rows))
        return BlockRef(file, size, len(rows), keys[0], keys[-1], row_sum(table, rows))

    def put_system(self, data: bytes) -> SystemRef:
        """Write what is no row."""
        return SystemRef(*self._put(data, 0))

    def put_manifest(self, manifest: Manifest) -> None:
        """Write the manifest, last: from here on the snapshot is there. Its blocks' names are durable first.

        CorruptionError where it contradicts itself, as one that came from elsewhere may: nothing is written then.
        """
        file, data = manifest_file(snapshot_name(manifest.offset)), encode_manifest(manifest)
        decode_manifest(data, file=file)  # What could not be read is not written.
        self._disk.sync_directory(BLOCK_FOLDER)
        self._write(file, data)
        self._disk.sync_directory(SNAPSHOT_FOLDER)

    def note_verified(self, name: str, at: Timestamp, fingerprint: str) -> None:
        """Note that a snapshot was found whole."""
        self._write(_note(name), msgspec.json.encode(Verification(at, fingerprint)) + b"\n")
        self._disk.sync_directory(SNAPSHOT_FOLDER)

    def note_damaged(self, name: str) -> None:
        """Take back that a snapshot was found whole: nothing may rest on it any more."""
        with suppress(FileNotFoundError):
            self._disk.remove(_note(name))
            self._disk.sync_directory(SNAPSHOT_FOLDER)

    def remove_leftovers(self) -> None:
        """Remove what never got its name."""
        for folder in (BLOCK_FOLDER, SNAPSHOT_FOLDER):
            for name in self._disk.names(folder):
                if name.endswith(NEW_SUFFIX):
                    self._disk.remove(f"{folder}/{name}")

    # How one goes. The caller holds the lock of `snapshot/`.

    def remove(self, names: Sequence[str]) -> None:
        """Remove snapshots, durably; their blocks stay until they are collected."""
        for name in names:
            for file in (manifest_file(name), _note(name)):
                with suppress(FileNotFoundError):
                    self._disk.remove(file)
        if names:
            self._disk.sync_directory(SNAPSHOT_FOLDER)

    def collect(self, keep: set[str]) -> int:
        """Remove every block but those whose digests are to be kept, and return how many went."""
        gone = [name for name in self._disk.names(BLOCK_FOLDER) if name.removesuffix(".blk") not in keep]
        for name in gone:
            self._disk.remove(f"{BLOCK_FOLDER}/{name}")
        if gone:
            self._disk.sync_directory(BLOCK_FOLDER)
        return len(gone)

    # Pins.

    def pins(self) -> dict[str, Pin]:
        """Every pin, lease and cursor by name. CorruptionError: one cannot be read, so nobody knows what it needs."""
        found: dict[str, Pin] = {}
        for base in self._disk.names(PIN_FOLDER):
            name = base.removesuffix(".json")
            if name == base or not PIN_NAME.fullmatch(name):
                continue
            file = f"{PIN_FOLDER}/{base}"
            try:
                found[name] = _decode_pin(self._read(file, _NOTE_SIZE_MAX))
            except FileNotFoundError:
                continue  # It was taken away while we looked.
            except (msgspec.DecodeError, msgspec.ValidationError) as error:
                hint = "`store snapshot unpin` takes it away; pin anew what is still needed"
                raise CorruptionError(f"expected a pin ({error})", file=file, position=0, hint=hint) from None
        return found

    def pin(self, name: str, pin: Pin) -> None:
        """Hold on to an offset under a name; a pin that is there is replaced. ValueError for a name that cannot be."""
        self._write(_pin_file(name), msgspec.json.encode(pin) + b"\n")
        self._disk.sync_directory(PIN_FOLDER)

    def unpin(self, name: str) -> None:
        """Take a pin away; where there is none, nothing happens."""
        with suppress(FileNotFoundError):
            self._disk.remove(_pin_file(name))
            self._disk.sync_directory(PIN_FOLDER)

    # Files.

    def _put(self, content: bytes, rows: int) -> tuple[str, int]:
        data = encode_block(content, rows)
        digest = hashlib.sha256(data).hexdigest()
        try:
            self._bytes(digest, len(data))
        except CorruptionError:  # It is not there yet; or damaged, and made whole by the same bytes.
            self._write(block_file(digest), data)
            self._bytes(digest, len(data))
        self._fresh.add(digest)
        return digest, len(data)

    def _write(self, name: str, data: bytes) -> None:
        """Write a file, which gets its name once it is on disk; the name is durable when its folder is synced."""
        fresh = name + NEW_SUFFIX
        with suppress(FileNotFoundError):
            self._disk.remove(fresh)
        file = self._disk.create(fresh)
        try:
            file.write(Position(0), data)
            file.sync()
        except OSError:
            with suppress(OSError):  # Room on a full disk; what remains is removed as a leftover.
                self._disk.remove(fresh)
            raise
        finally:
            file.close()
        self._disk.rename(fresh, name)

    def _read(self, name: str, size_max: int) -> bytes:
        with _opened(self._disk, name) as file:
            size = file.size()
            if size > size_max:
                raise CorruptionError(
                    f"expected at most {size_max} bytes, found {size}", file=name, position=size_max, hint=HINT
                )
            return file.read(Position(0), size)

    def _bytes(self, digest: str, size: int) -> bytes:
        """A block's file, as its name says it is. CorruptionError also where there is none: a manifest needs it."""
        if size > FILE_SIZE_MAX:
            raise _unlike(digest, f"expected at most {FILE_SIZE_MAX} bytes, the manifest says {size}")
        try:
            with _opened(self._disk, block_file(digest)) as file:
                found = file.size()
                data = file.read(Position(0), size) if found == size else b""
        except FileNotFoundError:
            raise _unlike(digest, f"expected a block of {size} bytes, found no such file") from None
        if found != size:
            raise _unlike(digest, f"expected {size} bytes, found {found}", min(size, found))
        said = hashlib.sha256(data).hexdigest()
        if said != digest:
            _refuse_damaged(data, digest, said)
        return data

    def _check_rows(self, ref: BlockRef, table: TableId, keys_of: KeyReader) -> None:
        keys, rows = self.block(ref)
        if row_sum(table, rows) != ref.sum:
            raise _unlike(ref.file, f"expected rows that add up to {ref.sum}")
        keys_of.compare(keys, rows, file=block_file(ref.file))


def _refuse_damaged(data: bytes, digest: str, said: str) -> NoReturn:
    """Say what is wrong with a block's file: the trailer knows whether it is damaged, or another one."""
    decode_block(data, file=block_file(digest))
    raise _unlike(digest, f"expected a block with SHA-256 {digest}, found another one, with {said}")


_decode_pin: Final = msgspec.json.Decoder(Pin).decode
_decode_verification: Final = msgspec.json.Decoder(Verification).decode


@contextmanager
def _opened(disk: Disk, name: str) -> Iterator[File]:
    file = disk.open(name)
    try:
        yield file
    finally:
        file.close()


def _note(name: str) -> str:
    return f"{SNAPSHOT_FOLDER}/{name}.verified"


def _pin_file(name: str) -> str:
    if not PIN_NAME.fullmatch(name):
        raise ValueError(f"a pin's name is 1 to 100 of a-z, 0-9, _, . and -, found {name!r:.120}")
    return f"{PIN_FOLDER}/{name}.json"


def _unlike(digest: str, message: str, position: int = 0) -> CorruptionError:
    return CorruptionError(message, file=block_file(digest), position=position, hint=HINT)
