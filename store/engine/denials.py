"""Who was turned away, in the log: one record each while they are few, counted and summarised under a flood.

A call that cannot be read, or names no reducer, counts among them.

Laws: no denial's number is lost: what has no record of its own is counted, and the count is a record when its interval
ends, or at a stop. A stranger cannot fill the disk: an interval holds a bounded number of bounded records. While the
disk is low nothing is written and the count grows. A crash loses the count of the interval that ran, and records of the
last moments that were not durable: an answer that says no waits for no disk, for it rests on no transaction.
"""

from collections.abc import Callable
from functools import partial
from typing import Final

import msgspec

from store.engine.admission import Admission
from store.engine.housekeeping import DISK, Housekeeping
from store.engine.identity import Caller
from store.engine.write_path import WritePath
from store.errors import CallError, Denied, MalformedCall, Overloaded, UnknownReducer
from store.ids import Timestamp
from store.transaction import Kind
from store.values import encode

INTERVAL_S: Final = 10.0
"""Seconds over which denials without a record of their own are counted, before they are summarised."""
EACH_MAX: Final = 3
"""Denials of one source for one reason within one second that have a record of their own."""
SINGLE_MAX: Final = 30
"""Denials within one interval that have a record of their own, whoever is denied."""
SOURCES_MAX: Final = 1_024
"""Sources that are told apart while an interval runs; further ones are counted together."""
SOURCES_TOLD: Final = 10
"""Sources that a summary names, those with the most denials."""
REASONS_MAX: Final = 64
"""Reasons that a summary tells apart; further ones are counted together."""
TEXT_MAX: Final = 200
"""Characters of anything a stranger said that a record holds."""
RECORD_SIZE_MAX: Final = 8 << 10
"""Bytes of any of these records, identity records of token holders aside: a bound for what a flood can write,
(SINGLE_MAX + 1) * RECORD_SIZE_MAX in an interval, which is 25 KiB a second; those of strangers have about 300 bytes."""

HOST_MAX: Final = 64
"""Characters of an address."""
OTHER: Final = "other"
TOLD: Final = frozenset({"call", "message"})
"""Acts of which more is told than that they were denied: also that nobody could read them."""
SUMMARY: Final = "denials"
"""What a record of many denials is called, in the place of the act."""


def is_told(act: str, error: CallError) -> bool:
    """Whether the log is told: of every denial, and of a call that cannot be read or names no reducer."""
    return isinstance(error, Denied) or (isinstance(error, MalformedCall | UnknownReducer) and act in TOLD)


class Summary(msgspec.Struct, frozen=True):
    """What a record of many denials holds in its args, as a map."""

    count: int
    first: Timestamp
    last: Timestamp
    reasons: dict[str, int]
    """By act and reason, as `call/denied`; "other" for those past REASONS_MAX."""
    sources: dict[str, int]
    """The sources with the most denials."""
    others: int
    """Denials of all other sources."""


class Denials:
    """The log's account of who was turned away."""

    def __init__(
        self,
        write_path: WritePath,
        admission: Admission,
        housekeeping: Housekeeping,
        *,
        wall: Callable[[], Timestamp],
        monotonic: Callable[[], float],
    ) -> None:
        self._write_path: Final = write_path
        self._admission: Final = admission
        self._housekeeping: Final = housekeeping
        self._wall: Final = wall
        self._monotonic: Final = monotonic
        self.recorded = 0
        """Denials with a record of their own, since the start."""
        self.summarised = 0
        """Denials in summaries that are records, since the start."""
        self._begin_interval()
        self._second = self._began
        self._recent: dict[tuple[str, str], int] = {}

    @property
    def counted(self) -> int:
        """Denials that wait for their summary."""
        return self._count

    def note(
        self, act: str, error: CallError, *, door: str, target: str, source: str, caller: Caller | None = None
    ) -> None:
        """Somebody was denied an `act`: authenticate, call, query, subscribe, operate; or sent what cannot be read.

        `target` is what it was about, a path or a name; `source` is host:port; `caller` is who, where that is known.
        Of what cannot be read nothing is kept but its code: an error's text may quote an argument that no log may hold.
        """
        host, kind = _text(source.rpartition(":")[0], HOST_MAX), f"{act}/{error.code}"
        if not (self._may_write() and self._is_few(host, kind)):
            self._add(host, kind)
            return
        said = _text(str(error)) if isinstance(error, Denied) else error.code
        source = _text(source, HOST_MAX)
        record = partial(
            self._write_path.record,
            Kind.DENIED,
            act,
            encode({"door": door, "target": _text(target), "reason": said}),
            source=source,
            outcome=error.code,
            value=encode([said, {}, ""]),
        )
        try:
            record(caller=caller)
        except Overloaded:  # The log holds as many identities as it may.
            record()
        self._single += 1
        self.recorded += 1

    def look(self) -> None:
        """With every round of housekeeping: summarise what was counted, once its interval is over."""
        if self._monotonic() - self._began >= INTERVAL_S:
            self.summarise()

    def summarise(self, *, stopping: bool = False) -> None:
        """Record what was counted, where there is room for it, and begin anew; at a stop the last room does."""
        if self._count:
            if not self._may_write(stopping=stopping):
                return
            told = dict(sorted(self._sources.items(), key=lambda each: (-each[1], each[0]))[:SOURCES_TOLD])
            summary = Summary(
                count=self._count,
                first=self._first,
                last=self._last,
                reasons=dict(sorted(self._reasons.items())),
                sources=told,
                others=self._count - sum(told.values()),
            )
            self._write_path.record(Kind.DENIED, SUMMARY, encode(msgspec.to_builtins(summary)), outcome=Denied.code)
            self.summarised += self._count
        self._begin_interval()

    def _begin_interval(self) -> None:
        self._began = self._monotonic()
        self._single = 0
        self._count = 0
        self._first = self._last = Timestamp(0)
        self._reasons: dict[str, int] = {}
        self._sources: dict[str, int] = {}

    def _may_write(self, *, stopping: bool = False) -> bool:
        """Whether the disk has room to spare for this."""
        low = DISK in self._admission.reasons or self._write_path.is_full
        return self._housekeeping.has_room and (stopping or not low)

    def _is_few(self, host: str, kind: str) -> bool:
        now = self._monotonic()
        if now - self._second >= 1.0:
            self._second = now
            self._recent = {}
        if self._single >= SINGLE_MAX:
            return False
        seen = self._recent.get((host, kind), 0)
        self._recent[host, kind] = seen + 1  # No more than SINGLE_MAX of them come here in an interval.
        return seen < EACH_MAX

    def _add(self, host: str, kind: str) -> None:
        self._count += 1
        self._last = self._wall()
        self._first = self._first or self._last
        kind = kind if kind in self._reasons or len(self._reasons) < REASONS_MAX else OTHER
        self._reasons[kind] = self._reasons.get(kind, 0) + 1
        if host in self._sources or len(self._sources) < SOURCES_MAX:
            self._sources[host] = self._sources.get(host, 0) + 1


def _text(said: str, length_max: int = TEXT_MAX) -> str:
    """What a stranger said, short, and as text that a log can keep."""
    return said[:length_max].encode("utf-8", "backslashreplace").decode()[:length_max]
