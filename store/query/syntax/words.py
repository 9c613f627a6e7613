"""The words of the language: which are the grammar's, which name functions and types, which are refused.

Laws: a word that PostgreSQL reserves is no name unless it is quoted, here as there.
"""

from typing import Final


def _words(said: str) -> frozenset[str]:
    return frozenset(said.split())


KEYWORDS: Final = _words(
    """select distinct from where and or not in between like ilike escape is null true false unknown case when then else
    end join inner left outer on group by having order asc desc nulls first last limit offset as explain"""
)
"""What the grammar is made of."""

RESERVED: Final = _words(
    """all analyse analyze any array asymmetric both cast check collate column constraint create cross
    current_catalog current_date current_role current_schema current_time current_timestamp current_user default
    deferrable do except fetch for foreign freeze full grant initially intersect into isnull lateral leading localtime
    localtimestamp natural notnull only overlaps placing primary references returning right session_user similar some
    symmetric table tablesample to trailing union unique user using variadic verbose window with authorization binary
    collation concurrently"""
)
"""What PostgreSQL keeps for itself and is not read here; `right` is a function where a parenthesis follows."""

LABELS_WITH_AS: Final = _words(
    """at char character day escape filter hour minute month over precision second varying within without year"""
)
"""Words that name an output only behind AS: without it PostgreSQL reads more into them (kwlist.h, AS_LABEL)."""

SPECIAL_FUNCTIONS: Final = frozenset({"cast", "trim", "substring", "position", "count", "sum", "min", "max", "avg"})
"""Functions with a grammar of their own: TRIM(BOTH … FROM …), COUNT(DISTINCT …)."""

FUNCTIONS: Final = _words(
    """abs btrim ceil ceiling char_length character_length coalesce concat floor greatest least left length lower ltrim
    mod nullif octet_length replace reverse right round rtrim sign starts_with strpos substr trunc upper"""
)
"""Functions that are called as name(argument, …)."""

TYPES: Final = {
    "boolean": "bool",
    "bool": "bool",
    "integer": "int4",
    "int": "int4",
    "int4": "int4",
    "bigint": "int8",
    "int8": "int8",
    "double precision": "float8",
    "float8": "float8",
    "numeric": "numeric",
    "decimal": "numeric",
    "text": "text",
    "bytea": "bytea",
    "timestamptz": "timestamptz",
    "timestamp with time zone": "timestamptz",
    "uuid": "uuid",
    "jsonb": "jsonb",
}
"""The types that may be cast to, as PostgreSQL writes them, and what they are called here."""

OPERATORS: Final = _words("= <> != < <= > >= + - * / % || -> ->> #> #>> @> <@")
"""Operators; ? and :: are read by themselves."""

OTHER_OPERATORS: Final = _words("|| -> ->> #> #>> @> <@ ?")
"""What PostgreSQL's grammar calls any other operator: they bind alike."""
