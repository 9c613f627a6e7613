"""What a statement means for a schema: expressions with types, made once and evaluated for each row.

Responsible for: names, coercion, three-valued logic, membership in subqueries.
Not responsible for: which rows are looked at, and what is made of those that match.
"""
