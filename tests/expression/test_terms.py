"""Terms: which text they have, where parentheses stand in it, and what is refused where it is written."""

import math
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest

from store.expression import Term, case, cast, coalesce, col, constant, count, left, length, lower, mod, substr
from store.expression.rendering import Rendering
from store.schema import Table, column
from store.values import Json


class Thing(Table, name="things"):
    """Something with columns of most types."""

    id: int = column(primary_key=True)
    name: str | None = None
    price: Decimal | None = None
    notes: Json = Json({})
    whole: bool = True
    labels: tuple[str, ...] = ()


ID, NAME, PRICE, NOTES, WHOLE = (col(each) for each in (Thing.id, Thing.name, Thing.price, Thing.notes, Thing.whole))


@pytest.mark.parametrize(
    ("term", "sql"),
    [
        (ID + 1 + ID - 2, '"id" + $1 + "id" - $2'),
        (ID - (ID - 1), '"id" - ("id" - $1)'),
        ((ID + 1) * 2 / ID, '("id" + $1) * $2 / "id"'),
        (ID + ID * 2, '"id" + "id" * $1'),
        (-(ID + 1) % 3, '(-("id" + $1)) % $2'),
        (-ID > 3, '(-"id") > $1'),
        (NAME + "-" + NAME, '"name" || $1 || "name"'),
        ("-" + NAME, '$1 || "name"'),
        (NOTES["a"][0].text("b"), '"notes" -> $1 -> $2 ->> $3'),
        (NOTES.text("a") + "!", '"notes" ->> $1 || $2'),
        (NOTES["a"] == Json(1), '"notes" -> $1 = $2'),
        (NOTES[ID], '"notes" -> CAST("id" AS integer)'),
        (NOTES[lower(Thing.name)], '"notes" -> lower("name")'),
        (NOTES.contains([1]) & ~NOTES.has_key("a"), '"notes" @> $1 AND NOT ("notes" ? $2)'),
        (NOTES.path("a", 0, 'x"y\\z'), '"notes" #> $1'),
        ((ID > 3) | WHOLE & (ID < 2) | WHOLE, '"id" > $1 OR ("whole" = $2 AND "id" < $3) OR "whole" = $2'),
        ((ID > 3) == (ID < 2), '("id" > $1) = ("id" < $2)'),
        (~(lower(Thing.name) == "a"), 'NOT (lower("name") = $1)'),
        (coalesce(Thing.whole, False) & WHOLE, 'coalesce("whole", $1) AND "whole" = $2'),
        (coalesce(None, 3), "coalesce(NULL, CAST($1 AS bigint))"),
        (case((ID > 3, NAME), default="x"), 'CASE WHEN "id" > $1 THEN "name" ELSE $2 END'),
        (round(PRICE, 2), 'round("price", $1)'),
        (substr(Thing.name, 2), 'substr("name", $1)'),
        (left(Thing.name, length(Thing.name)), 'left("name", CAST(length("name") AS integer))'),
        (cast(Thing.id, str).like("1%", escape="!"), 'CAST("id" AS text) LIKE $1 ESCAPE $2'),
        (NAME.like(NAME + "%"), '"name" LIKE ("name" || $1)'),
        ((ID + 1).in_([2, ID * 2]), '"id" + $1 IN ($2, "id" * $3)'),
        (ID.max() - ID.min(), 'max("id") - min("id")'),
        ((ID * 2).sum(distinct=True), 'sum(DISTINCT "id" * $1)'),
        (count() > 1, "count(*) > $1"),
    ],
)
def test_its_text(term: Term[Any], sql: str) -> None:
    """Parentheses stand where one would ask what binds first; chains of one operator need none."""
    assert Rendering().join([term]) == sql


def test_what_is_made_alike_has_one_text() -> None:
    """With the same parameters, so that GROUP BY and HAVING name what an output is, also to PostgreSQL."""
    made = Thing.where(Thing.id > 1).group_by(start=left(Thing.name, 1), many=count())
    made = made.having(left(Thing.name, 1) != "x").order_by(left(Thing.name, 1).descending().nulls_last())
    assert made.sql == (
        'SELECT left("name", $1) AS "start", count(*) AS "many" FROM "things" WHERE "id" > $2 '
        'GROUP BY left("name", $1) HAVING left("name", $1) <> $3 ORDER BY left("name", $1) DESC NULLS LAST'
    )
    assert made.params == (1, 1, "x")


@pytest.mark.parametrize("values", [(1, True), (1, 1.0), (1, "1"), (0.0, -0.0), (Decimal("1.0"), Decimal("1.00"))])
def test_values_that_only_look_alike_are_two(values: tuple[Any, Any]) -> None:
    """Python's equality of numbers is not that of the language's types."""
    made = Thing.select(one=constant(values[0]), two=constant(values[1]))
    assert repr(made.params) == repr(values)


def test_a_column_is_meant_where_an_output_has_its_name() -> None:
    """In ORDER BY a bare name would be the output."""
    made = Thing.select(Thing.id, name=lower(Thing.name))
    assert made.order_by(Thing.name).sql.endswith('ORDER BY "things"."name"')
    assert made.order_by(Thing.id).sql.endswith('ORDER BY "id"')


def test_a_term_says_what_it_is() -> None:
    """With its values in it."""
    assert repr((ID + 1 > 3) & (NAME == "x")) == '"id" + 1 > 3 AND "name" = \'x\''
    assert repr(NAME) == "things.name"


@pytest.mark.parametrize(
    ("make", "error", "match"),
    [
        (lambda: ID + None, ValueError, "is_null"),
        (lambda: ID * [1], TypeError, "found list"),
        (lambda: ID // 2, TypeError, "unsupported operand"),
        (lambda: list(NOTES), TypeError, "not iterable"),
        (lambda: "a" in NOTES, TypeError, "not.*container|not iterable"),
        (lambda: bool(ID + 1), TypeError, "no truth of its own"),
        (lambda: NOTES[1.5], TypeError, "expected an integer, found float"),
        (lambda: NOTES[True], TypeError, "expected an integer, found bool"),
        (lambda: left(Thing.name, "1"), TypeError, "expected an integer, found str"),
        (lambda: round(PRICE, 1.5), TypeError, "expected an integer, found float"),
        (lambda: lower(None), TypeError, "expected one of .*, found NoneType"),
        (lambda: mod(Thing.id, None), ValueError, "is_null"),
        (lambda: math.floor(ID) & WHOLE, TypeError, "found the number floor"),
        (lambda: ~lower(Thing.name), TypeError, r"the str lower\("),
        (lambda: case(default=3), ValueError, "at least one condition"),
        (lambda: case((True, 3)), TypeError, "found the bool True"),
        (lambda: cast(Thing.id, list), TypeError, "expected a type to cast to, one of bool, int"),
        (lambda: constant([1]), TypeError, "found list"),
        (lambda: Thing.where(count() > 1), ValueError, "found the aggregate count"),
        (lambda: Thing.select(many=count()), ValueError, "found the aggregate count"),
        (lambda: Thing.where().having(count() > 1), ValueError, "group_by comes before it"),
        (lambda: Thing.where().group_by(both=lower(Thing.name)), ValueError, "at least one aggregate"),
        (lambda: Thing.where().offset(-1), ValueError, "offset takes a number of rows from 0"),
    ],
)
def test_what_cannot_be_meant_is_refused(make: Callable[[], Any], error: type[Exception], match: str) -> None:
    """At once, where it is written: what was expected, and what was found."""
    with pytest.raises(error, match=match):
        make()


def test_a_moment_is_a_value() -> None:
    """Its text says of which type it is."""
    moment = datetime.fromisoformat("2026-01-01T00:00:00+00:00")
    made = Thing.select(at=constant(moment))
    assert (made.sql, made.params) == ('SELECT CAST($1 AS timestamptz) AS "at" FROM "things"', (moment,))
