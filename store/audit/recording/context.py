"""What earlier records said that the events of later ones rest on: who calls, which tables, which arguments to hide.

Laws: it follows from the log alone; and from the trail's own events, so that it can be had again when the log's
beginning is gone.
"""

from collections.abc import Collection, Iterable, Mapping
from typing import Any, Final

import msgspec
import orjson

from store.engine.identity import decode_identity
from store.engine.state import System, decode_schema
from store.schema import Schema
from store.transaction import Kind, Transaction

Declared = tuple[tuple[str, str], ...]
"""A reducer's parameters in order, each with its rule as the start record says it: "" for none."""

STORE: Final = ("", "store")
"""(issuer, subject) of the store itself, whose reference is 0."""
NOBODY_KNOWN: Final = ("", "")
"""Of a stranger, and of an identity that the trail was never told."""


class Context:
    """As of the last record taken in."""

    def __init__(
        self,
        tables: Mapping[int, str] | None = None,
        identities: Mapping[int, tuple[str, str]] | None = None,
        declared: Mapping[str, Declared] | None = None,
        sensitive: Collection[str] | None = (),
    ) -> None:
        self.tables = dict(tables or {})
        """Names by id."""
        self.identities = dict(identities or {})
        """(issuer, subject) by the offset of the identity's record."""
        self.declared = dict(declared or {})
        """By reducer, as the newest start record says."""
        self.sensitive = None if sensitive is None else frozenset(sensitive)
        """The tables that it says are sensitive; None: nobody has said yet, so any may be."""
        self._changed: dict[bytes, bytes] = self._rows()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Context) and self._rows() == other._rows()

    __hash__ = None  # type: ignore[assignment]  # It changes.

    def take_changes(self) -> dict[bytes, bytes]:
        """What changed since the last time, as rows to keep, each in place of the one of its name."""
        changed, self._changed = self._changed, {}
        return changed

    def _rows(self) -> dict[bytes, bytes]:
        rows = {_IDENTITY + b"%020d" % offset: _encode(each) for offset, each in self.identities.items()}
        return {
            **rows,
            _TABLES: _encode(sorted(self.tables.items())),
            _DECLARED: _encode(sorted(self.declared.items())),
            **({} if self.sensitive is None else {_SENSITIVE: _encode(sorted(self.sensitive))}),
        }

    def _identity(self, offset: int, issuer: str, subject: str) -> None:
        self.identities[offset] = (issuer, subject)
        self._changed[_IDENTITY + b"%020d" % offset] = _encode((issuer, subject))

    def _have_tables(self, tables: Iterable[tuple[int, str]]) -> None:
        self.tables = dict(tables)
        self._changed[_TABLES] = _encode(sorted(self.tables.items()))

    def absorb(self, transaction: Transaction) -> bool:
        """Take one record in; whether anything changed. What cannot be read changes nothing."""
        try:
            if transaction.kind == Kind.IDENTITY:
                self._identity(transaction.offset, *decode_identity(transaction.args).sender)
            elif transaction.kind == Kind.SCHEMA:
                self._have_tables((each.id, each.name) for each in decode_schema(transaction.args).tables)
            elif transaction.kind == Kind.LIFECYCLE and transaction.reducer == "start":
                return self._declare(msgspec.msgpack.decode(transaction.args))
            else:
                return False
        except _UNREADABLE:  # The event shows the bytes' hash.
            return False
        return True

    def absorb_event(self, line: bytes) -> bool:
        """Take in what one of the trail's own events says; whether anything changed."""
        if not any(each in line for each in _TELLING):
            return False
        try:
            inner = orjson.loads(line)["unmapped"]
            kind, args = inner["kind"], inner["args"]
            if kind == "identity":
                self._identity(int(inner["offset"]), args["issuer"], args["subject"])
            elif kind == "schema":
                self._have_tables([(int(each["id"]), str(each["name"])) for each in args["tables"]])
            else:
                return kind == "lifecycle" and self._declare(args)
        except _UNREADABLE:
            return False
        return True

    def _declare(self, args: Any) -> bool:
        """A start's [hash of the code, {reducer: [[parameter, rule], ...]}, options, sensitive tables].

        Old ones hold less: then nothing is declared, no table is sensitive.
        """
        if not isinstance(args, list) or len(args) < 2 or not isinstance(args[1], dict):
            return False
        self.declared = {
            str(reducer): tuple((str(name), str(rule)) for name, rule in each) for reducer, each in args[1].items()
        }
        self.sensitive = frozenset(map(str, args[3] if len(args) > 3 else ()))
        self._changed[_DECLARED] = _encode(sorted(self.declared.items()))
        self._changed[_SENSITIVE] = _encode(sorted(self.sensitive))
        return True


def context_of(system: System, schema: Schema) -> Context:
    """As of a snapshot.

    What is declared, no snapshot holds: until the next start, arguments are given as hashes, and any table may be
    sensitive.
    """
    return Context(
        tables={int(each.id): each.name for each in schema.tables},
        identities={int(reference): each.sender for reference, each in system.identities},
        sensitive=None,
    )


def load_context(rows: Mapping[bytes, bytes]) -> Context:
    """From all the rows that `take_changes` ever gave. msgspec's errors where they are none."""
    tables = rows.get(_TABLES)
    declared = rows.get(_DECLARED)
    sensitive = rows.get(_SENSITIVE)
    found = Context(
        tables=None if tables is None else dict(_decode_tables(tables)),
        identities={
            int(name.removeprefix(_IDENTITY)): _decode_identity(each)
            for name, each in rows.items()
            if name.startswith(_IDENTITY)
        },
        declared=None if declared is None else dict(_decode_declared(declared)),
        sensitive=None if sensitive is None else _decode_sensitive(sensitive),
    )
    found.take_changes()
    return found


_UNREADABLE: Final = (ValueError, TypeError, LookupError, RecursionError)
"""What reading a record's inner bytes may raise; msgspec's and orjson's errors are ValueErrors."""
_TELLING: Final = (b'"kind":"identity"', b'"kind":"schema"', b'"kind":"lifecycle"')
_IDENTITY: Final = b"identity/"
_TABLES: Final = b"tables"
_DECLARED: Final = b"declared"
_SENSITIVE: Final = b"sensitive"
_encode: Final = msgspec.msgpack.Encoder().encode
_decode_tables: Final = msgspec.msgpack.Decoder(list[tuple[int, str]]).decode
_decode_identity: Final = msgspec.msgpack.Decoder(tuple[str, str]).decode
_decode_sensitive: Final = msgspec.msgpack.Decoder(list[str]).decode
_decode_declared: Final = msgspec.msgpack.Decoder(list[tuple[str, Declared]]).decode
