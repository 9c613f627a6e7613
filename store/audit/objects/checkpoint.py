"""Checkpoints: the tree's size and root, signed (c2sp.org/tlog-checkpoint); and proofs that rest on one (tlog-proof).

Laws: three lines and no more. A size has one spelling. What a checkpoint says counts once the log's key has signed it.
"""

import re
from dataclasses import dataclass
from typing import Final

from store.audit.objects.layout import Malformed
from store.audit.objects.merkle import SIZE_MAX, includes
from store.audit.objects.notes import Note, VerifierKey, check_key_name, decode_hash, encode_hash, read_note

PROOF_HEAD: Final = "c2sp.org/tlog-proof@v1"
PROOF_HASHES_MAX: Final = 63
"""Hashes of a proof, at most: a tree has fewer levels."""

_NUMBER: Final = re.compile(r"0|[1-9][0-9]{0,18}", re.ASCII)


@dataclass(frozen=True)
class Checkpoint:
    """The log of this origin had `size` events, and the tree over them this root."""

    origin: str
    size: int
    root: bytes

    @property
    def text(self) -> str:
        """What is signed."""
        return f"{self.origin}\n{self.size}\n{encode_hash(self.root)}\n"


def read_number(text: str, what: str) -> int:
    """A number in its one spelling, up to 2^63-1. Malformed, naming `what`, where it is none."""
    if not _NUMBER.fullmatch(text) or int(text) > SIZE_MAX:
        raise Malformed(f"expected {what} as a decimal number without leading zeros, found {text!r:.40}")
    return int(text)


def read_text(text: str) -> Checkpoint:
    """A checkpoint from the text of its note. Malformed says what is wrong."""
    lines = text.split("\n")
    if len(lines) != 4 or lines[3]:
        raise Malformed(f"a checkpoint's text is origin, size and root, each on a line, found {len(lines) - 1} lines")
    origin, size, root = lines[:3]
    return Checkpoint(check_key_name(origin), read_number(size, "the tree's size"), decode_hash(root, "the root"))


def read_checkpoint(data: bytes) -> tuple[Checkpoint, Note]:
    """What a note says if its signatures hold, and the note. Malformed says what is wrong with its form."""
    note = read_note(data)
    return read_text(note.text), note


def is_signed(data: bytes, checkpoint: Checkpoint, key: VerifierKey) -> bool:
    """Whether a note says exactly this checkpoint, signed by this key."""
    try:
        found, note = read_checkpoint(data)
        return found == checkpoint and key in note.signed_by([key])
    except Malformed:
        return False


@dataclass(frozen=True)
class Proof:
    """That one event is the log's `index`-th, counted from 0, under a checkpoint. Not checked yet."""

    index: int
    hashes: tuple[bytes, ...]
    """From the event's sibling up."""
    checkpoint: bytes
    """The note, as the log published it."""

    def encode(self) -> bytes:
        """Its file's bytes."""
        lines = [PROOF_HEAD, f"index {self.index}", *map(encode_hash, self.hashes), "", ""]
        return "\n".join(lines).encode("ascii") + self.checkpoint

    def shows(self, leaf: bytes) -> bool:
        """Whether this leaf is where it says; who signed the checkpoint is another question. Malformed as it reads."""
        checkpoint, _ = read_checkpoint(self.checkpoint)
        return includes(index=self.index, size=checkpoint.size, leaf=leaf, proof=self.hashes, root=checkpoint.root)


def read_proof(data: bytes) -> Proof:
    """A proof from its file's bytes. Malformed says what is wrong with its form. Extra data is passed over."""
    head, blank, checkpoint = data.partition(b"\n\n")
    try:
        first, *lines = head.decode("ascii").split("\n")
    except UnicodeDecodeError:
        first, lines = "", []
    if lines and lines[0].startswith("extra "):
        lines = lines[1:]
    if not blank or first != PROOF_HEAD or not lines or not lines[0].startswith("index "):
        raise Malformed(f"expected a proof that begins with {PROOF_HEAD} and an index, found {data[:60]!r}")
    if len(lines) - 1 > PROOF_HASHES_MAX:
        raise Malformed(f"a proof has at most {PROOF_HASHES_MAX} hashes, found {len(lines) - 1}")
    index = read_number(lines[0].removeprefix("index "), "the index")
    hashes = tuple(decode_hash(each, "the proof") for each in lines[1:])
    read_checkpoint(checkpoint)
    return Proof(index, hashes, checkpoint)
