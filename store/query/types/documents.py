"""What is asked of JSON values, as PostgreSQL's jsonb answers: steps into them, containment, keys.

Laws: what is not there is None, SQL's NULL; JSON's null is a document. Only strings, numbers, booleans and null of the
same type are equal.
"""

import re
from typing import Any, Final

from store.query.budget import work
from store.query.problems import Trouble
from store.query.types.kinds import Document, document_text

CONTAINS_STEPS_MAX: Final = 1_000_000
"""Values that one containment may look at, each time it does: about 200 ms."""

_CONTAINS_COST: Final = 200
"""What looking at one of them takes (budget.work)."""

_MISSING: Final = object()


def get(document: Document, step: str | int) -> Document | None:
    """An object's value by its name, or an array's by its place, from 0, or from -1 at its end."""
    value = document.value
    if isinstance(step, int) and not isinstance(value, dict | list):
        value = [value]  # PostgreSQL keeps a plain value as an array of one, and here it shows.
    return _document(_step(value, step))


def get_text(document: Document, step: str | int) -> str | None:
    """As get, as text: a string without its quotes."""
    return text(get(document, step))


def get_path(document: Document, path: tuple[str | None, ...]) -> Document | None:
    """What lies at a path of names and places."""
    value = document.value
    for step in path:
        if step is None:
            return None
        if isinstance(value, list):
            value = _step(value, int(step)) if _PLACE.fullmatch(step) else _MISSING
        else:
            value = _step(value, step)
    return _document(value)


_PLACE: Final = re.compile(r"\s*[+-]?[0-9]{1,9}")


def get_path_text(document: Document, path: tuple[str | None, ...]) -> str | None:
    """As get_path, as text."""
    return text(get_path(document, path))


def _step(value: Any, step: str | int) -> Any:
    if isinstance(step, str):
        return value.get(step, _MISSING) if isinstance(value, dict) else _MISSING
    if isinstance(value, list) and -len(value) <= step < len(value):
        return value[step]
    return _MISSING


def _document(value: Any) -> Document | None:
    return None if value is _MISSING else Document(value)


def text(document: Document | None) -> str | None:
    """A document as text; None for null."""
    if document is None or document.value is None:
        return None
    return document.value if isinstance(document.value, str) else document_text(document.value)


def contains(whole: Document, part: Document) -> bool:
    """Whether all of `part` is in `whole`; an array contains a plain value that is among its own.

    Trouble past CONTAINS_STEPS_MAX: arrays in arrays may take as many steps as one has values times the other's.
    """
    if isinstance(whole.value, list) and not isinstance(part.value, list | dict):
        return _form(part.value) in map(_form, whole.value)
    return _contains(whole.value, part.value, _Steps())


class _Steps:
    """How much may still be looked at."""

    __slots__ = ("left",)

    def __init__(self) -> None:
        self.left = CONTAINS_STEPS_MAX

    def take(self, count: int) -> None:
        """So many values are looked at. Trouble where they are too many."""
        work(count * _CONTAINS_COST)
        self.left -= count
        if self.left < 0:
            raise Trouble(f"a containment takes at most {CONTAINS_STEPS_MAX} steps; these arrays in arrays take more")


def _contains(whole: Any, part: Any, steps: _Steps) -> bool:
    if isinstance(part, dict):
        steps.take(len(part))
        return isinstance(whole, dict) and all(
            name in whole and _contains(whole[name], each, steps) for name, each in part.items()
        )
    if isinstance(part, list):
        return isinstance(whole, list) and _has_all(whole, part, steps)
    return bool(_form(whole) == _form(part))


def _has_all(values: list[Any], parts: list[Any], steps: _Steps) -> bool:
    steps.take(len(values) + len(parts))
    plain = {_form(each) for each in parts if not isinstance(each, list | dict)}
    if plain and not plain.issubset(map(_form, values)):
        return False
    return all(_has(values, each, steps) for each in parts if isinstance(each, list | dict))


def _has(values: list[Any], part: Any, steps: _Steps) -> bool:
    steps.take(len(values))
    return any(type(each) is type(part) and _contains(each, part, steps) for each in values)


def _form(value: Any) -> Any:
    """What is equal, and hashes alike, where plain values are the same; of others, what equals no plain value's."""
    return None if isinstance(value, list | dict) else (type(value), value)


def has_key(document: Document, key: str) -> bool:
    """Whether a key is an object's, or a string an array's or the document itself."""
    value = document.value
    if isinstance(value, dict | list):
        return key in value
    return isinstance(value, str) and value == key


_ELEMENT: Final = re.compile(r'\s*(?:"((?:[^"\\]|\\.)*)"|((?:[^",{}\\\s]|\\.)(?:[^",{}\\]|\\.)*))\s*(,|$)', re.DOTALL)


def read_path(said: str) -> tuple[str | None, ...]:
    """A path as PostgreSQL writes an array of text: {a,"b c",0}."""
    inside = said.strip()
    if not (len(inside) > 1 and inside[0] == "{" and inside[-1] == "}"):
        raise Trouble(f"malformed array literal: {said!a:.60}; a path is written {{a,b,0}}")
    inside = inside[1:-1]
    if not inside.strip():
        return ()
    steps: list[str | None] = []
    place, more = 0, ","
    while more:
        match = _ELEMENT.match(inside, place)
        if match is None:
            raise Trouble(f"malformed array literal: {said!a:.60}; a path is written {{a,b,0}}")
        quoted, plain, more = match.groups()
        step = plain.rstrip() if quoted is None else quoted
        is_null = quoted is None and step.upper() == "NULL"
        steps.append(None if is_null else re.sub(r"\\(.)", r"\1", step, flags=re.DOTALL))
        place = match.end()
    return tuple(steps)
