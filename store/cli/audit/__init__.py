"""`store audit`: the trail of a store, for who runs it and for who checks it.

Responsible for: the command lines; where ledger, keys and the embedded bucket of a data directory lie.
Not responsible for: what is done with them (store/audit), keeping a process going beside a server (store/server).
"""
