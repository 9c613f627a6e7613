"""From the ledger into a write-once store, and back where the ledger is lost.

Responsible for: putting an object so that neither a crash nor a lost answer makes a second one or none, reading back
what counts as stored, telling what may pass from what is wrong, the bucket's own state, holds, and rebuilding.
Not responsible for: what the rows hold (recording), who signs (signing), the store itself (env).
"""
