"""What lies in the folders of a data directory: how it comes, is found, checked, held and removed."""

from hashlib import sha256
from pathlib import Path

import msgspec
import pytest

from store.env.memory import MemoryDisk
from store.env.posix import PosixDisk
from store.errors import CorruptionError, DirectoryError
from store.ids import Offset, TableId, Timestamp
from store.snapshot.blocks import encode_block, encode_rows
from store.snapshot.format import block_file, manifest_file, row_sum
from store.snapshot.manifest import encode_manifest
from store.snapshot.repository import Pin, Repository, Verification
from tests.snapshot.scenes import NOW, flipped, row, rows_of, sample, snapshot, table_of

FIRST, SECOND = f"{7:020d}", f"{9:020d}"


def block_files(disk: MemoryDisk) -> set[str]:
    """The digests of all block files."""
    return {name.removesuffix(".blk") for name in disk.names("block")}


def test_a_snapshot_is_read_back() -> None:
    """Tables, system part and manifest are what was put."""
    disk = MemoryDisk()
    manifest = sample(disk)
    repository = Repository(disk)
    assert repository.names() == [FIRST]
    assert repository.manifest(FIRST) == manifest
    assert repository.whole() == ([manifest], [])
    assert repository.system(manifest) == b"the system part of 7"
    assert rows_of(Repository(disk), manifest)[0] == table_of(60)
    repository.check(manifest, deep=True)


def test_a_posix_disk_holds_the_same(tmp_path: Path) -> None:
    """The same files, byte for byte."""
    memory = MemoryDisk()
    manifest = sample(memory)
    sample(PosixDisk(tmp_path))
    for folder in ("block", "snapshot"):
        assert PosixDisk(tmp_path).names(folder) == memory.names(folder)
        assert all((tmp_path / folder / name).read_bytes() == memory.content(f"{folder}/{name}")
                   for name in memory.names(folder))  # fmt: skip
    Repository(PosixDisk(tmp_path)).check(manifest, deep=True)


def test_a_snapshot_shares_the_blocks_that_did_not_change() -> None:
    """The next one adds what changed, its system part and its manifest."""
    disk = MemoryDisk()
    first = snapshot(disk, [table_of(200)])
    before = block_files(disk)
    second = snapshot(disk, [{**table_of(200), 0: row(0, "other")}], offset=9, base=first)
    assert len(block_files(disk) - before) == 2
    assert [each.offset for each in Repository(disk).whole()[0]] == [9, 7]
    assert rows_of(Repository(disk), first) == [table_of(200)]
    assert rows_of(Repository(disk), second)[0][0] == row(0, "other")


def test_a_manifest_that_does_not_read_is_told_beside_those_that_do() -> None:
    """One is refused by name and reason; the one before it stays usable."""
    disk = MemoryDisk()
    first = snapshot(disk, [table_of(20)])
    snapshot(disk, [table_of(21)], offset=9, base=first)
    disk.flip(manifest_file(SECOND), 100)
    whole, [(name, reason)] = Repository(disk).whole()
    assert whole == [first]
    assert name == SECOND
    assert manifest_file(SECOND) in reason
    assert Repository(disk).names() == [FIRST, SECOND]


def test_a_manifest_under_another_name_is_refused() -> None:
    """Its name is the offset it says."""
    disk = MemoryDisk()
    sample(disk)
    disk.replace(manifest_file(SECOND), disk.content(manifest_file(FIRST)))
    with pytest.raises(CorruptionError, match="expected the snapshot at offset 9, found that at 7"):
        Repository(disk).manifest(SECOND)


def test_a_manifest_that_is_not_there_is_a_missing_file() -> None:
    """Nobody said that it is."""
    with pytest.raises(FileNotFoundError):
        Repository(MemoryDisk()).manifest(FIRST)


@pytest.mark.parametrize("name", ["x.json", "7.json", f"{FIRST}.json.new", f"{FIRST}.verified", f"{7:021d}.json"])
def test_other_files_are_no_snapshots(name: str) -> None:
    """What is not twenty digits and .json is somebody else's."""
    disk = MemoryDisk()
    disk.replace(f"snapshot/{name}", b"{}")
    assert Repository(disk).names() == []


def test_every_bit_of_a_manifest_on_disk_is_checked() -> None:
    """Turned over, the snapshot is refused, with file and position; never another one."""
    disk = MemoryDisk()
    snapshot(disk, [table_of(3)])
    name = manifest_file(FIRST)
    data = disk.content(name)
    for bit in range(len(data) * 8):
        disk.replace(name, flipped(data, bit))
        with pytest.raises(CorruptionError) as raised:
            Repository(disk).manifest(FIRST)
        assert raised.value.file == name
        assert 0 <= raised.value.position <= len(data)


def test_a_block_cut_anywhere_is_corruption() -> None:
    """It names the file, and where it ends."""
    disk = MemoryDisk()
    manifest = snapshot(disk, [table_of(3)])
    [ref] = manifest.tables[0].blocks
    data = disk.content(block_file(ref.file))
    for size in range(len(data)):
        disk.replace(block_file(ref.file), data[:size])
        with pytest.raises(CorruptionError) as raised:
            Repository(disk).block(ref)
        assert (raised.value.file, raised.value.position) == (block_file(ref.file), size)
        with pytest.raises(CorruptionError):
            Repository(disk).check(manifest)


def test_a_bit_turned_anywhere_in_a_block_is_corruption() -> None:
    """Rows, system part, header or trailer: checked by every reader."""
    disk = MemoryDisk()
    manifest = snapshot(disk, [table_of(3)])
    [ref] = manifest.tables[0].blocks
    for file in (ref.file, manifest.system.file):
        data = disk.content(block_file(file))
        for bit in range(len(data) * 8):
            disk.replace(block_file(file), flipped(data, bit))
            with pytest.raises(CorruptionError, match=file):
                Repository(disk).check(manifest)
        with pytest.raises(CorruptionError, match=file):
            Repository(disk).block(ref) if file == ref.file else Repository(disk).system(manifest)
        disk.replace(block_file(file), data)
    Repository(disk).check(manifest, deep=True)


def test_a_missing_block_is_corruption() -> None:
    """A manifest says that it is there."""
    disk = MemoryDisk()
    manifest = sample(disk)
    ref = manifest.tables[1].blocks[0]
    disk.remove(block_file(ref.file))
    with pytest.raises(CorruptionError, match="found no such file"):
        Repository(disk).check(manifest)


def test_another_whole_block_in_its_place_is_corruption() -> None:
    """A block is what its name says, however well it checks by itself."""
    disk = MemoryDisk()
    manifest = sample(disk)
    ref = manifest.tables[1].blocks[0]
    other = encode_block(encode_rows(["x"], [row("x")]), 1)
    disk.replace(block_file(ref.file), other + bytes(ref.size - len(other)) if len(other) < ref.size else other)
    with pytest.raises(CorruptionError, match=ref.file):
        Repository(disk).block(ref)


def test_a_block_that_denies_its_manifest_is_corruption() -> None:
    """Rows, first and last key stand in both."""
    disk = MemoryDisk()
    repository = Repository(disk)
    ref = repository.put_block([1, 2], [row(1), row(2)], TableId(1))
    for wrong in (
        msgspec.structs.replace(ref, rows=3),
        msgspec.structs.replace(ref, first=0),
        msgspec.structs.replace(ref, last=3),
        msgspec.structs.replace(ref, first="1", last="2"),
        msgspec.structs.replace(ref, size=ref.size + 1),
        msgspec.structs.replace(ref, size=1 << 62),
    ):
        with pytest.raises(CorruptionError, match=ref.file):
            repository.block(wrong)


def test_a_deep_check_adds_up_the_rows() -> None:
    """A manifest that was made up with another sum is found out."""
    disk = MemoryDisk()
    manifest = sample(disk)
    table = manifest.tables[0]
    blocks = (msgspec.structs.replace(table.blocks[0], sum=row_sum(TableId(1), [])), *table.blocks[1:])
    wrong = msgspec.structs.replace(manifest, tables=(msgspec.structs.replace(table, blocks=blocks),))
    Repository(disk).check(wrong)
    with pytest.raises(CorruptionError, match="add up"):
        Repository(disk).check(wrong, deep=True)


def test_a_deep_check_compares_keys_with_rows() -> None:
    """A row under a key that is not its own is found out."""
    disk = MemoryDisk()
    rows = table_of(20)
    rows[50] = row(51)
    manifest = snapshot(disk, [rows])
    Repository(disk).check(manifest)
    with pytest.raises(CorruptionError, match="expected a row under its own key, found 51 under 50"):
        Repository(disk).check(manifest, deep=True)


def test_a_check_tells_how_far_it_is() -> None:
    """In bytes, rising to all there are."""
    disk = MemoryDisk()
    manifest = sample(disk)
    told: list[tuple[int, int]] = []
    Repository(disk).check(manifest, lambda done, total: told.append((done, total)))
    assert told == sorted(told)
    assert told[-1] == (manifest.size, manifest.size)


def test_a_damaged_block_is_made_whole_when_it_is_put_again() -> None:
    """The same rows are the same bytes under the same name."""
    disk = MemoryDisk()
    manifest = sample(disk)
    ref = manifest.tables[0].blocks[0]
    good = disk.content(block_file(ref.file))
    disk.flip(block_file(ref.file), 77)
    sample(disk)
    assert disk.content(block_file(ref.file)) == good


def test_a_block_that_is_there_is_not_written_again() -> None:
    """It is checked and used."""
    disk = MemoryDisk()
    repository = Repository(disk)
    ref = repository.put_block([1], [row(1)], TableId(1))
    operations = disk.operations
    assert Repository(disk).put_block([1], [row(1)], TableId(1)) == ref
    assert disk.operations == operations


def test_a_manifest_that_contradicts_itself_is_not_written() -> None:
    """Where it came from elsewhere, that is corruption; nothing is there afterwards."""
    disk = MemoryDisk()
    manifest = sample(disk)
    wrong = msgspec.structs.replace(manifest, offset=Offset(9), fingerprint="00" * 32)
    with pytest.raises(CorruptionError, match="fingerprint"):
        Repository(disk).put_manifest(wrong)
    assert Repository(disk).names() == [FIRST]


def test_a_removed_snapshot_leaves_the_blocks_of_others() -> None:
    """Its manifest and note go, then what nobody names."""
    disk = MemoryDisk()
    first = snapshot(disk, [table_of(100)])
    second = snapshot(disk, [{**table_of(100), 0: row(0, "other")}], offset=9, base=first)
    repository = Repository(disk)
    repository.remove([FIRST])
    keep = {second.system.file, *(ref.file for ref in second.tables[0].blocks)}
    assert repository.collect(keep) == 2
    assert disk.names("snapshot") == [f"{SECOND}.json", f"{SECOND}.verified"]
    assert block_files(disk) == keep
    repository.check(second, deep=True)


def test_removing_what_is_gone_does_nothing() -> None:
    """A removal that was cut short is done again."""
    disk = MemoryDisk()
    sample(disk)
    Repository(disk).remove([FIRST])
    Repository(disk).remove([FIRST, SECOND])
    assert Repository(disk).names() == []


def test_leftovers_go_and_nothing_else() -> None:
    """Files that never got their name; pins are others' and may be on their way."""
    disk = MemoryDisk()
    manifest = sample(disk)
    for name in (f"block/{'0' * 64}.blk.new", f"snapshot/{SECOND}.json.new", "pin/lease-1.json.new"):
        disk.replace(name, b"half")
    Repository(disk).remove_leftovers()
    assert not [name for folder in ("block", "snapshot") for name in disk.names(folder) if name.endswith(".new")]
    assert disk.names("pin") == ["lease-1.json.new"]
    Repository(disk).check(manifest)


def test_a_note_of_verification_is_kept_and_replaced() -> None:
    """The newest one counts; where there is none, nobody has looked."""
    disk = MemoryDisk()
    manifest = sample(disk)
    repository = Repository(disk)
    assert repository.verified(FIRST) == Verification(NOW, manifest.fingerprint)
    repository.note_verified(FIRST, Timestamp(NOW + 5), manifest.fingerprint)
    assert repository.verified(FIRST) == Verification(Timestamp(NOW + 5), manifest.fingerprint)
    assert repository.verified(SECOND) is None


def test_a_note_of_verification_can_be_taken_back() -> None:
    """As if nobody had looked; where there is none, nothing happens."""
    disk = MemoryDisk()
    sample(disk)
    for _ in range(2):
        Repository(disk).note_damaged(FIRST)
        assert Repository(disk.crash_drop_all()).verified(FIRST) is None


@pytest.mark.parametrize("note", [b"", b"{", b"[]", b'{"at":"x"}', b" " * (1 << 17)])
def test_a_damaged_note_proves_nothing(note: bytes) -> None:
    """It is as if nobody had looked."""
    disk = MemoryDisk()
    sample(disk)
    disk.replace(f"snapshot/{FIRST}.verified", note)
    assert Repository(disk).verified(FIRST) is None


def test_a_pin_holds_until_it_is_taken_away() -> None:
    """Pins, leases and cursors lie side by side; one under the same name replaces the one before."""
    disk = MemoryDisk()
    repository = Repository(disk)
    assert repository.pins() == {}
    manual = Pin(Offset(7), "before the move", None, "pin")
    lease = Pin(Offset(0), "a push", Timestamp(NOW + 9), "lease")
    repository.pin("pin-7", Pin(Offset(3), "", None, "pin"))
    repository.pin("pin-7", manual)
    repository.pin("lease-push-1", lease)
    assert Repository(disk.crash_drop_all()).pins() == {"pin-7": manual, "lease-push-1": lease}
    repository.unpin("pin-7")
    repository.unpin("pin-7")
    assert Repository(disk.crash_drop_all()).pins() == {"lease-push-1": lease}


@pytest.mark.parametrize("name", ["", ".", "..", "../x", "a/b", "A", "x\n", "x" * 101, "ä", ".x"])
def test_a_pin_has_a_name_that_is_a_file_name(name: str) -> None:
    """Nothing leads out of the folder."""
    disk = MemoryDisk()
    with pytest.raises(ValueError, match="a pin's name"):
        Repository(disk).pin(name, Pin(Offset(0), "", None, "pin"))
    assert disk.operations == 0


@pytest.mark.parametrize("data", [b"", b"{}", b'{"offset":1,"reason":"","until":null,"kind":"x"}', b" " * (1 << 17)])
def test_a_pin_that_cannot_be_read_is_corruption(data: bytes) -> None:
    """Nobody knows what it needs, so nothing may be let go."""
    disk = MemoryDisk()
    disk.replace("pin/pin-7.json", data)
    with pytest.raises(CorruptionError, match=r"pin/pin-7\.json"):
        Repository(disk).pins()


def test_a_full_disk_stops_a_snapshot_and_a_second_try_succeeds() -> None:
    """At every size: an error, no half file that keeps its room, the old snapshot whole, and later the new one."""
    size = _used(_grown(MemoryDisk()))
    for capacity in range(_used(_first(MemoryDisk())), size, 97):
        disk = _first(MemoryDisk())
        disk.set_capacity(capacity)
        with pytest.raises(OSError, match="no space left"):
            _second(disk)
        old = Repository(disk).whole()[0][-1]  # Beside the new one, where only the note of it found no room.
        assert rows_of(Repository(disk), old) == [table_of(60)]
        assert not any(name.endswith(".new") for folder in ("block", "snapshot") for name in disk.names(folder))
        disk.set_capacity(1 << 30)
        _second(disk)
        assert rows_of(Repository(disk), Repository(disk).whole()[0][0]) == [table_of(90, value="other")]


def _first(disk: MemoryDisk) -> MemoryDisk:
    snapshot(disk, [table_of(60)])
    return disk


def _second(disk: MemoryDisk) -> None:
    snapshot(disk, [table_of(90, value="other")], offset=9, base=Repository(disk).whole()[0][0])


def _grown(disk: MemoryDisk) -> MemoryDisk:
    _second(_first(disk))
    return disk


def _used(disk: MemoryDisk) -> int:
    return sum(len(disk.content(f"{folder}/{name}")) for folder in ("block", "snapshot") for name in disk.names(folder))


def test_a_newer_manifest_is_not_corruption() -> None:
    """It is refused by name, and told among those that do not read."""
    disk = MemoryDisk()
    manifest = sample(disk)
    disk.replace(manifest_file(FIRST), _of_version(2, encode_manifest(manifest)))
    with pytest.raises(DirectoryError, match="version 2"):
        Repository(disk).manifest(FIRST)
    assert [name for name, _ in Repository(disk).whole()[1]] == [FIRST]


def _of_version(version: int, data: bytes) -> bytes:
    """The same manifest as another version would say it."""
    *lines, _ = data.replace(b'"snapshot":1', b'"snapshot":%d' % version).split(b"\n")[:-1]
    body = b"\n".join(lines) + b"\n"
    return body + b'{"sha256":"%b"}\n' % sha256(body).hexdigest().encode()
