"""Queries that are asked once, with their rows: held to PostgreSQL where there is one."""

from decimal import Decimal

from store.values import Json
from tests.query.scenes import Other, Sample

SAMPLES = [
    Sample(id=1, a=1, b=10, f=0.5, n=Decimal("1.5"), u="x", d=True, j=Json({"k": 1})),
    Sample(id=2, a=2, b=10, f=None, n=Decimal("2.25"), u="y", d=False, j=Json({"k": 2})),
    Sample(id=3, a=None, b=20, f=1.5, n=None, u="x", d=None),
    Sample(id=4, a=2, b=None, f=2.5, n=Decimal(100), u=None, d=True),
    Sample(id=5, a=5, b=20, f=-1.0, n=Decimal("0.001"), u="Y", d=False, j=Json({"k": 1})),
]
OTHERS = [
    Other(key=1, a=10, b=1, u="x", n=Decimal(1)),
    Other(key=2, a=20, b=None, u="y", n=Decimal(2)),
    Other(key=3, a=20, b=5, u=None, n=None),
    Other(key=4, a=None, b=2, u="x", n=Decimal("2.0")),
]

QUESTIONS = [
    # Order and bounds.
    "SELECT id FROM sample ORDER BY id",
    "SELECT id FROM sample ORDER BY id DESC LIMIT 2",
    "SELECT id FROM sample ORDER BY id LIMIT 2 OFFSET 1",
    "SELECT id, a FROM sample ORDER BY a, id",
    "SELECT id, a FROM sample ORDER BY a DESC, id DESC",
    "SELECT id, a FROM sample ORDER BY a NULLS FIRST, id",
    "SELECT id, a FROM sample ORDER BY a DESC NULLS LAST, id",
    "SELECT id, u FROM sample ORDER BY u, 1",
    "SELECT id, f * 2 AS g FROM sample ORDER BY g DESC, id OFFSET 1",
    "SELECT id, -id AS id2 FROM sample ORDER BY id2",
    "SELECT -id AS id FROM sample ORDER BY id",
    "SELECT id FROM sample ORDER BY a % 2, id LIMIT NULL",
    "SELECT id FROM sample WHERE false ORDER BY id",
    "SELECT id FROM sample ORDER BY id LIMIT 0",
    # Conditions by key, index, neither.
    "SELECT id FROM sample WHERE id = 3",
    "SELECT id FROM sample WHERE id IN (5, 1, 9) ORDER BY id",
    "SELECT id FROM sample WHERE b = 20 AND a > 1",
    "SELECT id FROM sample WHERE u IN ('x', 'Y') ORDER BY id",
    "SELECT id FROM sample WHERE id = 3.0 OR id = 4 ORDER BY id",
    "SELECT id FROM sample WHERE b = 20.5",
    "SELECT id FROM sample WHERE j ->> 'k' = '1' ORDER BY id",
    # Membership.
    "SELECT id FROM sample WHERE b IN (SELECT a FROM other) ORDER BY id",
    "SELECT id FROM sample WHERE b NOT IN (SELECT a FROM other) ORDER BY id",
    "SELECT id FROM sample WHERE b NOT IN (SELECT a FROM other WHERE a IS NOT NULL) ORDER BY id",
    "SELECT id FROM sample WHERE id IN (SELECT b FROM other WHERE u = 'x') ORDER BY id",
    "SELECT id FROM sample WHERE n IN (SELECT n FROM other) OR a IN (SELECT n FROM other) ORDER BY id",
    "SELECT key FROM other WHERE a IN (SELECT b FROM sample WHERE id IN (SELECT b FROM other)) ORDER BY key",
    "SELECT id, b IN (SELECT a FROM other) AS is_in FROM sample ORDER BY id",
    # Aggregates.
    "SELECT count(*), count(a), count(DISTINCT a), sum(a), min(a), max(a), avg(a) FROM sample",
    "SELECT sum(n), avg(n), min(n), max(n), sum(DISTINCT a), avg(DISTINCT b) FROM sample",
    "SELECT sum(f), avg(f), min(u), max(u), sum(length(u)), avg(length(u)) FROM sample",
    "SELECT count(*), sum(a), avg(f), min(u) FROM sample WHERE false",
    "SELECT b, count(*), sum(a) FROM sample GROUP BY b ORDER BY b",
    "SELECT b, count(*) FROM sample GROUP BY b HAVING count(*) > 1 ORDER BY 2 DESC, 1",
    "SELECT b / 10 AS ten, d, count(*) AS many FROM sample GROUP BY ten, 2 ORDER BY many, ten, d",
    "SELECT b + 1 FROM sample GROUP BY b + 1 ORDER BY b + 1 NULLS FIRST",
    "SELECT lower(u), max(n) - min(n) FROM sample GROUP BY lower(u) ORDER BY 1",
    "SELECT count(*) + 1 FROM sample HAVING count(*) > 10",
    "SELECT 'all' FROM sample HAVING count(*) > 1",
    "SELECT sample.b FROM sample GROUP BY b ORDER BY sample.b",
    "SELECT b FROM sample WHERE b > 10 GROUP BY b ORDER BY count(a)",
    "SELECT j -> 'k', count(*) FROM sample GROUP BY j -> 'k' ORDER BY 2, (j -> 'k')::text",
    # DISTINCT.
    "SELECT DISTINCT a FROM sample ORDER BY a",
    "SELECT DISTINCT b, d FROM sample ORDER BY b, d DESC",
    "SELECT DISTINCT a % 2 AS odd FROM sample ORDER BY odd LIMIT 2",
    "SELECT DISTINCT count(*) FROM sample GROUP BY b ORDER BY count(*)",
    # Joins.
    "SELECT sample.id, other.key FROM sample JOIN other ON sample.b = other.a ORDER BY 1, 2",
    "SELECT s.id, o.key FROM sample s LEFT JOIN other AS o ON s.b = o.a ORDER BY s.id, o.key",
    "SELECT s.id, o.key FROM sample s JOIN other o ON s.id = o.key AND o.b < s.a + 10 ORDER BY 1",
    "SELECT s.id, o.key FROM sample s LEFT JOIN other o ON s.u = o.u AND o.n > 1 ORDER BY 1, 2",
    "SELECT s.id, o.key FROM sample s LEFT JOIN other o ON s.u = o.u WHERE o.key IS NULL ORDER BY 1",
    "SELECT s.id, o.key FROM sample s JOIN other o ON s.id < o.key ORDER BY 1, 2",
    "SELECT s.id, o.key, p.id FROM sample s JOIN other o ON o.a = s.b LEFT JOIN sample p ON p.id = o.b ORDER BY 1,2,3",
    "SELECT o.u, count(s.id), sum(s.n * o.n) FROM other o LEFT JOIN sample s ON s.u = o.u GROUP BY o.u ORDER BY 1",
    "SELECT count(*) FROM sample a JOIN sample b ON true",
    "SELECT s.id FROM sample s JOIN other o ON s.a = o.n ORDER BY 1, o.key",
    "SELECT s.id FROM sample s JOIN other o ON s.f = o.n ORDER BY 1",
    "SELECT s.id, s.b IN (SELECT a FROM other) FROM sample s JOIN other o ON o.key IN (SELECT 3 FROM other) ORDER BY 1",
]
"""Queries of one order of rows."""

REFUSED = [
    "SELECT a, count(*) FROM sample",
    "SELECT a FROM sample GROUP BY b",
    "SELECT * FROM sample GROUP BY b",
    "SELECT sum(u) FROM sample",
    "SELECT avg(d) FROM sample",
    "SELECT min(d) FROM sample",
    "SELECT sum(count(*)) FROM sample",
    "SELECT id FROM sample WHERE count(*) > 1",
    "SELECT id FROM sample ORDER BY 2",
    "SELECT id FROM sample ORDER BY 'x'",
    "SELECT id FROM sample GROUP BY 0",
    "SELECT id, a FROM sample ORDER BY -2",
    "SELECT id, a FROM sample ORDER BY a, -(1.5)",
    "SELECT count(*) FROM sample GROUP BY - - 1",
    "SELECT DISTINCT a FROM sample ORDER BY b",
    "SELECT id FROM sample LIMIT -1",
    "SELECT id FROM sample LIMIT id",
    "SELECT id FROM sample LIMIT 'x'",
    "SELECT a FROM sample JOIN other ON true",
    "SELECT sample.nosuch FROM sample JOIN other ON true",
    "SELECT s.id FROM sample s JOIN other s ON true",
    "SELECT s.id FROM sample s JOIN other o ON o.a = p.b JOIN other p ON true",
    "SELECT 1 / (a - 1) FROM sample",
    "SELECT id FROM sample WHERE a",
    "SELECT sum(9223372036854775807 + a) FROM sample",
]
"""Queries that both refuse."""
