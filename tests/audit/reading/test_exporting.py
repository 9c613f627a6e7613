"""What goes into an export: the trail's own objects, every version of them, and what the store says of each."""

import json

from store.audit.reading.exporting import files_of
from store.env.memory import MemoryClock
from store.env.worm_memory import MemoryWorm
from store.ids import Timestamp
from tests.audit.small_trails import LOG, START, small_trail

TOP = f"audit/v1/{LOG}/"


def bucket() -> MemoryWorm:
    """A small trail in a bucket, every object locked."""
    store = MemoryWorm(MemoryClock(Timestamp(START)))
    for name, stored in small_trail().objects.items():
        store.overwrite(TOP + name, stored.data, mode="COMPLIANCE", retain_until=2_110_838_400_000_000)
    return store


def test_everything_but_other_batches_goes() -> None:
    """Keys, checkpoints and manifests all; batches as they are asked for; nothing foreign, not even a bad name."""
    store = bucket()
    store.overwrite(f"{TOP}../../passwd", b"foreign")
    names = [each.name for each in files_of(store, LOG, first_batch=1, last_batch=2, with_locks=False)]
    batches = [each for each in small_trail().objects if each.startswith("batch/")]
    assert sorted(names) == sorted(TOP + each for each in small_trail().objects if each not in {batches[0], batches[3]})


def test_the_first_version_has_the_name_and_later_ones_lie_beside() -> None:
    """With a note of all of them, the newest first."""
    store, name = bucket(), f"{TOP}manifest/000000000001.json"
    later = store.overwrite(name, b"other bytes")
    store.mark_deleted(name)
    files = {each.name: each.data for each in files_of(store, LOG, first_batch=0, last_batch=9, with_locks=True)}
    assert files[name] == small_trail().objects["manifest/000000000001.json"].data
    assert files[f"{name}@{later}"] == b"other bytes"
    marker, second, first = json.loads(files[f"{name}.lock"])["versions"]
    assert (marker["marker"], marker["latest"], second["mode"]) == (True, True, None)
    assert (first["mode"], first["retain_until"]) == ("COMPLIANCE", "2036-11-21T00:00:00Z")
    assert len(first["sha256"]) == 64


def test_a_version_whose_bytes_are_gone_is_left_out() -> None:
    """It is missing in the export as it is in the store, and found there."""
    store = bucket()
    name = next(each for each in small_trail().objects if each.startswith("batch/"))
    (version,) = store.versions_of(TOP + name)
    store.tamper(TOP + name, version.version_id, None)
    names = [each.name for each in files_of(store, LOG, first_batch=0, last_batch=9, with_locks=True)]
    assert TOP + name not in names
