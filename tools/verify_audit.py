"""Verifies an audit trail offline, alone: with this one file, Python, `cryptography` and `zstandard`.

    python verify_audit.py FOLDER --key VKEY [--trusted OLD.ckpt] [--witness VKEY] [--from-seq N] [--to-seq N]

FOLDER holds audit/v1/<log-id>/…: an export, a write-once folder, or what `aws s3 sync s3://bucket/prefix FOLDER` made.
VKEY is the trail's verification key (or a file with it); get it from the people who run the store, not from FOLDER.

Laws: nothing of the store is imported, so that this is a second opinion, written from store/audit/FORMAT.md alone.
Every byte in FOLDER is taken for hostile: what does not hold becomes a finding, never a crash and never a pass. Nothing
is written. It reads from top to bottom: what is signed and hashed, then the trail, step by step as FORMAT.md §10 says.

Exit status, the lowest that applies: 1 TAMPER: bytes, signatures, order or hashes do not hold · 2 INCOMPLETE: something
is missing · 3 UNLOCKED: the store does not hold an object as it should · 0 verified · 4 wrong usage, or no trail here.
A WARNING lies beside the evidence without touching it: another version, a delete marker, a foreign file.
"""

import argparse
import base64
import json
import re
import sys
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Any, NoReturn

import zstandard
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

TAMPER, INCOMPLETE, UNLOCKED, USAGE, WARNING = 1, 2, 3, 4, 9
KINDS = {0: "VERIFIED", TAMPER: "TAMPER", INCOMPLETE: "INCOMPLETE", UNLOCKED: "UNLOCKED", WARNING: "WARNING"}
SMALL_MAX, BATCH_MAX, RAW_MAX = 1 << 20, 64 << 20, 64 << 20  # Bytes: a note or manifest; a batch, stored and unpacked.
INT_MAX = 2**53 - 1
NOTES = r"keys/[0-9a-f]{8}(\.revoked)?\.note|policy/\d{6}\.note"
OBJECTS = NOTES + r"|checkpoint/\d{20}\.ckpt|manifest/\d{12}\.json|batch/\d{12}-\d{20}-\d{20}\.jsonl\.zst"
NUMBER, MOMENT = "0|[1-9][0-9]{0,15}", r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"

# What hostile bytes may raise: ValueError of `expect`, or what Python says of such as are no text, no JSON, no frame.
HOSTILE = (ValueError, TypeError, LookupError, AttributeError, RecursionError, MemoryError, zstandard.ZstdError)


def expect(holds: object, what: str) -> None:
    """What must hold of bytes from outside. ValueError says what did not."""
    if not holds:
        raise ValueError(f"expected {what}")


def as_written(text: str, form: str, what: str) -> str:
    """The text, if it has the one form that its kind is written in."""
    expect(re.fullmatch(form, text, re.ASCII), f"{what}, found {text[:80]!r}")
    return text


def unbase64(text: str) -> bytes:
    """Base64 in its one form: no other text gives the same bytes."""
    data = base64.b64decode(text.encode("ascii"), validate=True)
    expect(data and base64.b64encode(data).decode() == text, f"base64, found {text[:40]!r}")
    return data


# ---------------------------------- what is signed, hashed and said: c2sp.org/signed-note, RFC 6962; FORMAT.md §6, 8, 4


class Key:
    """A verification key, name+id+base64(algorithm ‖ 32 bytes): algorithm 1 is Ed25519, 4 a witness's Ed25519."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.name, said, encoded = as_written(text, r"[^\s+]+\+[^+]+\+\S+", "a key").split("+", 2)
        data = unbase64(encoded)
        expect(len(data) == 33 and data[0] in (1, 4), f"an Ed25519 key, found {text[:80]!r}")
        self.id, self.algorithm = sha256(self.name.encode() + b"\n" + data).digest()[:4], data[0]
        self.public = Ed25519PublicKey.from_public_bytes(data[1:])
        expect(said == self.id.hex(), f"the id {self.id.hex()} in the key of {self.name}")

    def check(self, signature: bytes, text: bytes) -> None:
        """It is this key's signature of the text; a witness's begins with eight bytes of time."""
        if self.algorithm == 4:
            text = b"cosignature/v1\ntime %d\n" % int.from_bytes(signature[:8], "big") + text
            signature = signature[8:]
        try:
            self.public.verify(signature, text)
        except InvalidSignature:
            expect(False, f"a signature of {self.text} that holds")


class Note:
    """A text, and signature lines: "— name base64(key id ‖ signature)"."""

    def __init__(self, data: bytes) -> None:
        text, gap, below = data.decode("utf-8").rpartition("\n\n")
        lines = re.findall("— ([^ +\n]+) ([A-Za-z0-9+/=]+)\n", below)
        whole = "".join(f"— {name} {blob}\n" for name, blob in lines)
        expect(text and gap and lines and len(lines) <= 100 and whole == below, "text, an empty line, signatures")
        expect(not re.search("[\x00-\x09\x0b-\x1f]", text), "no control characters in a note")
        self.text, self.signatures = text + "\n", [(name, unbase64(blob)) for name, blob in lines]

    def signers(self, *keys: Key) -> set[str]:
        """Which of the keys signed it, as texts. Every signature that claims to be one of theirs must hold."""
        found = [(key, blob) for key in keys for who, blob in self.signatures if (who, blob[:4]) == (key.name, key.id)]
        for key, blob in found:
            key.check(blob[4:], self.text.encode())
        return {key.text for key, _ in found}

    def fields(self, title: str, *names: str) -> list[str]:
        """What it says about a key: a title, and lines of a name and a value."""
        form = "".join([title, *(f"\n{name} .*" for name in names), "\n"])
        lines = as_written(self.text, form, f"the lines {title!r}, {', '.join(names)}").split("\n")
        return [line.partition(" ")[2] for line in lines[1:-1]]

    def checkpoint(self) -> tuple[str, int, bytes]:
        """What it says about a tree: its origin, its size, its root."""
        origin, size, root, _ = as_written(self.text, ".+\n.+\n.+\n", "origin, size, root").split("\n")
        expect(len(unbase64(root)) == 32, "a hash as root")
        return origin, int(as_written(size, NUMBER, "a size")), unbase64(root)


def append(frontier: list[bytes], size: int, leaf: bytes) -> None:
    """Add a leaf to a tree of `size` leaves; `frontier` holds its full subtrees, the largest first."""
    while size & 1:
        leaf, size = sha256(b"\1" + frontier.pop() + leaf).digest(), size >> 1
    frontier.append(leaf)


def root_of(frontier: list[bytes]) -> bytes:
    """The root of the tree that the full subtrees make."""
    root = frontier[-1] if frontier else sha256().digest()
    for each in frontier[-2::-1]:
        root = sha256(b"\1" + each + root).digest()
    return root


Manifest = dict[str, Any]
INTS = ("v", "batch", "first", "count", "t_first", "t_last", "size", "raw_size", "size_before", "size_after")
HASHES = ("prev", "sha256", "root_before", "root_after")
TEXTS = ("log", "origin", "key", "version_id", "retain_until", "signature", *HASHES)
SHAPE: dict[str, type] = {**dict.fromkeys(INTS, int), **dict.fromkeys(TEXTS, str), "writer": dict}
SHAPE |= dict.fromkeys(("ranges", "frontier_before"), list)
NOTHING: Manifest = {"batch": -1, "digest": "0" * 64, "size_after": 0, "root_after": root_of([]).hex()}
canonical = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode


def lines_of(data: bytes, said: Manifest) -> list[bytes]:
    """The events in a batch's stored bytes, which are one zstd frame."""
    expect(len(data) == said["size"] and sha256(data).hexdigest() == said["sha256"], "the bytes that were signed")
    frame = zstandard.get_frame_parameters(data)
    expect(frame.has_checksum and frame.content_size == said["raw_size"] <= RAW_MAX, "a checked frame of raw_size")
    reader = zstandard.ZstdDecompressor(max_window_size=1 << 27).decompressobj()
    raw = reader.decompress(data)
    expect(reader.eof and not reader.unused_data and len(raw) == said["raw_size"], "one whole frame, nothing behind it")
    *lines, rest = raw.split(b"\n")
    expect(not rest and len(lines) == said["count"], f"{said['count']} lines")
    return lines


def read_event(line: bytes, log: str, seq: int, place: tuple[str, int]) -> tuple[int, bool]:
    """When it happened, in µs, and whether it is a start, if it belongs here. All else is covered by its hash alone."""
    event = json.loads(line.decode("utf-8"))
    metadata, ours = event["metadata"], event["unmapped"]
    found = (metadata["sequence"], metadata["uid"], ours["epoch"], ours["offset"])
    expect(found == (seq, f"{log}/{seq}", *place), f"event {seq}, offset {place[1]} of epoch {place[0]}")
    expect(type(ours["timestamp"]) is int and event["time"] == ours["timestamp"] // 1000, f"event {seq} with one time")
    return ours["timestamp"], ours.get("kind") == "lifecycle" and event.get("api") == {"operation": "start"}


# -------------------------------------------------------------------------- what is found, and the trail: FORMAT.md §10


class Trail:
    """The objects of one log, by the names that they have below audit/v1/<log-id>/, and what is found in them."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.findings: list[tuple[int, str, str]] = []
        self.counts, self.reached = Counter[str](), dict[str, int]()  # What was read; each epoch's last offset so far.
        self.not_checked = ["whether more happened after the last checkpoint, or anything was never recorded"]
        self.origin, self.log = options.key.name, options.key.name.rpartition("/")[2]
        self.top: Path = options.folder / "audit" / "v1" / self.log
        if not re.fullmatch("[0-9a-f]{32}", self.log, re.ASCII) or not self.top.is_dir():
            there = ", ".join(sorted(each.name for each in options.folder.glob("audit/v1/*"))) or "nothing"
            usage(f"expected the trail of {self.origin} in {options.folder}/audit/v1, found {there}")
        paths = [each for each in self.top.rglob("[!.]*") if each.is_symlink() or not each.is_dir()]
        self.files = dict.fromkeys(sorted(each.relative_to(self.top).as_posix() for each in paths))
        # Every object, until when it must be held at least, and the version of it that counts, where that is known.
        self.held = {name: ("", "") for name in self.files if re.fullmatch(OBJECTS, name, re.ASCII)}
        self.keys: list[tuple[int, Key]] = []  # In the order of their coming into force, each from a tree's size on.
        self.revoked: dict[str, int] = {}  # A key's text, and the last size that it may have signed.
        self.signed: dict[int, bytes] = {}  # Size and root of every checkpoint that counts.
        self.ends: list[int] = []  # Every size that was signed, cosigned or not: batches end there.
        self.kept = self.size = 0  # Of the checkpoint that the auditor kept; behind the last manifest that holds.
        self.before: Manifest | None = NOTHING  # The manifest before, where it is there and holds.
        self.last: tuple[str, int, int] | None = None  # Epoch, offset, time of the event before, where that holds.
        self.pending = 0  # Events whose hashes hold, and wait for a signed root.

    def find(self, kind: int, where: str, what: object) -> None:
        """Note a finding."""
        self.findings.append((kind, where, str(what)))

    @contextmanager
    def judge(self, where: str, kind: int = TAMPER) -> Iterator[None]:
        """What does not hold in here is a finding, and ends what is in here; the reading goes on behind it."""
        try:
            yield
        except HOSTILE as error:
            self.find(kind, where, error if type(error) is ValueError else f"it cannot be read: {error!r:.200}")

    def objects(self, kind: str) -> list[str]:
        """The names of a kind, in order."""
        return [name for name in self.held if name.startswith(f"{kind}/")]

    def get(self, name: str, size_max: int = SMALL_MAX) -> bytes:
        """An object's bytes."""
        path = self.top / name
        held = path.is_file() and not path.is_symlink() and path.stat().st_size <= size_max
        expect(held, f"a plain file of at most {size_max} bytes")
        return path.read_bytes()

    def read_keys(self) -> None:
        """Step 1: the line of keys from the first one on, each introduced by the one before; ours is one of them."""
        introduced: dict[str, tuple[Note, Key, int]] = {}  # By the text of the key that each follows.
        root: Key | None = self.options.root_key
        for name in [each for each in self.objects("keys") if not each.endswith(".revoked.note")]:
            with self.judge(name):
                note = Note(self.get(name))
                said = note.fields("commitstore audit key v1", "log", "new", "old", "root", "from_size")
                new, old = Key(said[1]), said[2]
                expect((said[0], name) == (self.log, f"keys/{new.id.hex()}.note"), "its own log and name")
                expect(note.signers(new), "the new key's signature")
                expect(old not in introduced, f"one key to follow {old}, found two")
                introduced[old] = (note, new, int(as_written(said[4], NUMBER, "from_size")))
                root = root or (Key(said[3]) if old == "-" != said[3] else None)
        for name in [each for each in self.objects("keys") if each.endswith(".revoked.note")]:
            with self.judge(name):
                note = Note(self.get(name))
                said = note.fields("commitstore audit revocation v1", "log", "key", "from_size", "reason")
                expect((said[0], name) == (self.log, f"keys/{Key(said[1]).id.hex()}.revoked.note"), "its own name")
                expect(root and note.signers(root), "a root key's signature")
                self.revoked[said[1]] = int(as_written(said[2], NUMBER, "from_size"))
        expect("-" in introduced, "a note that introduces the first key")
        old, start = "-", 0
        while old in introduced:
            note, new, begins = introduced.pop(old)
            signer = new if old == "-" else root if root and old in self.revoked else self.keys[-1][1]
            expect(note.signers(signer), f"the key {new.text} to be signed by {signer.text}")
            expect(begins >= start and (old != "-" or begins == 0), f"sizes that rise from 0, found {begins}")
            self.keys.append((begins, new))
            old, start = new.text, begins
        expect(not introduced, f"each key to follow another, found one behind {', '.join(introduced)}")
        expect(any(self.options.key.text == key.text for _, key in self.keys), f"the key that was named, found {old}")
        self.counts["keys"] = len(self.keys)
        for name in self.objects("policy"):  # It proves nothing: whose cosignatures are wanted says the auditor.
            with self.judge(name):
                expect(Note(self.get(name)).signers(*(key for _, key in self.keys)), "one of the log's keys to sign it")

    def key_in_force(self, size: int) -> Key:
        """The newest key that was introduced before this size; ValueError where it was revoked before."""
        key = [key for start, key in self.keys if start < size or start == 0][-1]
        expect(size <= self.revoked.get(key.text, INT_MAX), f"a key that is not revoked, found {key.text}")
        return key

    def read_checkpoints(self) -> None:
        """Step 2: the key in force signed each; it counts if all witnesses cosigned it, or the auditor kept it."""
        kept = {"the trusted checkpoint": self.options.trusted} if self.options.trusted else {}
        for name in [*kept, *self.objects("checkpoint")]:
            with self.judge(name):
                note = Note(kept[name].read_bytes() if name in kept else self.get(name))
                origin, size, root = note.checkpoint()
                expect(origin == self.origin, f"a checkpoint of {self.origin}, found one of {origin}")
                expect(name in kept or name == f"checkpoint/{size:020d}.ckpt", f"its own name, found {size} events")
                expect(size or root == root_of([]), "the empty tree's root")
                key = self.key_in_force(size)
                expect(key.text in note.signers(*(each for _, each in self.keys)), f"a signature of {key.text}")
                self.counts["checkpoints"] += 1
                self.ends.append(size)
                self.kept = size if name in kept else self.kept
                expect(self.signed.get(size, root) == root, "the root that was kept, found another: it is rewritten")
                if name in kept or note.signers(*self.options.witness) == {each.text for each in self.options.witness}:
                    self.signed[size] = root
                    self.counts["checkpoints that count"] += 1
        self.ends.sort()

    def read_batches(self) -> None:
        """Steps 3 and 4: every manifest; of the batches that were asked for, on to a signed root, every event, too."""
        following, low, high = 0, self.options.from_seq, self.options.to_seq
        for name in self.objects("manifest"):
            said, batch = None, int(name[9:21])
            if batch != following:
                self.find(INCOMPLETE, name, f"manifests {following} to {batch - 1} are missing before it")
                self.give_up("a manifest behind them is missing")
            with self.judge(name):
                said = self.read_manifest(name, batch)
            following, self.before = batch + 1, said
            if said is None:
                self.give_up("the manifest behind them does not hold")
            elif not (self.pending or said["size_after"] == self.kept or low - said["count"] < said["first"] <= high):
                self.last = None
                self.reached.update({epoch: to for epoch, _, to in said["ranges"]})
                self.counts["batches not asked for"] += 1
            elif said["name"] not in self.files:
                self.find(INCOMPLETE, said["name"], f"events {said['first']} to {said['size_after'] - 1} are missing")
                self.give_up("a batch behind them is missing")
            else:
                self.read_batch(said)

    def read_manifest(self, name: str, batch: int) -> Manifest:
        """Step 3: it agrees with itself and its name, the key in force has signed it, it follows the one before."""
        said: Manifest = json.loads((data := self.get(name)).decode("utf-8"))
        expect(said.keys() == SHAPE.keys(), "a manifest's members, no more and no fewer")
        for member, kind in SHAPE.items():
            sound = type(said[member]) is kind and (kind is not int or 0 <= said[member] <= INT_MAX)
            expect(sound, f"{member} of type {kind.__name__}")
        writer = sorted((member, type(each)) for member, each in said["writer"].items())
        expect(writer == [("fence", int), ("host", str), ("version", str)], "a writer of version, host, fence")
        expect(said["v"] == 1 and canonical(said).encode() == data, "canonical JSON of version 1")
        for text in (*said["frontier_before"], *(said[each] for each in HASHES)):
            as_written(text, "[0-9a-f]{64}", "hashes in hex")
        datetime.fromisoformat(as_written(said["retain_until"], MOMENT, "retain_until as a moment"))
        first, after = said["first"], said["size_after"]
        frontier = [bytes.fromhex(each) for each in said["frontier_before"]]
        expect(said["size_before"] == first < after == first + said["count"], "sizes that count its events")
        expect(len(frontier) == first.bit_count(), "a hash for each 1 of size_before in binary")
        expect(root_of(frontier).hex() == said["root_before"], "frontier_before to give root_before")
        for epoch, start, to in said["ranges"]:
            expect([type(epoch), type(start), type(to)] == [str, int, int] and 0 < start <= to, "ranges of offsets")
        expect(sum(to - start + 1 for _, start, to in said["ranges"]) == said["count"], "ranges of as many records")
        key, blob = self.key_in_force(after), unbase64(said["signature"])
        signed = canonical({each: said[each] for each in SHAPE if each != "signature"}).encode()
        expect(blob[:4] == key.id, f"a signature of the key in force, {key.text}")
        key.check(blob[4:], b"commitstore audit manifest v1\n" + signed)
        expect((said["log"], said["origin"]) == (self.log, self.origin), f"a manifest of {self.origin}")
        expect(said["batch"] == batch, f"batch {batch}, as its name says")
        stored = f"batch/{batch:012d}-{first:020d}-{after - 1:020d}.jsonl.zst"
        expect(said["key"] == f"audit/v1/{self.log}/{stored}", "the name of its own batch")
        before = self.before
        if before and before["batch"] == batch - 1:
            expect(said["prev"] == before["digest"], f"the manifest before it to be {said['prev']}")
            goes_on = (first, said["root_before"]) == (before["size_after"], before["root_after"])
            expect(goes_on, f"it to begin with event {before['size_after']}, and the root before it")
        root = self.signed.get(after, bytes.fromhex(said["root_after"])).hex()
        expect(root == said["root_after"], f"the root that was signed for {after} events, {root}: it is rewritten")
        for size in self.ends[bisect_right(self.ends, first) : bisect_left(self.ends, after)]:
            self.find(TAMPER, f"checkpoint/{size:020d}.ckpt", "no batch ends there: it is forged, or this is rewritten")
        self.held[name] = self.held[f"checkpoint/{after:020d}.ckpt"] = (said["retain_until"], "")
        self.held[stored] = (said["retain_until"], said["version_id"])
        self.size, self.counts["manifests"] = after, self.counts["manifests"] + 1
        return {**said, "frontier": frontier, "digest": sha256(data).hexdigest(), "name": stored}

    def read_batch(self, said: Manifest) -> None:
        """Step 4: the stored bytes, every event, the root that they lead to; where that was signed they are proven."""
        frontier, seq, times = said["frontier"], said["first"], list[int]()
        places = ((epoch, offset) for epoch, start, to in said["ranges"] for offset in range(start, to + 1))
        with self.judge(said["name"]):
            for line, place in zip(lines_of(self.get(said["name"], BATCH_MAX), said), places, strict=True):
                time, starts = read_event(line, self.log, seq, place)
                self.look_at_order(seq, (*place, time), starts=starts)
                times.append(time)
                append(frontier, seq, sha256(b"\0" + line).digest())
                seq += 1
            expect((times[0], times[-1]) == (said["t_first"], said["t_last"]), "t_first and t_last of its events")
            expect(root_of(frontier).hex() == said["root_after"], "root_after from the events")
            self.counts["batches"] += 1
            self.pending += said["count"]
            if seq in self.signed:
                self.counts["events proven"] += self.pending
                self.pending = 0
            return
        self.give_up("a batch behind them, or theirs, does not hold")

    def look_at_order(self, seq: int, found: tuple[str, int, int], *, starts: bool) -> None:
        """Within an epoch no time goes back; no offset is left out; no silence is too long."""
        (epoch, offset, time), (before, last, until) = found, self.last or ("", 0, 0)
        expect(time > until or epoch != before, f"event {seq} to be later than the one before: a clock went back")
        if time <= until:
            self.find(WARNING, f"event {seq}", "in this new epoch the clock goes back")
        expected = self.reached.get(epoch, last) + 1  # Where a restore is undone, its epoch goes on where it was left.
        if before and (offset > expected or (epoch == before and offset != expected)):
            self.find(INCOMPLETE, f"event {seq}", f"offsets {expected} to {offset - 1} have no event")
        if seq == 0 and offset != 1:
            self.find(WARNING, "event 0", f"the trail begins at offset {offset}: of what was before it is silent")
        silence = (time - until) // 1_000_000 if self.last else 0
        if silence > self.options.heartbeat > 0:
            what = f"{silence} s without an event before it" + (", and then a start" if starts else "")
            self.find(WARNING if starts else INCOMPLETE, f"event {seq}", what)
        self.last, self.reached[epoch] = found, offset

    def give_up(self, why: str) -> None:
        """What hangs together up to here, but on no signature, stays unproven."""
        if self.pending:
            self.not_checked.append(f"{self.pending} events are not proven: {why}")
        self.pending, self.last = 0, None

    def look_at_the_end(self) -> None:
        """Step 5: what was signed, also what the auditor kept, is all there, and all witnesses have seen the end."""
        self.give_up("no checkpoint signs them, or none that counts")
        end = [0, *self.ends][-1]
        if end > self.size:
            self.find(INCOMPLETE, "the end", f"{end} events were signed, the manifests here hold {self.size}")
        if not self.counts["events proven"]:
            self.find(INCOMPLETE, "the tree", "no event is proven, of those that were asked for")
        if max(self.signed, default=0) < end:
            what = f"not every witness cosigned the last of {end} events"
            self.find(INCOMPLETE if self.signed else TAMPER, "the tree", what)
        if self.counts["batches not asked for"]:
            self.not_checked.append("the events of batches that were not asked for")
        if not self.options.heartbeat:
            self.not_checked.append("silences: how often an event must come was not said (--heartbeat)")
        if not self.options.witness and not self.options.trusted:
            self.not_checked.append("whether its signer rewrote or cut it: that takes a witness or an older checkpoint")
        for name in self.files:
            if name.startswith("batch/") and self.held.get(name) == ("", ""):
                self.find(WARNING, name, "no manifest names this batch: it proves nothing")
            elif name not in self.held and not re.search(r"\.lock$|@[^/]*$", name):
                self.find(WARNING, name, "no trail has an object of this name")

    def look_at_locks(self) -> None:
        """Step 6: how the store holds each object, as <name>.lock tells it in a write-once folder or an export."""
        if not any(name.endswith(".lock") for name in self.files):
            self.not_checked.append("locks: nothing here says how the store holds the objects")
            return
        latest = max(until for until, _ in self.held.values())  # Until then the notes of the keys are needed.
        for name, (until, version_id) in self.held.items():
            if name in self.files and (until or not name.startswith("batch/")):
                with self.judge(name, UNLOCKED):
                    self.look_at_lock(name, latest if re.fullmatch(NOTES, name) else until, version_id)

    def look_at_lock(self, name: str, wanted: str, version_id: str) -> None:
        """The version that counts has the bytes that are here, and is locked until the moment that is wanted."""
        expect(f"{name}.lock" in self.files, "a lock, found nothing that tells of one")
        versions = json.loads(self.get(f"{name}.lock"))["versions"]
        stored = [each for each in versions if each["marker"] is False]
        if len(stored) < len(versions):
            self.find(WARNING, name, "a delete marker hides it in the store, where its version still lies")
        if len(stored) > 1:
            self.find(WARNING, name, f"{len(stored)} versions of it in the store, of which the first counts")
        counts = [each for each in stored if version_id in {"", each["version_id"]}][-1:]
        with self.judge(name):
            expect(counts, "the version that the manifest names, which is gone")
            here = sha256(self.get(name, BATCH_MAX)).hexdigest()
            expect(counts[0]["sha256"] == here, f"the bytes that the store tells of, found {here}")
        mode, until, moves = ([*counts, *stored][0][each] for each in ("mode", "retain_until", "event_hold"))
        kept = mode == "COMPLIANCE" and as_written(until, MOMENT, "the end of its lock") >= wanted
        expect(kept, f"COMPLIANCE until {wanted or 'some day'}, found {mode} until {until}")
        expect(not moves, "no event hold, which moves the end of its lock")


# ---------------------------------------------------------------------------------------------------------- the command


def usage(message: str) -> NoReturn:
    """Wrong arguments, or nothing to read."""
    sys.stderr.write(f"verify_audit: {message}\n")
    raise SystemExit(USAGE)


def key(text: str) -> Key:
    """A key, or what a file holds."""
    return Key(text if "+" in text else Path(text).read_text("utf-8").strip())


def main(arguments: list[str] | None = None) -> int:
    """Verify; print findings, counts, what was not checked, and last the verdict; and return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.error = usage  # type: ignore[method-assign]  # Its own status would say that something is missing.
    add = parser.add_argument
    add("folder", type=Path, metavar="FOLDER", help="what holds audit/v1/<log-id>/")
    add("--key", type=key, required=True, metavar="VKEY", help="the trail's verification key, or a file with it")
    add("--root-key", type=key, metavar="VKEY", help="the offline key that may revoke others")
    add("--trusted", type=Path, metavar="OLD.ckpt", help="a checkpoint you kept: what it saw must still be there")
    add("--witness", type=key, action="append", default=[], metavar="VKEY", help="must have cosigned; may be repeated")
    add("--from-seq", type=int, default=0, metavar="N", help="the first event that is wanted")
    add("--to-seq", type=int, default=INT_MAX, metavar="N", help="the last one")
    add("--heartbeat", type=int, default=0, metavar="S", help="seconds without an event that are too many  [any]")
    try:
        trail = Trail(parser.parse_args(arguments))
        with trail.judge("keys"):  # Without them there is nothing to go on with.
            trail.read_keys()
            trail.read_checkpoints()
            trail.read_batches()
            trail.look_at_the_end()
            trail.look_at_locks()
    except OSError as error:
        usage(f"cannot read: {error}")
    for kind, where, what in trail.findings:
        print(ascii(f"{KINDS[kind]:10} {where}: {what}")[1:-1])
    print("checked:", ", ".join(f"{many} {what}" for what, many in trail.counts.items()) or "nothing")
    for line in trail.not_checked:
        print(f"NOT checked: {line}")
    status = min((kind for kind, _, _ in trail.findings if kind != WARNING), default=0)
    print(KINDS[status])
    return status


if __name__ == "__main__":
    sys.exit(main())
