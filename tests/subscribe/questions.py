"""Followed queries over the board's tables, drawn from the whole language; and transactions that move their rows."""

from random import Random
from typing import Any, Final

NAMES: Final = ["ann", "bob", "cid"]
NUMBERS: Final = ["0", "1", "2", "3", "NULL"]
TEXTS: Final = ["'ann'", "'bob'", "'cid'", "NULL"]
SIGNS: Final = ["=", "<>", "<", "<=", ">", ">=", "IS DISTINCT FROM", "IS NOT DISTINCT FROM"]
NUMERIC: Final = {"items": ["id", "list", "points"], "lists": ["id", "parent"], "people": ["team"]}
TEXTUAL: Final = {"items": ["owner", "title"], "lists": ["owner"], "people": ["name"]}
KEYS: Final = {"items": "id", "lists": "id", "people": "name"}
TABLES: Final = ["items", "items", "items", "lists", "people"]


def followed(chance: Random) -> str:
    """A query that can be followed."""
    pick, table = chance.choice, chance.choice(TABLES)
    if chance.random() < 0.4:
        return _shaped(chance, table)
    key, other = KEYS[table], pick(NUMERIC[table])
    outputs = pick(["*", "*", "*", f"{key}, {other}", f"{other} * 2 AS twice, {key}", "member"])
    if outputs == "member":
        outputs = f"{key}, {_member(chance, table, 1)} AS mine"
    where = f" WHERE {condition(chance, table, 2)}" if pick(range(8)) else ""
    return f"SELECT {outputs} FROM {table}{where}"  # noqa: S608  # Our own.


def _shaped(chance: Random, table: str) -> str:
    """Groups of rows, or the first of an order."""
    pick = chance.choice
    where = f" WHERE {condition(chance, table, 1, 2)}" if pick(range(3)) else ""
    bound = f" LIMIT {pick([0, 1, 2, 3, 4, 7, 20, 50])}" + pick(["", "", " OFFSET 1", " OFFSET 2", " OFFSET 15"])
    key, other = KEYS[table], pick(NUMERIC[table] + TEXTUAL[table])
    how = pick(["", " DESC", " NULLS FIRST", " DESC NULLS LAST"])
    if chance.random() < 0.4:
        outputs = pick(["*", f"{key}, {other}", f"{other}, {key}, {_member(chance, table, 1)} AS mine"])
        order = pick(["", f" ORDER BY {other}{how}", f" ORDER BY {other}{how}, {key} DESC"])
        return f"SELECT {outputs} FROM {table}{where}{order}{bound}"  # noqa: S608  # Our own.
    number = pick(NUMERIC[table])
    values = [f"count({other})", f"sum({number})", f"avg({number})", f"min({other})", f"max({other})"]
    values += [f"count(DISTINCT {other})", f"sum(DISTINCT {number})", f"count({_member(chance, table, 1)})"]
    shown = ", ".join(["count(*) AS many", *chance.sample(values, 2)])
    having = pick(["", "", "", " HAVING count(*) > 1"])
    if chance.random() < 0.3:
        return f"SELECT {shown} FROM {table}{where}{having}"  # noqa: S608  # Our own.
    paths = ["data ->> 'k'", "data -> 'n'", "data #> '{n,0}'", "data"] if table == "items" else []
    by = pick([other, number, f"{number} % 2", _member(chance, table, 1), *paths])
    if by in paths[1:]:  # JSON has no order, and of groups that tie it says how they are written which come first.
        return f"SELECT {by} AS key, {shown} FROM {table}{where} GROUP BY key{having}"  # noqa: S608  # Our own.
    order = pick(["", "", bound, f" ORDER BY many{how}{bound}", f" ORDER BY 1{how}, many{bound}"])
    return f"SELECT {by} AS key, {shown} FROM {table}{where} GROUP BY key{having}{order}"  # noqa: S608  # Our own.


def condition(chance: Random, table: str, depth: int, terms: int = 3) -> str:
    """A condition on a table, with subqueries nested at most so deep."""
    if terms > 1 and chance.random() < 0.55:
        left = condition(chance, table, depth, terms - 1)
        sign = chance.choice(["AND", "AND", "OR", "NOT"])
        return f"NOT ({left})" if sign == "NOT" else f"({left} {sign} {condition(chance, table, depth, terms - 2)})"
    if depth and chance.random() < 0.5:
        return _member(chance, table, depth)
    pick = chance.choice
    numeric, textual = pick(NUMERIC[table]), pick(TEXTUAL[table])
    choices = [
        f"{numeric} {pick(SIGNS)} {pick(NUMBERS)}",
        f"{textual} {pick(SIGNS)} {pick(TEXTS)}",
        f"{numeric} IN ({pick(NUMBERS)}, {pick(NUMBERS)})",
        f"{textual} IN ({pick(TEXTS)}, {pick(TEXTS)})",
        f"{numeric} BETWEEN {pick(NUMBERS)} AND {pick(NUMBERS)}",
        f"{textual} LIKE '{pick(['a%', '%b', '_i_'])}'",
        f"{numeric} IS NULL",
    ]
    if table == "items":
        choices += [
            "data ->> 'k' = 'x'",
            "data @> '{\"n\": 1}'",
            "weight > 1.5",
            "weight * 2 = points",
            "6 / points > 2",
        ]
    return pick([*choices, "open"] if table == "lists" else choices)


def _member(chance: Random, table: str, depth: int) -> str:
    pick, numeric = chance.choice, chance.random() < 0.6
    operand = pick((NUMERIC if numeric else TEXTUAL)[table])
    if chance.random() < 0.15:
        operand = pick([f"({operand} + 1)", "1"] if numeric else [f"upper({operand})", "'ann'"])
    return f"{operand} {pick(['IN', 'IN', 'IN', 'NOT IN'])} ({_subquery(chance, depth, numeric=numeric)})"


def _subquery(chance: Random, depth: int, *, numeric: bool) -> str:
    table = chance.choice(TABLES)
    column = chance.choice((NUMERIC if numeric else TEXTUAL)[table])
    if numeric and chance.random() < 0.15:
        column += chance.choice([" + 1", " + 1.0"])
    where = f" WHERE {condition(chance, table, depth - 1, 2)}" if chance.random() < 0.7 else ""
    return f"SELECT {column} FROM {table}{where}"  # noqa: S608  # Our own.


FEW: Final = 9
"""Items that there are, where they are few."""


def transaction(chance: Random, items: int, count: int = 0) -> list[Any]:
    """What board.change takes: so many rows, or one to four of few, and more of many; new, changed or gone."""
    count = count or chance.choice([1, 1, 2, 4] if items <= FEW else [1, 2, 4, 20])
    return [_change(chance, items) for _ in range(count)]


def _change(chance: Random, items: int) -> list[Any]:
    pick, table = chance.choice, chance.choice(TABLES)
    key = pick(NAMES) if table == "people" else pick(range(items if table == "items" else 5))
    if chance.random() < 0.25:
        return [table, key, None]
    numbers, names = [None, 0, 1, 2, 3], [None, *NAMES]
    if table == "people":
        return [table, key, {"team": pick(numbers), "guest": pick([True, False])}]
    if table == "lists":
        return [table, key, {"owner": pick(names), "parent": pick(numbers), "open": pick([True, False])}]
    values = {
        "list": pick(numbers),
        "owner": pick(names),
        "points": pick(numbers),
        "weight": pick([None, "0.5", "1", "2"]),
        "title": pick(["", *NAMES]),
        "data": pick([None, {"k": "x"}, {"n": 1, "k": None}, {"n": 1.0, "k": "x"}, {"n": [2, None]}, [1], [1.0]]),
    }
    return [table, key, values]
