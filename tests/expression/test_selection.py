"""Queries said in Python: what they render to, that it means the same, and what is refused."""

import itertools
import operator
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import sqlglot
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlglot import exp

from store.expression import Column, Condition, Selection, col, count
from store.query.live import compile_live
from store.query.options import Followed
from store.schema import Schema, Table, column
from store.values import Json


class Task(Table, name="tasks"):
    """Something to do."""

    id: int = column(primary_key=True)
    owner: str | None = None
    status: str = "open"
    points: int = 0
    done: bool = False
    labels: tuple[str, ...] = ()


class Member(Table, name="order"):
    """Somebody in a team; the table is named as a word that SQL keeps for itself."""

    user: str = column(primary_key=True)
    team: str = "a"


class Odd(Table):
    """Columns named as words of the class."""

    id: int = column(primary_key=True)
    mro: int = 0
    where: int = 0


@pytest.mark.parametrize(
    ("selection", "sql", "params"),
    [
        (Task.where(), 'SELECT * FROM "tasks"', ()),
        (Task.where(Task.status == "open"), 'SELECT * FROM "tasks" WHERE "status" = $1', ("open",)),
        (Member.select(Member.user), 'SELECT "user" FROM "order"', ()),
        (
            Task.where((Task.status == "open") & col(Task.owner).in_(["ada", "bob"])).select(Task.id, Task.points),
            'SELECT "id", "points" FROM "tasks" WHERE "status" = $1 AND "owner" IN ($2, $3)',
            ("open", "ada", "bob"),
        ),
        (
            Task.where(Task.points >= 3, Task.points < Task.id).where(Task.done),
            'SELECT * FROM "tasks" WHERE "points" >= $1 AND "points" < "id" AND "done" = $2',
            (3, True),
        ),
        (
            Task.where((Task.points == 1) | (Task.points == 2) | ~col(Task.done), Task.id < 5),
            'SELECT * FROM "tasks" WHERE ("points" = $1 OR "points" = $2 OR NOT ("done" = $3)) AND "id" < $4',
            (1, 2, True, 5),
        ),
        (
            Task.where(col(Task.points).between(1, 3), col(Task.owner).like("a%"), ~col(Task.owner).ilike("_b")),
            'SELECT * FROM "tasks" WHERE "points" BETWEEN $1 AND $2 AND "owner" LIKE $3 AND NOT ("owner" ILIKE $4)',
            (1, 3, "a%", "_b"),
        ),
        (
            Task.where(
                col(Task.owner).is_null() | col(Task.status).is_not_null() | col(Task.owner).is_distinct_from("ada")
            ),
            'SELECT * FROM "tasks" WHERE "owner" IS NULL OR "status" IS NOT NULL OR "owner" IS DISTINCT FROM $1',
            ("ada",),
        ),
        (
            Task.where(
                col(Task.owner).is_not_distinct_from("x"),
                col(Task.owner).is_distinct_from(None) & col(Task.owner).is_not_distinct_from(None),
            ),
            'SELECT * FROM "tasks" WHERE "owner" IS NOT DISTINCT FROM $1 AND "owner" IS NOT NULL AND "owner" IS NULL',
            ("x",),
        ),
        (
            Task.where(Task.owner == None).where(Task.owner != None),  # noqa: E711  # It makes SQL.
            'SELECT * FROM "tasks" WHERE "owner" IS NULL AND "owner" IS NOT NULL',
            (),
        ),
        (
            Task.where(col(Task.owner).in_(Member.where(Member.team == "b").select(Member.user))).limit(10),
            'SELECT * FROM "tasks" WHERE "owner" IN (SELECT "user" FROM "order" WHERE "team" = $1) LIMIT 10',
            ("b",),
        ),
        (
            Task.where(Task.points != 1).order_by(col(Task.points).descending(), Task.id),
            'SELECT * FROM "tasks" WHERE "points" <> $1 ORDER BY "points" DESC, "id"',
            (1,),
        ),
        (
            Task.where(Task.id > 2).group_by(Task.owner, Task.done, n=count(), b=col(Task.id).max()),
            (
                'SELECT "owner", "done", count(*) AS "n", max("id") AS "b" FROM "tasks" WHERE "id" > $1 '
                'GROUP BY "owner", "done"'
            ),
            (2,),
        ),
        (
            Task.where().group_by(a=col(Task.owner).count(distinct=True), b=col(Task.points).sum(distinct=True)),
            'SELECT count(DISTINCT "owner") AS "a", sum(DISTINCT "points") AS "b" FROM "tasks"',
            (),
        ),
        (
            Task.where()
            .group_by(Task.owner, a=col(Task.id).avg())
            .order_by(count().descending(), col(Task.id).min(), Task.owner),
            'SELECT "owner", avg("id") AS "a" FROM "tasks" GROUP BY "owner" ORDER BY count(*) DESC, min("id"), "owner"',
            (),
        ),
        (Task.where().group_by(Task.owner, many=count()).select(Task.id), 'SELECT "id" FROM "tasks"', ()),
        (Task.where(col(Task.id).in_([])), 'SELECT * FROM "tasks" WHERE FALSE', ()),
        (Task.where(Task.labels == ("x", "y")), 'SELECT * FROM "tasks" WHERE "labels" = $1', (("x", "y"),)),
    ],
)
def test_it_renders(selection: Selection[Any], sql: str, params: tuple[Any, ...]) -> None:
    """A selection is its text and its parameters, in order; names are quoted, values never are text."""
    assert (selection.sql, selection.params) == (sql, params)


@pytest.mark.parametrize(
    ("make", "error", "match"),
    [
        (lambda: Task.where(Task(id=1).id == 1), TypeError, "found the bool True.*not a row's"),
        (lambda: (Task.id == 1) and (Task.id == 2), TypeError, "& and |"),
        (lambda: 1 < Task.id < 3, TypeError, "& and |"),
        (lambda: Task.where(Task.id), TypeError, r"the int tasks\.id"),
        (lambda: (Task.id == 1) & Task.points, TypeError, r"the int tasks\.points"),
        (lambda: True | (Task.id == 1), TypeError, "found the bool True"),
        (lambda: Task.where("id = 1"), TypeError, "found str"),
        (lambda: Task.where(Member.team == "a"), ValueError, r"a column of tasks, found order\.team"),
        (lambda: Task.where(Task.owner == Member.user), ValueError, r"a column of tasks, found order\.user"),
        (lambda: Task.select(Member.user), ValueError, r"a column of tasks, found order\.user"),
        (lambda: Task.where().order_by(Member.user), ValueError, r"a column of tasks, found order\.user"),
        (Task.select, ValueError, "at least one column"),
        (lambda: Task.select(Task.id, Task.id), ValueError, "each column comes once"),
        (lambda: Task.select("id"), TypeError, "a table's column.*found str"),
        (lambda: Task.where().group_by(Task.owner), ValueError, "at least one aggregate"),
        (
            lambda: Task.where().group_by(Task.owner, many=Task.id),
            TypeError,
            "expected an aggregate for many, found Column",
        ),
        (lambda: Task.where().group_by(Task.owner, owner=count()), ValueError, "a name of its own"),
        (lambda: Task.where().group_by(**{'a"': count()}), ValueError, "expected a name"),
        (lambda: Task.where().group_by(Member.user, many=count()), ValueError, r"found order\.user"),
        (lambda: Task.where().group_by(many=col(Member.user).max()), ValueError, r"found order\.user"),
        (lambda: Task.where().order_by(col(Member.user).max()), ValueError, r"found order\.user"),
        (lambda: Task.where().order_by("id"), TypeError, "found str"),
        (
            lambda: col(Task.id).in_(Task.where().group_by(Task.id, many=count())),
            ValueError,
            "IN wants a selection of one column",
        ),
        (lambda: Task.where().limit(-1), ValueError, "from 0, found -1"),
        (lambda: Task.where().limit(True), ValueError, "from 0, found True"),
        (lambda: Task.id < None, ValueError, "is_null"),
        (lambda: col(Task.owner).in_(["a", None]), ValueError, "is_null"),
        (lambda: col(Task.owner).in_("ada"), TypeError, "found one str"),
        (lambda: col(Task.owner).in_(Member.where()), ValueError, "one column, found \\*"),
        (lambda: col(Task.owner).in_(Member.select(Member.user, Member.team)), ValueError, "one column, found 2"),
        (lambda: col(Task.owner).like(3), TypeError, "a pattern is text, found int"),
        (lambda: Task.id == [1], TypeError, r"tasks\.id: expected a column or one of .*, found list"),
        (lambda: Task.id == (1,), TypeError, "found tuple"),
        (lambda: col(3), TypeError, "such as Task.owner, found int"),
    ],
)
def test_what_cannot_be_meant_is_refused(make: Callable[[], Any], error: type[Exception], match: str) -> None:
    """At once, where it is written: what was expected, and what was found."""
    with pytest.raises(error, match=match):
        make()


def test_a_selection_never_changes() -> None:
    """Each word makes a new one, so that what several queries share is said once."""
    mine = Task.where(Task.owner == "ada")
    open_ = mine.where(Task.status == "open")
    assert mine.where(Task.status == "done").params == ("ada", "done")
    assert (mine.params, open_.params) == (("ada",), ("ada", "open"))


def test_rows_are_the_class_until_columns_are_selected() -> None:
    """A selection knows the type of its rows: the table's class, or none of its own."""
    assert Task.where().order_by(Task.id).row_type is Task
    assert Task.where().select(Task.id).row_type is None


def test_a_row_has_values_where_its_class_has_columns() -> None:
    """The class shows columns; rows, their equality and their hash are as if it did not."""
    row = Task(id=1, owner="ada")
    assert (row.owner, row.id == 1) == ("ada", True)
    assert row == Task(id=1, owner="ada")
    assert repr(Task.owner) == "tasks.owner"
    assert len({Task.owner, Task.owner, Task.id}) == 2


def test_names_that_classes_have_of_their_own() -> None:
    """A column hides a word of the class, for which there is the selection; but Python's own `mro` stays."""
    assert isinstance(Odd.where, Column)
    said = Selection("odd", Odd).where(Odd.where == 1)
    assert said.sql == 'SELECT * FROM "odd" WHERE "where" = $1'
    assert not isinstance(Odd.mro, Column)
    assert Odd(id=1, mro=3, where=4).mro == 3


@pytest.mark.parametrize("value", [True, 1, 1.5, "x", b"x", Json({})])
def test_every_plain_value_is_a_parameter(value: Any) -> None:
    """Values travel beside the text, whatever is in them."""
    assert Task.where(Task.status == value).params == (value,)


def test_the_server_reads_it() -> None:
    """A query made here is the one that its text makes."""
    schema = Schema(version=1, tables=(Task.__table__,))
    made = Task.where(Task.owner == "ada")
    written = compile_live("SELECT * FROM tasks WHERE owner = 'ada'", (), schema, operate=True)
    assert compile_live(made.sql, made.params, schema, operate=True).id == written.id
    groups = Task.where().group_by(Task.owner, many=count()).order_by(count().descending()).limit(3)
    counted = "SELECT owner, count(*) AS many FROM tasks GROUP BY 1 ORDER BY many DESC LIMIT 3"
    bounds = Followed()
    assert (
        compile_live(groups.sql, groups.params, schema, operate=True, options=bounds).id
        == compile_live(counted, (), schema, operate=True, options=bounds).id
    )


def test_type_checkers_know_the_columns() -> None:
    """To mypy a wrong name and a wrong type are errors, and rows have the type of their table."""
    typed = Path(__file__).with_name("typed_queries.py")
    command = [sys.executable, "-m", "mypy", "--strict", "--no-error-summary", typed]  # It moves a process's limits.
    ended = subprocess.run(command, cwd=typed.parents[2], capture_output=True, text=True, check=False)
    assert (ended.stdout, ended.stderr, ended.returncode) == ("", "", 0)


# What is rendered means what was said: both are evaluated over rows, with NULLs among the values.


class Point(Table, name="points"):
    """A row of few values, so that they often meet."""

    id: int = column(primary_key=True)
    x: int | None
    y: int | None
    name: str | None
    flag: bool | None


Truth = bool | None
"""True, false or unknown."""


class Said(NamedTuple):
    """A condition, and what is meant by it: True, False or None of a row."""

    condition: Condition
    meaning: Callable[[Point], Truth]


COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "__eq__": operator.eq,
    "__ne__": operator.ne,
    "__lt__": operator.lt,
    "__le__": operator.le,
    "__gt__": operator.gt,
    "__ge__": operator.ge,
}


def both(left: Truth, right: Truth) -> Truth:
    """AND of three values."""
    if left is False or right is False:
        return False
    return None if left is None or right is None else True


def negated(value: Truth) -> Truth:
    """NOT of three values."""
    return None if value is None else not value


def either(left: Truth, right: Truth) -> Truth:
    """OR of three values."""
    return negated(both(negated(left), negated(right)))


def compared(how: Callable[[Any, Any], bool], left: Any, right: Any) -> Truth:
    """A comparison, unknown where NULL is in it."""
    return None if left is None or right is None else how(left, right)


def within(value: Any, values: Any) -> Truth:
    """IN."""
    result: Truth = False
    for each in values:
        result = either(result, compared(operator.eq, value, each))
    return result


def alike(value: Any, pattern: str, flags: int) -> Truth:
    """LIKE."""
    if value is None:
        return None
    pieces = [
        ".*" if piece == "%" else "." if piece == "_" else re.escape(piece[-1])
        for piece in re.findall(r"\\.|[^\\]", pattern, re.DOTALL)
    ]
    return re.fullmatch("".join(pieces), value, flags | re.DOTALL) is not None


X, Y, NAME = col(Point.x), col(Point.y), col(Point.name)
small = st.integers(-2, 2)
texts = st.text("ab%_", max_size=3)
patterns = st.lists(st.sampled_from(["a", "B", "%", "_", "\\%", "\\_", "\\\\"]), max_size=4).map("".join)
leaves = st.one_of(
    st.builds(
        lambda how, value: Said(getattr(X, how)(value), lambda row: compared(COMPARISONS[how], row.x, value)),
        st.sampled_from(sorted(COMPARISONS)),
        small,
    ),
    st.builds(
        lambda how: Said(getattr(X, how)(Y), lambda row: compared(COMPARISONS[how], row.x, row.y)),
        st.sampled_from(sorted(COMPARISONS)),
    ),
    st.builds(lambda values: Said(X.in_(values), lambda row: within(row.x, values)), st.lists(small, max_size=3)),
    st.just(Said(X.in_([1, Y]), lambda row: within(row.x, (1, row.y)))),
    st.builds(
        lambda low, high: Said(
            X.between(low, high),
            lambda row: both(compared(operator.ge, row.x, low), compared(operator.le, row.x, high)),
        ),
        small,
        small,
    ),
    st.builds(lambda text: Said(NAME.like(text), lambda row: alike(row.name, text, 0)), patterns),
    st.builds(lambda text: Said(NAME.ilike(text), lambda row: alike(row.name, text, re.IGNORECASE)), patterns),
    st.builds(lambda text: Said(NAME.__eq__(text), lambda row: compared(operator.eq, row.name, text)), texts),
    st.just(Said(X.is_null(), lambda row: row.x is None)),
    st.just(Said(X.is_not_null(), lambda row: row.x is not None)),
    st.builds(lambda value: Said(X.is_distinct_from(value), lambda row: row.x != value), small | st.none()),
    st.builds(lambda value: Said(X.is_not_distinct_from(value), lambda row: row.x == value), small | st.none()),
    st.just(Said(X.is_distinct_from(Y), lambda row: row.x != row.y)),
    st.just(Said(col(Point.flag), lambda row: row.flag)),
)
conditions = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.builds(
            lambda one, two: Said(one.condition & two.condition, lambda row: both(one.meaning(row), two.meaning(row))),
            inner,
            inner,
        ),
        st.builds(
            lambda one, two: Said(
                one.condition | two.condition, lambda row: either(one.meaning(row), two.meaning(row))
            ),
            inner,
            inner,
        ),
        st.builds(lambda one: Said(~one.condition, lambda row: negated(one.meaning(row))), inner),
    ),
    max_leaves=8,
)
ROWS = [
    Point(id=number, x=x, y=y, name=name, flag=flag)
    for number, (x, y, name, flag) in enumerate(
        itertools.product([None, -1, 0, 2], [None, -1, 1], [None, "", "a", "Ab", "b%", "_", "\\"], [None, True, False])
    )
]


def evaluate(node: Any, row: Point, params: tuple[Any, ...]) -> Any:  # noqa: C901, PLR0911, PLR0912  # A node, a branch.
    """What a parse is of a row, by PostgreSQL's rules."""

    def of(part: Any) -> Any:
        return evaluate(part, row, params)

    match node:
        case exp.Paren():
            return of(node.this)
        case exp.Column():
            return getattr(row, node.name)
        case exp.Parameter():
            return params[int(node.this.name) - 1]
        case exp.Boolean():
            return node.this
        case exp.Null():
            return None
        case exp.And():
            return both(of(node.this), of(node.expression))
        case exp.Or():
            return either(of(node.this), of(node.expression))
        case exp.Not():
            return negated(of(node.this))
        case exp.Is():
            assert isinstance(node.expression, exp.Null)
            return (of(node.this) is None) != bool(node.args.get("negate"))
        case exp.NullSafeEQ():
            return of(node.this) == of(node.expression)
        case exp.NullSafeNEQ():
            return of(node.this) != of(node.expression)
        case exp.In():
            return within(of(node.this), [of(each) for each in node.expressions])
        case exp.Between():
            value, low, high = of(node.this), of(node.args["low"]), of(node.args["high"])
            return both(compared(operator.ge, value, low), compared(operator.le, value, high))
        case exp.ILike():
            return alike(of(node.this), of(node.expression), re.IGNORECASE)
        case exp.Like():
            return alike(of(node.this), of(node.expression), 0)
    how = {
        exp.EQ: "__eq__",
        exp.NEQ: "__ne__",
        exp.LT: "__lt__",
        exp.LTE: "__le__",
        exp.GT: "__gt__",
        exp.GTE: "__ge__",
    }
    return compared(COMPARISONS[how[type(node)]], of(node.this), of(node.expression))


@settings(derandomize=True, max_examples=250, deadline=None)
@given(conditions)
def test_what_is_rendered_means_what_was_said(said: Said) -> None:
    """Parsed as PostgreSQL, the text with its parameters is true, false or unknown of each row as was meant."""
    selection = Point.where(said.condition).order_by(Point.id).limit(7)
    parsed = sqlglot.parse_one(selection.sql, dialect="postgres")
    where = parsed.args["where"].this
    for row in ROWS:
        assert evaluate(where, row, selection.params) == said.meaning(row), (selection.sql, selection.params, row)
    assert parsed.find(exp.Table).name == "points"  # type: ignore[union-attr]  # It is there.
    assert [each.this.name for each in parsed.args["order"].expressions] == ["id"]
    assert parsed.args["limit"].expression.name == "7"
