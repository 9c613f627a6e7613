"""Reads a commitlog without the store: JSON Lines out, every check of FORMAT.md done again.

    python tools/read_log.py DATA_DIRECTORY [--verify]

Laws: nothing of the store is imported, so that this is a second opinion; it is written from store/log/FORMAT.md
alone. Nothing is changed. Exit status: 0 whole, 1 torn tail, 2 corruption, 3 no log here that this can read.
One line a segment, a batch and a record, in order; bytes as {"$bytes": hex}. The last line says how the log ends.
"""

import argparse
import hashlib
import json
import re
import struct
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import google_crc32c
import msgpack  # type: ignore[import-untyped]  # It ships no types.

SEGMENT_HEADER = struct.Struct("<8sHHI16s16sQQ32sI")
BATCH_HEADER = struct.Struct("<4sIIIIQQ16s32s")
FIELDS = ("kind", "offset", "timestamp", "writes", "call_key", "identity", "connection", "source", "schema_version",
          "reducer", "args", "outcome", "value", "continued")  # fmt: skip
KINDS = (
    "",
    "call",
    "failed_call",
    "denied",
    "schedule",
    "lifecycle",
    "schema",
    "epoch",
    "identity",
    "admin",
    "stream",
    "read",
)

WHOLE, TORN, CORRUPT, UNREADABLE = 0, 1, 2, 3


class Ended(Exception):
    """The reading is over, and with which status."""

    def __init__(self, status: int, file: str, position: int, reason: str) -> None:
        super().__init__(f"{reason}, in {file} at byte {position}")
        self.status = status
        self.file = file
        self.position = position
        self.reason = reason


@dataclass
class Log:
    """What carries over from one batch, and one segment, to the next."""

    next_offset: int | None = None
    durable_offset: int = 0
    chain: bytes = b""


@dataclass(frozen=True)
class Segment:
    """One file, its header read."""

    file: str
    data: bytes
    salt: bytes
    last: bool


def lines(directory: Path) -> Iterator[dict[str, Any]]:
    """Everything in the log, in order. Raises Ended where it cannot go on."""
    folder = directory / "log"
    names = (
        sorted(p.name for p in folder.iterdir() if re.fullmatch("[0-9]{20}[.]log", p.name)) if folder.is_dir() else []
    )
    if not names:
        raise Ended(UNREADABLE, str(folder), 0, "no segment here")
    log = Log()
    for name in names:
        yield from segment(log, f"log/{name}", (folder / name).read_bytes(), last=name == names[-1])


def segment(log: Log, file: str, data: bytes, *, last: bool) -> Iterator[dict[str, Any]]:
    """FORMAT.md §2, then its batches."""
    size = int.from_bytes(data[10:12], "little")
    if data[:8] != b"CMTSTORE" or not 16 <= size <= len(data) or not sound(data[: size - 4], data[size - 4 : size]):
        corrupt(file, 0, "the segment header is damaged")
    if data[8:10] != b"\x01\x00" or data[12:16] != bytes(4):
        raise Ended(UNREADABLE, file, 0, f"format version {data[8]}, flags {data[12:16].hex()}: this reads version 1")
    if size != SEGMENT_HEADER.size:
        corrupt(file, 0, f"a header of {size} bytes")
    _, _, _, _, salt, epoch, first, created, chain, _ = SEGMENT_HEADER.unpack_from(data)
    if first != int(file[4:24]):
        corrupt(file, 0, f"the header says offset {first}")
    if first != (first if log.next_offset is None else log.next_offset):
        corrupt(file, 0, f"offsets {log.next_offset} to {first - 1} are missing")
    if chain != (log.chain or (bytes(32) if first == 1 else chain)):
        corrupt(file, 0, "the chain is broken")
    log.next_offset, log.chain, log.durable_offset = first, chain, first - 1
    yield {
        "segment": file,
        "first_offset": first,
        "created": created,
        "epoch": epoch.hex(),
        "salt": salt.hex(),
        "chain": chain.hex(),
    }
    here = Segment(file, data, salt, last)
    position = size
    while position < len(data):
        body = batch(log, here, position)
        yield from described(here, position, body)
        position += BATCH_HEADER.size + len(body)


def batch(log: Log, here: Segment, position: int) -> bytes:
    """FORMAT.md §3 and §6: the body of the batch at `position`, once everything about it is checked."""
    file, data, salt = here.file, here.data, here.salt
    header = header_at(here, position)
    if header is None and here.last and not data[position:].strip(b"\0"):
        raise Ended(WHOLE, file, position, f"{len(data) - position} blank bytes")
    if header is None:
        damaged(log, here, position, position + 1, "no batch header")
    body_checksum, length, count, first, durable, _, chain = header
    if first != log.next_offset or not log.durable_offset <= durable < first:
        corrupt(file, position, f"a batch of offset {first}, durable {durable}, where {log.next_offset} comes next")
    body = data[position + BATCH_HEADER.size :][:length]
    if len(body) < length or google_crc32c.value(salt + body) != body_checksum:
        damaged(log, here, position, position + BATCH_HEADER.size, "the batch is not whole")
    expected = hashlib.sha256(log.chain + data[position + 12 : position + 52] + body).digest()
    if chain != expected:
        corrupt(file, position, "the chain is broken")
    if body[:5] != b"\xdd" + count.to_bytes(4, "big"):
        corrupt(file, position, "the body does not hold the number of records its header says")
    log.next_offset, log.chain, log.durable_offset = first + count, chain, durable
    return body


def header_at(here: Segment, position: int) -> tuple[Any, ...] | None:
    """The batch header at `position` without its first two fields, if marker and checksum hold."""
    header = here.data[position : position + BATCH_HEADER.size]
    if len(header) < BATCH_HEADER.size or header[:4] != marker(here.salt):
        return None
    return BATCH_HEADER.unpack(header)[2:] if sound(header[8:], header[4:8], here.salt) else None


def marker(salt: bytes) -> bytes:
    """What every batch of the segment begins with."""
    digest = hashlib.sha256(salt).digest()
    return bytes([digest[0] | 1]) + digest[1:4]


def sound(data: bytes, checksum: bytes, salt: bytes = b"") -> bool:
    """Whether the checksum holds."""
    return int(google_crc32c.value(salt + data)).to_bytes(4, "little") == checksum


def damaged(log: Log, here: Segment, position: int, search_from: int, what: str) -> NoReturn:
    """FORMAT.md §6: torn, unless a later segment or a later header proves that it was durable."""
    if not here.last:
        corrupt(here.file, position, f"{what}, before a later segment")
    at = here.data.find(marker(here.salt), search_from)
    while at >= 0:
        header = header_at(here, at)
        if header is not None and log.next_offset is not None and header[4] >= log.next_offset:
            corrupt(here.file, position, f"{what}, but offset {header[4]} was durable, says the batch at {at}")
        at = here.data.find(marker(here.salt), at + 1)
    raise Ended(TORN, here.file, position, f"{what}; {len(here.data) - position} torn bytes")


def corrupt(file: str, position: int, reason: str) -> NoReturn:
    """The log cannot be trusted from here on."""
    raise Ended(CORRUPT, file, position, reason)


def described(here: Segment, position: int, body: bytes) -> Iterator[dict[str, Any]]:
    """A line for the batch and one for each record (FORMAT.md §4)."""
    _, _, _, _, count, first, durable, seed, chain = BATCH_HEADER.unpack_from(here.data, position)
    yield {
        "batch": position,
        "segment": here.file,
        "first_offset": first,
        "count": count,
        "durable_offset": durable,
        "seed": seed.hex(),
        "chain": chain.hex(),
    }
    records = msgpack.unpackb(body, raw=False, strict_map_key=False)
    for place, record in enumerate(records):
        if record[1] != first + place:
            corrupt(here.file, position, f"record {place} says it is offset {record[1]}")
        named = dict(zip(FIELDS, record, strict=False))
        named["kind"] = KINDS[record[0]] if record[0] < len(KINDS) else record[0]
        named["args"], named["value"] = unpacked(named["args"]), unpacked(named["value"])
        yield {"record": named["offset"], **named}


def unpacked(value: bytes) -> Any:
    """MessagePack inside a field, readable; or the bytes as they are."""
    try:
        return msgpack.unpackb(value, raw=False, strict_map_key=False) if value else None
    except (ValueError, msgpack.exceptions.UnpackException):
        return value


def plain(value: Any) -> Any:
    """What JSON does not have."""
    if isinstance(value, bytes):
        return {"$bytes": value.hex()}
    return {"$other": repr(value)}


def main() -> int:
    """Print the log; the status says how it ended."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory", type=Path, help="a store's data directory")
    parser.add_argument("--verify", action="store_true", help="check everything, print only the last line")
    options = parser.parse_args()
    status, ending, records = WHOLE, {}, 0
    try:
        for line in lines(options.directory):
            records += "record" in line
            if not options.verify:
                print(json.dumps(line, default=plain))
    except Ended as ended:
        status, ending = ended.status, {"file": ended.file, "position": ended.position, "reason": ended.reason}
    verdict = ("whole", "torn tail", "corruption", "unreadable")[status]
    print(json.dumps({"end": verdict, "records": records, **ending}))
    return status


if __name__ == "__main__":
    sys.exit(main())
