"""First answers between RAM and a snapshot's system part: what Windows holds, as plain values and back.

Laws: nothing is added and nothing left out, so that a store which went on from a snapshot remembers exactly what one
that replayed the whole log remembers: the same answers, in the same order, to be forgotten at the same moments.
Totals are not written: they follow.
"""

from typing import TypeAlias

import msgspec

from store.engine.idempotency import FirstAnswer, Kept, Window, Windows
from store.ids import ClientId, Offset, Timestamp

KeptAnswer: TypeAlias = bytes | tuple[Offset, str, bytes, bytes]
"""A small record itself, or of a large one (offset, outcome, value, digest)."""


class RememberedClient(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One client's window."""

    issuer: str
    subject: str
    client: ClientId
    acknowledged: int
    last: Timestamp
    """When it last called."""
    answers: tuple[tuple[int, KeptAnswer], ...]
    """By sequence, in the order in which they were given."""


class RememberedKey(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One string key."""

    issuer: str
    subject: str
    key: str
    timestamp: Timestamp
    answer: KeptAnswer


class Remembered(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """All first answers there are."""

    sweep_at: Timestamp
    clients: tuple[RememberedClient, ...]
    """In the order in which their windows began."""
    keys: tuple[RememberedKey, ...]
    """Oldest first: in this order they are forgotten."""


def dump_windows(windows: Windows) -> Remembered:
    """What is remembered, as a value."""
    clients = tuple(
        RememberedClient(
            issuer=sender[0],
            subject=sender[1],
            client=client,
            acknowledged=window.acknowledged,
            last=window.last,
            answers=tuple((sequence, _dump(kept)) for sequence, kept in window.answers.items()),
        )
        for (sender, client), window in windows._clients.items()  # noqa: SLF001  # See load_windows.
    )
    keys = tuple(
        RememberedKey(sender[0], sender[1], key, timestamp, _dump(kept))
        for (sender, key), (timestamp, kept) in windows._keys.items()  # noqa: SLF001  # See load_windows.
    )
    return Remembered(windows.sweep_at, clients, keys)


def load_windows(windows: Windows, remembered: Remembered) -> None:
    """Fill windows that are empty. It lies beside them, not in them: they are on every call's way, this is not."""
    assert not windows.clients
    windows.sweep_at = remembered.sweep_at
    total = windows._total  # noqa: SLF001  # As said above.
    for each in remembered.clients:
        window = windows._clients[(each.issuer, each.subject), each.client] = Window(total)  # noqa: SLF001  # As above.
        window.acknowledged, window.last = each.acknowledged, each.last
        for sequence, kept in each.answers:
            window.answers[sequence] = answer = _load(kept)
            if isinstance(answer, FirstAnswer):
                window.size += _size(answer)
        total.answers += len(window.answers)
        total.size += window.size
    for key in remembered.keys:
        answer = _load(key.answer)
        windows._keys[(key.issuer, key.subject), key.key] = (key.timestamp, answer)  # noqa: SLF001  # As above.
        windows._keys_size += len(key.key) + _size(answer)  # noqa: SLF001  # As above.


def _dump(kept: Kept) -> KeptAnswer:
    return (kept.offset, kept.outcome, kept.value, kept.digest) if isinstance(kept, FirstAnswer) else kept


def _load(kept: KeptAnswer) -> Kept:
    return kept if isinstance(kept, bytes) else FirstAnswer(*kept)


def _size(kept: Kept) -> int:
    return len(kept) if isinstance(kept, bytes) else len(kept.value) + len(kept.digest)
