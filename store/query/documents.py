"""What is asked of JSON values, as PostgreSQL's jsonb answers: steps into them, containment, keys.

Laws: what is not there is None, SQL's NULL; JSON's null is a document. Only strings, numbers, booleans and null of the
same type are equal.
"""

import re
from typing import Any, Final

from store.query.kinds import Document, document_text
from store.query.problems import Trouble

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
    """Whether all of `part` is in `whole`; an array contains a plain value that is among its own."""
    if isinstance(whole.value, list) and not isinstance(part.value, list | dict):
        return _has(whole.value, part.value)
    return _contains(whole.value, part.value)


def _contains(whole: Any, part: Any) -> bool:
    if isinstance(part, dict):
        return isinstance(whole, dict) and all(
            name in whole and _contains(whole[name], each) for name, each in part.items()
        )
    if isinstance(part, list):
        return isinstance(whole, list) and all(_has(whole, each) for each in part)
    return _same(whole, part)


def _has(values: list[Any], part: Any) -> bool:
    if isinstance(part, list | dict):
        return any(type(each) is type(part) and _contains(each, part) for each in values)
    return any(_same(each, part) for each in values)


def _same(left: Any, right: Any) -> bool:
    return type(left) is type(right) and not isinstance(left, list | dict) and left == right


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
