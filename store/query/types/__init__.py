"""PostgreSQL's values in Python: each kind, its functions, and how one becomes another.

Responsible for: results and refusals as PostgreSQL has them.
Not responsible for: which function a text means (meaning).
"""
