"""Manifests: what a batch holds, where it stands in the tree and in the log, and the manifest before it.

Laws: canonical JSON of strings, integers below 2^53, arrays and maps; the same manifest has the same bytes, and other
bytes that say the same are refused. Each names the hash of the one before, from batch 0 on, and is signed by the key in
force, because the tree speaks of events alone.
"""

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, Final

import msgspec

from store.audit.objects.layout import Malformed, batch_name, check_log_id
from store.audit.objects.merkle import Span, subtrees
from store.audit.objects.notes import (
    KEY_ID_SIZE,
    SIGNATURE_SIZE,
    Signer,
    VerifierKey,
    decode_base64,
    encode_base64,
    sign_bytes,
)
from store.ids import Timestamp

VERSION: Final = 1
INT_SAFE: Final = 2**53
"""Integers below it are the same in every reader of JSON."""
NO_MANIFEST: Final = "0" * 64
"""What the first manifest names as the one before."""
MANIFEST_SIZE_MAX: Final = 1 << 20
"""Bytes of a manifest, at most."""

HEAD: Final = b"commitstore audit manifest v1\n"
"""What is signed begins with it, so that no other text that is signed can pose as a manifest."""

_HEX: Final = re.compile(r"[0-9a-f]{64}", re.ASCII)
_EPOCH: Final = re.compile(r"[0-9a-f]{32}", re.ASCII)
_UNTIL: Final = "%Y-%m-%dT%H:%M:%SZ"


class Writer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who shipped a batch: for people, nothing rests on it."""

    version: str
    host: str
    fence: int
    """Counts the processes that had the ledger, so that two at once would show."""


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One batch. Hashes are lower-case hex, moments microseconds since 1970 unless said otherwise."""

    v: int
    log: str
    origin: str
    batch: int
    """From 0, without gaps."""
    prev: str
    """SHA-256 of the bytes of the manifest before; NO_MANIFEST for batch 0."""
    first: int
    """The first event's sequence."""
    count: int
    t_first: int
    t_last: int
    ranges: tuple[tuple[str, int, int], ...]
    """[epoch, first offset, last offset] of the log's records that the events tell of, in order."""
    key: str
    """The batch object's name."""
    version_id: str
    """Of the very version that was read back; "" where the store has no versions."""
    sha256: str
    """Of the object's bytes, as they are stored."""
    size: int
    raw_size: int
    """Bytes of the object, and of its lines."""
    size_before: int
    frontier_before: tuple[str, ...]
    """The roots of the full subtrees of the tree before this batch, left to right."""
    root_before: str
    size_after: int
    root_after: str
    retain_until: str
    """Until when the object is held, at least: RFC 3339 in UTC, whole seconds."""
    writer: Writer
    signature: str = ""
    """Base64 of the key's id and its Ed25519 signature of HEAD and the canonical bytes without this member."""

    def encode(self) -> bytes:
        """Its canonical bytes."""
        return canonical(msgspec.to_builtins(self))

    def signed(self, signer: Signer) -> "Manifest":
        """The same, signed."""
        made = sign_bytes(self._signed_bytes(), signer)
        return msgspec.structs.replace(self, signature=encode_base64(signer.key.id + made))

    def signed_by(self, key: VerifierKey) -> bool:
        """Whether this key has signed it."""
        found = decode_base64(self.signature, "a manifest's signature")
        return found[:KEY_ID_SIZE] == key.id and key.confirms(self._signed_bytes(), found[KEY_ID_SIZE:])

    def _signed_bytes(self) -> bytes:
        said = msgspec.to_builtins(self)
        del said["signature"]
        return HEAD + canonical(said)

    @property
    def digest(self) -> str:
        """What the next manifest says of this one."""
        return sha256(self.encode()).hexdigest()

    @property
    def span_before(self) -> Span:
        """The tree that this batch goes on from."""
        return Span(0, self.size_before, tuple(map(bytes.fromhex, self.frontier_before)))

    @property
    def last(self) -> int:
        """The last event's sequence."""
        return self.first + self.count - 1


def canonical(value: Any) -> bytes:
    """JSON in its one form: keys sorted, no spaces, nothing escaped that need not be."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def retain_until(moment: Timestamp) -> str:
    """A moment as manifests say it: whole seconds, rounded down."""
    return datetime.fromtimestamp(moment // 1_000_000, UTC).strftime(_UNTIL)


def read_retain_until(text: str) -> Timestamp:
    """The moment that `retain_until` wrote. Malformed where it did not."""
    try:
        found = Timestamp(int(datetime.strptime(text, _UNTIL).replace(tzinfo=UTC).timestamp()) * 1_000_000)
    except ValueError:
        found = Timestamp(-1)
    if found < 0 or retain_until(found) != text:
        raise Malformed(f"expected a moment such as 2030-01-31T12:00:00Z, found {text!r:.40}")
    return found


_decode: Final = msgspec.json.Decoder(Manifest).decode


def read_manifest(data: bytes) -> Manifest:
    """A manifest from its object's bytes. Malformed says what is wrong: form, or fields that deny each other.

    That the frontier gives `root_before`, the object its hash, and the tree `root_after`, is for a verifier to say.
    """
    if len(data) > MANIFEST_SIZE_MAX:
        raise Malformed(f"a manifest has at most {MANIFEST_SIZE_MAX} bytes, found {len(data)}")
    try:
        found = _decode(data)
    except (ValueError, RecursionError) as error:  # msgspec's errors are ValueErrors.
        raise Malformed(f"expected a manifest: {error}") from None
    wrong = next(_wrongs(found), None)
    if wrong is not None:
        raise Malformed(f"a manifest's {wrong}")
    if found.encode() != data:
        raise Malformed("a manifest is canonical JSON: keys sorted, no spaces, nothing twice; found another form of it")
    return found


def _wrongs(found: Manifest) -> Iterator[str]:
    """What is wrong with the fields of a manifest, if anything, each as a sentence's end."""
    numbers = (found.batch, found.first, found.count, found.size, found.raw_size, found.size_before, found.size_after)
    times = (found.t_first, found.t_last, found.writer.fence, *(each for _, *ends in found.ranges for each in ends))
    if len(decode_base64(found.signature, "a manifest's signature")) != KEY_ID_SIZE + SIGNATURE_SIZE:
        yield "signature is a key's id and 64 bytes, found another length"
    if found.v != VERSION:
        yield f"version is {found.v}, this reader knows {VERSION}: use a newer verifier"
    if any(not 0 <= each < INT_SAFE for each in (*numbers, *times)):
        yield f"numbers lie between 0 and {INT_SAFE - 1}, found another"
    for each in (found.sha256, found.prev, found.root_before, found.root_after, *found.frontier_before):
        if not _HEX.fullmatch(each):
            yield f"hashes are 64 lower-case hex digits, found {each!r:.80}"
    yield from _wrong_places(found)
    try:
        read_retain_until(found.retain_until)
    except Malformed as error:
        yield f"retain_until is wrong: {error}"


def _wrong_places(found: Manifest) -> Iterator[str]:
    try:
        check_log_id(found.log)
    except Malformed as error:
        yield f"log is wrong: {error}"
        return
    if found.origin.rpartition("/audit/")[2] != found.log:
        yield f"origin ends with /audit/ and the log's id, found {found.origin!r:.100}"
    if found.count < 1 or found.size_before != found.first or found.size_after != found.first + found.count:
        yield "sizes are those before its first event and behind its last, found others"
    if found.key != batch_name(found.log, found.batch, first=found.first, last=found.last):
        yield f"key is its batch's name, found {found.key!r:.160}"
    if len(found.frontier_before) != len(subtrees(0, found.size_before)):
        yield "frontier_before has a hash for each 1 in size_before, written in binary, found another number"
    if (found.prev == NO_MANIFEST) != (found.batch == 0) or (found.batch == 0) != (found.first == 0):
        yield "batch 0, and only it, begins with event 0 and has no manifest before"
    if found.t_last < found.t_first and len({epoch for epoch, *_ in found.ranges}) < 2:
        yield "t_last is before t_first within one epoch"
    ranges = found.ranges
    if any(not _EPOCH.fullmatch(epoch) or not 1 <= first <= last for epoch, first, last in ranges):
        yield "ranges are an epoch of 32 hex digits, a first and a last offset, found others"
    if sum(last - first + 1 for _, first, last in ranges) != found.count:
        yield "ranges hold as many records as there are events, found another number"
