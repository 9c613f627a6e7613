"""A second writer of audit trails, small and slow, from FORMAT.md alone: what the verifiers are tried on.

Nothing of store/audit is imported, so that an error there is not made twice. A trail is a dict from names to objects,
which tests change as an attacker would, and then write down as a write-once folder.
"""

import base64
import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import zstandard
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

LOG = "0123456789abcdef0123456789abcdef"
EPOCH = LOG
START = 1_790_000_000_000_000
"""The first event's timestamp, in microseconds."""
UNTIL = "2036-11-21T00:00:00Z"
DOMAIN = "commitstore.local"


class Signer:
    """An Ed25519 key by its number."""

    def __init__(self, number: int, name: str = f"{DOMAIN}/audit/{LOG}", algorithm: int = 1) -> None:
        self.secret = Ed25519PrivateKey.from_private_bytes(bytes([number]) * 32)
        self.name = name
        data = bytes([algorithm]) + self.secret.public_key().public_bytes_raw()
        self.id = hashlib.sha256(name.encode() + b"\n" + data).digest()[:4]
        self.vkey = f"{name}+{self.id.hex()}+{base64.b64encode(data).decode()}"

    def line(self, text: str) -> str:
        """A signature line under a text."""
        return f"— {self.name} {base64.b64encode(self.id + self.secret.sign(text.encode())).decode()}\n"

    def cosignature(self, text: str, time: int = 1_790_000_000) -> str:
        """A witness's line under a checkpoint's text."""
        signed = self.secret.sign(f"cosignature/v1\ntime {time}\n{text}".encode())
        return f"— {self.name} {base64.b64encode(self.id + time.to_bytes(8, 'big') + signed).decode()}\n"


FIRST_KEY = Signer(1)
SECOND_KEY = Signer(2)
ROOT_KEY = Signer(9, "root.example")
WITNESS = Signer(7, "witness.example", algorithm=4)


def node(left: bytes, right: bytes) -> bytes:
    """RFC 6962 §2.1."""
    return hashlib.sha256(b"\1" + left + right).digest()


def leaf(line: bytes) -> bytes:
    """RFC 6962 §2.1."""
    return hashlib.sha256(b"\0" + line).digest()


def root(leaves: Sequence[bytes]) -> bytes:
    """RFC 6962 §2.1, as the definition says it."""
    if not leaves:
        return hashlib.sha256().digest()
    if len(leaves) == 1:
        return leaves[0]
    split = 1 << (len(leaves) - 1).bit_length() - 1
    return node(root(leaves[:split]), root(leaves[split:]))


def frontier(leaves: Sequence[bytes]) -> list[bytes]:
    """The roots of the full subtrees, the largest first."""
    if not leaves:
        return []
    width = 1 << len(leaves).bit_length() - 1
    return [root(leaves[:width]), *frontier(leaves[width:])]


def canonical(value: Any) -> bytes:
    """Sorted keys, no spaces."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def event(seq: int, *, log: str = LOG, epoch: str = EPOCH, offset: int | None = None, **more: Any) -> dict[str, Any]:
    """One event as FORMAT.md has it, of a committed call unless said otherwise."""
    timestamp = START + seq * 1_000_000
    ours = {"v": 1, "kind": "call", "offset": seq + 1 if offset is None else offset, "epoch": epoch}
    ours |= {"timestamp": timestamp, "schema_version": 1, "args": {"amount": seq}, "record_sha256": "0" * 64}
    ours |= {"writes": [], "value_sha256": hashlib.sha256(b"\xc0").hexdigest()}
    whole: dict[str, Any] = {
        "activity_id": 2,
        "actor": {"session": {"uid": "3"}, "user": {"domain": "test", "uid": "alice"}},
        "api": {"operation": "transfer"},
        "category_uid": 6,
        "class_uid": 6005,
        "metadata": {
            "product": {"name": "commitstore", "vendor_name": "commitstore"},
            "sequence": seq,
            "uid": f"{log}/{seq}",
            "version": "1.8.0",
        },
        "severity_id": 1,
        "src_endpoint": {"ip": "127.0.0.1", "port": 4000},
        "status": "Success",
        "status_id": 1,
        "time": timestamp // 1000,
        "type_uid": 600502,
        "unmapped": ours | more.pop("unmapped", {}),
    }
    return whole | more


@dataclass
class Lock:
    """What a write-once folder's note says of one version."""

    mode: str | None = "COMPLIANCE"
    retain_until: str | None = UNTIL
    marker: bool = False
    version_id: str = ""
    """By default what a folder gives: the first half of its bytes' hash."""
    event_hold: bool | None = None
    data: bytes | None = None
    """Of a version that is not the first; None for a marker."""


@dataclass
class Stored:
    """An object: its first version's bytes, its lock, and what was laid above it later."""

    data: bytes
    lock: Lock | None = field(default_factory=Lock)
    later: tuple[Lock, ...] = ()


@dataclass
class Trail:
    """Objects by their names below audit/v1/<log>/, in the order in which they were written."""

    log: str = LOG
    signer: Signer = FIRST_KEY
    objects: dict[str, Stored] = field(default_factory=dict)
    lines: list[bytes] = field(default_factory=list)
    manifests: list[dict[str, Any]] = field(default_factory=list)

    @property
    def origin(self) -> str:
        """Its name in checkpoints."""
        return f"{DOMAIN}/audit/{self.log}"

    @property
    def leaves(self) -> list[bytes]:
        """Of all events so far."""
        return [leaf(each) for each in self.lines]

    def introduce(
        self, new: Signer, old: Signer | None = None, *, signer: Signer | None = None, root: str = ROOT_KEY.vkey
    ) -> None:
        """A key's note; from here on it signs."""
        text = f"commitstore audit key v1\nlog {self.log}\nnew {new.vkey}\nold {old.vkey if old else '-'}\n"
        text += f"root {root}\nfrom_size {len(self.lines)}\n"
        below = new.line(text) + ((signer or old).line(text) if old else "")  # type: ignore[union-attr]
        self.objects[f"keys/{new.id.hex()}.note"] = Stored(f"{text}\n{below}".encode())
        self.signer = new

    def revoke(self, key: Signer, *, signer: Signer = ROOT_KEY) -> None:
        """From this size on the key counts no more."""
        text = f"commitstore audit revocation v1\nlog {self.log}\nkey {key.vkey}\n"
        text += f"from_size {len(self.lines)}\nreason stolen\n"
        self.objects[f"keys/{key.id.hex()}.revoked.note"] = Stored(f"{text}\n{signer.line(text)}".encode())

    def policy(self, text: str = "quorum none\n") -> None:
        """Whom the log asks for cosignatures, signed."""
        number = sum(each.startswith("policy/") for each in self.objects) + 1
        self.objects[f"policy/{number:06d}.note"] = Stored(f"{text}\n{self.signer.line(text)}".encode())

    def batch(self, events: Sequence[dict[str, Any]]) -> None:
        """A batch and its manifest."""
        first, before, number = len(self.lines), self.leaves, len(self.manifests)
        lines = [canonical(each) for each in events]
        raw = b"".join(each + b"\n" for each in lines)
        packed = zstandard.ZstdCompressor(write_checksum=True).compress(raw)
        self.lines += lines
        name = f"batch/{number:012d}-{first:020d}-{len(self.lines) - 1:020d}.jsonl.zst"
        self.objects[name] = Stored(packed)
        prev = canonical(self.manifests[-1]) if self.manifests else None
        self.manifests.append(
            self.signed(
                {
                    "v": 1,
                    "log": self.log,
                    "origin": self.origin,
                    "batch": number,
                    "prev": hashlib.sha256(prev).hexdigest() if prev else "0" * 64,
                    "first": first,
                    "count": len(lines),
                    "t_first": events[0]["unmapped"]["timestamp"],
                    "t_last": events[-1]["unmapped"]["timestamp"],
                    "ranges": list(ranges(events)),
                    "key": f"audit/v1/{self.log}/{name}",
                    "version_id": hashlib.sha256(packed).hexdigest()[:32],
                    "sha256": hashlib.sha256(packed).hexdigest(),
                    "size": len(packed),
                    "raw_size": len(raw),
                    "size_before": first,
                    "frontier_before": [each.hex() for each in frontier(before)],
                    "root_before": root(before).hex(),
                    "size_after": len(self.lines),
                    "root_after": root(self.leaves).hex(),
                    "retain_until": UNTIL,
                    "writer": {"version": "0.1.0", "host": "test", "fence": 1},
                }
            )
        )
        self.objects[f"manifest/{number:012d}.json"] = Stored(canonical(self.manifests[-1]))

    def signed(self, said: dict[str, Any]) -> dict[str, Any]:
        """A manifest with its signature."""
        said = {name: each for name, each in said.items() if name != "signature"}
        blob = self.signer.id + self.signer.secret.sign(b"commitstore audit manifest v1\n" + canonical(said))
        return {**said, "signature": base64.b64encode(blob).decode()}

    def checkpoint(self, *signers: Signer, witnesses: Sequence[Signer] = ()) -> None:
        """The tree so far, signed."""
        name, note = f"checkpoint/{len(self.lines):020d}.ckpt", self.note(*signers, witnesses=witnesses)
        self.objects[name] = Stored(note)

    def note(self, *signers: Signer, witnesses: Sequence[Signer] = ()) -> bytes:
        """A checkpoint's bytes."""
        text = f"{self.origin}\n{len(self.lines)}\n{base64.b64encode(root(self.leaves)).decode()}\n"
        below = [each.line(text) for each in signers or (self.signer,)]
        return f"{text}\n{''.join(below + [each.cosignature(text) for each in witnesses])}".encode()

    def grow(self, *counts: int, witnesses: Sequence[Signer] = (), **more: Any) -> "Trail":
        """A batch of calls and a checkpoint for each count."""
        for count in counts:
            self.batch([event(len(self.lines) + each, log=self.log, **more) for each in range(count)])
            self.checkpoint(witnesses=witnesses)
        return self

    def change(self, name: str, data: bytes) -> None:
        """Other bytes at a name, and a note beside it that fits them: what somebody with the disk can do."""
        self.objects[name] = replace(self.objects[name], data=data)

    def write(self, folder: Path, *, locks: bool = True) -> Path:
        """As a write-once folder; without `locks` as a plain copy."""
        folder.mkdir(parents=True, exist_ok=True)
        if locks:
            (folder / ".worm.json").write_text('{"retention_days":1,"v":1}')
        for name, stored in self.objects.items():
            path = folder / "audit" / "v1" / self.log / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(stored.data)
            if locks and stored.lock is not None:
                versions = [*reversed(stored.later), replace(stored.lock, data=stored.data)]
                said = [version_line(each, latest=place == 0) for place, each in enumerate(versions)]
                path.with_name(path.name + ".lock").write_text(json.dumps({"v": 1, "versions": said}))
                for each in stored.later:
                    if each.data is not None:
                        path.with_name(f"{path.name}@{each.version_id}").write_bytes(each.data)
        return folder


def version_line(lock: Lock, *, latest: bool) -> dict[str, Any]:
    """One version in a folder's note."""
    data = lock.data or b""
    return {
        "version_id": lock.version_id or hashlib.sha256(data).hexdigest()[:32],
        "size": len(data),
        "sha256": hashlib.sha256(data).hexdigest(),
        "stored_at": datetime.fromtimestamp(START / 1e6, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z"),
        "marker": lock.marker,
        "latest": latest,
        "mode": lock.mode,
        "retain_until": lock.retain_until,
        "legal_hold": False,
        "event_hold": lock.event_hold,
    }


def undone(offset: int) -> list[list[list[dict[str, Any]]]]:
    """Batches behind three events: of a restore, and from this offset on of what came when it was undone."""
    other = [event(3, epoch="e" * 32, offset=2)]
    back = [event(4, offset=offset), event(5, offset=offset + 1)]
    return [[[*other, *back]], [other, back]]


def ranges(events: Sequence[dict[str, Any]]) -> Iterator[list[Any]]:
    """[epoch, first, last] of the events' offsets."""
    open_: list[Any] = []
    for each in events:
        epoch, offset = each["unmapped"]["epoch"], each["unmapped"]["offset"]
        if open_ and open_[0] == epoch and open_[2] == offset - 1:
            open_[2] = offset
        else:
            if open_:
                yield open_
            open_ = [epoch, offset, offset]
    yield open_


def small_trail(*counts: int, log: str = LOG, signer: Signer | None = None) -> Trail:
    """A whole trail with a key, and a batch and a checkpoint for each count."""
    trail = Trail(log=log)
    trail.introduce(signer or (FIRST_KEY if log == LOG else Signer(1, f"{DOMAIN}/audit/{log}")))
    trail.policy()
    return trail.grow(*(counts or (3, 1, 4, 2)))
