"""The one place where a transaction happens.

Responsible for: running reducers, numbering, the order append-apply-durable-told, idempotency, recovery, and when
to sync. Not responsible for: sockets, threads and timers (server/ and the simulator carry out what is asked here).
"""
