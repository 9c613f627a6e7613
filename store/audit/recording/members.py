"""What single members of an event say: status, arguments, keys, hashes, each as the text that stands in the line.

Laws: what is too long, or cannot be read, is its size and a hash in its place. A hash is keyed where an event hides
something, because the plain hash of something small can be guessed.
"""

from hashlib import sha256
from typing import Any, Final

import msgspec

from store.audit.objects.json_form import to_json_text
from store.audit.recording.redaction import event_key, hashed_argument, keyed_hash, without_literals
from store.codec import UNSTORABLE
from store.env.subjects import SubjectKeys
from store.transaction import CallKey, Kind, Transaction

ARGS_SIZE_MAX: Final = 1 << 16
"""Characters of a call's arguments as JSON; past it an event holds their hash instead."""
KEY_SIZE_MAX: Final = 1_024
"""Characters of a key as JSON; past it an event holds its hash instead."""
DETAIL_SIZE_MAX: Final = 2_000
"""Characters of an error's message that an event holds."""

_SYSTEM: Final = frozenset({int(Kind.LIFECYCLE), int(Kind.SCHEMA), int(Kind.EPOCH), int(Kind.IDENTITY)})
"""Kinds whose arguments are never cut: the trail's context can be had again from their events."""

UNREADABLE: Final = (*UNSTORABLE, LookupError, AttributeError)
"""What reading a record's inner bytes may raise, where a store of another version meant something else by them."""

decode_value: Final = msgspec.msgpack.Decoder().decode
decode_array: Final = msgspec.msgpack.Decoder(list[Any]).decode


def endpoint(source: str) -> dict[str, Any]:
    """A source as address and port."""
    host, colon, port = source.rpartition(":")
    if not colon or not port.isascii() or not port.isdigit():
        return {"ip": source}
    return {"ip": host.removeprefix("[").removesuffix("]"), "port": int(port)}


def failure(record: Transaction, *, hidden: bool) -> tuple[str, str]:
    """The members of the status, and `reason`, of an act that was not committed."""
    code = to_json_text(record.outcome)
    try:
        message, _, why = decode_value(record.value)
        detail, reason = str(message)[:DETAIL_SIZE_MAX], str(why or "")[:DETAIL_SIZE_MAX]
    except UNREADABLE:
        detail = reason = ""
    if hidden:  # A message may repeat an argument.
        detail = ""
    said = f',"status_detail":{to_json_text(detail)}' if detail else ""
    status = f',"status":"Failure","status_code":{code}{said},"status_id":2'
    return status, f',"reason":{to_json_text(reason)}' if reason else ""


def call_key_member(call_key: CallKey) -> str:
    """The member `call_key`, with the comma behind it: [client, sequence]."""
    client, number, _ = call_key
    return f'"call_key":{to_json_text([client, number])},'


def value_member(value: bytes, key: bytes | None) -> str:
    """The member that holds the hash of the value returned, with the comma before it; nothing where there is none."""
    if not value:
        return ""
    if key is None:
        return f',"value_sha256":"{sha256(value).hexdigest()}"'
    return f',"value_hmac":"{keyed_hash(key, "value", value)}"'


def half_write(before: bytes | None, after: bytes | None) -> str:
    """What a write begins with that may have no row before or after, up to its key."""
    new = "null" if after is None else f'"{sha256(after).hexdigest()}"'
    old = "null" if before is None else f'"{sha256(before).hexdigest()}"'
    return f'{{"after_sha256":{new},"before_sha256":{old},"key":'


def hidden_write(before: bytes | None, after: bytes | None, key: bytes) -> str:
    """The same, where rows may hold what is hidden."""
    first = "null" if after is None else f'"{keyed_hash(key, "row", after)}"'
    second = "null" if before is None else f'"{keyed_hash(key, "row", before)}"'
    return f'{{"after_hmac":{first},"before_hmac":{second},"key":'


def key_text(row_key: Any) -> str:
    """A row's key, as an event shows it that hides nothing."""
    return spell_key(row_key, None)


def spell_key(row_key: Any, key: bytes | None) -> str:
    """A row's key; of a call that hides an argument, one that is no number may hold it."""
    said = to_json_text(row_key)
    if (key is None or isinstance(row_key, int)) and len(said) <= KEY_SIZE_MAX:
        return said
    return digest_of(msgspec.msgpack.encode(row_key), key)


def sized_args(args: dict[str, Any], packed: bytes, key: bytes | None) -> str:
    """The member `args`, or their hash where they are too long."""
    said = to_json_text(args)
    return f'"args":{said if len(said) <= ARGS_SIZE_MAX else digest_of(packed, key)},'


def digest_of(packed: bytes, key: bytes | None) -> str:
    """What stands for something that is not shown."""
    if key is None:
        return f'{{"sha256":"{sha256(packed).hexdigest()}","size":{len(packed)}}}'
    return f'{{"hmac_sha256":"{keyed_hash(key, "packed", packed)}","size":{len(packed)}}}'


def other_args(record: Transaction) -> str:
    """The arguments of what is no call, as they mean something."""
    try:
        said = _meaning(record, decode_value(record.args))
    except UNREADABLE:
        return f'"args":{digest_of(record.args, None)},'
    text = to_json_text(said)
    fits = len(text) <= ARGS_SIZE_MAX or record.kind in _SYSTEM
    return f'"args":{text if fits else digest_of(record.args, None)},'


def reading_args(record: Transaction, keys: SubjectKeys) -> str:
    """What was asked of sensitive tables, without the values that it was asked with."""
    key = event_key(keys)
    try:
        sql, params = decode_array(record.args)[:2]
        shown = without_literals(sql)
        said = {
            "sql": hashed_argument(keys, sql) if shown is None else shown,
            "params": [hashed_argument(keys, each) for each in params],
            "tables": decode_value(record.value),
        }
    except UNREADABLE:
        return f'"args":{digest_of(record.args, key)},'
    return sized_args(said, record.args, key)


def _meaning(record: Transaction, args: Any) -> Any:
    if record.kind == Kind.IDENTITY:
        issuer, subject, *rest = args
        return {"issuer": issuer, "subject": subject, "scopes": rest[0] if rest else []}
    if record.kind == Kind.EPOCH:
        epoch, parent, first_offset, reason = args[:4]
        return {"epoch": epoch.hex(), "parent": parent.hex(), "first_offset": first_offset, "reason": reason}
    if record.kind == Kind.SCHEMA:
        version, tables = args[:2]
        return {"version": version, "tables": [{"id": each[0], "name": each[1]} for each in tables], "packed": args}
    return args
