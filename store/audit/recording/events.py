"""One event for each record of the log: a line of JSON with the names of OCSF 1.8.0 where they fit; FORMAT.md §4.

Laws: an event is a pure function of its record, of what earlier records said (`Context`), of its place in log and
trail, and of the keys. Every record has one, whatever is in it. Members are sorted and there are no spaces, so that the
same event has the same bytes. A line is put together from texts that are kept, because calls are nearly all there is.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, Final, NamedTuple

import msgspec

from store.audit.objects.json_form import to_json, to_json_text
from store.audit.recording.context import NOBODY_KNOWN, STORE, Context, Declared
from store.audit.recording.members import (
    ARGS_SIZE_MAX,
    UNREADABLE,
    call_key_member,
    decode_array,
    digest_of,
    endpoint,
    failure,
    half_write,
    hidden_write,
    other_args,
    reading_args,
    sized_args,
    spell_key,
    value_member,
)
from store.audit.recording.redaction import (
    event_key,
    hides,
    keyed_hash,
    place_of,
    show,
)
from store.audit.recording.taxonomy import KIND_NAMES, OP_NAMES, OTHER, PRODUCT, act_of, members_of
from store.codec import NIL
from store.engine.acts import person_of
from store.env.subjects import SubjectKeys
from store.transaction import COMMITTED, Kind, Transaction, Write

OCSF_VERSION: Final = "1.8.0"
EVENT_VERSION: Final = 1
WRITES_MAX: Final = 4_096
"""Writes an event names; of further ones it gives the number."""
_KEPT_MAX: Final = 4_096
"""Callers whose texts are kept."""

_CALLS: Final = frozenset({int(Kind.CALL), int(Kind.FAILED_CALL), int(Kind.SCHEDULE), int(Kind.STREAM)})


class Texts(NamedTuple):
    """What is the same in all events of one caller's calls to one reducer."""

    head: str
    """Up to the sequence."""
    middle: str
    """From behind the uid up to the status."""
    tail: str
    """From the type up to the first member of ours."""
    kind: str
    """From the identity up to the offset."""
    end: str
    """From behind the last member of ours on."""


class Events:
    """Writes the events of one log, in order."""

    def __init__(self, log: str, context: Context, keys: SubjectKeys) -> None:
        """`context` is as of the record before the first, and is kept up by `of`."""
        self._log: Final = log
        self.context: Final = context
        self._keys: Final = keys
        self._texts: Final[dict[tuple[int, str, int, int, str], Texts]] = {}
        self._names: Final[dict[str, tuple[str, ...]]] = {}
        """A reducer's parameters, where none of them has a rule."""
        self._ends: Final[dict[int, str]] = {}
        self._sensitive: frozenset[int] | None = None
        """The tables whose rows and keys are hidden; None: there may be any."""
        self._may_hide = True
        self._find_sensitive()
        self._second = ""
        self._second_text = ""

    def of(self, raw: bytes | msgspec.Raw, record: Transaction, *, sequence: int, epoch: str) -> bytes:
        """The line, without its newline, of a record, whose bytes are `raw`; `epoch` is 32 hex digits."""
        if record.kind not in _CALLS and self.context.absorb(record):
            self._forget()
        caller = (record.kind, record.reducer, record.identity, record.connection, record.source)
        head, middle, tail, kind, end = self._texts.get(caller) or self._keep(caller, record)
        args, key = self._args(record, epoch)
        hidden = key
        if self._may_hide and key is None and self._writes_sensitive(record.writes):
            hidden = event_key(self._keys)
        hashed = (
            f'"record_sha256":"{sha256(raw).hexdigest()}'
            if hidden is None
            else f'"record_hmac":"{keyed_hash(hidden, "record", bytes(raw))}'
        )
        number, timestamp = str(sequence), str(record.timestamp)
        second, micros, millis = timestamp[:-6], timestamp[-6:], timestamp[:-3]
        if len(timestamp) <= _EARLY:
            second, micros, millis = _early(record.timestamp)
        if second != self._second:
            self._second, self._second_text = second, _second_text(int(second))
        status, reason = _COMMITTED if record.outcome == COMMITTED else failure(record, hidden=key is not None)
        call_key = "" if record.call_key is None else call_key_member(record.call_key)
        value = "" if record.value == NIL else value_member(record.value, hidden)
        return (
            f'{head}{number},"uid":"{self._log}/{number}{middle}{status},"time":{millis}'
            f',"time_dt":"{self._second_text}.{micros}{tail}{args}{call_key}"epoch":"{epoch}{kind}'
            f'{record.offset}{reason},{hashed}","schema_version":{record.schema_version}'
            f',"timestamp":{timestamp},"v":{EVENT_VERSION}{value}'
            f"{self._writes(record.writes, key, hidden) if record.writes else ''}{end}"
        ).encode()

    def _forget(self) -> None:
        self._texts.clear()
        self._names.clear()
        self._ends.clear()
        self._find_sensitive()

    def _find_sensitive(self) -> None:
        names, tables = self.context.sensitive, self.context.tables.items()
        self._sensitive = None if names is None else frozenset(id_ for id_, name in tables if name in names)
        self._may_hide = self._sensitive is None or bool(self._sensitive)

    def _is_sensitive(self, table: int) -> bool:
        return self._sensitive is None or table in self._sensitive

    def _writes_sensitive(self, writes: Sequence[Write]) -> bool:
        return any(self._is_sensitive(table) for table, *_ in writes)

    def _keep(self, caller: tuple[int, str, int, int, str], record: Transaction) -> Texts:
        if len(self._texts) >= _KEPT_MAX:
            self._texts.clear()
        made = self._make_texts(record)
        if record.kind in _CALLS:  # Who did an operator's act stands in its arguments.
            self._texts[caller] = made
        return made

    def _make_texts(self, record: Transaction) -> Texts:
        act = act_of(record.kind, record.reducer)
        issuer, subject = self._actor(record)
        actor: dict[str, Any] = {"user": {"domain": issuer, "uid": subject}}
        if record.connection:
            actor["session"] = {"uid": str(record.connection)}
        kind = KIND_NAMES.get(record.kind, OTHER)
        wanted = members_of(act, log=self._log, name=record.reducer or kind, user=actor["user"])
        if record.source:
            wanted["src_endpoint"] = endpoint(record.source)
        said = {
            "activity_id": act.activity_id,
            "actor": actor,
            "api": {"operation": record.reducer},
            "category_uid": act.category_uid,
            "class_uid": act.class_uid,
            "severity_id": 1,
            **wanted,
        }
        before = to_json_text(dict(sorted(each for each in said.items() if each[0] < "metadata")))
        between = to_json_text(dict(sorted(each for each in said.items() if "metadata" < each[0] < "status")))
        behind = to_json_text({name: each for name, each in said.items() if name > "unmapped"})
        return Texts(
            head=f'{before[:-1]},"metadata":{{"product":{to_json_text(PRODUCT)},"sequence":',
            middle=f'","version":"{OCSF_VERSION}"}},{between[1:-1]}',
            tail=f'Z","type_uid":{act.type_uid},"unmapped":{{',
            kind=f'","identity":{record.identity},"kind":"{kind}","offset":',
            end="}}" if behind == "{}" else f"}},{behind[1:]}",
        )

    def _actor(self, record: Transaction) -> tuple[str, str]:
        """(issuer, subject) of who acted."""
        if record.kind == Kind.IDENTITY:
            return self.context.identities.get(int(record.offset), STORE)
        if record.identity:
            return self.context.identities.get(int(record.identity), NOBODY_KNOWN)
        if record.kind == Kind.DENIED and record.source:
            return NOBODY_KNOWN  # A stranger at the door.
        return (person_of(record.args) if record.kind == Kind.ADMIN else None) or STORE

    def _args(self, record: Transaction, epoch: str) -> tuple[str, bytes | None]:
        """The member `args` with the comma behind it, and the key of the event's hashes where something is hidden."""
        names = self._names.get(record.reducer)
        if names is not None and record.kind in _CALLS:
            try:
                said = to_json(dict(zip(names, decode_array(record.args), strict=True)))
            except UNREADABLE:  # Not as many as are declared, or no array.
                return self._rare_args(record, epoch)
            if len(said) <= ARGS_SIZE_MAX:  # In bytes, which are no fewer than characters.
                return f'"args":{said.decode()},', None
        return self._rare_args(record, epoch)

    def _rare_args(self, record: Transaction, epoch: str) -> tuple[str, bytes | None]:
        if record.kind not in _CALLS:
            if record.kind == Kind.READ:
                return reading_args(record, self._keys), event_key(self._keys)
            return other_args(record), None
        declared = self.context.declared.get(record.reducer)
        if declared is not None and not hides(declared):
            self._names[record.reducer] = tuple(name for name, _ in declared)
        try:
            values = decode_array(record.args)
            if declared is not None and len(values) == len(declared):
                return self._declared_args(declared, record, values, epoch)
        except UNREADABLE:  # No array: what is not understood is not shown.
            pass
        return f'"args":{digest_of(record.args, None)},', None

    def _declared_args(
        self, declared: Declared, record: Transaction, values: Sequence[Any], epoch: str
    ) -> tuple[str, bytes | None]:
        if not hides(declared):
            return sized_args(
                {name: value for (name, _), value in zip(declared, values, strict=True)}, record.args, None
            ), None
        place = place_of(self._log, epoch, record.offset)
        shown = show(declared, record.args, values, self._keys, place)
        return sized_args(shown.args, record.args, shown.key), shown.key

    def _writes(self, writes: Sequence[Write], key: bytes | None, hidden: bytes | None) -> str:
        """The member `writes` with the comma before it. `key` hides every row, `hidden` those of sensitive tables."""
        if hidden is not None or len(writes) > WRITES_MAX:
            return self._rare_writes(writes, key, hidden)
        said = []
        ends = self._ends
        for table, op, row_key, before, after in writes:
            end = ends.get(table * _OPS + op) or self._end(table, op)
            shown = row_key if type(row_key) is int and -_SAFE < row_key < _SAFE else spell_key(row_key, None)
            if before is None or after is None:
                said.append(f"{half_write(before, after)}{shown}{end}")
            else:
                said.append(
                    f'{{"after_sha256":"{sha256(after).hexdigest()}","before_sha256":"{sha256(before).hexdigest()}"'
                    f',"key":{shown}{end}'
                )
        return f',"writes":[{",".join(said)}]'

    def _rare_writes(self, writes: Sequence[Write], key: bytes | None, hidden: bytes | None) -> str:
        """The same, of a call that hides something, or that writes more than is named."""
        more = f',"writes_more":{len(writes) - WRITES_MAX}' if len(writes) > WRITES_MAX else ""
        if hidden is None:
            return self._writes(writes[:WRITES_MAX], None, None) + more
        said = []
        for table, op, row_key, before, after in writes[:WRITES_MAX]:
            if self._is_sensitive(table):
                shown = digest_of(msgspec.msgpack.encode(row_key), hidden)
                said.append(f"{hidden_write(before, after, hidden)}{shown}{self._end(table, op)}")
            elif key is not None:
                said.append(f"{hidden_write(before, after, key)}{spell_key(row_key, key)}{self._end(table, op)}")
            else:
                said.append(f"{half_write(before, after)}{spell_key(row_key, None)}{self._end(table, op)}")
        return f',"writes":[{",".join(said)}]{more}'

    def _end(self, table: int, op: int) -> str:
        """What a write's members end with."""
        name = to_json_text(self.context.tables.get(table, f"#{table}"))
        made = self._ends[table * _OPS + op] = f',"op":"{OP_NAMES.get(op, OTHER)}","table":{name}}}'
        return made


_SAFE: Final = 2**53
_EARLY: Final = 6
"""Digits of a moment within the first second of 1970."""
_OPS: Final = 256
"""More than there will ever be."""
_COMMITTED: Final = (',"status":"Success","status_id":1', "")


def _early(timestamp: int) -> tuple[str, str, str]:
    """Whole seconds, microseconds of the second, and milliseconds, of a moment that is too short to be cut."""
    return str(timestamp // 1_000_000), f"{timestamp % 1_000_000:06d}", str(timestamp // 1_000)


def _second_text(second: int) -> str:
    """A whole second as RFC 3339 in UTC, without its Z."""
    try:
        return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    except (ValueError, OverflowError, OSError):  # Past the year 9999: `time` says it all the same.
        return "9999-12-31T23:59:59"
