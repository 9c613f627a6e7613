"""A backup as it is to be read: its index, and behind it whatever no index mentions, read and checked now."""

from dataclasses import dataclass, field
from hashlib import sha256

from store.backup.bucket import Bucket
from store.backup.facts import BytesFile, refuse_unlike, segment_facts, snapshot_facts
from store.backup.index import Entry, Index, check_entry, read_index
from store.backup.layout import parse, snapshot_file
from store.errors import CorruptionError, DirectoryError
from store.ids import Offset
from store.snapshot.format import Manifest
from store.snapshot.manifest import decode_manifest


@dataclass
class Contents:
    """What a backup holds."""

    bucket: Bucket
    index: Index
    refused: dict[str, str] = field(default_factory=dict)
    """Objects that are there and not to be believed: name and why."""

    @property
    def entries(self) -> dict[str, Entry]:
        """By object."""
        return self.index.entries


def read_contents(bucket: Bucket) -> Contents:
    """Everything there is. Segments and snapshots that no index mentions are read whole; a block is its name."""
    contents = Contents(bucket, read_index(bucket))
    contents.refused |= contents.index.troubles
    for name in contents.index.unindexed(("segment", "snapshot")):
        try:
            contents.entries[name] = read_entry(bucket, name)
        except (CorruptionError, DirectoryError) as error:
            contents.refused[name] = str(error)
        except FileNotFoundError:
            continue  # Removed meanwhile.
    return contents


def read_entry(bucket: Bucket, name: str) -> Entry:
    """What an object says of itself, all of it checked. CorruptionError; DirectoryError: of a newer version."""
    packed = bucket.fetch(name)
    return entry_of(bucket, name, packed, bucket.unpack(name, packed))


def entry_of(bucket: Bucket, name: str, packed: bytes, file: bytes) -> Entry:
    """The same of an object that was fetched and unpacked."""
    found = parse(name)
    assert found is not None
    digest = sha256(packed).hexdigest()
    if found.kind == "segment":
        facts = segment_facts(BytesFile(file), Offset(int(found.parts[0])))
        entry = Entry(name, len(packed), digest, len(file), segment=facts)
    elif found.kind == "snapshot":
        manifest = read_manifest(bucket, name, file)
        entry = Entry(name, len(packed), digest, len(file), snapshot=snapshot_facts(manifest))
    else:
        entry = Entry(name, len(packed), digest, len(file))
    check_entry(entry, name)
    return entry


def read_manifest(bucket: Bucket, name: str, file: bytes) -> Manifest:
    """A manifest that holds, of this backup's store and of this name's offset."""
    found = parse(name)
    assert found is not None
    offset = Offset(int(found.parts[0]))
    manifest = decode_manifest(file, file=snapshot_file(offset))
    refuse_unlike(name, bucket.marker.store, manifest.store.hex())
    refuse_unlike(name, offset, manifest.offset)
    return manifest
