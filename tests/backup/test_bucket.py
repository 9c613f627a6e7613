"""One backup's objects: stored once and proved, bounded, and never taken for what they are not."""

from hashlib import sha256

import msgspec
import pytest
import zstandard

from store.backup import layout
from store.backup.bucket import Bucket, begin_bucket, open_bucket
from store.backup.keys import OperatorKey
from store.env.memory import MemoryClock, SeededEntropy
from store.env.memory_objects import MemoryObjects
from store.errors import CorruptionError, DirectoryError, NotRestorable
from store.ids import Offset

STORE = "aa" * 16
KEY = OperatorKey(bytes(range(32)))
CHAIN = bytes(range(32))
SEGMENT = layout.segment_object(Offset(1), Offset(9), CHAIN)
SNAPSHOT = layout.snapshot_object(Offset(9), CHAIN)
CONTENT = b"some rows of a table " * 500


def begin(objects: MemoryObjects, key: OperatorKey | None = None, *, store: str = STORE, seed: int = 1) -> Bucket:
    """A backup's bucket, made where there is none."""
    return begin_bucket(objects, key, store=store, clock=MemoryClock(), entropy=SeededEntropy(seed))


@pytest.fixture(name="key", params=["plain", "encrypted"])
def _key(request: pytest.FixtureRequest) -> OperatorKey | None:
    """Without encryption and with."""
    return KEY if request.param == "encrypted" else None


@pytest.fixture(name="objects")
def _objects() -> MemoryObjects:
    """An empty store."""
    return MemoryObjects()


@pytest.fixture(name="bucket")
def _bucket(objects: MemoryObjects, key: OperatorKey | None) -> Bucket:
    """A backup in it."""
    return begin(objects, key)


def test_what_is_put_is_got(objects: MemoryObjects, bucket: Bucket, key: OperatorKey | None) -> None:
    """By whoever opens the backup later, with the key."""
    for name in (SEGMENT, SNAPSHOT, bucket.block_object("ab" * 32)):
        stored = bucket.put(name, CONTENT)
        assert stored.sent
        assert (stored.size, stored.sha256) == (len(objects.content[name]), sha256(objects.content[name]).hexdigest())
        assert open_bucket(objects, key).get(name, stored=stored.size, digest=stored.sha256) == CONTENT


def test_what_is_there_is_not_sent_again(bucket: Bucket) -> None:
    """It is said so, with the same facts."""
    first = bucket.put(SEGMENT, CONTENT)
    again = bucket.put(SEGMENT, CONTENT)
    assert (first.sent, again.sent) == (True, False)
    assert (first.size, first.sha256) == (again.size, again.sha256)


def test_segments_are_compressed(objects: MemoryObjects, bucket: Bucket) -> None:
    """Blocks are already, manifests are for people to read."""
    bucket.put(SEGMENT, CONTENT)
    assert len(objects.content[SEGMENT]) < len(CONTENT) / 5


def test_the_same_content_packed_otherwise_is_the_same(objects: MemoryObjects) -> None:
    """Another version of zstd stored it: it stays, and is known."""
    bucket = begin(objects)
    packed = zstandard.ZstdCompressor(level=19).compress(CONTENT)
    objects.put(SEGMENT, packed, if_absent=True)
    stored = bucket.put(SEGMENT, CONTENT)
    assert (stored.sent, stored.size) == (False, len(packed))
    assert objects.content[SEGMENT] == packed


def test_other_content_is_never_overwritten(objects: MemoryObjects, bucket: Bucket) -> None:
    """Nor is what is damaged: it says where, and what to do."""
    for taken in (CONTENT + b"x", None):
        if taken is None:
            objects.content[SEGMENT] = b"damaged"
        else:
            bucket.put(SEGMENT, taken)
        before = objects.content[SEGMENT]
        with pytest.raises(FileExistsError, match=r"nothing is ever overwritten.*push again"):
            bucket.put(SEGMENT, CONTENT)
        assert objects.content[SEGMENT] == before


def test_an_upload_is_proved(objects: MemoryObjects, bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store that changes what it is given is found out at once, whether or not it says hashes."""
    put = objects.put

    def changing(name: str, data: bytes, *, if_absent: bool) -> bool:
        return put(name, data[:-1] + b"?", if_absent=if_absent)

    monkeypatch.setattr(objects, "put", changing)
    for says_hash in (True, False):
        objects._says_hash = says_hash
        with pytest.raises(CorruptionError, match="now holds other ones"):
            bucket.put(layout.block_object(f"{says_hash:064x}"), CONTENT)


def test_every_cut_and_every_flip_is_found(objects: MemoryObjects, bucket: Bucket) -> None:
    """By the hash that was noted; under a key without it, too."""
    stored = bucket.put(SEGMENT, b"hello")
    whole = objects.content[SEGMENT]
    damaged = [whole[:size] for size in range(len(whole))] + [whole + b"x"]
    damaged += [whole[:at] + bytes((whole[at] ^ 1,)) + whole[at + 1 :] for at in range(len(whole))]
    for each in damaged:
        objects.content[SEGMENT] = each
        with pytest.raises(CorruptionError, match=SEGMENT):
            bucket.get(SEGMENT, stored=stored.size, digest=stored.sha256)
        if bucket.encrypted:
            with pytest.raises((CorruptionError, DirectoryError), match=SEGMENT):
                bucket.get(SEGMENT)


def test_what_would_unpack_to_more_than_may_be_is_refused(
    objects: MemoryObjects, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the frame's own word, before any of it is unpacked; and where it says nothing."""
    bucket = begin(objects)
    monkeypatch.setitem(layout.SIZE_MAX, "segment", 1_000)
    bomb = zstandard.ZstdCompressor().compress(bytes(1_001))
    silent = zstandard.ZstdCompressor(write_content_size=False).compress(bytes(10))
    for each in (bomb, silent, bomb + bomb, b"", b"no frame", zstandard.ZstdCompressor().compress(b"ok") + b"more"):
        objects.content[SEGMENT] = each
        with pytest.raises(CorruptionError, match=SEGMENT):
            bucket.get(SEGMENT)


def test_a_frame_that_lies_about_its_size_is_refused(objects: MemoryObjects) -> None:
    """It unpacks to what it says or not at all."""
    bucket = begin(objects)
    frame = bytearray(zstandard.ZstdCompressor().compress(bytes(100_000)))
    size = zstandard.get_frame_parameters(bytes(frame)).content_size
    at = frame.find(size.to_bytes(4, "little"))
    for claimed in (50, 200_000):
        frame[at : at + 4] = claimed.to_bytes(4, "little")
        objects.content[SEGMENT] = bytes(frame)
        with pytest.raises(CorruptionError, match="zstd frame"):
            bucket.get(SEGMENT)


def test_no_more_is_fetched_than_may_be(objects: MemoryObjects, monkeypatch: pytest.MonkeyPatch) -> None:
    """However large an object is."""
    bucket = begin(objects)
    monkeypatch.setitem(layout.SIZE_MAX, "block", 10)
    name = layout.block_object("ab" * 32)
    objects.content[name] = bytes(1 << 20)
    asked: list[int | None] = []
    get = objects.get

    def watching(name: str, start: int = 0, length: int | None = None) -> bytes:
        asked.append(length)
        return get(name, start, length)

    monkeypatch.setattr(objects, "get", watching)
    with pytest.raises(CorruptionError, match="at most"):
        bucket.get(name)
    assert asked[0] is not None
    assert asked[0] < 100_000


@pytest.mark.parametrize("claimed", [-1, 1 << 62])
def test_no_more_is_fetched_than_may_be_whatever_a_note_says(objects: MemoryObjects, claimed: int) -> None:
    """Notes may be made up."""
    bucket = begin(objects)
    bucket.put(SEGMENT, CONTENT)
    with pytest.raises(CorruptionError, match="in the index"):
        bucket.get(SEGMENT, stored=claimed)


def test_a_backup_is_of_one_store(objects: MemoryObjects, key: OperatorKey | None) -> None:
    """Another one's is refused, and left as it is."""
    begin(objects, key)
    before = dict(objects.content)
    with pytest.raises(DirectoryError, match=r"another store.*place of its own"):
        begin(objects, key, store="bb" * 16)
    assert objects.content == before


def test_no_backup_is_not_restorable() -> None:
    """It is said where none is."""
    with pytest.raises(NotRestorable, match="there is no backup at memory:"):
        open_bucket(MemoryObjects(), None)


def test_an_encrypted_backup_needs_its_key(objects: MemoryObjects) -> None:
    """None and another one are told apart."""
    begin(objects, KEY)
    with pytest.raises(DirectoryError, match="is encrypted, and no key was given"):
        open_bucket(objects, None)
    with pytest.raises(DirectoryError, match=f"under the operator's key {KEY.id}"):
        open_bucket(objects, OperatorKey(bytes(32)))
    with pytest.raises(DirectoryError, match="no key was given"):
        begin(objects)


def test_a_plain_backup_is_not_read_with_a_key(objects: MemoryObjects) -> None:
    """Else whoever can write there could pass off anything."""
    begin(objects)
    with pytest.raises(DirectoryError, match="is not encrypted, though a key was given"):
        open_bucket(objects, KEY)


def test_a_plain_object_in_an_encrypted_backup_is_refused(objects: MemoryObjects) -> None:
    """It is not what was stored."""
    bucket = begin(objects, KEY)
    objects.content[SNAPSHOT] = CONTENT
    with pytest.raises(CorruptionError, match="expected an encrypted object"):
        bucket.get(SNAPSHOT)


def test_two_who_begin_at_once_share_one_backup(objects: MemoryObjects, monkeypatch: pytest.MonkeyPatch) -> None:
    """The one whose marker came second uses the first one's key."""
    put = objects.put
    first: list[Bucket | None] = []

    def overtaken(name: str, data: bytes, *, if_absent: bool) -> bool:
        if name == layout.MARKER and not first:
            first.append(None)
            monkeypatch.setattr(objects, "put", put)
            first.append(begin(objects, KEY, seed=2))
        return put(name, data, if_absent=if_absent)

    monkeypatch.setattr(objects, "put", overtaken)
    second = begin(objects, KEY, seed=1)
    other = first[1]
    assert isinstance(other, Bucket)
    assert second.marker == other.marker
    assert second.block_object("ab" * 32) == other.block_object("ab" * 32)
    second.put(SEGMENT, CONTENT)
    assert other.get(SEGMENT) if other.active_key == second.active_key else open_bucket(objects, KEY).get(SEGMENT)


def test_names_of_blocks_tell_nothing_under_a_key(objects: MemoryObjects) -> None:
    """Their hash could be guessed at; without a key they are found by it."""
    digest = sha256(CONTENT).hexdigest()
    assert begin(MemoryObjects()).block_object(digest) == f"block/{digest}.blk"
    hidden = begin(objects, KEY).block_object(digest)
    assert digest not in hidden
    assert open_bucket(objects, KEY).block_object(digest) == hidden


def test_a_lost_marker_is_told_and_written_again(objects: MemoryObjects, key: OperatorKey | None) -> None:
    """By the next push, which finds its key."""
    bucket = begin(objects, key)
    bucket.put(SEGMENT, CONTENT)
    del objects.content[layout.MARKER]
    with pytest.raises(CorruptionError, match="expected a backup's marker"):
        open_bucket(objects, key)
    again = begin(objects, key, seed=9)
    assert again.block_object("ab" * 32) == bucket.block_object("ab" * 32)
    assert again.get(SEGMENT) == CONTENT


@pytest.mark.parametrize("content", [b"", b"{}", b"[1]", b"\xff" * 100, b'{"format": "x"}'])
def test_a_damaged_marker_is_told(objects: MemoryObjects, content: bytes) -> None:
    """With its name."""
    objects.content[layout.MARKER] = content
    with pytest.raises(CorruptionError, match=r"backup\.json"):
        open_bucket(objects, None)


def test_a_newer_backup_is_refused(objects: MemoryObjects) -> None:
    """It says so."""
    marker = msgspec.json.encode({"format": 2, "store": STORE, "key": "", "created": 1})
    objects.content[layout.MARKER] = marker
    with pytest.raises(DirectoryError, match="format 2"):
        open_bucket(objects, None)


def test_a_marker_that_names_a_lost_key_is_told(objects: MemoryObjects) -> None:
    """Without it names of blocks are lost."""
    begin(objects, KEY)
    for name in [each for each in objects.content if each.startswith("keys/")]:
        del objects.content[name]
    with pytest.raises(CorruptionError, match="expected the wrapped data key"):
        open_bucket(objects, KEY)
