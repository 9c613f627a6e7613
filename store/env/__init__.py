"""The world, as Protocols, and the two worlds there are: the real one and one in memory.

Responsible for: disk, clock, entropy, a reducer's deadline, object stores, secrets. Not responsible for: what any byte
means.
Only this room and server/ touch the operating system; everything between runs unchanged in the simulator.
"""
