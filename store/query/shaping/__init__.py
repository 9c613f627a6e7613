"""What is made of the rows that match: outputs, orders, groups; computed once, or kept current change by change.

Responsible for: a result, and how it changes. Not responsible for: which rows match (meaning), who is told.
"""
