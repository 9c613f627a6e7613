"""A simulator: the real engine, log and tables in a world made of seeds, held against a one-page model.

    python -m tests.sim --seed 7            one history, repeatable to the byte
    make sim SEED=7                         the same

Responsible for: interactions (what may happen), observations (what was seen), the model (what should be), properties
(the guarantees of the design), the target (the store under test). Not responsible for: sockets and sessions.
"""
