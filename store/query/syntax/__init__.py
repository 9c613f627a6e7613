"""The text of a query: tokens, the grammar they have to follow, and the statement that they say.

Responsible for: refusing what PostgreSQL's grammar refuses, at the token.
Not responsible for: what names and types mean.
"""
