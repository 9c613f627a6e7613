"""Queries said in Python: a table's columns, values made of them, conditions, and the SQL that they stand for.

    Task.where((Task.status == "open") & col(Task.owner).in_(["ada", "bob"])).order_by(Task.id).limit(10)
    Task.select(Task.id, who=lower(Task.owner), place=col(Task.notes)["at"].text("city"))

Responsible for: text and parameters, errors where something cannot be meant. Not responsible for: which types may be
compared or computed with, which functions take what: the server says (query/).
"""

from store.expression.columns import Column, col
from store.expression.functions import (
    case,
    cast,
    coalesce,
    concat,
    constant,
    greatest,
    least,
    left,
    length,
    lower,
    ltrim,
    mod,
    nullif,
    octet_length,
    replace,
    reverse,
    right,
    rtrim,
    sign,
    starts_with,
    strpos,
    substr,
    trim,
    upper,
)
from store.expression.orders import Order
from store.expression.selection import Selection
from store.expression.terms import Condition, Term, count

__all__ = [
    "Column",
    "Condition",
    "Order",
    "Selection",
    "Term",
    "case",
    "cast",
    "coalesce",
    "col",
    "concat",
    "constant",
    "count",
    "greatest",
    "least",
    "left",
    "length",
    "lower",
    "ltrim",
    "mod",
    "nullif",
    "octet_length",
    "replace",
    "reverse",
    "right",
    "rtrim",
    "sign",
    "starts_with",
    "strpos",
    "substr",
    "trim",
    "upper",
]
