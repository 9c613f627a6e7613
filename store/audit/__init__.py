"""The audit trail: one event for each record of the log, in batches that are written once and prove each other.

Responsible for: what an event says, the bytes of all objects, who signs them, and how they come into a write-once store
and are checked there. FORMAT.md is the page beside the code. The rooms, each on top of the next:
reading/    verify, prove, export, report, query: from the objects alone.
shipping/   from the ledger into the store, and back.
recording/  from the log to frozen batches.
signing/    keys, witnesses, policies.
objects/    names and bytes, the Merkle tree, notes.
`keeping` runs recording and shipping beside a server, `owing` says which log they still need.

Not responsible for: where bytes lie and when anything is done (env, server, cli). It follows what is durable; the
engine does not know it.
"""
