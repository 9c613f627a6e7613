"""What one batch's events say was written, for whoever holds it against rows.

Laws: keys stay as the events spell them. What is keyed, cut short or of another shape is said to be unknown, never
guessed.
"""

from collections.abc import Sequence
from hashlib import sha256
from typing import Final, NamedTuple

import msgspec

Written = tuple[str, bytes, bytes | None]
"""(table, key as the event's JSON has it, SHA-256 of the row afterwards): None where the row is gone, `HIDDEN` where
its hash is keyed."""
HIDDEN: Final = b""
HIDDEN_KEY: Final = b'{"hmac_sha256"'
"""What a key begins with that is not shown."""


class Began(NamedTuple):
    """An epoch, as the event of its record tells it."""

    epoch: str
    parent: str
    first_offset: int


class Told(NamedTuple):
    """One event, as far as it concerns rows."""

    epoch: str
    offset: int
    written: tuple[Written, ...] = ()
    whole: bool = True
    """Whether these are all its writes."""
    began: Began | None = None


class _Write(msgspec.Struct):
    table: str
    key: msgspec.Raw
    op: str
    after_sha256: str | msgspec.UnsetType | None = msgspec.UNSET


class _Ours(msgspec.Struct):
    kind: str = ""
    writes: tuple[_Write, ...] = ()
    writes_more: int = 0
    args: msgspec.Raw = msgspec.Raw(b"null")


class _Event(msgspec.Struct):
    unmapped: _Ours


def told_of(lines: Sequence[bytes], places: Sequence[tuple[str, int]]) -> tuple[Told, ...]:
    """What the events of one batch say, whose (epoch, offset) are known."""
    return tuple(_told(line, epoch, offset) for line, (epoch, offset) in zip(lines, places, strict=True))


def _told(line: bytes, epoch: str, offset: int) -> Told:
    try:
        ours = _decode(line).unmapped
        written = tuple((each.table, bytes(each.key), _after(each)) for each in ours.writes)
        began = _decode_epoch(ours.args) if ours.kind == "epoch" else None
    except (ValueError, RecursionError):  # Of another shape: it is there, and that is all that is known of it.
        return Told(epoch, offset, whole=False)
    return Told(epoch, offset, written, whole=not ours.writes_more, began=began)


def _after(write: _Write) -> bytes | None:
    if write.after_sha256 is msgspec.UNSET:
        return None if write.op == "delete" else HIDDEN
    if write.after_sha256 is None:
        return None
    found = bytes.fromhex(write.after_sha256)
    if len(found) != sha256().digest_size:
        raise ValueError("expected a SHA-256")
    return found


class _Epoch(msgspec.Struct):
    epoch: str
    parent: str
    first_offset: int


def _decode_epoch(args: msgspec.Raw) -> Began:
    found = _decode_began(args)
    return Began(found.epoch, found.parent, found.first_offset)


_decode: Final = msgspec.json.Decoder(_Event).decode
_decode_began: Final = msgspec.json.Decoder(_Epoch).decode
