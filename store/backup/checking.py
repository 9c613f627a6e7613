"""Reading a whole backup, object by object, and naming whatever is damaged, missing, swapped or not ours.

Laws: nothing is believed because a note says so: segments are checked batch by batch, manifests line by line, blocks by
their hash under the name at which a manifest looks for them. Nothing is changed.
"""

from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256

from store.backup.bucket import Bucket, open_bucket
from store.backup.contents import entry_of, read_manifest
from store.backup.facts import block_files, refuse_unlike
from store.backup.index import Index, read_index
from store.backup.keys import OperatorKey
from store.backup.pins import PIN, read_pins
from store.env.world import ObjectStore
from store.errors import CorruptionError, DirectoryError

Progress = Callable[[str, int, int], None]
"""Told (phase, objects done, objects in all)."""


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong."""

    name: str
    """The object's."""
    kind: str
    """damaged, missing, or foreign."""
    reason: str


def check(objects: ObjectStore, *, key: OperatorKey | None = None, progress: Progress | None = None) -> list[Finding]:
    """Everything that is wrong, in the order of names. NotRestorable: no backup is there. DirectoryError, OSError."""
    bucket = open_bucket(objects, key)
    index = read_index(bucket)
    run = _Check(bucket, index)
    for done, name in enumerate(run.names):
        if progress is not None:
            progress("objects", done, len(run.names))
        run.look_at(name)
    run.look_for_blocks()
    run.look_at_pins()
    if progress is not None:
        progress("objects", len(run.names), len(run.names))
    return sorted(run.found, key=lambda each: each.name)


class _Check:
    """One reading of everything."""

    def __init__(self, bucket: Bucket, index: Index) -> None:
        self._bucket, self._index = bucket, index
        self.names = sorted(name for name in index.names if name.startswith(("block/", "log/", "snapshot/")))
        self.found = [Finding(name, "damaged", reason) for name, reason in index.troubles.items()]
        self.found += [Finding(name, "foreign", "no object of a backup has such a name") for name in index.foreign]
        self.found += [Finding(each.object, "missing", "it was stored, and is gone") for each in index.missing]
        self._wanted: dict[str, str] = {}

    def look_at(self, name: str) -> None:
        """One object."""
        try:
            file = self._read(name)
            if name.startswith("snapshot/"):
                for digest, _ in block_files(read_manifest(self._bucket, name, file)):
                    self._wanted.setdefault(self._bucket.block_object(digest), name)
            elif name.startswith("block/"):
                refuse_unlike(name, name, self._bucket.block_object(sha256(file).hexdigest()))
        except FileNotFoundError:
            self.found.append(Finding(name, "missing", "it was removed just now"))
        except (CorruptionError, DirectoryError) as error:
            self.found.append(Finding(name, "damaged", str(error)))

    def look_for_blocks(self) -> None:
        """What manifests need is there."""
        told = {each.name for each in self.found}
        for name, manifest in self._wanted.items():
            if name not in self._index.names and name not in told:
                self.found.append(Finding(name, "missing", f"{manifest} needs it"))

    def look_at_pins(self) -> None:
        """Each says what it holds."""
        for name in self._bucket.objects.names(PIN):
            try:
                read_pins(self._bucket, name)
            except (CorruptionError, DirectoryError) as error:
                self.found.append(Finding(name, "damaged", str(error)))

    def _read(self, name: str) -> bytes:
        """What an object holds, once it is what its name and its note say."""
        noted = self._index.entries.get(name)
        packed = self._bucket.fetch(name)
        if noted is not None:
            refuse_unlike(name, f"an object of hash {noted.sha256}", f"an object of hash {sha256(packed).hexdigest()}")
        file = self._bucket.unpack(name, packed)
        found = entry_of(self._bucket, name, packed, file)
        if noted is not None:
            refuse_unlike(name, noted, found)
        return file
