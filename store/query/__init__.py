"""Questions in SQL: what a text says, what it means for a schema, which rows it is true of.

Responsible for: reading and refusing texts, PostgreSQL's rules of types and comparison, predicates and projections of
followed queries, one-off queries with joins and groups. QUERIES.md is the page of the language. The rooms:
syntax/   the text: words, grammar, statement.
types/    PostgreSQL's values: kinds, numbers, texts, JSON, and how one becomes another.
meaning/  what is read, for a schema: typed expressions that are evaluated; subqueries for membership.
shaping/  what is made of rows that match: projections, orders, groups; asked once, or kept current.
`asking` answers once, `live` follows; `access`, `routing` and `intervals` say which rows and queries need a look.

Not responsible for: who may ask, who is told, when.
"""
