"""The trail that FORMAT.md works through: three events, one batch, one checkpoint with a cosignature, one proof."""

import base64
from typing import Any, Final

from msgspec.structs import replace

from store.audit.objects.batches import Frozen, freeze
from store.audit.objects.checkpoint import Checkpoint, Proof
from store.audit.objects.manifest import NO_MANIFEST, Manifest, Writer
from store.audit.objects.merkle import NOTHING, inclusion_proof, leaf_hashes, span_of
from store.audit.objects.notes import COSIGNATURE, SecretKey, sign
from store.audit.signing.keys import KeyNote
from store.ids import Epoch, Timestamp
from store.transaction import Kind
from store.values import encode
from tests.audit.records import epoch, events_of, record

LOG: Final = "00112233445566778899aabbccddeeff"
ORIGIN: Final = f"example.com/audit/{LOG}"
KEY: Final = SecretKey(ORIGIN, bytes(range(32)))
WITNESS: Final = SecretKey("witness.example/w1", bytes(range(32, 64)), COSIGNATURE)


def records() -> list[bytes]:
    """A log's first three: its epoch, a start, and a call that nobody had an identity for."""
    rules = [["owner", ""]]
    call = {"connection": 7, "source": "10.0.0.1:5000", "value": encode(7)}
    write = (1, 1, 7, None, encode([7, "alice"]))
    return [
        epoch(1, of=Epoch(bytes.fromhex(LOG))),
        record(2, Kind.LIFECYCLE, "start", ["c0de", {"open_account": rules}, {}, []]),
        record(3, Kind.CALL, "open_account", ["alice"], writes=(write,), **call),
    ]


def lines() -> list[bytes]:
    """Their events."""
    return [line.replace(b"ffeeddccbbaa99887766554433221100", LOG.encode()) for line in events_of(records())]


def frozen(data: bytes) -> Frozen:
    """The batch; its object as the page has it, for another version of the compressor may write other bytes."""
    from hashlib import sha256  # noqa: PLC0415  # Only here.

    made = freeze(
        log=LOG,
        batch=0,
        before=NOTHING,
        lines=lines(),
        t_first=Timestamp(1_800_000_000_000_001),
        t_last=Timestamp(1_800_000_000_000_003),
        ranges=((LOG, 1, 3),),
    )
    return replace(made, data=data, sha256=sha256(data).hexdigest())


def manifest(data: bytes) -> Manifest:
    """Its manifest."""
    return frozen(data).manifest(
        origin=ORIGIN,
        prev=NO_MANIFEST,
        version_id="v1",
        until=Timestamp(1_900_000_000_000_000),
        writer=Writer("0.1.0", "somewhere", 1),
        signer=KEY,
    )


def checkpoint() -> bytes:
    """Over the three events, cosigned."""
    root = span_of(0, leaf_hashes(lines())).root()
    return sign(Checkpoint(ORIGIN, 3, root).text, [KEY, WITNESS], time=1_800_000_010).encode()


def key_note() -> bytes:
    """The key's introduction."""
    return sign(KeyNote(LOG, KEY.key, None, None, 0).text, [KEY]).encode()


def proof() -> bytes:
    """That the call is the trail's third event."""
    leaves = leaf_hashes(lines())
    return Proof(2, tuple(inclusion_proof(span_of(0, leaves[:2]), leaves[2], span_of(3, []))), checkpoint()).encode()


def in_lines(data: bytes, width: int = 96) -> str:
    """Base64, in lines."""
    text = base64.b64encode(data).decode()
    return "\n".join(text[at : at + width] for at in range(0, len(text), width))


def blocks(data: bytes) -> dict[str, Any]:
    """Every example of the page by its name."""
    found = lines()
    return {
        "events": b"\n".join(found).decode(),
        "leaves": "\n".join(each.hex() for each in leaf_hashes(found)),
        "root": span_of(0, leaf_hashes(found)).root().hex(),
        "batch": in_lines(data),
        "manifest": manifest(data).encode().decode(),
        "checkpoint": checkpoint().decode().rstrip("\n"),
        "key": key_note().decode().rstrip("\n"),
        "proof": proof().decode().rstrip("\n"),
    }
