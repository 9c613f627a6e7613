"""Text as PostgreSQL's COLLATE "C" sees it: compared by code point, only A to Z have a case; LIKE without backtracking.

Laws: positions and lengths count characters, from 1. A result past TEXT_SIZE_MAX is a Trouble, before it is made.
"""

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Final

from store.query.budget import work
from store.query.problems import Trouble
from store.query.types.kinds import INT4_MIN

TEXT_SIZE_MAX: Final = 16 << 20
"""Characters that a computed text may have."""
TRIMMED_MAX: Final = 256
"""Different characters that may be trimmed: each character of a text is looked for among them."""
LIKE_STEPS_MAX: Final = 100_000_000
"""Characters of a text, times those of a piece of a pattern in which some may be any: about 50 ms."""
_REPLACE_STEPS: Final = 20
"""What it takes to look for and replace one character, at most."""
PATTERN_CACHE_MAX: Final = 1_024
"""LIKE patterns that are kept taken apart."""

_LOWER: Final = {ord(upper): upper.lower() for upper in "ABCDEFGHIJKLMNOPQRSTUVWXYZ"}
_UPPER: Final = {ord(lower): lower.upper() for lower in "abcdefghijklmnopqrstuvwxyz"}


def lower(text: str) -> str:
    """The text with a to z for A to Z."""
    work(len(text))
    return text.lower() if text.isascii() else text.translate(_LOWER)


def upper(text: str) -> str:
    """The text with A to Z for a to z."""
    work(len(text))
    return text.upper() if text.isascii() else text.translate(_UPPER)


def join(texts: list[str]) -> str:
    """One text of several."""
    size = sum(map(len, texts))
    work(size)
    if size > TEXT_SIZE_MAX:
        raise Trouble(f"the text would have more than {TEXT_SIZE_MAX} characters")
    return "".join(texts)


def replace(text: str, old: str, new: str) -> str:
    """The text with each `old` become `new`; as it is where `old` is empty."""
    if not old:
        return text
    work(len(text) * _REPLACE_STEPS)
    if len(new) > len(old) and len(text) + text.count(old) * (len(new) - len(old)) > TEXT_SIZE_MAX:
        raise Trouble(f"the text would have more than {TEXT_SIZE_MAX} characters")
    return text.replace(old, new)


def substring(text: str, start: int, length: int | None = None) -> str:
    """Characters from `start`, from 1, perhaps before the text; Trouble where the length is negative."""
    if length is None:
        return text[max(start - 1, 0) :]
    if length < 0:
        raise Trouble("negative substring length not allowed")
    end = start + length
    return text[max(start - 1, 0) : end - 1] if end > 1 else ""


def left(text: str, count: int) -> str:
    """The first characters, or all but the last where the count is negative."""
    return text[:count]


def right(text: str, count: int) -> str:
    """The last characters, or all but the first where the count is negative."""
    if count == INT4_MIN:  # PostgreSQL finds no such number without its sign, and takes the whole text.
        return text
    return text[-count:] if count else ""


def trim(text: str, signs: str = " ", *, start: bool = False, end: bool = False) -> str:
    """The text without those of some characters at its start, at its end."""
    if len(signs) > 1:
        signs = "".join(set(signs))
        if len(signs) > TRIMMED_MAX:
            raise Trouble(f"at most {TRIMMED_MAX} different characters are trimmed, found {len(signs)}")
    if start:
        text = text.lstrip(signs)
    return text.rstrip(signs) if end else text


# LIKE.

Matcher = Callable[[str], bool]


@lru_cache(maxsize=PATTERN_CACHE_MAX)
def like(pattern: str, escape: str | None, *, fold: bool) -> Matcher:
    """Whether a text is like a pattern; `fold` for ILIKE. Trouble where the pattern ends in its escape.

    The pieces between the % are looked for one after the other, each as far left as it can be: never twice.
    """
    pieces = _split(pattern, "\\" if escape is None else escape, fold=fold)
    if len(pieces) == 1:
        return _folded(_whole(pieces[0]), fold=fold)
    first, last = _whole(pieces[0]), _whole(pieces[-1])
    start, end = len(pieces[0]), len(pieces[-1])
    middle = [(_finder(piece), len(piece)) for piece in pieces[1:-1] if piece]

    def matches(text: str) -> bool:
        stop = len(text) - end
        if stop < start or not first(text[:start]) or not last(text[stop:]):
            return False
        place = start
        for find, size in middle:
            place = find(text, place, stop)
            if place < 0:
                return False
            place += size
        return True

    return _folded(matches, fold=fold)


_Piece = list[str | None]
"""Characters that must be there; None for any."""


def _split(pattern: str, escape: str, *, fold: bool) -> list[_Piece]:
    if len(escape) > 1:
        raise Trouble("invalid escape string: it is one character, or empty for none")
    pieces: list[_Piece] = [[]]
    signs = iter(lower(pattern) if fold and not escape else pattern)
    for sign in signs:
        if escape and sign == escape:
            taken = next(signs, None)
            if taken is None:
                raise Trouble("LIKE pattern must not end with escape character")
            pieces[-1].append(lower(taken) if fold else taken)
        elif sign == "%":
            pieces.append([])
        else:
            pieces[-1].append(None if sign == "_" else lower(sign) if fold else sign)
    return pieces


def _folded(matcher: Matcher, *, fold: bool) -> Matcher:
    return (lambda text: matcher(lower(text))) if fold else matcher


def _expression(piece: _Piece) -> "re.Pattern[str]":
    return re.compile("".join("." if each is None else re.escape(each) for each in piece), re.DOTALL)


def _whole(piece: _Piece) -> Matcher:
    if None not in piece:
        said = "".join(each for each in piece if each is not None)
        return lambda text: text == said
    match = _expression(piece).fullmatch
    return lambda text: match(text) is not None


def _finder(piece: _Piece) -> Callable[[str, int, int], int]:
    if None not in piece:
        said = "".join(each for each in piece if each is not None)
        return lambda text, start, stop: text.find(said, start, stop)
    search, size = _expression(piece).search, len(piece)

    def find(text: str, start: int, stop: int) -> int:
        if size * (stop - start) > LIKE_STEPS_MAX:
            raise Trouble(
                f"a pattern with _ in {size} characters between % is not looked for in {stop - start} characters"
            )
        work(size * (stop - start))
        match = search(text, start, stop)
        return -1 if match is None else match.start()

    return find
