"""Reads a snapshot without the store: JSON Lines out, every check of FORMAT.md done again.

    python tools/read_snapshot.py DATA_DIRECTORY [NAME] [--verify]

Laws: nothing of the store is imported, so that this is a second opinion; it is written from store/snapshot/FORMAT.md
alone. Nothing is changed. Exit status: 0 whole, 2 corruption, 3 no snapshot here that this can read. Without NAME the
newest is read. One line for the head, one a table, one a row, one for the system part; bytes as {"$bytes": hex}. The
last line says how it ended, and the fingerprint as it was computed here, from the rows.
"""

import argparse
import base64
import hashlib
import json
import re
import struct
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import google_crc32c
import msgpack  # type: ignore[import-untyped]  # It ships no types.
import zstandard

HEADER = struct.Struct("<8sHHI")
TRAILER = struct.Struct("<QII")
CONTENT_SIZE_MAX = 3 << 30

WHOLE, CORRUPT, UNREADABLE = 0, 2, 3


class Ended(Exception):
    """The reading is over, and with which status."""

    def __init__(self, status: int, file: str, reason: str) -> None:
        super().__init__(f"{reason}, in {file}")
        self.status = status
        self.file = file
        self.reason = reason


def corrupt(file: str, reason: str) -> NoReturn:
    """The snapshot cannot be trusted."""
    raise Ended(CORRUPT, file, reason)


class Snapshot:
    """One snapshot, and what its rows add up to."""

    def __init__(self, directory: Path, name: str) -> None:
        self.directory = directory
        self.file = f"snapshot/{name}.json"
        self.name = name
        self.fingerprint = 0
        self.rows = 0
        self.content = hashlib.sha256()

    def lines(self) -> Iterator[dict[str, Any]]:
        """Everything in it, in order. Raises Ended where it cannot go on."""
        head, tables = self.manifest()
        schema = self.schema(head)
        yield {**head, "schema": schema}
        for table in tables:
            yield {
                "table": table["table"],
                "name": table["name"],
                "rows": table["rows"],
                "blocks": len(table["blocks"]),
            }
            yield from self.table(table, schema)
        self.content.update(bytes.fromhex(head["system"]["file"]))
        _, system = self.block(head["system"]["file"], head["system"]["size"], rows=0)
        yield {"system": system}
        if head["fingerprint"] != f"{self.fingerprint:064x}":
            corrupt(self.file, f"the rows have the fingerprint {self.fingerprint:064x}")
        if head["content"] != self.content.hexdigest():
            corrupt(self.file, "the hash over all blocks is another one")

    def manifest(self) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        """FORMAT.md §3: the head and the tables, once the trailer is found to hold."""
        path = self.directory / self.file
        if not path.is_file():
            raise Ended(UNREADABLE, self.file, "no such snapshot here")
        data = path.read_bytes()
        *lines, last = data.split(b"\n")
        if last or len(lines) < 2:
            corrupt(self.file, "the manifest was cut")
        before = data[: -len(lines[-1]) - 1]
        try:
            trailer = json.loads(lines[-1])
            sealed = trailer["sha256"] == hashlib.sha256(before).hexdigest()
        except (ValueError, KeyError, TypeError):
            corrupt(self.file, "no trailer")
        if not sealed:
            corrupt(self.file, "the manifest's hash does not hold")
        head, *tables = [json.loads(line) for line in lines[:-1]]
        if head["snapshot"] != 1:
            raise Ended(UNREADABLE, self.file, f"version {head['snapshot']}: this reads version 1")
        if self.name != f"{head['offset']:020d}":
            corrupt(self.file, f"it says that its offset is {head['offset']}")
        blocks = [block for table in tables for block in table["blocks"]]
        found = {
            "tables": len(tables),
            "blocks": len(blocks),
            "rows": sum(block[2] for block in blocks),
            "bytes": head["system"]["size"] + sum(block[1] for block in blocks),
            "sha256": trailer["sha256"],
        }
        if lines[-1] != json.dumps(found, separators=(",", ":")).encode():
            corrupt(self.file, f"the trailer is not {found}")
        return head, tables

    def schema(self, head: dict[str, Any]) -> list[dict[str, Any]]:
        """The tables by id, with the place of the key in a row."""
        _, tables = msgpack.unpackb(base64.b64decode(head["schema"], validate=True), raw=False)
        made = []
        for table, name, _, columns, key, *_ in tables:
            ids = [each[0] for each in columns]
            made.append({"table": table, "name": name, "columns": [each[1] for each in columns], "key": ids.index(key)})
        return made

    def table(self, table: dict[str, Any], schema: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        """The rows of one table, each under the key that stands in it, by rising key."""
        known = [each for each in schema if each["table"] == table["table"] and each["name"] == table["name"]]
        if len(known) != 1:
            corrupt(self.file, f"the schema has no table {table['table']}, {table['name']}")
        prefix = table["table"].to_bytes(4, "big")
        self.content.update(prefix)
        last: Any = None
        count = 0
        for file, size, rows, first, final, part in table["blocks"]:
            keys, values = self.block(file, size, rows=rows)
            self.content.update(bytes.fromhex(file))
            if [msgpack.packb(keys[0]).hex(), msgpack.packb(keys[-1]).hex()] != [first, final]:
                corrupt(f"block/{file}.blk", "the first and last key are not those the manifest says")
            total = 0
            for key, value in zip(keys, values, strict=True):
                row = unpacked(value)
                if row[known[0]["key"]] != key or type(row[known[0]["key"]]) is not type(key):
                    corrupt(f"block/{file}.blk", f"the row under {key!r} has another key")
                if last is not None and not last < key:
                    corrupt(f"block/{file}.blk", f"{key!r} stands behind {last!r}")
                last = key
                total += int.from_bytes(hashlib.sha256(prefix + value).digest(), "big")
                yield {"row": row, "of": table["name"]}
            if part != f"{total % 2**256:064x}":
                corrupt(f"block/{file}.blk", "the rows do not add up to what the manifest says")
            self.fingerprint = (self.fingerprint + total) % 2**256
            count += rows
        if count != table["rows"]:
            corrupt(self.file, f"{table['name']} has {count} rows, the manifest says {table['rows']}")
        self.rows += count

    def block(self, digest: str, size: int, *, rows: int) -> tuple[list[Any], Any]:
        """FORMAT.md §2: the keys and rows of a block; for the system part, no keys and its bytes."""
        file, data = self.file_of(digest, size)
        count, content = opened(file, data)
        if count != rows:
            corrupt(file, f"it has {count} rows, the manifest says {rows}")
        if not rows:
            return [], content
        keys, values = unpacked(content)
        if not len(keys) == len(values) == rows:
            corrupt(file, f"it holds {len(keys)} keys and {len(values)} rows")
        return keys, values

    def file_of(self, digest: str, size: int) -> tuple[str, bytes]:
        """A block's file, which is what its name says."""
        if not re.fullmatch("[0-9a-f]{64}", digest):
            corrupt(self.file, f"{digest!r} is no block's name")
        file = f"block/{digest}.blk"
        path = self.directory / file
        if not path.is_file() or path.stat().st_size != size:
            corrupt(file, f"there is no block of {size} bytes")
        data = path.read_bytes()
        if hashlib.sha256(data).hexdigest() != digest:
            corrupt(file, "its hash is not its name")
        return file, data


def opened(file: str, data: bytes) -> tuple[int, bytes]:
    """How many rows a block has, and its content."""
    if len(data) < HEADER.size + TRAILER.size or data[:8] != b"CMTBLOCK":
        corrupt(file, "it is no block")
    _, version, header_size, flags = HEADER.unpack_from(data)
    count, length, checksum = TRAILER.unpack_from(data, len(data) - TRAILER.size)
    if google_crc32c.value(data[:-4]) != checksum:
        corrupt(file, "its checksum does not hold")
    if version != 1 or flags:
        raise Ended(UNREADABLE, file, f"version {version}, flags {flags:#x}: this reads version 1")
    frame = data[header_size : -TRAILER.size]
    try:
        if length > CONTENT_SIZE_MAX or zstandard.frame_content_size(frame) != length:
            corrupt(file, "its content has another size than its trailer says")
        content = zstandard.ZstdDecompressor().decompress(frame, max_output_size=length, allow_extra_data=False)
    except zstandard.ZstdError as error:
        corrupt(file, f"no zstd frame ({error})")
    return count, content


def unpacked(data: bytes) -> Any:
    """MessagePack as values; times as they are."""
    return msgpack.unpackb(data, raw=False, strict_map_key=False, timestamp=3)


def plain(value: Any) -> Any:
    """What JSON does not have."""
    if isinstance(value, bytes):
        return {"$bytes": value.hex()}
    return str(value)


def names(directory: Path) -> list[str]:
    """All snapshots, oldest first."""
    folder = directory / "snapshot"
    found = [path.name for path in folder.iterdir()] if folder.is_dir() else []
    return sorted(name[:20] for name in found if re.fullmatch("[0-9]{20}[.]json", name))


def main() -> int:
    """Print the snapshot; the status says how it ended."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory", type=Path, help="a store's data directory, or the generation in it")
    parser.add_argument("name", nargs="?", help="twenty digits; the newest one where there is none")
    parser.add_argument("--verify", action="store_true", help="check everything, print only the last line")
    options = parser.parse_args()
    status, ending = WHOLE, {}
    there = names(options.directory)
    snapshot = Snapshot(options.directory, options.name or (there[-1] if there else "0" * 20))
    try:
        for line in snapshot.lines():
            if not options.verify:
                print(json.dumps(line, default=plain))
    except Ended as ended:
        status, ending = ended.status, {"file": ended.file, "reason": ended.reason}
    verdict = {WHOLE: "whole", CORRUPT: "corruption", UNREADABLE: "unreadable"}[status]
    sums = {"rows": snapshot.rows, "fingerprint": f"{snapshot.fingerprint:064x}"} if status == WHOLE else {}
    print(json.dumps({"end": verdict, "snapshot": snapshot.name, **sums, **ending}))
    return status


if __name__ == "__main__":
    sys.exit(main())
