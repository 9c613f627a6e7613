"""The independent reader says the same as the store."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from store.codec import decode_batch, encode_transaction
from store.env.memory import SeededEntropy
from store.env.posix import PosixDisk
from store.ids import ConnectionId, IdentityReference, Offset, SchemaVersion, TableId, Timestamp
from store.log.commitlog import Commitlog
from store.log.opening import Opening
from store.log.reader import LogReader
from store.transaction import Kind, Transaction
from tests.log.scenes import FIRST, NOW, OPTIONS, new_log

TOOL = Path(__file__).parents[2] / "tools" / "read_log.py"


def transaction(offset: int) -> Transaction:
    """A call with something in every field."""
    return Transaction(
        kind=Kind.CALL if offset % 3 else Kind.FAILED_CALL,
        offset=Offset(offset),
        timestamp=Timestamp(NOW + offset),
        writes=((TableId(1), 2, f"k{offset}", b"\x91\x01", b"\x91\x02"),),
        call_key=("agent", offset, offset - 1),
        identity=IdentityReference(1),
        connection=ConnectionId(3),
        source="[::1]:4000",
        schema_version=SchemaVersion(1),
        reducer="transfer",
        args=b"\x93\x01\x02\x03",
        outcome="" if offset % 3 else "refused",
        value=b"\xc0",
    )


@pytest.fixture(name="directory")
def _directory(tmp_path: Path) -> Path:
    """Three segments, several batches each, the last vouched for."""
    log = new_log(PosixDisk(tmp_path))
    for _ in range(3):
        for count in (1, 3):
            append(log, count)
        if log.last_offset < 12:
            log.seal(NOW)
    log.vouch()
    log.sync()
    log.close()
    return tmp_path


def append(log: Commitlog, count: int) -> None:
    """Commit the next transactions as one batch."""
    for _ in range(count):
        log.append(encode_transaction(transaction(log.last_offset + 1)))
    log.flush()
    log.sync()


def run(directory: Path, *options: str) -> tuple[int, list[dict[str, Any]]]:
    """The tool's exit status and its lines."""
    done = subprocess.run([sys.executable, TOOL, directory, *options], capture_output=True, text=True, check=False)
    assert not done.stderr
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines()]


def test_it_imports_nothing_of_the_store() -> None:
    """A second opinion shares no code with the first."""
    imported = [line for line in TOOL.read_text().splitlines() if line.startswith(("import ", "from "))]
    assert not [line for line in imported if "store" in line or "msgspec" in line]


def test_it_reads_what_the_store_reads(directory: Path) -> None:
    """Segments, batches and records, field by field."""
    status, lines = run(directory)
    reader = LogReader(PosixDisk(directory, read_only=True))
    batches = list(reader)
    assert status == 0
    assert lines[-1] == {"end": "whole", "records": 12}
    segments = list(dict.fromkeys(each.segment for each in batches))
    assert [line["segment"] for line in lines if "salt" in line] == segments
    told = [line for line in lines if "batch" in line]
    assert [(line["segment"], line["batch"], line["first_offset"], line["count"]) for line in told] == [
        (each.segment, each.position, each.first_offset, each.count) for each in batches
    ]
    assert [(line["durable_offset"], line["seed"], line["chain"]) for line in told] == [
        (each.durable_offset, each.seed.hex(), each.chain.hex()) for each in batches
    ]
    records = [line for line in lines if "record" in line]
    for line, each in zip(records, (each for batch in batches for each in decode_batch(batch.body)), strict=True):
        assert line["kind"] == Kind(each.kind).name.lower()
        assert (line["offset"], line["timestamp"], line["outcome"]) == (each.offset, each.timestamp, each.outcome)
        assert (line["args"], line["value"], line["call_key"]) == ([1, 2, 3], None, list(each.call_key or ()))
        assert line["writes"] == [[1, 2, f"k{each.offset}", {"$bytes": "9101"}, {"$bytes": "9102"}]]


def test_verify_prints_only_how_the_log_ends(directory: Path) -> None:
    """One line and the status."""
    assert run(directory, "--verify") == (0, [{"end": "whole", "records": 12}])


def test_a_torn_tail_is_told_from_corruption(directory: Path) -> None:
    """By the same rules, at the same places, with a status of its own."""
    last = max((directory / "log").iterdir())
    whole = last.read_bytes()
    last.write_bytes(whole[:-1])
    status, (ending,) = run(directory, "--verify")
    assert (status, ending["end"], ending["position"]) == (1, "torn tail", len(whole) - 89)
    last.write_bytes(whole[:150] + b"?" + whole[151:])
    status, (ending,) = run(directory, "--verify")
    assert (status, ending["end"], ending["position"]) == (2, "corruption", 100)
    assert ending["file"] == f"log/{last.name}"


def test_a_missing_segment_is_corruption(directory: Path) -> None:
    """Offsets have no gaps."""
    sorted((directory / "log").iterdir())[1].unlink()
    status, (ending,) = run(directory, "--verify")
    assert (status, ending["end"], ending["reason"]) == (2, "corruption", "offsets 5 to 8 are missing")


def test_what_is_no_log_is_unreadable(tmp_path: Path) -> None:
    """An empty directory, and another version, have a status of their own."""
    assert run(tmp_path, "--verify")[0] == 3


def test_any_one_bit_is_judged_as_the_store_judges_it(directory: Path) -> None:
    """The two readers agree on every bit of the last segment: whole, torn or corrupt, and where."""
    sys.path.insert(0, str(TOOL.parent))
    try:
        import read_log  # noqa: PLC0415  # It lies outside the packages.
    finally:
        sys.path.pop(0)
    disk = PosixDisk(directory, read_only=True)
    last = directory / "log" / disk.names("log")[-1]
    whole = last.read_bytes()
    for bit in range(0, len(whole) * 8, 11):
        damaged = bytearray(whole)
        damaged[bit // 8] ^= 1 << bit % 8
        last.write_bytes(damaged)
        with pytest.raises(read_log.Ended) as theirs:
            list(read_log.lines(directory))
        assert (theirs.value.status, theirs.value.position) == judged(disk)


def judged(disk: PosixDisk) -> tuple[int, int]:
    """The store's own verdict: status and position."""
    reader = LogReader(disk)
    try:
        for _ in reader:
            pass
    except Exception as error:  # noqa: BLE001  # The test compares what it is.
        return (2, getattr(error, "position", -1))
    assert reader.tail is not None
    return (1 if reader.tail.torn else 0), reader.tail.position


def test_a_log_that_recovery_cut_reads_whole(directory: Path) -> None:
    """What the store leaves behind after a torn tail passes the second reader."""
    last = max((directory / "log").iterdir())
    last.write_bytes(last.read_bytes()[:-100])
    opening = Opening(PosixDisk(directory), entropy=SeededEntropy(1), options=OPTIONS)
    assert sum(batch.count for batch in opening) == 9
    log, _ = opening.finish()
    append(log, 2)
    assert run(directory, "--verify") == (0, [{"end": "whole", "records": 11}])
    assert (directory / FIRST).exists()
