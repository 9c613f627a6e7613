"""From the log to frozen batches: a record becomes an event, events fill a batch, a batch is a row of the ledger.

Responsible for: what an event says and hides, what has to be known of the log to say it, the order of events, and the
one commit in which a batch, its place in the tree and the place in the log become durable.
Not responsible for: signing and storing what is frozen (signing, shipping).
"""
