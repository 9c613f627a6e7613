"""Tokens: what a text consists of, what the parser sees of it, what is refused and where."""

import pytest

from store.errors import MalformedQuery
from store.query.syntax.lexing import PARAMETERS_MAX, QUERY_DEPTH_MAX, lex


@pytest.mark.parametrize(
    ("sql", "shape"),
    [
        ("SELECT lower(owner) FROM account WHERE id = $1", "SELECT f1 ( n3 ) FROM n6 WHERE n8 = :l10"),
        ("select*from t;", "SELECT * FROM n3"),
        ("SELECT a=-1", "SELECT n1 = - :l4"),
        ("SELECT a <> 'x''y'", "SELECT n1 <> :l3"),
        ("SELECT a::timestamp  with\ntime zone", "SELECT n1 :: t3"),
        ("SELECT CAST(a AS double precision) AS b", "SELECT CAST ( n3 AS t5 ) AS n8"),
        ('SELECT "select", "A ""b"""', "SELECT n1 , n3"),
        ("SELECT a ? 'k', ? FROM t WHERE b IN (?, ?)", "SELECT n1 || :l3 , :l5 FROM n7 WHERE n9 IN ( :l12 , :l14 )"),
        ("SELECT first, at, escape, nulls FROM t", "SELECT n1 , n3 , n5 , n7 FROM n9"),
        ("SELECT a -> 'b' ->> -1 @> c", "SELECT n1 || :l3 || - :l6 || n8"),
        ("SELECT count(*), count(a)", "SELECT f1 ( ) , COUNT ( n7 )"),
        ("SELECT a IS NOT UNKNOWN, unknown", "SELECT n1 IS NOT :l4 , n6"),
        ("SELECT left(a, 1) FROM t LEFT JOIN u ON true", "SELECT f1 ( n3 , :l5 ) FROM n8 LEFT JOIN n11 ON :l13"),
        ("SELECT a AS order, t.select", "SELECT n1 AS n3 , n5 . n7"),
    ],
)
def test_the_parser_sees_a_shape(sql: str, shape: str) -> None:
    """Keywords and signs as they are, a numbered stand-in for everything else."""
    assert lex(sql).shape == shape


def test_names_fold_unless_they_are_quoted() -> None:
    """As in PostgreSQL."""
    assert [each.value for each in lex('SELECT ABC, "ABC"').tokens if each.kind == "name"] == ["abc", "ABC"]


def test_explain_is_taken_off() -> None:
    """The parser sees the query behind it; elsewhere the word is a name."""
    lexed = lex("EXPLAIN SELECT explain FROM t")
    assert (lexed.explain, lexed.shape) == (True, "SELECT n1 FROM n3")


@pytest.mark.parametrize(
    ("sql", "at"),
    [
        ("SELECT a -- comment", "--"),
        ("SELECT /* comment */ a", "/*"),
        ("SELECT $$x$$", "$$"),
        ("SELECT 'x", "'x"),
        ('SELECT "x', '"x'),
        ('SELECT ""', '""'),
        ("SELECT E'x'", "'x'"),
        ("SELECT date '2020-01-01'", "'2020"),
        ("SELECT 'x' 'y'", "'y'"),
        ("SELECT 0x10", "0x10"),
        ("SELECT 1_000", "1_000"),
        ("SELECT a[1]", "["),
        ("SELECT {{ a }}", "{"),
        ("SELECT a\0", "\0"),
        ("SELECT :p1", ":"),
        ("SELECT @x", "@"),
        ("SELECT a == b", "=="),
        ("SELECT a @>- 1", "@>-"),
        ("SELECT a ~ b", "~"),
        ("SELECT +a", "+"),
        ("SELECT a UNION SELECT b", "UNION"),
        ("SELECT a FROM t WHERE x = ANY (b)", "ANY"),
        ("SELECT now()", "now"),
        ("SELECT pg_sleep(1)", "pg_sleep"),
        ("SELECT a::varchar(5)", "varchar"),
        ("SELECT a::numeric(5, 2)", "numeric"),
        ("SELECT a::date", "date"),
        ("SELECT a, FROM t", ","),
        ("SELECT lower(a, ) FROM t", ","),
        ("SELECT a,", ","),
        ("SELECT a)", ")"),
        ("SELECT a; SELECT b", ";"),
        ("SELECT 1e99999999999999999999", "1e9"),
        ("SELECT 1e-9999", "1e-"),
        ("SELECT '\ud800'", "'\ud800"),
        ("SELECT é", "é"),
        ("SELECT $0", "$0"),
        ("SELECT $1000", "$1000"),
        ("SELECT try_cast(a AS int)", "try_cast"),
    ],
)
def test_what_is_on_no_list_is_refused(sql: str, at: str) -> None:
    """With its place."""
    with pytest.raises(MalformedQuery) as raised:
        lex(sql)
    assert raised.value.details["position"] == sql.index(at) + 1


@pytest.mark.parametrize("number", [2, PARAMETERS_MAX + 1, 999])
def test_parameters_are_numbered_from_1_without_gaps(number: int) -> None:
    """The first parameter is $1, and none is left out."""
    with pytest.raises(MalformedQuery, match="numbered") as raised:
        lex(f"SELECT ${number}")
    assert raised.value.details["position"] == 8


def test_two_ways_of_parameters_do_not_mix() -> None:
    """A text has either $1 or ?."""
    with pytest.raises(MalformedQuery, match="found both"):
        lex("SELECT ?, $1")


def test_depth_is_bounded() -> None:
    """Parentheses and CASEs count together."""
    with pytest.raises(MalformedQuery, match="deeper"):
        lex("SELECT " + "(" * (QUERY_DEPTH_MAX + 1))
    with pytest.raises(MalformedQuery, match="deeper"):
        lex("SELECT " + "CASE WHEN (" * QUERY_DEPTH_MAX)
