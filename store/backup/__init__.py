"""The backup: snapshots and sealed segments, copied off-site into an object store, and read back from there.

Responsible for: which objects a backup holds and their names, the index, pushing what is missing, seeing a backup as a
read-only Disk, pulling it, telling forks apart, encryption and its keys. FORMAT.md is the page beside the code.
Not responsible for: what a snapshot or a segment means (snapshot, log), how a moment is resolved and restored
(engine: it works on the view as on any Disk), when to push and who waits (server, cli).
It climbs: layout and encryption, keys, bucket and facts, index, branches, contents, view; then push, pull, listing,
checking and rotation.
"""
