"""Moments, spans and sizes as an operator writes and reads them.

Laws: a moment that is read has a time zone, since one without means two; one that is shown is shown in UTC and, where
that differs, as the clock on the wall has it.
"""

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from rich.filesize import decimal

from store.errors import ConfigError
from store.ids import Timestamp

_SPAN: Final = re.compile(r"(\d+(?:\.\d+)?)\s*(s|m|h|d|w)?")
_SECONDS: Final = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}
_MICROSECONDS: Final = 1_000_000
SPAN_MAX_S: Final = 36_500 * 86_400
"""A hundred years: what is longer cannot be told as a moment, or was mistyped."""
_SPAN_EXAMPLE: Final = "Write it as 90s, 15m, 24h, 7d or 4w"


def read_moment(text: str, flag: str) -> Timestamp:
    """An RFC 3339 time with its zone. ConfigError: it cannot be read, or it could mean two moments."""
    try:
        read = datetime.fromisoformat(text.strip())
    except ValueError:
        raise ConfigError(f"{flag} takes a time, found {text!r}", hint=_example()) from None
    if read.tzinfo is None:
        raise ConfigError(f"{flag} {text} has no time zone, so it could mean another moment", hint=_either(read))
    try:
        since = read.astimezone(UTC) - datetime.fromtimestamp(0, tz=UTC)
    except OverflowError:
        raise ConfigError(f"{flag} takes a time of this age, found {text!r}", hint=_example()) from None
    return Timestamp((since.days * 86_400 + since.seconds) * _MICROSECONDS + since.microseconds)


def read_span(text: str, flag: str) -> float:
    """Seconds, from a number with s, m, h, d or w behind it. ConfigError: it is none, or longer than SPAN_MAX_S."""
    match = _SPAN.fullmatch(text.strip())
    if match is None:
        raise ConfigError(f"{flag} takes a span, found {text!r:.60}", hint=_SPAN_EXAMPLE)
    seconds = float(match[1]) * _SECONDS[match[2] or "s"]
    if seconds > SPAN_MAX_S:
        limit = f"{SPAN_MAX_S // 86_400} days"
        raise ConfigError(f"{flag} takes a span of at most {limit}, found {text!r:.60}", hint=_SPAN_EXAMPLE)
    return seconds


def show_moment(at: Timestamp | int) -> str:
    """In UTC to the microsecond, and behind it what the clock on the wall shows, where that differs."""
    moment = datetime.fromtimestamp(0, tz=UTC) if at < 0 else _moment(at)
    said = f"{moment:%Y-%m-%d %H:%M:%S.%f} UTC"
    here = moment.astimezone()
    return said if not here.utcoffset() else f"{said} ({here:%Y-%m-%d %H:%M:%S} {here:%Z} here)"


def show_brief(at: Timestamp | int) -> str:
    """To the second, in UTC: for tables."""
    return f"{_moment(at):%Y-%m-%d %H:%M:%SZ}"


def to_text(at: Timestamp | int) -> str:
    """RFC 3339 in UTC, to the microsecond: what `--to-time` takes, and what JSON has."""
    return _moment(at).isoformat(timespec="microseconds").replace("+00:00", "Z")


def show_span(seconds: float) -> str:
    """The two largest units: 3 d 4 h, 5 min 2 s, 0.4 s."""
    if seconds < 0:
        return f"-{show_span(-seconds)}"
    if seconds < 10:
        return f"{seconds:.1f} s" if seconds >= 0.05 or not seconds else f"{seconds * 1000:.0f} ms"
    whole = round(seconds)
    for unit, name, below, lesser in ((86_400, "d", 3_600, "h"), (3_600, "h", 60, "min"), (60, "min", 1, "s")):
        if whole >= unit:
            rest = whole % unit // below
            return f"{whole // unit} {name} {rest} {lesser}" if rest else f"{whole // unit} {name}"
    return f"{whole} s"


def show_age(at: Timestamp | int, now: Timestamp | int) -> str:
    """How long ago that was."""
    return show_span(max(0, now - at) / _MICROSECONDS)


def show_bytes(count: int) -> str:
    """1.2 MB."""
    return decimal(count)


def counted(count: int, thing: str) -> str:
    """1 file, 2 files."""
    return f"{count:,} {thing}{'' if count == 1 else 's'}"


def folder_size(folder: Path) -> int:
    """Bytes in all files below it."""
    return sum(each.stat().st_size for each in folder.rglob("*") if each.is_file() and not each.is_symlink())


def _moment(at: Timestamp | int) -> datetime:
    seconds, rest = divmod(int(at), _MICROSECONDS)
    return datetime.fromtimestamp(seconds, tz=UTC).replace(microsecond=rest)


def _example() -> str:
    return "Write it as 2026-11-21T14:30:00Z, or with an offset: 2026-11-21T15:30:00+01:00"


def _either(read: datetime) -> str:
    said = read.isoformat()
    try:
        here = read.astimezone()
    except (OverflowError, ValueError):
        return _example()
    return f"Write {said}Z for UTC, or {here.isoformat()} for the time on this machine's clock"
