"""A new operator's key for a backup, and a new data key for what will be stored from then on.

Laws: every data key is wrapped under the new operator's key, and read back, before any is taken from the old one. A
rotation that was interrupted is taken up where it was by rotating again. No object is encrypted anew: what is stored
stays readable, with the new key alone. Whoever kept the old key and a copy of the old wrapped keys can still read what
was stored before.
"""

from dataclasses import dataclass

from store.backup.bucket import Bucket, open_bucket, read_marker
from store.backup.keys import OperatorKey, new_data_key, open_keys, store_key, wrap
from store.backup.layout import key_object, parse
from store.env.world import Clock, Entropy, ObjectStore
from store.errors import ConfigError, DirectoryError


@dataclass(frozen=True)
class Rotated:
    """What a rotation did."""

    operator_key: str
    """The id of the new one."""
    data_key: str
    """The id of the data key that new objects are encrypted under."""
    data_keys: int
    """How many the backup has now."""
    removed: int
    """Wrapped keys of the old operator's key that are gone."""
    retained: tuple[str, ...]
    """Those that the store does not let go, as under an object lock: the old key opens them for so long."""


def rotate(objects: ObjectStore, *, old: OperatorKey, new: OperatorKey, clock: Clock, entropy: Entropy) -> Rotated:
    """Let `new` open the backup, and `old` no longer. DirectoryError: it is not encrypted, or not under `old`."""
    if old == new:
        raise ConfigError("the new key is the old one", hint="Make one: `openssl rand -hex 32`")
    marker = read_marker(objects)
    before = dict(open_keys(objects, old, store=marker.store)) if marker and _has_keys(objects, old) else {}
    after = dict(open_keys(objects, new, store=marker.store)) if marker and _has_keys(objects, new) else {}
    if marker is None or marker.key not in before | after:
        open_bucket(objects, old)  # It says what is wrong.
        raise DirectoryError(
            f"the backup at {objects.url} is not encrypted",
            hint="A backup is encrypted from its first push on, or never",
        )
    fresh = [key for name, key in after.items() if name not in before] if before else []
    if before and not fresh:
        generation = max(key.generation for key in before.values()) + 1
        fresh = [new_data_key(entropy, generation=generation)]
    for key in (*before.values(), *fresh):
        if key.id not in after:
            store_key(objects, wrap(key, new, store=marker.store, created=clock.wall(), entropy=entropy))
    kept = Bucket(objects, marker, open_keys(objects, new, store=marker.store))
    assert all(key in kept.keys for key in before)  # Read back under the new key, before the old one's go.
    removed, retained = _remove(objects, [key_object(key, old.id) for key in before])
    return Rotated(new.id, kept.active_key, len(kept.keys), removed, retained)


def _has_keys(objects: ObjectStore, operator: OperatorKey) -> bool:
    return any((found := parse(name)) and found.parts[1] == operator.id for name in objects.names("keys/"))


def _remove(objects: ObjectStore, names: list[str]) -> tuple[int, tuple[str, ...]]:
    retained = []
    for name in names:
        try:
            objects.remove(name)
        except PermissionError:
            retained.append(name)
    return len(names) - len(retained), tuple(retained)
