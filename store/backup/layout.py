"""The names of a backup's objects, and how large each may be.

Laws: a name says what is in the object, so whoever stores the same thing stores it under the same name, and two who
store different things do not meet. What has another name is foreign: it is named, and never read.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Literal

from store.env.world import OBJECT_SIZE_MAX
from store.ids import Offset, Timestamp

MARKER: Final = "backup.json"
"""Says that this is a backup, of which store, and whether it is encrypted."""

Kind = Literal["marker", "key", "block", "snapshot", "segment", "push", "pin"]

CHAIN_DIGITS: Final = 16
"""Of a chain value in a name: enough to tell histories apart, too few to prove one; the index holds it whole."""

PIN_DIGITS: Final = 16
"""Of a hash in a pin's name."""

SEGMENT_SIZE_MAX: Final = 512 << 20
"""Bytes of a segment that can be pushed. A segment passes log.segment_size_max by what one sync covers."""
BLOCK_SIZE_MAX: Final = 512 << 20
"""Bytes of a block that can be pushed. Those of rows are far smaller; that of the system holds every first answer."""
MANIFEST_SIZE_MAX: Final = 256 << 20
INDEX_SIZE_MAX: Final = 256 << 20
SMALL_SIZE_MAX: Final = 64 << 10
"""Bytes of a marker, a key or a pin."""

SIZE_MAX: Final[dict[Kind, int]] = {
    "marker": SMALL_SIZE_MAX,
    "key": SMALL_SIZE_MAX,
    "block": BLOCK_SIZE_MAX,
    "snapshot": MANIFEST_SIZE_MAX,
    "segment": SEGMENT_SIZE_MAX,
    "push": INDEX_SIZE_MAX,
    "pin": SMALL_SIZE_MAX,
}
"""Bytes of what is in an object, before it is compressed and encrypted: nothing larger is unpacked."""

assert max(SIZE_MAX.values()) < OBJECT_SIZE_MAX  # With room for what encryption adds.

_PATTERNS: Final[dict[Kind, re.Pattern[str]]] = {
    "marker": re.compile(r"backup\.json"),
    "key": re.compile(r"keys/([0-9a-f]{32})-([0-9a-f]{16})\.json"),
    "block": re.compile(r"block/([0-9a-f]{64})\.blk"),
    "snapshot": re.compile(r"snapshot/([0-9]{20})-([0-9a-f]{16})\.json"),
    "segment": re.compile(r"log/([0-9]{20})-([0-9]{20})-([0-9a-f]{16})\.log\.zst"),
    "push": re.compile(r"push/([0-9]{8}T[0-9]{6}\.[0-9]{6}Z)-([0-9a-f]{8})\.json"),
    "pin": re.compile(r"pin/([0-9a-f]{32})-([0-9a-f]{16})\.json"),
}


@dataclass(frozen=True)
class ObjectName:
    """An object's name, taken apart."""

    text: str
    kind: Kind
    parts: tuple[str, ...]


def parse(name: str) -> ObjectName | None:
    """What a name says, or None: it is foreign."""
    for kind, pattern in _PATTERNS.items():
        found = pattern.fullmatch(name)
        if found is not None and (kind != "push" or _is_moment(found[1])):
            return ObjectName(name, kind, found.groups())
    return None


def block_object(digest: str) -> str:
    """Of a block, by 64 hex digits: its SHA-256, or that under a key."""
    return f"block/{digest}.blk"


def snapshot_object(offset: Offset, chain: bytes) -> str:
    """Of a snapshot's manifest."""
    return f"snapshot/{offset:020d}-{chain.hex()[:CHAIN_DIGITS]}.json"


def segment_object(first: Offset, last: Offset, chain: bytes) -> str:
    """Of a sealed segment; `chain` is the one behind it."""
    return f"log/{first:020d}-{last:020d}-{chain.hex()[:CHAIN_DIGITS]}.log.zst"


def push_object(at: Timestamp, dice: bytes) -> str:
    """Of what one push notes; by name they are in the order of their clocks."""
    moment = datetime.fromtimestamp(at // 1_000_000, UTC)
    return f"push/{moment:%Y%m%dT%H%M%S}.{at % 1_000_000:06d}Z-{dice.hex()}.json"


def moment_after(push: str) -> Timestamp:
    """The microsecond behind the one in a push's name."""
    return Timestamp(moment_of(push) + 1)


def moment_of(push: str) -> Timestamp:
    """The one in a push's name: when it was noted, by the clock of whoever pushed."""
    whole, fraction = push[len("push/") :].split("Z", maxsplit=1)[0].split(".")
    seconds = datetime.strptime(whole, "%Y%m%dT%H%M%S").replace(tzinfo=UTC).timestamp()
    return Timestamp(int(seconds) * 1_000_000 + int(fraction))


def _is_moment(text: str) -> bool:
    """Whether digits that look like a moment are one."""
    try:
        return datetime.strptime(text, "%Y%m%dT%H%M%S.%fZ").replace(tzinfo=UTC).year >= _FIRST_YEAR
    except ValueError:
        return False


_FIRST_YEAR: Final = 1970


def key_object(data_key: str, operator_key: str) -> str:
    """Of a data key, wrapped under an operator's key."""
    return f"keys/{data_key}-{operator_key}.json"


def pin_object(epoch: str, digest: str) -> str:
    """Of a pin that was set while an epoch was in force; `digest` is of what it says, in hex digits."""
    return f"pin/{epoch}-{digest[:PIN_DIGITS]}.json"


def snapshot_file(offset: Offset) -> str:
    """A manifest's name in a data directory."""
    return f"snapshot/{offset:020d}.json"


def block_file(digest: str) -> str:
    """A block's name in a data directory, by its SHA-256."""
    return f"block/{digest}.blk"
