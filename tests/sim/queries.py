"""What agents ask for: its text for the store, and what it means over plain dicts for the model.

Laws: each part of a query is said twice, as SQL and as Python; neither is made from the other.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

COLUMNS: Final = {"task": ("id", "owner", "slug", "note"), "note": ("key", "body")}

Row = tuple[Any, ...]
Selected = dict[Any, Row]
"""A query's rows by key; groups by what they are grouped by."""
Rows = dict[str, Selected]
"""By table and key."""
Truth = bool | None


@dataclass(frozen=True)
class Asked:
    """Rows of a table: those whose column has a value, that are members of a subquery; whole, or otherwise shown."""

    table: str
    column: str = ""
    value: Any = None
    member: str = ""
    """One of MEMBERS of its table, or none."""
    shape: str = ""
    """One of SHAPES of its table; "" for whole rows."""

    @property
    def sql(self) -> str:
        """Its text."""
        outputs, ending = SHAPES[self.table][self.shape][:2]
        said = [f"{self.column} = $1"] if self.column else []
        said += [MEMBERS[self.table][self.member].sql] if self.member else []
        where = f" WHERE {' AND '.join(said)}" if said else ""
        return f"SELECT {outputs} FROM {self.table}{where}{ending}"  # noqa: S608  # The simulator's own words.

    @property
    def params(self) -> tuple[Any, ...]:
        """Its parameters."""
        return (self.value,) if self.column else ()

    @property
    def is_told_net(self) -> bool:
        """Whether all that was missed of it is told as one change (PROTOCOL.md 7.3)."""
        return bool(self.member) or self.shape in {"first", "groups"}

    def select(self, tables: Rows) -> Selected:
        """What it means."""
        rows = tables[self.table]
        if self.column:
            place = COLUMNS[self.table].index(self.column)
            rows = {key: row for key, row in rows.items() if self.value is not None and row[place] == self.value}
        if self.member:
            holds = MEMBERS[self.table][self.member].holds
            rows = {key: row for key, row in rows.items() if holds(tables, row) is True}
        return SHAPES[self.table][self.shape].show(rows)


# Membership.


class Member(NamedTuple):
    """A condition on what is in a subquery."""

    sql: str
    holds: Callable[[Rows, Row], Truth]


def _within(value: Any, values: Iterable[Any]) -> Truth:
    """IN: unknown where NULL leaves it open."""
    known = list(values)
    if not known:
        return False
    if value is None:
        return None
    return True if value in known else None if None in known else False


def _without(value: Any, values: Iterable[Any]) -> Truth:
    """NOT IN."""
    found = _within(value, values)
    return None if found is None else not found


def _long_notes(tables: Rows) -> list[Any]:
    return [key for key, body in tables["note"].values() if len(body) > 20]


def _owners(tables: Rows, slug: str) -> list[Any]:
    return [task[1] for task in tables["task"].values() if task[2] == slug]


MEMBERS: Final[dict[str, dict[str, Member]]] = {
    "task": {
        "noted": Member(
            "owner IN (SELECT key FROM note WHERE octet_length(body) > 20)",
            lambda tables, task: _within(task[1], _long_notes(tables)),
        ),
        "not noted": Member(
            "owner NOT IN (SELECT key FROM note WHERE octet_length(body) > 20)",
            lambda tables, task: _without(task[1], _long_notes(tables)),
        ),
        "no slug of ada's": Member(
            "slug NOT IN (SELECT slug FROM task WHERE owner = 'ada')",
            lambda tables, task: _without(task[2], [each[2] for each in tables["task"].values() if each[1] == "ada"]),
        ),
        "noted, with the slug a": Member(
            "owner IN (SELECT key FROM note WHERE key IN (SELECT owner FROM task WHERE slug = 'a'))",
            lambda tables, task: _within(task[1], [key for key in tables["note"] if key in _owners(tables, "a")]),
        ),
    },
    "note": {
        "has a slug": Member(
            "key IN (SELECT owner FROM task WHERE slug IS NOT NULL)",
            lambda tables, note: _within(note[0], [task[1] for task in tables["task"].values() if task[2] is not None]),
        ),
    },
}
"""By table: subqueries over the other table, over its own, in one another; with NULLs among their values."""


# What is shown.


class Shape(NamedTuple):
    """What is shown of rows."""

    outputs: str
    ending: str
    show: Callable[[Selected], Selected]


def _first(rows: Selected) -> Selected:
    """Three behind the first, by slug from the last to the first, without one before all, then by key."""
    ordered = sorted(sorted(rows.items()), key=lambda each: each[1][2] or "", reverse=True)
    none = [each for each in ordered if each[1][2] is None]
    return dict([*none, *(each for each in ordered if each[1][2] is not None)][1:4])


def _groups(rows: Selected) -> Selected:
    """By owner how many there are, how many with a slug, and the highest key."""
    found: Selected = {}
    for key, (_, owner, slug, _) in rows.items():
        _, many, slugs, newest = found.get(owner, (owner, 0, 0, 0))
        found[owner] = (owner, many + 1, slugs + (slug is not None), max(newest, key))
    return found


def _whole(rows: Selected) -> Selected:
    return rows


_WHOLE: Final = Shape("*", "", _whole)

SHAPES: Final[dict[str, dict[str, Shape]]] = {
    "task": {
        "": _WHOLE,
        "owners": Shape("owner, id", "", lambda rows: {key: (row[1], key) for key, row in rows.items()}),
        "sizes": Shape(
            "id, length(note) > 5 AS long, slug || '!' AS loud",
            "",
            lambda rows: {
                key: (key, len(row[3]) > 5, None if row[2] is None else row[2] + "!") for key, row in rows.items()
            },
        ),
        "first": Shape("*", " ORDER BY slug DESC, id LIMIT 3 OFFSET 1", _first),
        "groups": Shape("owner, count(*) AS many, count(slug) AS slugs, max(id) AS newest", " GROUP BY owner", _groups),
    },
    "note": {
        "": _WHOLE,
        "sizes": Shape(
            "key, octet_length(body) / 10 AS tens",
            "",
            lambda rows: {key: (key, len(body) // 10) for key, (_, body) in rows.items()},
        ),
    },
}
"""By table: whole rows, projections, the first of an order, groups."""
