"""Questions in SQL: what a text says, what it means for a schema, which rows it is true of.

Responsible for: reading and refusing texts, PostgreSQL's rules of types and comparison, predicates and projections of
followed queries, one-off queries with joins and groups. Not responsible for: who may ask, who is told, when.
"""
