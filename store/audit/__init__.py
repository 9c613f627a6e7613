"""The audit trail: one event for each record of the log, in batches that are written once and prove each other.

Responsible for: what an event says, the names and bytes of all objects, the Merkle tree over the events, checkpoints
and who signs them, keys and their succession, and witnesses. FORMAT.md is the page beside the code.
The bytes: layout, json_form, merkle, notes, manifest, checkpoint, batches.
From the log to events: context, redaction, taxonomy, events, trail, recording.
Who signs: keys, custody, notary; witness, policy, cosigning, spans.
From the ledger into the store: rows, shipping, shipper, behind, rebuilding, bucket, holding; keeping runs it all.
For whoever reads: verifying/, proving, exporting, reporting, querying, revealing.

Not responsible for: where bytes lie and when anything is done (env, server, cli). It follows what is durable; the
engine does not know it.
"""
