"""Verifies an audit trail offline, alone: with this one file, Python, `cryptography` and `zstandard`.

    python verify_audit.py FOLDER --key VKEY [--trusted OLD.ckpt] [--from TIME --to TIME] [--from-seq N --to-seq N]
    python verify_audit.py --proof EVENT.tlog-proof --event EVENT.json --key VKEY

FOLDER holds audit/v1/<log-id>/…: an export, a write-once folder, or what `aws s3 sync s3://bucket/prefix FOLDER` made.
VKEY is the trail's verification key (or a file with it); get it from the people who run the store, not from FOLDER.

Laws: nothing of the store is imported, so that this is a second opinion, written from store/audit/FORMAT.md alone.
Every byte in FOLDER is taken for hostile: what does not hold becomes a finding, never a crash and never a pass. Nothing
is written. What was not checked is said at the end.

Exit status, the lowest that applies: 1 TAMPER: bytes, signatures, order or hashes do not hold · 2 INCOMPLETE: something
is missing · 3 UNLOCKED: the store does not hold an object as it should · 0 verified · 4 wrong usage, or no trail here.
A WARNING lies beside the evidence without touching it: another version, a delete marker, a foreign file.
"""

import argparse
import base64
import hashlib
import json
import re
import sys
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn

import zstandard
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

TAMPER, INCOMPLETE, UNLOCKED, WARNING = 1, 2, 3, 9
NAMES = {0: "VERIFIED", TAMPER: "TAMPER", INCOMPLETE: "INCOMPLETE", UNLOCKED: "UNLOCKED", WARNING: "WARNING"}
USAGE = 4
SMALL_MAX, BATCH_MAX, RAW_MAX = 1 << 20, 64 << 20, 64 << 20  # Bytes: a note or manifest; a batch, stored and unpacked.
INT_MAX = (1 << 53) - 1
HEX = re.compile("[0-9a-f]{64}", re.ASCII)


class Bad(Exception):
    """Bytes that are not what they must be; the text says what is wrong."""


def expect(holds: object, what: str) -> None:
    """Raises Bad, saying what should have held."""
    if not holds:
        raise Bad(f"expected {what}")


def unbase64(text: str) -> bytes:
    """Base64 in its one form: no other text gives the same bytes. Raises Bad."""
    try:
        data = base64.b64decode(text.encode("ascii"), validate=True)
    except ValueError:
        data = b""
    expect(data and base64.b64encode(data).decode() == text, f"base64, found {text[:40]!r}")
    return data


def number(text: str) -> int:
    """A number in its one decimal form. Raises Bad."""
    expect(re.fullmatch("0|[1-9][0-9]{0,15}", text, re.ASCII), f"a number, found {text[:40]!r}")
    return int(text)


def parse(data: bytes) -> Any:
    """JSON. Raises Bad."""
    try:
        return json.loads(data.decode("utf-8"))
    except (ValueError, RecursionError):
        raise Bad("expected JSON") from None


# ---------------------------------------------------------------- signed notes: c2sp.org/signed-note, tlog-checkpoint


@dataclass(frozen=True)
class Key:
    """A verification key, name+id+base64(algorithm ‖ 32 bytes): algorithm 1 is Ed25519, 4 a witness's Ed25519."""

    name: str
    id: bytes
    algorithm: int
    public: bytes
    text: str

    @staticmethod
    def read(text: str) -> "Key":
        """A key from its text. Raises Bad."""
        name, _, rest = text.partition("+")
        said, _, encoded = rest.partition("+")
        data = unbase64(encoded)
        expect(re.fullmatch(r"\S+", name) and len(data) == 33 and data[0] in (1, 4), f"a key, found {text[:80]!r}")
        found = hashlib.sha256(name.encode() + b"\n" + data).digest()[:4]
        expect(said == found.hex(), f"the id {found.hex()} in the key of {name}")
        return Key(name, found, data[0], data[1:], text)

    def holds(self, signature: bytes, text: bytes) -> bool:
        """Whether it is this key's signature of the text; a witness's begins with eight bytes of time."""
        if self.algorithm == 4:
            text = b"cosignature/v1\ntime %d\n" % int.from_bytes(signature[:8], "big") + text
            signature = signature[8:]
        try:
            Ed25519PublicKey.from_public_bytes(self.public).verify(signature, text)
        except (InvalidSignature, ValueError):
            return False
        return True


@dataclass(frozen=True)
class Note:
    """A text, and signature lines: "— name base64(key id ‖ signature)"."""

    text: str
    signatures: list[tuple[str, bytes]]

    @staticmethod
    def read(data: bytes) -> "Note":
        """A note whose signatures nobody has checked yet. Raises Bad."""
        try:
            text, gap, below = data.decode("utf-8").rpartition("\n\n")
        except UnicodeDecodeError:
            raise Bad("expected UTF-8") from None
        lines = re.findall("— ([^ +\n]+) ([A-Za-z0-9+/=]+)\n", below)
        whole = "".join(f"— {name} {blob}\n" for name, blob in lines)
        expect(text and gap and lines and len(lines) <= 100 and whole == below, "text, an empty line, signatures")
        expect(not re.search("[\x00-\x09\x0b-\x1f]", text), "no control characters in a note")
        return Note(text + "\n", [(name, unbase64(blob)) for name, blob in lines])

    def signed_by(self, key: Key) -> bool:
        """Whether the key signed it. Raises Bad where a signature that claims to be the key's does not hold."""
        found = [blob[4:] for name, blob in self.signatures if (name, blob[:4]) == (key.name, key.id)]
        expect(all(key.holds(each, self.text.encode()) for each in found), f"a signature of {key.name} that holds")
        return bool(found)


@dataclass(frozen=True)
class Checkpoint:
    """What a log signs: so many events have this root."""

    note: Note
    origin: str
    size: int
    root: bytes

    @staticmethod
    def read(data: bytes) -> "Checkpoint":
        """Three lines: origin, size, root. Raises Bad."""
        note = Note.read(data)
        lines = note.text.split("\n")
        expect(len(lines) == 4 and len(unbase64(lines[2])) == 32, "a checkpoint: origin, size, root")
        return Checkpoint(note, lines[0], number(lines[1]), unbase64(lines[2]))


# ---------------------------------------------------------------- the Merkle tree: RFC 6962


def leaf_hash(line: bytes) -> bytes:
    """What an event is in the tree: its line without the newline."""
    return hashlib.sha256(b"\0" + line).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """What two subtrees are together."""
    return hashlib.sha256(b"\1" + left + right).digest()


def append(frontier: list[bytes], size: int, leaf: bytes) -> None:
    """Add a leaf to a tree of `size` leaves; `frontier` holds its full subtrees, the largest first."""
    while size & 1:
        leaf, size = node_hash(frontier.pop(), leaf), size >> 1
    frontier.append(leaf)


def root_of(frontier: list[bytes]) -> bytes:
    """The root of the tree that the full subtrees make."""
    if not frontier:
        return hashlib.sha256(b"").digest()
    root = frontier[-1]
    for each in frontier[-2::-1]:
        root = node_hash(each, root)
    return root


def root_by_inclusion(index: int, size: int, leaf: bytes, proof: list[bytes]) -> bytes:
    """The root that an inclusion proof leads to (RFC 9162 §2.1.3.2). Raises Bad."""
    expect(0 <= index < size, f"a leaf of the tree of {size}, found {index}")
    expect(all(len(each) == 32 for each in (leaf, *proof)), "hashes of 32 bytes")
    at, last, root = index, size - 1, leaf
    for each in proof:
        expect(last, "a shorter proof")
        if at & 1 or at == last:
            root = node_hash(each, root)
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            root = node_hash(root, each)
        at, last = at >> 1, last >> 1
    expect(not last, "a longer proof")
    return root


# ---------------------------------------------------------------- what is read, and what is found


@dataclass
class Report:
    """Findings as they come, what was counted, and what was not checked."""

    findings: list[tuple[int, str, str]] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    not_checked: list[str] = field(default_factory=list)

    def find(self, kind: int, where: str, what: object) -> None:
        """Note a finding."""
        self.findings.append((kind, where, str(what)))

    def status(self) -> int:
        """The exit status."""
        return min((kind for kind, _, _ in self.findings if kind != WARNING), default=0)


class Folder:
    """The objects of one log, by the names that they have below audit/v1/<log-id>/."""

    def __init__(self, root: Path, log: str | None) -> None:
        tops = [each for each in sorted(root.glob("audit/v1/*")) if re.fullmatch("[0-9a-f]{32}", each.name)]
        tops = [each for each in tops if log in (None, each.name)]
        if len(tops) != 1:
            names = ", ".join(each.name for each in tops) or "none"
            usage(f"expected one log below {root}/audit/v1, found {names}" + (": choose with --log" if tops else ""))
        self.top, self.log, self.prefix = tops[0], tops[0].name, f"audit/v1/{tops[0].name}/"
        found = [each for each in self.top.rglob("[!.]*") if each.is_symlink() or not each.is_dir()]
        self.names = dict.fromkeys(sorted(each.relative_to(self.top).as_posix() for each in found))

    def get(self, name: str, size_max: int = SMALL_MAX) -> bytes:
        """An object. Raises Bad where there is no plain file of at most that size."""
        path = self.top / name
        expect(path.is_file() and not path.is_symlink(), "a plain file")
        with path.open("rb") as file:
            data = file.read(size_max + 1)
        expect(len(data) <= size_max, f"at most {size_max} bytes")
        return data


# ---------------------------------------------------------------- keys: whose signature counts, at which size


@dataclass
class Keys:
    """The keys of a log in the order of their coming into force, and the witnesses that were asked for."""

    succession: list[tuple[int, Key]]  # Each from a tree's size on.
    revoked: dict[str, int]  # A key's text, and the last size that it may have signed.
    witnesses: list[Key]
    quorum: int

    def in_force(self, size: int) -> Key:
        """The newest key that was introduced before this size, and is not revoked. Raises Bad."""
        key = [key for start, key in self.succession if start < size or start == 0][-1]
        expect(size <= self.revoked.get(key.text, INT_MAX), f"a key that is not revoked, found {key.text}")
        return key

    def cosigned(self, note: Note) -> bool:
        """Whether enough of the witnesses cosigned it. Raises Bad."""
        return sum(map(note.signed_by, self.witnesses)) >= self.quorum


def fields_of(note: Note, title: str, *names: str) -> dict[str, str]:
    """The lines of a note about a key: a title, then names and values. Raises Bad."""
    first, *lines = note.text[:-1].split("\n")
    said = dict((line + " ").split(" ", 1) for line in lines)
    expect(first == title and [*said] == [*names] and len(lines) == len(said), f"{title!r} with {', '.join(names)}")
    return {name: value[:-1] for name, value in said.items()}


def read_keys(folder: Folder, options: argparse.Namespace, report: Report) -> Keys:
    """The succession of keys, each introduced by the one before, that the trusted key belongs to. Raises Bad."""
    followers: dict[str, tuple[str, Note, dict[str, str]]] = {}
    revocations = []
    for name in [each for each in folder.names if each.startswith("keys/") and each.endswith(".note")]:
        try:
            note = Note.read(folder.get(name))
            if name.endswith(".revoked.note"):
                revocations.append((name, note))
                continue
            said = fields_of(note, "commitstore audit key v1", "log", "new", "old", "root", "from_size")
            new = Key.read(said["new"])
            expect(said["log"] == folder.log and name == f"keys/{new.id.hex()}.note", "another log's or key's name")
            expect(note.signed_by(new), "the new key's signature")
            expect(said["old"] not in followers, f"one key to follow {said['old']}, found two")
            followers[said["old"]] = (name, note, {**said, "from_size": str(number(said["from_size"]))})
        except Bad as bad:
            report.find(TAMPER, name, bad)
    expect("-" in followers, "a note that introduces the first key")
    first = followers["-"][2]
    root = options.root_key or (None if first["root"] == "-" else Key.read(first["root"]))
    keys = Keys([(0, Key.read(first["new"]))], {}, options.witness, options.quorum)
    for name, note in revocations:
        try:
            said = fields_of(note, "commitstore audit revocation v1", "log", "key", "from_size", "reason")
            expect(root and note.signed_by(root) and said["log"] == folder.log, "a root key's signature, for this log")
            keys.revoked[said["key"]] = number(said["from_size"])
        except Bad as bad:
            report.find(TAMPER, name, bad)
    while (last := keys.succession[-1])[1].text in followers and len(keys.succession) <= len(followers):
        name, note, said = followers[last[1].text]
        signer = root if root and last[1].text in keys.revoked else last[1]
        expect(note.signed_by(signer) and number(said["from_size"]) >= last[0], f"{name} signed by {signer.text}")
        keys.succession.append((number(said["from_size"]), Key.read(said["new"])))
    expect(options.key in (None, *(key for _, key in keys.succession)), "a trail of the key that was named")
    report.counts["keys"] = len(keys.succession)
    return keys


# ---------------------------------------------------------------- manifests, batches, events

SHAPE: dict[str, type] = {
    **dict.fromkeys(("v", "batch", "first", "count", "t_first", "t_last", "size", "raw_size"), int),
    **dict.fromkeys(("size_before", "size_after"), int),
    **dict.fromkeys(("log", "origin", "prev", "key", "version_id", "sha256", "root_before", "root_after"), str),
    **dict.fromkeys(("retain_until", "signature"), str),
    "ranges": list,
    "frontier_before": list,
    "writer": dict,
}


def canonical(value: Any) -> bytes:
    """The one JSON of a value: keys sorted, no spaces. Raises Bad."""
    try:
        return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()
    except (ValueError, RecursionError):
        raise Bad("expected JSON that can be written again") from None


def read_manifest(data: bytes, batch: int, folder: Folder, origin: str, keys: Keys) -> dict[str, Any]:
    """A manifest that agrees with its name and itself, and is signed by the key in force. Raises Bad."""
    said: dict[str, Any] = parse(data)
    expect(isinstance(said, dict) and said.keys() == SHAPE.keys(), "a manifest's members, no more and no fewer")
    for name, kind in SHAPE.items():
        expect(type(said[name]) is kind and (kind is not int or 0 <= said[name] <= INT_MAX), f"{name} of type {kind}")
    expect(canonical(said) == data, "canonical JSON")
    writer = sorted((name, type(each)) for name, each in said["writer"].items())
    expect(writer == [("fence", int), ("host", str), ("version", str)], "a writer of version, host, fence")
    expect((said["v"], said["log"], said["origin"]) == (1, folder.log, origin), f"version 1, of the log {folder.log}")
    expect(said["batch"] == batch, f"batch {batch}, as its name says")
    first, after = said["first"], said["size_after"]
    expect(said["size_before"] == first < after == first + said["count"], "sizes before its first and after its last")
    expect(said["key"] == f"{folder.prefix}batch/{batch:012d}-{first:020d}-{after - 1:020d}.jsonl.zst", "its own key")
    hashes = [said["prev"], said["sha256"], said["root_before"], said["root_after"], *said["frontier_before"]]
    expect(all(isinstance(each, str) and HEX.fullmatch(each) for each in hashes), "hashes of 64 hex digits")
    expect(len(said["frontier_before"]) == first.bit_count(), "a hash for each 1 of size_before in binary")
    said["frontier"] = [bytes.fromhex(each) for each in said["frontier_before"]]
    expect(root_of(said["frontier"]).hex() == said["root_before"], "frontier_before to give root_before")
    expect(moment_of(said["retain_until"]) is not None, "retain_until as a time")
    for each in said["ranges"]:
        expect(isinstance(each, list) and [*map(type, each)] == [str, int, int] and 0 < each[1] <= each[2], "ranges")
    expect(sum(to - start + 1 for _, start, to in said["ranges"]) == said["count"], "ranges of as many records")
    signed = {name: each for name, each in said.items() if name in SHAPE and name != "signature"}
    blob, key = unbase64(said["signature"]), keys.in_force(after)
    text = b"commitstore audit manifest v1\n" + canonical(signed)
    expect(blob[:4] == key.id and key.holds(blob[4:], text), f"a signature of the key in force, {key.text}")
    return said


def moment_of(text: Any) -> datetime | None:
    """A time in RFC 3339: UTC, whole seconds."""
    try:
        found = datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    except (TypeError, ValueError):
        return None
    return found if found.isoformat() == text.removesuffix("Z") + "+00:00" else None  # strptime takes other spellings.


def unpack(data: bytes, raw_size: int) -> bytes:
    """What one zstd frame holds, whose own checksum holds. Raises Bad."""
    try:
        frame = zstandard.get_frame_parameters(data)
        expect(frame.has_checksum and frame.content_size == raw_size <= RAW_MAX, f"a checked frame of {raw_size} bytes")
        reader = zstandard.ZstdDecompressor(max_window_size=1 << 27).decompressobj()
        raw = reader.decompress(data)
    except (zstandard.ZstdError, MemoryError) as error:
        raise Bad(f"expected a zstd frame: {error}") from None
    expect(reader.eof and not reader.unused_data and len(raw) == raw_size, "one whole frame, and nothing behind it")
    return raw


def place_of(line: bytes, log: str, seq: int, epoch: str, offset: int) -> tuple[int, bool]:
    """When it happened, and whether it is a start, if this is the event that belongs here. Raises Bad."""
    event = parse(line)
    try:
        metadata, ours = event["metadata"], event["unmapped"]
        says = (metadata["sequence"], metadata["uid"], ours["epoch"], ours["offset"])
        time, timestamp = event["time"], ours["timestamp"]
    except (KeyError, TypeError):
        raise Bad(f"expected event {seq} to have a sequence, an offset and a time") from None
    expect(says == (seq, f"{log}/{seq}", epoch, offset), f"event {seq}, offset {offset} of epoch {epoch}")
    expect(type(timestamp) is int and time == timestamp // 1000, f"event {seq} with one time")
    return timestamp, ours.get("kind") == "lifecycle" and event.get("api") == {"operation": "start"}


# ---------------------------------------------------------------- the whole


@dataclass
class Walk:
    """What carries over from one verified batch to the next."""

    frontier: list[bytes] | None = None  # None where the batch before is missing, or does not hold.
    size: int = 0
    pending: int = 0  # Events whose hashes hold, and wait for a signed root.
    last: tuple[str, int, int] = ("", 0, 0)  # Epoch, offset and timestamp of the last event.


class Verifier:
    """One run over one log."""

    def __init__(self, folder: Folder, keys: Keys, options: argparse.Namespace, report: Report) -> None:
        self.folder, self.keys, self.options, self.report = folder, keys, options, report
        self.origin = keys.succession[0][1].name
        self.signed: dict[int, bytes] = {}  # Size and root of every checkpoint that counts.
        self.seen = 0  # The largest size that the log signed, cosigned or not.
        self.batches = {each for each in folder.names if re.fullmatch(r"batch/\d{12}-\d{20}-\d{20}\.jsonl\.zst", each)}
        self.stated = any(each.endswith(".lock") for each in folder.names)

    def run(self) -> None:
        """Names and checkpoints, all manifests, then the batches that were asked for."""
        manifests = self.read_names()
        trusted = self.read_trusted()
        rows = self.read_manifests(manifests)
        end = max((row["size_after"] for row in rows), default=0)
        for size in sorted(each for each in self.signed if each > end):
            self.report.find(INCOMPLETE, "the end", f"{size} events were signed, the manifests here hold {end}")
        chosen, walk = self.choose(rows, trusted), Walk()
        for row in chosen:
            self.verify_batch(row["batch"], walk)
        self.give_up(walk, "no checkpoint signs them, or none that counts")
        if not self.report.counts["events proven"]:
            self.report.find(INCOMPLETE, "the tree", "no event is proven, of those that were asked for")
        if self.keys.quorum and max(self.signed, default=0) < self.seen:
            kind = INCOMPLETE if self.signed else TAMPER
            self.report.find(kind, "the tree", f"not enough witnesses cosigned the last of {self.seen} events")
        if len(chosen) < len(rows):
            self.report.not_checked.append(f"the events of {len(rows) - len(chosen)} batches that were not asked for")
        if not self.options.heartbeat:
            self.report.not_checked.append("silences: how often an event must come was not said (--heartbeat)")
        if not self.stated:
            self.report.not_checked.append("locks: nothing here says how the store holds the objects")

    def read_names(self) -> list[int]:
        """Checkpoints are read; the numbers of manifests returned; what no trail has is found foreign."""
        manifests = []
        for name in self.folder.names:
            if found := re.fullmatch(r"manifest/([0-9]{12})\.json", name):
                manifests.append(int(found[1]))
            elif found := re.fullmatch(r"checkpoint/([0-9]{20})\.ckpt", name):
                self.read_checkpoint(name, int(found[1]))
            elif re.fullmatch(r"(keys/[0-9a-f]{8}(\.revoked)?|policy/[0-9]{6})\.note", name):
                self.check_note(name)
            elif name not in self.batches and not re.search(r"\.lock$|@[^/]*$", name):
                self.report.find(WARNING, name, "no trail has an object of this name")
        return manifests

    def check_note(self, name: str) -> None:
        """A key's note was read before; a policy proves nothing, but one of the log's keys has signed it."""
        self.check_versions(name)
        try:
            note = Note.read(self.folder.get(name))
            signers = [key for _, key in self.keys.succession if note.signed_by(key)]
            expect(signers or name.startswith("keys/"), "a signature of one of the log's keys")
        except Bad as bad:
            self.report.find(TAMPER, name, bad)

    def read_checkpoint(self, name: str, size: int) -> None:
        """One that counts is signed by the key in force, and by as many witnesses as were asked for."""
        try:
            found = Checkpoint.read(self.folder.get(name))
            expect((found.origin, found.size) == (self.origin, size), f"{size} events of {self.origin}")
            signers = [key for _, key in self.keys.succession if found.note.signed_by(key)]
            expect(size or found.root == root_of([]), "the empty tree's root")
            expect(self.keys.in_force(size) in signers, f"a signature of {self.keys.in_force(size).text}")
            self.report.counts["checkpoints"] += 1
            self.seen = max(self.seen, size)
            if self.keys.cosigned(found.note):
                self.signed[size] = found.root
                self.report.counts["checkpoints that count"] += 1
        except Bad as bad:
            self.report.find(TAMPER, name, bad)

    def read_trusted(self) -> int | None:
        """The size of the auditor's own older checkpoint; its root is to be met again."""
        if self.options.trusted is None:
            return None
        found: Checkpoint = self.options.trusted
        expect(found.origin == self.origin, f"a trail of {found.origin}, as the trusted checkpoint is")
        if self.signed.setdefault(found.size, found.root) != found.root:
            self.report.find(TAMPER, "the tree", f"another root was signed for {found.size} events: it is rewritten")
        self.signed[found.size] = found.root
        return found.size

    def read_manifests(self, numbers: list[int]) -> list[dict[str, Any]]:
        """Each manifest by itself, and after the one before."""
        rows: list[dict[str, Any]] = []
        prev, following, size, held = "0" * 64, 0, 0, dict[str, str]()
        for batch in numbers:
            name = f"manifest/{batch:012d}.json"
            if batch != following:
                self.report.find(INCOMPLETE, name, f"manifests {following} to {batch - 1} are missing before it")
                prev = ""
            following = batch + 1
            try:
                data = self.folder.get(name)
                said = read_manifest(data, batch, self.folder, self.origin, self.keys)
                expect(prev in ("", said["prev"]), f"the manifest before to be {said['prev']}, found {prev}")
                expect(not prev or said["first"] == size, f"it to begin with event {size}")
                rows.append({name: each for name, each in said.items() if isinstance(each, int)})
                held[f"checkpoint/{said['size_after']:020d}.ckpt"] = held[name] = said["retain_until"]
                prev, size = hashlib.sha256(data).hexdigest(), said["size_after"]
                self.batches.discard(said["key"].removeprefix(self.folder.prefix))
            except Bad as bad:
                self.report.find(TAMPER, name, bad)
                prev = ""
        for name in self.folder.names:
            if re.match("manifest/|checkpoint/", name) and not re.search(r"\.lock$|@[^/]*$", name):
                self.check_versions(name, held.get(name, ""))
        for name in sorted(self.batches):
            self.report.find(WARNING, name, "no manifest names this batch: it proves nothing")
        self.report.counts["manifests"] = len(rows)
        return rows

    def choose(self, rows: list[dict[str, Any]], trusted: int | None) -> list[dict[str, Any]]:
        """What was asked for, and where the trusted checkpoint ends, and all from there to the next signed root."""
        asked = self.options
        wanted = []
        for place, row in enumerate(rows):
            by_time = row["t_last"] >= asked.from_ and row["t_first"] <= asked.to
            by_number = row["size_after"] > asked.from_seq and row["size_before"] <= asked.to_seq
            by_trust = trusted is not None and row["size_before"] < trusted <= row["size_after"]
            wanted += [place] if (by_time and by_number) or by_trust else []
        if not wanted:
            return []
        last = max(wanted)
        while last + 1 < len(rows) and rows[last]["size_after"] not in self.signed:
            last += 1
        return rows[min(wanted) : last + 1]

    def verify_batch(self, batch: int, walk: Walk) -> None:
        """The stored bytes, every event, and the roots that they lead to."""
        name = f"manifest/{batch:012d}.json"
        try:
            said = read_manifest(self.folder.get(name), batch, self.folder, self.origin, self.keys)
            frontier, size, name = said["frontier"], said["first"], said["key"].removeprefix(self.folder.prefix)
            if walk.size == size:
                expect(walk.frontier in (None, frontier), "frontier_before as the batch before leaves it")
            else:  # Manifests are missing, which was found.
                self.give_up(walk, "a batch behind them is missing")
            walk.frontier, walk.size = None, said["size_after"]
            if name not in self.folder.names:
                self.report.find(INCOMPLETE, name, f"events {size} to {walk.size - 1} are missing")
                walk.last = ("", 0, said["t_last"])
                return self.give_up(walk, "a batch behind them is missing")
            data = self.folder.get(name, BATCH_MAX)
            self.check_versions(name, said["retain_until"], said["version_id"])
            expect(len(data) == said["size"] and hashlib.sha256(data).hexdigest() == said["sha256"], "other bytes")
            raw = unpack(data, said["raw_size"])
            expect(raw.endswith(b"\n") and raw.count(b"\n") == said["count"], f"{said['count']} lines")
            places = ((epoch, offset) for epoch, start, to in said["ranges"] for offset in range(start, to + 1))
            times = []
            for line, (epoch, offset) in zip(raw[:-1].split(b"\n"), places, strict=True):
                time, starts = place_of(line, self.folder.log, size, epoch, offset)
                times.append(time)
                self.check_order(walk, size, (epoch, offset, time), starts=starts)
                append(frontier, size, leaf_hash(line))
                size += 1
                self.meet(size, frontier, walk)
            expect((times[0], times[-1]) == (said["t_first"], said["t_last"]), "t_first and t_last of its events")
            expect(root_of(frontier).hex() == said["root_after"], "root_after from the events")
            walk.frontier = frontier
            self.report.counts["batches"] += 1
        except Bad as bad:
            self.report.find(TAMPER, name, bad)
            self.give_up(walk, "a batch behind them, or theirs, does not hold")
            walk.frontier, walk.last = None, ("", 0, walk.last[2])
        return None

    def check_order(self, walk: Walk, seq: int, found: tuple[str, int, int], *, starts: bool) -> None:
        """No offset is left out, within an epoch no time goes back, and no silence is unexplained. Raises Bad."""
        (epoch, offset, time), (before, last, until) = found, walk.last
        expect(time > until or epoch != before, f"event {seq} to be later than the one before: a clock went back")
        if time <= until:
            self.report.find(WARNING, f"event {seq}", "in this new epoch the clock goes back")
        if before and offset != last + 1 and (epoch == before or offset > last):
            self.report.find(INCOMPLETE, f"event {seq}", f"offsets {last + 1} to {offset - 1} have no event")
        if seq == 0 and offset != 1:
            self.report.find(
                WARNING, "event 0", f"the trail begins at offset {offset}: of what was before it is silent"
            )
        silence = (time - until) // 1_000_000 if until else 0
        if silence > self.options.heartbeat > 0:
            after = f"{silence} s without an event before it" + (", and then a start" if starts else "")
            self.report.find(WARNING if starts else INCOMPLETE, f"event {seq}", after)
        walk.last = found

    def meet(self, size: int, frontier: list[bytes], walk: Walk) -> None:
        """One more event; where this size is signed, all since the last one is proven. Raises Bad."""
        walk.pending += 1
        if size in self.signed:
            expect(root_of(frontier) == self.signed[size], f"the root that was signed for {size} events: rewritten")
            self.report.counts["events proven"] += walk.pending
            walk.pending = 0

    def give_up(self, walk: Walk, why: str) -> None:
        """What hangs together, but on no signature."""
        if walk.pending:
            self.report.not_checked.append(f"{walk.pending} events are not proven: {why}")
        walk.pending = 0

    def check_versions(self, name: str, retain_until: str = "", version_id: str | None = None) -> None:
        """What the store says of the object's versions, where <name>.lock tells it: write-once folder or export."""
        if not self.stated:
            return None
        try:
            versions = [dict(each) for each in parse(self.folder.get(name + ".lock"))["versions"]]
        except (Bad, KeyError, TypeError, ValueError):
            return self.report.find(UNLOCKED, name, "nothing says that it is locked")
        stored = [each for each in versions if each.get("marker") is False]
        if len(stored) < len(versions):
            self.report.find(WARNING, name, "a delete marker hides it in the store, where its version still lies")
        if len(stored) > 1:
            self.report.find(WARNING, name, f"{len(stored)} versions of it in the store, of which the first counts")
        first = [each for each in stored if version_id in (None, each.get("version_id"))][-1:]
        if not first:
            return self.report.find(TAMPER, name, "the store has not the version that the manifest names")
        if first[0].get("sha256") != hashlib.sha256(self.folder.get(name, BATCH_MAX)).hexdigest():
            return self.report.find(TAMPER, name, "the store says other bytes than are here")
        until, wanted = moment_of(first[0].get("retain_until")), moment_of(retain_until)
        if first[0].get("mode") != "COMPLIANCE" or until is None or (wanted and until < wanted):
            held = f"{first[0].get('mode')} until {until}"
            self.report.find(UNLOCKED, name, f"it is held {held}, expected COMPLIANCE until {wanted or 'a date'}")
        if first[0].get("event_hold"):
            self.report.find(UNLOCKED, name, "an event hold moves the date of its lock")
        return None


# ---------------------------------------------------------------- the command


def check_proof(options: argparse.Namespace) -> None:
    """One event under one checkpoint (c2sp.org/tlog-proof): its place in a tree that the key signed. Raises Bad."""
    head, _, signed = options.proof.read_bytes().partition(b"\n\n")
    title, *lines = head.decode("ascii", "replace").split("\n")
    lines = [each for each in lines if not each.startswith("extra ")] or [""]
    expect(title == "c2sp.org/tlog-proof@v1" and lines[0].startswith("index "), "a tlog-proof with an index")
    checkpoint, index = Checkpoint.read(signed), number(lines[0][6:])
    leaf = leaf_hash(options.event.read_bytes().removesuffix(b"\n"))
    root = root_by_inclusion(index, checkpoint.size, leaf, [unbase64(each) for each in lines[1:]])
    expect(root == checkpoint.root, f"this event to be event {index} of {checkpoint.origin}")
    expect(checkpoint.origin == options.key.name and checkpoint.note.signed_by(options.key), "the key's signature")
    keys = Keys([], {}, options.witness, options.quorum)
    expect(keys.cosigned(checkpoint.note), f"the cosignatures of {options.quorum} witnesses")


def usage(message: str) -> NoReturn:
    """Wrong arguments, or nothing to read: exit status 4."""
    sys.stderr.write(f"verify_audit: {message}\n")
    raise SystemExit(USAGE)


def key_from(text: str) -> Key:
    """A key, or a file that holds one."""
    try:
        return Key.read(text if "+" in text else Path(text).read_text("utf-8").strip())
    except (Bad, OSError, UnicodeDecodeError) as error:
        usage(f"no verification key in {text!r}: {error}")


def checkpoint_in(path: str) -> Checkpoint:
    """A checkpoint that somebody kept."""
    try:
        return Checkpoint.read(Path(path).read_bytes())
    except (Bad, OSError) as error:
        usage(f"no checkpoint in {path!r}: {error}")


def microseconds(text: str) -> int:
    """A time with its zone, or a day or time in UTC, since 1970."""
    found = datetime.fromisoformat(text)
    return int((found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp() * 1_000_000)


def read_arguments(arguments: list[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.error = usage  # type: ignore[method-assign]  # Wrong usage is 4: 2 says that something is missing.
    add = parser.add_argument
    add("folder", type=Path, nargs="?", help="what holds audit/v1/<log-id>/")
    add("--key", type=key_from, metavar="VKEY", help="the trail's verification key, or a file with it")
    add("--key-from-trail", action="store_true", help="believe the key in FOLDER: shows accidents, not forgery")
    add("--root-key", type=key_from, metavar="VKEY", help="the offline key that may revoke others")
    add("--log", metavar="ID", help="which log, where there are several")
    add(
        "--trusted",
        type=checkpoint_in,
        metavar="OLD.ckpt",
        help="a checkpoint you kept: what it saw must still be there",
    )
    add("--witness", type=key_from, action="append", default=[], metavar="VKEY", help="may be said several times")
    add("--quorum", type=int, metavar="K", help="witnesses that must have cosigned  [default: all that are named]")
    add("--from", dest="from_", type=microseconds, default=0, metavar="TIME", help="2026-01-31T12:00:00Z or 2026-01-31")
    add("--to", type=microseconds, default=INT_MAX * 1000, metavar="TIME", help="likewise; to its first moment")
    add("--from-seq", type=int, default=0, metavar="N", help="the first event that is wanted")
    add("--to-seq", type=int, default=INT_MAX, metavar="N", help="the last one")
    add("--heartbeat", type=int, default=0, metavar="S", help="seconds without an event that are too many  [any]")
    add("--proof", type=Path, metavar="FILE", help="verify one event instead")
    add("--event", type=Path, metavar="FILE", help="that event's line")
    add("--json", action="store_true", help="one JSON object instead of text")
    options = parser.parse_args(arguments)
    if (options.key is None) != options.key_from_trail or (options.proof is None) != (options.event is None):
        usage("name --key (or --key-from-trail), and --proof together with --event")
    if (options.folder is None) != (options.proof is not None and options.key is not None):
        usage("name a FOLDER, or --proof, --event and --key")
    options.witness = list(dict.fromkeys(options.witness))  # Said twice, it is still one.
    options.quorum = len(options.witness) if options.quorum is None else options.quorum
    if not min(1, len(options.witness)) <= options.quorum <= len(options.witness):
        usage(f"--quorum {options.quorum} of {len(options.witness)} witnesses cannot be")
    return options


def main(arguments: list[str] | None = None) -> int:
    """Verify, print, and return the exit status."""
    options, report = read_arguments(arguments), Report()
    try:
        if options.proof is not None:
            check_proof(options)
            report.counts["events proven"] = 1
        else:
            folder = Folder(options.folder, options.log)
            Verifier(folder, read_keys(folder, options, report), options, report).run()
    except Bad as bad:
        report.find(TAMPER, "the trail" if options.proof is None else str(options.proof), bad)
    except OSError as error:
        usage(f"cannot read: {error}")
    if options.key_from_trail:
        report.not_checked.append("whose key it is: it was taken from the trail itself")
    if not options.quorum and options.trusted is None:
        report.not_checked.append("whether its signer rewrote or cut it: that takes a witness or an older checkpoint")
    report.not_checked.append("whether more happened after the last checkpoint, or anything was never recorded")
    show(report, as_json=options.json)
    return report.status()


def show(report: Report, *, as_json: bool) -> None:
    """Findings, counts, what was not checked, and last the verdict."""
    found = [{"kind": NAMES[kind], "where": where, "what": what} for kind, where, what in report.findings]
    whole = {"verdict": NAMES[report.status()], "exit": report.status(), "findings": found,
             "counts": report.counts, "not_checked": report.not_checked}  # fmt: skip
    if as_json:
        print(json.dumps(whole))
        return
    for each in found:
        print(ascii(f"{each['kind']:10} {each['where']}: {each['what']}")[1:-1])
    print("checked: " + (", ".join(f"{many} {what}" for what, many in report.counts.items()) or "nothing"))
    for line in report.not_checked:
        print(f"NOT checked: {line}")
    print(whole["verdict"])


if __name__ == "__main__":
    sys.exit(main())
