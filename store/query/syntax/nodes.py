"""The parser's nodes: which there may be, of which parts, and how tightly each binds.

Laws: what is not in PARTS is refused.
"""

from collections.abc import Mapping
from enum import IntEnum
from typing import Any, Final

from sqlglot import exp

Node = Any
"""A node of the parse: the name of its base class is the parser's own affair."""


class Level(IntEnum):
    """How tightly things bind, as PostgreSQL's grammar says (gram.y); a higher level binds tighter."""

    OR = 1
    AND = 2
    NOT = 3
    IS = 4
    COMPARE = 5
    IN = 6
    OTHER = 7
    ADD = 8
    MULTIPLY = 9
    NEGATE = 10
    PRIMARY = 11


BINARY: Final[Mapping[type[Node], tuple[str, Level]]] = {
    exp.EQ: ("=", Level.COMPARE),
    exp.NEQ: ("<>", Level.COMPARE),
    exp.LT: ("<", Level.COMPARE),
    exp.LTE: ("<=", Level.COMPARE),
    exp.GT: (">", Level.COMPARE),
    exp.GTE: (">=", Level.COMPARE),
    exp.NullSafeEQ: ("is not distinct", Level.IS),
    exp.NullSafeNEQ: ("is distinct", Level.IS),
    exp.Like: ("like", Level.IN),
    exp.ILike: ("ilike", Level.IN),
    exp.DPipe: ("||", Level.OTHER),
    exp.Add: ("+", Level.ADD),
    exp.Sub: ("-", Level.ADD),
    exp.Mul: ("*", Level.MULTIPLY),
    exp.Div: ("/", Level.MULTIPLY),
    exp.Mod: ("%", Level.MULTIPLY),
}
LEVELS: Final[Mapping[type[Node], Level]] = {
    **{kind: level for kind, (_, level) in BINARY.items()},
    exp.Or: Level.OR,
    exp.And: Level.AND,
    exp.Not: Level.NOT,
    exp.Is: Level.IS,
    exp.Escape: Level.IN,
    exp.In: Level.IN,
    exp.Between: Level.IN,
    exp.Neg: Level.NEGATE,
}
LEFT_ASSOCIATIVE: Final = frozenset({Level.OTHER, Level.ADD, Level.MULTIPLY})

PARTS: Final[Mapping[type[Node], frozenset[str]]] = {
    **dict.fromkeys(BINARY, frozenset({"this", "expression"})),
    exp.Or: frozenset({"this", "expression"}),
    exp.And: frozenset({"this", "expression"}),
    exp.Not: frozenset({"this"}),
    exp.Is: frozenset({"this", "expression", "negate"}),
    exp.Like: frozenset({"this", "expression", "negate"}),
    exp.ILike: frozenset({"this", "expression", "negate"}),
    exp.DPipe: frozenset({"this", "expression", "safe"}),
    exp.Div: frozenset({"this", "expression", "typed"}),
    exp.Escape: frozenset({"this", "expression"}),
    exp.In: frozenset({"this", "expressions", "query"}),
    exp.Between: frozenset({"this", "low", "high"}),
    exp.Neg: frozenset({"this"}),
    exp.Paren: frozenset({"this"}),
    exp.Column: frozenset({"this", "table"}),
    exp.Identifier: frozenset({"this"}),
    exp.Placeholder: frozenset({"this"}),
    exp.Boolean: frozenset({"this"}),
    exp.Null: frozenset(),
    exp.Cast: frozenset({"this", "to"}),
    exp.Anonymous: frozenset({"this", "expressions"}),
    exp.Case: frozenset({"this", "ifs", "default"}),
    exp.If: frozenset({"this", "true"}),
    exp.Trim: frozenset({"this", "expression", "position"}),
    exp.Substring: frozenset({"this", "start", "length"}),
    exp.StrPosition: frozenset({"this", "substr"}),
    exp.Count: frozenset({"this", "big_int"}),
    exp.Sum: frozenset({"this"}),
    exp.Min: frozenset({"this"}),
    exp.Max: frozenset({"this"}),
    exp.Avg: frozenset({"this"}),
    exp.Distinct: frozenset({"expressions"}),
    exp.Star: frozenset(),
    exp.Alias: frozenset({"this", "alias"}),
    exp.Select: frozenset(
        {
            "expressions",
            "distinct",
            "from",
            "from_",
            "joins",
            "where",
            "group",
            "having",
            "order",
            "limit",
            "offset",
        }
    ),
    exp.Subquery: frozenset({"this"}),
    exp.From: frozenset({"this"}),
    exp.Table: frozenset({"this", "alias", "joins"}),
    exp.TableAlias: frozenset({"this"}),
    exp.Join: frozenset({"this", "on", "side", "kind"}),
    exp.Where: frozenset({"this"}),
    exp.Group: frozenset({"expressions"}),
    exp.Having: frozenset({"this"}),
    exp.Order: frozenset({"expressions"}),
    exp.Ordered: frozenset({"this", "desc", "nulls_first"}),
    exp.Limit: frozenset({"expression"}),
    exp.Offset: frozenset({"expression"}),
}
"""What a parse may consist of: every node's type, and the parts it may have."""

AGGREGATES: Final = {exp.Count: "count", exp.Sum: "sum", exp.Min: "min", exp.Max: "max", exp.Avg: "avg"}
