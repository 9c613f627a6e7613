"""The grammar: what the parser would pass over is refused, at the token that cannot stand there."""

import pytest

from store.errors import MalformedQuery
from store.query.syntax.grammar import check
from store.query.syntax.lexing import lex
from store.query.syntax.parsing import parse


@pytest.mark.parametrize(
    ("sql", "place", "found"),
    [
        ("SELECT , a FROM t", 8, "expected a value, found ,"),
        ("SELECT a FROM t ORDER BY , a", 26, "expected a value, found ,"),
        ("SELECT a FROM t WHERE a IN ( , 1)", 30, "expected a value, found ,"),
        ("SELECT lower( , a) FROM t", 15, "expected a value, found ,"),
        ("SELECT a FROM . t", 15, "expected a table's name, found ."),
        ("SELECT a FROM .. t", 15, "expected a table's name, found ."),
        ("SELECT trim('x' FROM a FROM t", 24, "expected ), found FROM"),
        ("SELECT trim('x' y FROM a) FROM t", 17, "expected ), found the name y"),
        ("SELECT substring(a FROM 2 FOR) FROM t", 30, "expected a value, found )"),
        ("SELECT count(* order) FROM t", 16, "expected a value, found ORDER"),
        ("SELECT count(* *) FROM t", 16, "expected a value, found *"),
        ("SELECT a NOT IS NULL FROM t", 14, "expected IN, LIKE, ILIKE or BETWEEN, found IS"),
        ("SELECT a FROM t LIMIT 2, 1", 24, "expected an operator, a comma or a clause in its order, found ,"),
        ("SELECT a FROM t LIMIT 1 LIMIT 2", 25, "expected an operator, a comma or a clause in its order, found LIMIT"),
        ("SELECT a FROM t WHERE true WHERE false", 28, "expected an operator"),
        ("SELECT DISTINCT DISTINCT a FROM t", 17, "expected a value, found DISTINCT"),
        ("SELECT a FROM t ORDER BY a ASC DESC", 32, "expected an operator"),
        ("SELECT a FROM t LEFT OUTER OUTER JOIN u ON a", 28, "expected JOIN, found OUTER"),
        ("SELECT CASE a END FROM t", 15, "expected WHEN, found END"),
        ("SELECT CASE WHEN a THEN b FROM t", 27, "expected END, found FROM"),
        ("SELECT (a FROM t", 11, "expected ), found FROM"),
        ("SELECT a FROM t WHERE (a = 1", 29, "expected ), found the end of the text"),
        ("SELECT a IS 1 FROM t", 13, "expected NULL, TRUE, FALSE, UNKNOWN or DISTINCT FROM, found the number 1"),
        ("SELECT a BETWEEN 1 b FROM t", 20, "expected AND, found the name b"),
        ("SELECT a year FROM t", 10, "YEAR stands right behind a value"),
        ("SELECT a LIKE 'x' ESCAPE FROM t", 19, "ESCAPE stands right behind a value"),
    ],
)
def test_what_cannot_stand_there_is_refused_at_its_place(sql: str, place: int, found: str) -> None:
    """The error says what was expected, what was found, and at which character."""
    with pytest.raises(MalformedQuery) as raised:
        parse(sql)
    assert (raised.value.details["position"], found in str(raised.value)) == (place, True), str(raised.value)


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT DISTINCT *, t.*, a b, c AS year FROM t x LEFT OUTER JOIN u AS y ON NOT a JOIN w ON b",
        "SELECT a FROM t WHERE a IS NOT NULL IS TRUE = (b IN (1, - 2) IS UNKNOWN) AND c NOT IN (SELECT a FROM t) OR d",
        "SELECT a FROM t GROUP BY a, b HAVING count(*) > 1 ORDER BY a DESC NULLS LAST, b ASC OFFSET 2 LIMIT 1",
        "SELECT CASE a WHEN 1 THEN 2 WHEN 3 THEN 4 ELSE 5 END, CASE WHEN a THEN b END::text::int FROM t",
        "SELECT trim(BOTH FROM a), trim('x' FROM a), trim(a), substring(a, 1, 2), substring(a FROM 1 FOR 2) FROM t",
        "SELECT position(a || b IN c), cast(a AS double precision), sum(DISTINCT a), concat(a, b), count(a) FROM t",
        "SELECT a LIKE b ESCAPE '!', a NOT BETWEEN 1 AND 2, a IS NOT DISTINCT FROM b FROM t",
        "SELECT - - a -> 'b' #>> '{c}' ? 'd' FROM t",
    ],
)
def test_all_of_the_language_is_in_the_grammar(sql: str) -> None:
    """Every clause, test and function with words of its own has its place."""
    check(lex(sql))
