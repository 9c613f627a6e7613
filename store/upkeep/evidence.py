"""What a log says of its rows' fingerprint: how it changes from one offset to another, and what it must be at one.

Laws: a fingerprint is a sum over rows, and every record holds its rows before and after; so two snapshots and the log
between them are three witnesses, of whom each can be held against the other two. Everything is only read.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Final

from store.engine.replay import records
from store.env.world import Disk
from store.errors import CorruptionError
from store.fingerprint import show_sum, sum_rows
from store.ids import Offset
from store.log.reader import LogReader
from store.snapshot.format import Manifest
from store.transaction import Write
from store.upkeep.history import look

Told = Callable[[int, int], None]

CHECKING_LOG: Final = "checking log"
"""The phase in which changes are added up; its steps are bytes."""


def changes(disk: Disk, behind: Offset, through: Offset, told: Told | None = None) -> Iterator[tuple[Offset, int]]:
    """(offset, what it adds to the fingerprint's sum) of each transaction behind one offset through another.

    It ends early where the log does. CorruptionError, FileNotFoundError: as the reader.
    """
    if behind == through:
        return
    for batch in LogReader(disk, from_offset=Offset(behind + 1), through=through, progress=told):
        for transaction, _ in records(batch):
            if behind < transaction.offset <= through:
                yield transaction.offset, _change(transaction.writes)


def fingerprint_at(disk: Disk, offset: Offset, told: Told | None = None) -> str | None:
    """What the rows' fingerprint was there, by the log and the nearest snapshot that holds; None: neither tells.

    Snapshots are taken at their word, and the log at its own: whoever wants their rows proven restores.
    """
    history = look(disk)
    leading = history.stretch_of(offset)
    bases = [] if leading is None else leading.bases_of(offset)
    for each in history.stretches:  # Log that leads from there to a later snapshot tells as much.
        if each.segments and each.segments[0].first_offset <= offset + 1 <= each.first:
            bases += [base for base in reversed(each.bases) if base.offset >= offset]  # The nearest first.
    for base in bases:
        try:
            return _from(disk, base, offset, told)
        except (CorruptionError, FileNotFoundError):
            continue  # Another may tell.
    return None


def _from(disk: Disk, base: Manifest | None, offset: Offset, told: Told | None) -> str:
    at, total = (Offset(0), 0) if base is None else (base.offset, int(base.fingerprint, 16))
    behind, through = min(at, offset), max(at, offset)
    last = behind
    for each, change in changes(disk, behind, through, told):
        last, total = each, total + (change if at <= offset else -change)
    if last != through:
        raise FileNotFoundError(f"the log ends behind offset {last}")
    return show_sum(total)


def _change(writes: Sequence[Write]) -> int:
    """What a transaction adds to the fingerprint's sum: its rows after, without its rows before."""
    change = 0
    for table_id, _, _, before, after in writes:
        change += sum_rows(table_id, () if after is None else (after,))
        change -= sum_rows(table_id, () if before is None else (before,))
    return change
