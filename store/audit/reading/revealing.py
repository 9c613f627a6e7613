"""What an event hides of a person, shown to whoever has that person's key.

Laws: nothing is made: a person without a key stays without one. What cannot be opened stays as it is, and is named.
"""

from collections.abc import Mapping
from typing import Any, Final

import orjson

from store.audit.objects.layout import Malformed
from store.audit.recording.redaction import open_sealed, place_of, subject_of
from store.env.subjects import SubjectKeys

EVENT_SIZE_MAX: Final = 64 << 20
"""Bytes of one event that are read."""


def reveal(line: bytes, keys: SubjectKeys, subject: str = "") -> tuple[dict[str, Any], tuple[str, ...]]:
    """(arguments, names of those that stay sealed) of a call's event, its sealed ones opened.

    With the key of `subject`, or of whomever another argument of the event names. Malformed: it is no call's event.
    """
    place, args = _read(line)
    people = [subject] if subject else [subject_of(each) for each in args.values() if isinstance(each, str | int)]
    found = [key for each in people if each and keys.known(each) and (key := keys.key_of(each)) is not None]
    shown, sealed = dict(args), []
    for name, value in args.items():
        if isinstance(value, dict) and set(value) == {"sealed"} and isinstance(value["sealed"], str):
            try:
                shown[name] = _open(found, place + b"/" + name.encode(), value["sealed"])
            except Malformed:
                sealed.append(name)
    return shown, tuple(sealed)


def _open(keys: list[bytes], place: bytes, sealed: str) -> Any:
    """With the first key that fits. Malformed: none does."""
    for key in keys:
        try:
            return open_sealed(key, place, sealed)
        except Malformed:
            continue
    raise Malformed("no key at hand opens it")


def _read(line: bytes) -> tuple[bytes, Mapping[str, Any]]:
    """What names the event's record, and its arguments."""
    try:
        said = orjson.loads(line[:EVENT_SIZE_MAX])
        inner, uid = said["unmapped"], said["metadata"]["uid"]
        args, epoch, offset = inner["args"], inner["epoch"], inner["offset"]
    except (ValueError, TypeError, LookupError):
        args = uid = epoch = offset = None
    if not (isinstance(args, dict) and isinstance(uid, str) and isinstance(epoch, str) and isinstance(offset, int)):
        raise Malformed(
            "expected the event of a call, one line of a trail's batch",
            hint="`store audit prove` writes the line beside its proof; `store audit query` finds it",
        )
    return place_of(uid.partition("/")[0], epoch, offset), args
