"""The bytes of a trail: names, batches, the Merkle tree over the events, signed notes, manifests, checkpoints.

Responsible for: what every object in the store is called and holds, and reading it from whoever wrote it. The
FORMAT.md beside this room says the same to people.
Not responsible for: where the events come from, whose keys sign, when anything is stored.
"""
