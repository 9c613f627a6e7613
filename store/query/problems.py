"""What is wrong with a query, and where.

Laws: everything refused names a character of the text, from 1. What goes wrong with values, while a row is looked at,
is a Trouble where it is computed and becomes a refusal with a place where the text's place is known.
"""

from typing import Any, Final, NoReturn

from store.errors import MalformedQuery, Overloaded

SUPPORTED: Final = "QUERIES.md lists what is supported"


class Trouble(ArithmeticError):
    """A value that a computation cannot have: PostgreSQL would raise an error here, too."""


def malformed(position: int, message: str, *, hint: str = "", **details: Any) -> NoReturn:
    """Refuse, naming the character, from 1; `position` is from 0."""
    raise MalformedQuery(
        f"at character {position + 1}: {message}", hint=hint, details={"position": position + 1, **details}
    )


def exceeded(limit: str, message: str, *, hint: str) -> NoReturn:
    """Refuse a query that is past a named limit."""
    raise Overloaded(message, hint=hint, details={"limit": limit})
