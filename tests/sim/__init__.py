"""A simulator: the real engine, log, tables, sessions and upkeep in a world made of seeds, beside a one-page model.

    python -m tests.sim --seed 7            one history after the other, each repeatable to the byte
    make sim SEED=7                         the same

Laws: all chance comes from the seed (`chances`), all time from a clock that is set, all disks, networks and object
stores are in memory: the same seed is the same trace. What may happen is an interaction, what was seen an observation;
a property looks at observations and the model alone. Whatever ends a process ends in a restart. Other processes work on
the directory by handles of their own, and anything may happen between any two of their operations (`beside`, `works`).
An unexpected exception anywhere is a failure, and so is an assertion of the store. TRACK_RECORD.md says what was found.

Responsible for: interactions (what may happen), observations (what was seen), the model (what should be), properties
(the guarantees of the design), the target (the store under test), agents, clients and the network (who use it), queries
(what is asked, as SQL and as Python), works and damage (what is done to its directory), defects (what it must find).
Not responsible for: sockets, threads, real disks and processes (tests/crash has those), and what the audit ships, of
which there is nothing yet.
"""
