"""A backup as a read-only data directory: whatever works on a Disk restores, verifies and lists from it unchanged.

Laws: nothing is fetched before it is read, and what is handed out was checked against its name and its index first. In
RAM are one file and a bounded cache. Behind the last segment stands an empty one that is not in the backup: it says
what a later segment said when the last was pushed, that all before it is durable.
"""

import errno
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from store.backup.branches import Branch, choose, segment_of, snapshot_of
from store.backup.bucket import open_bucket
from store.backup.contents import Contents, read_contents, read_manifest
from store.backup.facts import BytesFile, SegmentFacts, block_files, epoch_of, read_only, refuse_unlike
from store.backup.index import Entry
from store.backup.keys import OperatorKey
from store.backup.layout import block_file, parse, snapshot_file
from store.env.world import File, ObjectStore
from store.errors import CorruptionError, DirectoryError, StoreError
from store.ids import Offset, Position, Timestamp
from store.log.format import (
    FOLDER,
    SALT_SIZE,
    SEGMENT_HEADER_SIZE,
    SegmentHeader,
    decode_segment_header,
    encode_segment_header,
    segment_name,
)
from store.log.survey import SegmentInfo, holds

AHEAD: Final = 8
"""Blocks asked for at once."""
CACHE_SIZE: Final = 160 << 20
"""Bytes of files kept in RAM after they were read: room for a segment and the one after it."""


@dataclass(frozen=True)
class _Order:
    """A snapshot's blocks, as whoever reads it all will ask for them."""

    blocks: list[tuple[str, int]]
    """(file, size)"""
    places: dict[str, int]


_NO_ORDER: Final = _Order([], {})


class BackupDisk:
    """One history of a backup (Disk, Surveyed). Every act that would change something is an OSError, EROFS."""

    def __init__(
        self, objects: ObjectStore, *, key: OperatorKey | None = None, epoch: str = "", cache_size: int = CACHE_SIZE
    ) -> None:
        """`epoch`: as `choose` has it. NotRestorable, DirectoryError, CorruptionError, OSError."""
        self.contents: Contents = read_contents(open_bucket(objects, key))
        self.bucket = self.contents.bucket
        self.branch: Branch = choose(list(self.contents.entries.values()), epoch, url=objects.url)
        self._logs = {segment_name(segment_of(each).first): each for each in self.branch.segments}
        self._end, self._end_data = _end_segment(self.branch)
        self._cache: OrderedDict[str, bytes] = OrderedDict()
        self._cache_size = cache_size
        self._snapshots: dict[str, Entry] | None = None
        self._blocks: list[str] | None = None
        self._orders: dict[Offset, _Order] = {}
        """Of the snapshots whose manifests were read."""
        self._order = _NO_ORDER
        """Of the snapshot that seems to be read now."""
        self.fetched = 0
        """Bytes asked of the object store so far, for its files."""

    def segments(self) -> list[SegmentInfo]:
        """Every segment, by the index: nothing is fetched."""
        return segments_of(self.branch)

    def names(self, folder: str = "") -> list[str]:
        """File names in `folder`, as the directory had them."""
        if folder == FOLDER:
            return sorted(name.partition("/")[2] for name in (*self._logs, self._end))
        if folder == "snapshot":
            return sorted(name.partition("/")[2] for name in self._manifests())
        if folder == "block":
            return [name.partition("/")[2] for name in self._block_names()]
        return []

    def open(self, name: str) -> File:
        """A file that is fetched when it is first read. FileNotFoundError: the backup does not hold it."""
        if name == self._end:
            return BytesFile(self._end_data)
        return _LazyFile(self, name, self._find(name))

    def create(self, name: str) -> File:
        """Never."""
        raise read_only(name)

    def rename(self, old: str, new: str) -> None:
        """Never."""
        raise read_only(f"{old}, {new}")

    def remove(self, name: str) -> None:
        """Never."""
        raise read_only(name)

    def sync_directory(self, folder: str = "") -> None:
        """Never: there is nothing to sync."""
        raise read_only(folder)

    def free_bytes(self) -> int:
        """Nothing may be written here."""
        return 0

    def lock(self, folder: str = "") -> None:
        """Nothing here changes: any number may read."""

    def unlock(self, folder: str = "") -> None:
        """Nothing was locked."""

    def place(self, name: str) -> tuple[int, int]:
        """No file of a backup is where a directory's was."""
        if name != self._end:
            self._find(name)
        return 0, 0

    def _find(self, name: str) -> tuple[str, Entry | None]:
        """The object that holds a file, and what the index says of it."""
        entry = self._logs.get(name)
        if entry is None and name.startswith("snapshot/"):
            entry = self._manifests().get(name)
        if entry is not None:
            return entry.object, entry
        found = parse(name)
        if found is not None and found.kind == "block":
            hidden = self.bucket.block_object(found.parts[0])
            if hidden in self.contents.index.names:
                return hidden, self.contents.entries.get(hidden)
        raise FileNotFoundError(errno.ENOENT, f"the backup at {self.bucket.objects.url} does not hold it", name)

    def _size(self, name: str, entry: Entry | None, object_name: str) -> int:
        return entry.size if entry is not None else len(self._read(name, entry, object_name))

    def _read(self, name: str, entry: Entry | None, object_name: str) -> bytes:
        """A file's content, checked."""
        data = self._cache.get(name)
        if data is not None:
            self._cache.move_to_end(name)
            return data
        for each, found in self._with_following(name, entry, object_name):
            self.fetched += len(found)
            self._cache[each] = found
        data = self._cache[name]
        self._cache.move_to_end(name)
        while len(self._cache) > 1 and sum(map(len, self._cache.values())) > self._cache_size:
            self._cache.popitem(last=False)
        return data

    def _with_following(self, name: str, entry: Entry | None, object_name: str) -> Iterator[tuple[str, bytes]]:
        """A file, and of blocks those that come next in their snapshot: whoever reads one reads them all."""
        names = self._following(name)
        if len(names) == 1:
            yield name, self._fetch(name, entry, object_name)
            return
        for each, found in zip(names, self.bucket.objects.each(self._try, names), strict=True):
            if isinstance(found, bytes):
                yield each, found
            elif each == name:
                raise found

    def _following(self, name: str) -> list[str]:
        """A file, and the blocks behind it in the snapshot that is being read: the newest, until it is not."""
        if name not in self._order.places:
            orders = (self._orders[each] for each in sorted(self._orders, reverse=True))
            self._order = next((each for each in orders if name in each.places), _NO_ORDER)
        place = self._order.places.get(name)
        if place is None:
            return [name]
        names, size = [name], self._order.blocks[place][1]
        for after, more in self._order.blocks[place + 1 : place + AHEAD]:
            size += more
            if after in self._cache or 2 * size > self._cache_size:
                break
            names.append(after)
        return names

    def _try(self, name: str) -> bytes | Exception:
        """A file that may never be asked for: what is wrong with it is said when it is."""
        try:
            return self.fetch(name)
        except (StoreError, OSError) as error:
            return error

    def fetch(self, name: str) -> bytes:
        """A file's content, checked and not kept. For blocks and manifests several threads may call it at once."""
        object_name, entry = self._find(name)
        return self._fetch(name, entry, object_name)

    def _fetch(self, name: str, entry: Entry | None, object_name: str) -> bytes:
        stored, digest = (entry.stored, entry.sha256) if entry else (None, "")
        data = self.bucket.get(object_name, stored=stored, digest=digest)
        self._check(name, entry, object_name, data)
        return data

    def _check(self, name: str, entry: Entry | None, object_name: str, data: bytes) -> None:
        """That it is what its name in the directory promises, whatever lay under the object's name."""
        if entry is not None:
            refuse_unlike(object_name, f"a file of {entry.size} bytes", f"a file of {len(data)} bytes")
        found = parse(name)
        if found is not None and found.kind == "block":
            refuse_unlike(object_name, found.parts[0], sha256(data).hexdigest())
        elif entry is not None and entry.segment is not None:
            header = decode_segment_header(data[:SEGMENT_HEADER_SIZE], file=object_name)
            said = entry.segment
            refuse_unlike(
                object_name,
                (said.first, said.epoch, said.chain_before),
                (header.first_offset, header.epoch.hex(), header.chain.hex()),
            )
        elif entry is not None and entry.snapshot is not None:
            manifest = read_manifest(self.bucket, object_name, data)
            blocks = [(block_file(digest), size) for digest, size in block_files(manifest)]
            self._orders[manifest.offset] = _Order(blocks, {each: place for place, (each, _) in enumerate(blocks)})
            said_of = entry.snapshot.epoch, entry.snapshot.chain
            refuse_unlike(object_name, said_of, (manifest.epoch.hex(), manifest.chain.hex()))

    def _manifests(self) -> dict[str, Entry]:
        """The branch's snapshots by their files' names. Of several at one offset, the one whose chain the log had."""
        if self._snapshots is None:
            self._snapshots = {}
            for each in self.branch.snapshots:
                facts = snapshot_of(each)
                name = snapshot_file(facts.offset)
                if name not in self._snapshots or self._had(facts.offset, facts.chain):
                    self._snapshots[name] = each
        return self._snapshots

    def _had(self, offset: Offset, chain: str) -> bool:
        try:
            return holds(self, offset, bytes.fromhex(chain))
        except CorruptionError:
            return False

    def _block_names(self) -> list[str]:
        """Of the blocks that the branch's snapshots need and the backup holds; a damaged manifest's are not known."""
        if self._blocks is None:
            wanted: set[str] = set()
            for name, entry in self._manifests().items():
                try:
                    data = self._read(name, entry, entry.object)
                    wanted.update(digest for digest, _ in block_files(read_manifest(self.bucket, entry.object, data)))
                except (CorruptionError, DirectoryError, FileNotFoundError):
                    continue  # Whoever reads the manifest is told.
            there = self.contents.index.names
            self._blocks = sorted(block_file(each) for each in wanted if self.bucket.block_object(each) in there)
        return self._blocks


class _LazyFile:
    """One open file of a backup (File)."""

    __slots__ = ("_disk", "_entry", "_name", "_object", "_open")

    def __init__(self, disk: BackupDisk, name: str, found: tuple[str, Entry | None]) -> None:
        self._disk = disk
        self._name = name
        self._object, self._entry = found
        self._open = True

    def size(self) -> int:
        """Bytes in it, by the index where that says."""
        self._refuse_if_closed()
        return self._disk._size(self._name, self._entry, self._object)  # noqa: SLF001  # One class in two halves.

    def read(self, position: Position, length: int) -> bytes:
        """Up to `length` bytes from `position`; the first read fetches and checks it all."""
        self._refuse_if_closed()
        data = self._disk._read(self._name, self._entry, self._object)  # noqa: SLF001  # One class in two halves.
        return data[position : position + length]

    def write(self, position: Position, data: bytes) -> None:
        """Never."""
        raise read_only(f"{self._name}: {len(data)} bytes at {position}")

    def write_out(self, position: Position, length: int) -> None:
        """Nothing: nothing was written."""

    def sync(self) -> None:
        """Never: nothing was written."""
        raise read_only(self._name)

    def truncate(self, size: int) -> None:
        """Never."""
        raise read_only(f"{self._name}: a cut to {size}")

    def close(self) -> None:
        """Release it; a second time does nothing."""
        self._open = False

    def _refuse_if_closed(self) -> None:
        if not self._open:
            raise OSError(errno.EBADF, "the file is closed")


def _end_segment(branch: Branch) -> tuple[str, bytes]:
    """Name and content of the empty segment behind the branch's end."""
    offset, created, chain = branch.offset, Timestamp(0), b""
    for facts in map(segment_of, branch.segments[-1:]):
        created, chain = facts.created, bytes.fromhex(facts.chain_after)
    for snapshot in map(snapshot_of, branch.snapshots):
        if snapshot.offset == offset and (not branch.segments or offset > segment_of(branch.segments[-1]).last):
            created, chain = snapshot.taken, bytes.fromhex(snapshot.chain)
    first = Offset(offset + 1)
    salt = sha256(b"commitstore backup end" + chain).digest()[:SALT_SIZE]
    return segment_name(first), encode_segment_header(
        SegmentHeader(salt, epoch_of(branch.epoch), first, created, chain)
    )


def segments_of(branch: Branch) -> list[SegmentInfo]:
    """Every segment of a history as its directory had it, and the empty one behind them; by what is noted of them."""
    found = [
        _info(segment_name(facts.first), facts, each.size) for each in branch.segments for facts in [segment_of(each)]
    ]
    name, data = _end_segment(branch)
    header = decode_segment_header(data, file=name)
    before = Offset(header.first_offset - 1)
    return [
        *found,
        SegmentInfo(
            name=name,
            first_offset=header.first_offset,
            last_offset=before,
            whole_offset=before,
            epoch=header.epoch,
            created=header.created,
            chain_before=header.chain,
            chain_after=header.chain,
            size=SEGMENT_HEADER_SIZE,
            sealed=False,
        ),
    ]


def _info(name: str, facts: SegmentFacts, size: int) -> SegmentInfo:
    return SegmentInfo(
        name=name,
        first_offset=facts.first,
        last_offset=facts.last,
        whole_offset=facts.last,
        epoch=epoch_of(facts.epoch),
        created=facts.created,
        chain_before=bytes.fromhex(facts.chain_before),
        chain_after=bytes.fromhex(facts.chain_after),
        size=size,
        sealed=True,
        first_timestamp=facts.first_time,
        last_timestamp=facts.last_time,
    )
