"""A trail held against a snapshot: its rows are what the events up to its offset wrote last, none more, none fewer.

Laws: the trail is read forward once, a batch at a time; kept are key and hash of each row that is there. What counts
are the events of the snapshot's own history: those of one that a restore gave up do not. Where events are missing, all
that was known is forgotten, and only what is written from there on is checked; how much was not is said.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import pairwise
from typing import Final

from store.audit.reading.verifying.batch import Checked
from store.audit.reading.verifying.findings import Findings, Kind, Outcome
from store.audit.reading.verifying.writes import HIDDEN, HIDDEN_KEY, Began, Told
from store.audit.recording.members import key_text
from store.codec import UNSTORABLE
from store.engine.state import EpochRecord, decode_system
from store.errors import CorruptionError
from store.ids import Key, Offset
from store.snapshot.format import TableContent, block_file, damaged, manifest_file, snapshot_name
from store.snapshot.repository import Repository
from store.snapshot.rows import KeyReader, read_schema

SHOWN: Final = 80
"""Bytes of a key that a finding shows."""


@dataclass
class _Table:
    """What the trail says of one table's rows."""

    rows: dict[bytes, bytes] = field(default_factory=dict)
    """By key as an event spells it: SHA-256 of the row, or `HIDDEN`."""
    gone: set[bytes] = field(default_factory=set)
    """Keys that were deleted; kept only where `whole` is not."""
    whole: bool = True
    """Whether there is no row but these."""

    def write(self, key: bytes, after: bytes | None) -> None:
        """Take in one write."""
        if key.startswith(HIDDEN_KEY):  # It may have been any of those whose keys are text.
            self.rows.clear()
            self.gone.clear()
            self.whole = False
        elif after is None:
            self.rows.pop(key, None)
            if not self.whole:
                self.gone.add(key)
        else:
            self.rows[key] = after
            self.gone.discard(key)


class AgainstSnapshot:
    """One snapshot, to be met by the writes of a trail."""

    def __init__(self, repository: Repository, name: str) -> None:
        """FileNotFoundError: there is none of this name. CorruptionError: it cannot be read. DirectoryError: newer."""
        self._repository: Final = repository
        self._manifest: Final = repository.manifest(name)
        self._where: Final = f"snapshot {name}"
        self._lineage: Final = _lineage(self._epochs(), self._manifest.offset)
        self._names: Final = {f"#{each.table}": each.name for each in self._manifest.tables}
        """What a trail calls a table of whose schema it was never told."""
        self._tables: dict[str, _Table] = {}
        self._whole = True
        self._begin = 0
        """The offset from which on every event was seen; 0 before the first."""
        self._next = 0
        self._given_up = False

    def take(self, checked: Checked) -> None:
        """The events of one batch, which were read with their writes."""
        for told in checked.told:
            first, last = self._lineage.get(told.epoch, (1, 0))
            if first <= told.offset <= last and told.offset >= self._next:
                if told.offset != (self._next or 1):
                    self._forget(told.offset)
                self._begin, self._next = self._begin or told.offset, told.offset + 1
                self._absorb(told)
            elif told.began is not None and self._next > self._manifest.offset:
                self._given_up |= self._leaves(told.began)

    def rest(self, outcome: Outcome) -> None:
        """Compare with the rows, once every event was seen."""
        findings, offset = outcome.findings, self._manifest.offset
        if self._next <= offset:
            last = f"ends with offset {self._next - 1}" if self._next else "has no event of its history"
            findings.add(
                Kind.INCOMPLETE, self._where, f"the trail {last}, the snapshot is as of {offset}: not compared"
            )
            return
        if self._given_up:
            findings.add(Kind.WARNING, self._where, "the store was restored to before it: its history was given up")
        try:
            unknown = sum(self._compare(each, outcome) for each in self._with_keys())
        except CorruptionError as error:
            findings.add(Kind.TAMPER, self._where, error)
            return
        self._tell_missing(findings)
        if outcome.counts.snapshot_rows_hidden:
            outcome.not_checked.append(
                f"the bytes of {outcome.counts.snapshot_rows_hidden} rows of the snapshot: the hashes of what was last "
                "written there are keyed"
            )
        if unknown or not self._whole:
            since = f"before offset {self._begin}, where what is told without a gap begins" if not self._whole else ""
            outcome.not_checked.append(
                f"{unknown} rows of the snapshot, which were last written {since or 'under a key that is hidden'}, or "
                "rows that are missing from among such"
            )

    # What the trail says.

    def _absorb(self, told: Told) -> None:
        if not told.whole:
            self._forget(told.offset)
        for table, key, after in told.written:
            self._table(table).write(key, after)

    def _table(self, name: str) -> _Table:
        name = self._names.get(name, name)
        found = self._tables.get(name)
        if found is None:
            found = self._tables[name] = _Table(whole=self._whole)
        return found

    def _forget(self, offset: int) -> None:
        """Rows may have changed and nobody said which."""
        self._tables = {}
        self._whole = False
        self._begin = offset

    def _leaves(self, began: Began) -> bool:
        """Whether an epoch goes on from before the snapshot, on another way."""
        _, last = self._lineage.get(began.parent, (1, 0))
        return began.epoch not in self._lineage and began.first_offset <= last

    # What the snapshot says.

    def _epochs(self) -> Sequence[EpochRecord]:
        manifest = self._manifest
        file = manifest_file(snapshot_name(manifest.offset))
        try:
            system = decode_system(self._repository.system(manifest))
        except UNSTORABLE as error:
            raise damaged(f"expected a system part ({error})", file, 0) from None
        if system.last_offset != manifest.offset or not system.epochs or system.epochs[-1].epoch != manifest.epoch:
            raise damaged(f"expected a system part of offset {manifest.offset}, found another", file, 0)
        return system.epochs

    def _with_keys(self) -> Iterator[tuple[TableContent, KeyReader]]:
        schema = read_schema(self._manifest)
        for content in self._manifest.tables:
            yield content, KeyReader(self._manifest, schema, content)

    def _compare(self, table: tuple[TableContent, KeyReader], outcome: Outcome) -> int:
        """Hold a table's rows to what was written, and take away what is met; how many rows nobody can judge."""
        content, keys_of = table
        said = self._table(content.name)
        unknown = 0
        for ref in content.blocks:
            keys, rows = self._repository.block(ref)
            keys_of.compare(keys, rows, file=block_file(ref.file))
            for key, row in zip(keys, rows, strict=True):
                spelled = key_text(key).encode()
                wanted = said.rows.pop(spelled, None)
                if wanted is None and not said.whole and spelled not in said.gone:
                    unknown += 1
                elif wanted == HIDDEN:
                    outcome.counts.snapshot_rows_hidden += 1
                elif wanted == sha256(row).digest():
                    outcome.counts.snapshot_rows += 1
                else:
                    what = "is a row that nobody wrote" if wanted is None else "has other bytes than were last written"
                    outcome.findings.add(Kind.TAMPER, self._where, f"{_shown(content.name, key)} {what}")
        return unknown

    def _tell_missing(self, findings: Findings) -> None:
        for name, table in self._tables.items():
            for key in table.rows:
                shown = key[:SHOWN].decode(errors="replace")
                what = f"{name}, key {shown} is missing: it was written, and not deleted"
                findings.add(Kind.TAMPER, self._where, what)


def _lineage(epochs: Sequence[EpochRecord], offset: Offset) -> dict[str, tuple[int, int]]:
    """The first and the last offset of each epoch that led to an offset."""
    ends = [*(following.first_offset - 1 for _, following in pairwise(epochs)), offset]
    return {each.epoch.hex(): (each.first_offset, end) for each, end in zip(epochs, ends, strict=True)}


def _shown(table: str, key: Key) -> str:
    return f"{table}, key {key_text(key):.{SHOWN}}"
