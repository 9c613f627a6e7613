"""For whoever reads a trail: verify, prove one event, export, report, query, open sealed arguments.

Responsible for: saying what is proven, what is not and what was not looked at, from the objects alone.
Not responsible for: showing it (cli). Nothing here writes into the store that it reads.
"""
