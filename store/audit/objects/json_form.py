"""Values as events show them in JSON: members sorted, no spaces, large integers as decimal strings, bytes as base64.

Laws: whatever MessagePack holds has a form. The usual value is written in one go; only what JSON cannot say by itself
is taken apart first.
"""

from datetime import datetime
from typing import Any, Final

import msgspec
import orjson

from store.audit.objects.notes import encode_base64

NUMBER_MAX: Final = 2**53 - 1
"""Integers beyond it, either way, are decimal strings."""

_OPTIONS: Final = orjson.OPT_SORT_KEYS | orjson.OPT_STRICT_INTEGER | orjson.OPT_UTC_Z


def to_json(value: Any) -> bytes:
    """The value's one form. Members whose names are no text are named by their text."""
    try:
        return orjson.dumps(value, _other, _OPTIONS)
    except TypeError:  # orjson's error is one: an integer past 2^53, a name that is no text, nesting past its limit.
        return orjson.dumps(plain(value), _other, _OPTIONS)


def to_json_text(value: Any) -> str:
    """As `to_json`."""
    return to_json(value).decode()


def plain(value: Any, depth: int = 100) -> Any:
    """A value that JSON can say, with what it cannot put into words."""
    if isinstance(value, bool) or value is None or isinstance(value, float | str):
        return value
    if isinstance(value, int):
        return value if -NUMBER_MAX <= value <= NUMBER_MAX else str(value)
    if depth == 0:
        return "nested too deeply"
    if isinstance(value, dict):
        return {
            name if isinstance(name, str) else to_json_text(name): plain(each, depth - 1)
            for name, each in value.items()
        }
    if isinstance(value, list | tuple):
        return [plain(each, depth - 1) for each in value]
    return value if isinstance(value, datetime) else plain(_other(value), depth - 1)


def _other(value: Any) -> Any:
    """What orjson has no form for."""
    if isinstance(value, bytes):
        return encode_base64(value)
    if isinstance(value, msgspec.msgpack.Ext):
        return {"ext": value.code, "data": encode_base64(bytes(value.data))}
    raise TypeError(f"MessagePack has no {type(value).__name__}")
