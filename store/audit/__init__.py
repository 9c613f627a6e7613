"""The audit trail: one event for each record of the log, in batches that are written once and prove each other.

Responsible for: what an event says, the names and bytes of all objects, the Merkle tree over the events, checkpoints
and who signs them, keys and their succession, and witnesses. FORMAT.md is the page beside the code.
Not responsible for: where bytes lie and when anything is done (env, server, cli). It follows what is durable; the
engine does not know it.
"""
