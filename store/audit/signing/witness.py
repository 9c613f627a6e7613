"""A witness: remembers how far it has seen each log, and cosigns only what goes on from there (c2sp.org/tlog-witness).

Laws: it never cosigns two checkpoints of one log that deny each other, nor a smaller one after a larger. What it will
have seen is durable before its cosignature leaves. It believes nothing that no key of that log has signed.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final, NamedTuple, Protocol

from store.audit.objects.checkpoint import PROOF_HASHES_MAX, Checkpoint, read_checkpoint, read_number
from store.audit.objects.layout import Malformed
from store.audit.objects.merkle import EMPTY_ROOT, goes_on
from store.audit.objects.notes import COSIGNATURE, Note, Signer, VerifierKey, decode_hash, encode_hash, sign

REQUEST_SIZE_MAX: Final = 1 << 16
"""Bytes of a request, at most."""
SIZE_TYPE: Final = "text/x.tlog.size"
"""The media type of a size in an answer."""
TEXT_TYPE: Final = "text/plain; charset=utf-8"


class Seen(NamedTuple):
    """The newest checkpoint of a log that was cosigned."""

    size: int
    root: bytes


class Memory(Protocol):
    """What a witness remembers of each log, by its origin."""

    def get(self, origin: str) -> tuple[int, bytes] | None:
        """(size, root) of the newest that was put; None: nothing of this log yet. OSError where it cannot be read."""
        ...

    def put(self, origin: str, seen: tuple[int, bytes]) -> None:
        """Durable when it returns. OSError where it is not."""
        ...


@dataclass(frozen=True)
class Answer:
    """What goes back."""

    status: HTTPStatus
    body: str
    media_type: str = TEXT_TYPE


@dataclass(frozen=True)
class Request:
    """A checkpoint to cosign, and the proof that it goes on from an older one."""

    old_size: int
    proof: tuple[bytes, ...]
    checkpoint: Checkpoint
    note: Note

    def encode(self) -> bytes:
        """As it is sent."""
        lines = [f"old {self.old_size}", *map(encode_hash, self.proof), "", ""]
        return "\n".join(lines).encode("ascii") + self.note.encode()


def read_request(data: bytes) -> Request:
    """From its bytes. Malformed says what is wrong."""
    head, blank, rest = data.partition(b"\n\n")
    if not blank or len(data) > REQUEST_SIZE_MAX:
        raise Malformed("expected `old SIZE`, the proof's hashes, an empty line and a checkpoint")
    try:
        first, *hashes = head.decode("ascii").split("\n")
    except UnicodeDecodeError:
        raise Malformed("expected `old SIZE` and the proof's hashes in ASCII") from None
    if not first.startswith("old ") or len(hashes) > PROOF_HASHES_MAX:
        raise Malformed(f"expected `old SIZE` and at most {PROOF_HASHES_MAX} hashes, found {first[:40]!r}")
    checkpoint, note = read_checkpoint(rest)
    size = read_number(first.removeprefix("old "), "the old size")
    return Request(size, tuple(decode_hash(each, "the proof") for each in hashes), checkpoint, note)


class Witness:
    """One witness. `add_checkpoint` is called by one thread at a time."""

    def __init__(self, signer: Signer, logs: Iterable[VerifierKey], memory: Memory) -> None:
        """`logs`: the keys it believes; each is named after its log's origin, and a log may have several."""
        assert signer.key.algorithm == COSIGNATURE
        self._signer: Final = signer
        self._memory: Final = memory
        self._logs: Mapping[str, tuple[VerifierKey, ...]] = {}
        self.believe(logs)

    @property
    def key(self) -> VerifierKey:
        """Its public key."""
        return self._signer.key

    def believe(self, logs: Iterable[VerifierKey]) -> None:
        """From now on these are the keys of logs that it believes."""
        found: dict[str, tuple[VerifierKey, ...]] = {}
        for each in logs:
            found[each.name] = (*found.get(each.name, ()), each)
        self._logs = found

    def add_checkpoint(self, data: bytes, *, now: int) -> Answer:
        """Answer a request; `now` is in seconds since 1970. OSError: what was seen cannot be made durable."""
        try:
            request = read_request(data)
        except Malformed as error:
            return Answer(HTTPStatus.BAD_REQUEST, f"{error}\n")
        keys = self._logs.get(request.checkpoint.origin)
        if keys is None:
            return Answer(HTTPStatus.NOT_FOUND, f"unknown log {request.checkpoint.origin}\n")
        try:
            signed = request.note.signed_by(keys)
        except Malformed as error:
            return Answer(HTTPStatus.FORBIDDEN, f"{error}\n")
        if not signed:
            return Answer(HTTPStatus.FORBIDDEN, "no key of this log that is known here has signed it\n")
        return self._judge(request) or self._cosign(request, now)

    def _judge(self, request: Request) -> Answer | None:
        """What speaks against cosigning; None: nothing."""
        checkpoint = request.checkpoint
        if request.old_size > checkpoint.size:
            return Answer(HTTPStatus.BAD_REQUEST, "the old size is larger than the checkpoint's\n")
        seen = Seen(*(self._memory.get(checkpoint.origin) or (0, b"")))
        conflict = Answer(HTTPStatus.CONFLICT, f"{seen.size}\n", SIZE_TYPE)
        if request.old_size != seen.size or (seen.size == checkpoint.size and seen.root not in {b"", checkpoint.root}):
            return conflict
        if seen.size == 0:  # The protocol wants no proof from an empty tree; an empty tree has but one root.
            held = not request.proof and (checkpoint.size > 0 or checkpoint.root == EMPTY_ROOT)
        else:
            held = goes_on(
                old_size=seen.size, old_root=seen.root, size=checkpoint.size, root=checkpoint.root, proof=request.proof
            )
        return None if held else Answer(HTTPStatus.UNPROCESSABLE_ENTITY, "the proof does not show that it goes on\n")

    def _cosign(self, request: Request, now: int) -> Answer:
        checkpoint = request.checkpoint
        (signature,) = sign(checkpoint.text, [self._signer], time=now).signatures
        self._memory.put(checkpoint.origin, Seen(checkpoint.size, checkpoint.root))
        return Answer(HTTPStatus.OK, str(signature))
