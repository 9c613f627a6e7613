"""What happened, counted: by whom, what, and how it ended. For people who read reports, not for verdicts.

Laws: it is counted batch by batch and added up. What has too many names is counted under one: a hostile trail cannot
fill the memory. An event that says less than others is counted with what it says.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, TypeVar

import msgspec

Name = TypeVar("Name")

NAMES_MAX: Final = 5_000
"""Actors, actions and sources that are counted by name; the others are counted together."""
DENIALS_MAX: Final = 100
"""Denials that are kept one by one; starts and operators' acts, too."""
TEXT_MAX: Final = 200
"""Characters that are kept of a name."""
OTHERS: Final = "(others)"
DAY: Final = 86_400_000_000
"""Microseconds."""


class _User(msgspec.Struct):
    uid: str = ""
    domain: str = ""


class _Actor(msgspec.Struct):
    user: _User = msgspec.field(default_factory=_User)


class _Api(msgspec.Struct):
    operation: str = ""


class _Endpoint(msgspec.Struct):
    ip: str = ""


class _Ours(msgspec.Struct):
    kind: str = ""
    timestamp: int = 0
    args: msgspec.Raw = msgspec.Raw(b"null")
    reason: str = ""


class _Metadata(msgspec.Struct):
    sequence: int = 0


class _Event(msgspec.Struct):
    status_id: int = 0
    status_code: str = ""
    status_detail: str = ""
    actor: _Actor = msgspec.field(default_factory=_Actor)
    api: _Api = msgspec.field(default_factory=_Api)
    src_endpoint: _Endpoint = msgspec.field(default_factory=_Endpoint)
    unmapped: _Ours = msgspec.field(default_factory=_Ours)
    metadata: _Metadata = msgspec.field(default_factory=_Metadata)


class _Summary(msgspec.Struct):
    """The arguments of an event that stands for many denials."""

    count: int = 0


class _Named(msgspec.Struct):
    """What the same arguments name."""

    reasons: dict[str, int] = {}
    sources: dict[str, int] = {}
    others: int = 0


class _What(msgspec.Struct):
    """What an operator's act says of itself."""

    what: str = ""
    """Which of the acts on a trail it is."""
    state: str = ""
    failed: str = ""
    """Why, in what the server did for somebody."""


@dataclass(frozen=True)
class Denial:
    """One denied request, or a summary of many."""

    seq: int
    timestamp: int
    actor: str
    source: str
    action: str
    reason: str
    count: int


@dataclass(frozen=True)
class Done:
    """What one operator did, or began to do."""

    seq: int
    timestamp: int
    actor: str
    action: str
    ended: str
    """How, as far as the event says: done, failed, begun, not in force; "" where it only says that it was."""


Action = tuple[str, str]
"""(kind, operation)."""


@dataclass
class Tally:
    """Events, added up."""

    events: int = 0
    failures: int = 0
    denied: int = 0
    """Denied requests, those in summaries included."""
    actions: Counter[Action] = field(default_factory=Counter)
    failed_actions: Counter[Action] = field(default_factory=Counter)
    actors: Counter[str] = field(default_factory=Counter)
    failed_actors: Counter[str] = field(default_factory=Counter)
    last_seen: dict[str, int] = field(default_factory=dict)
    """By actor: the timestamp of the last event."""
    sources: Counter[str] = field(default_factory=Counter)
    outcomes: Counter[str] = field(default_factory=Counter)
    days: Counter[int] = field(default_factory=Counter)
    """By day since 1970."""
    starts: list[tuple[int, int]] = field(default_factory=list)
    """(event, timestamp) of each start of the store, the first so many."""
    denials: list[Denial] = field(default_factory=list)
    done: list[Done] = field(default_factory=list)
    """By operators, the first so many."""
    done_count: int = 0

    def add(self, other: "Tally") -> None:
        """Add what was counted elsewhere, which came later."""
        self.events += other.events
        self.failures += other.failures
        self.denied += other.denied
        _add(self.actions, other.actions, ("", OTHERS))
        _add(self.failed_actions, other.failed_actions, ("", OTHERS))
        _add(self.actors, other.actors, OTHERS)
        _add(self.failed_actors, other.failed_actors, OTHERS)
        _add(self.sources, other.sources, OTHERS)
        _add(self.outcomes, other.outcomes, OTHERS)
        _add(self.days, other.days, -1)
        for actor, at in other.last_seen.items():
            if actor in self.actors:
                self.last_seen[actor] = max(at, self.last_seen.get(actor, 0))
        self.starts += other.starts[: max(0, DENIALS_MAX - len(self.starts))]
        self.denials += other.denials[: max(0, DENIALS_MAX - len(self.denials))]
        self.done += other.done[: max(0, DENIALS_MAX - len(self.done))]
        self.done_count += other.done_count


def tally_of(lines: Sequence[bytes]) -> Tally:
    """What one batch's events say."""
    found = Tally()
    for line in lines:
        try:
            event = _decode(line)
        except (ValueError, RecursionError):  # Of another shape: it is there, and that is all that is known of it.
            event = _Event()
        _count(found, event)
    return found


def _count(found: Tally, event: _Event) -> None:
    ours, user = event.unmapped, event.actor.user
    kind = "call" if ours.kind == "failed_call" else ours.kind[:TEXT_MAX]
    action = kind, event.api.operation[:TEXT_MAX]
    actor = (f"{user.domain}/{user.uid}" if user.domain else user.uid)[:TEXT_MAX]
    found.events += 1
    found.actions[action] += 1
    found.actors[actor] += 1
    found.last_seen[actor] = ours.timestamp
    found.days[ours.timestamp // DAY] += 1
    if event.src_endpoint.ip:
        found.sources[event.src_endpoint.ip[:TEXT_MAX]] += 1
    if event.status_id == 2:
        found.failures += 1
        found.failed_actions[action] += 1
        found.failed_actors[actor] += 1
        found.outcomes[event.status_code[:TEXT_MAX]] += 1
    if action == ("lifecycle", "start") and len(found.starts) < DENIALS_MAX:
        found.starts.append((event.metadata.sequence, ours.timestamp))
    if ours.kind == "admin" and user.domain:  # The store's own acts have none.
        found.done_count += 1
        if len(found.done) < DENIALS_MAX:
            seq, (what, ended) = event.metadata.sequence, _told(ours.args)
            name = f"{action[1]}: {what}" if what else action[1]
            found.done.append(Done(seq, ours.timestamp, actor, name, ended))
    if ours.kind == "denied" or event.status_code == "denied":
        count = _summed(ours.args) if action[1] == "denials" else 1
        found.denied += count
        if len(found.denials) < DENIALS_MAX:
            reason = (event.status_detail or ours.reason or _named(ours.args))[:TEXT_MAX]
            seq, source = event.metadata.sequence, event.src_endpoint.ip[:TEXT_MAX]
            found.denials.append(Denial(seq, ours.timestamp, actor, source, action[1], reason, count))


def _summed(args: msgspec.Raw) -> int:
    try:
        return max(1, _decode_summary(args).count)
    except ValueError:
        return 1


def _named(args: msgspec.Raw) -> str:
    """Why and from where many were denied, as their summary says; "" where it says nothing."""
    try:
        found = _decode_named(args)
    except (ValueError, RecursionError):
        return ""
    sources = found.sources | ({"others": found.others} if found.others else {})
    reasons, addresses = (
        ", ".join(f"{name} {number:,}" for name, number in each.items()) for each in (found.reasons, sources)
    )
    return f"{reasons}; from {addresses}" if reasons and addresses else reasons


def _told(args: msgspec.Raw) -> tuple[str, str]:
    """(which act on a trail it was, how it ended), as [what was done, who asked] says; "" where it does not."""
    try:
        (what, *_) = _decode_acts(args)
        return what.what[:TEXT_MAX], what.state[:TEXT_MAX] or ("failed" if what.failed else "")
    except (ValueError, RecursionError):
        return "", ""


def _add(into: Counter[Name], more: Counter[Name], others: Name) -> None:
    for name, number in more.items():
        into[name if name in into or len(into) < NAMES_MAX else others] += number


_decode: Final = msgspec.json.Decoder(_Event).decode
_decode_acts: Final = msgspec.json.Decoder(tuple[_What, msgspec.Raw]).decode
_decode_summary: Final = msgspec.json.Decoder(_Summary).decode
_decode_named: Final = msgspec.json.Decoder(_Named).decode
