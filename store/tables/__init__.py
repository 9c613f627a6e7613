"""The present: every row at the last applied offset, and one unfinished write set above it.

Responsible for: rows, keys, indexes, constraints, reads. Not responsible for: order, durability, who may read.
"""
