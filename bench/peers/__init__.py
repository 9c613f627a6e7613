"""The store and what stands beside it, each started on loopback with a data directory of its own, stopped by its pid.

Responsible for: the same accounts, the same transfer, the same durability (told only once synced) in every one of them.
Not responsible for: their speed settings beyond that; what is set is said where it is set.
"""

from bench.peers.peer import BenchError, Peer, free_port, start, stop

__all__ = ["BenchError", "Peer", "free_port", "start", "stop"]
