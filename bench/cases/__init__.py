"""The cases: each measures one promise beside its peers, in a process of its own.

Responsible for: what is loaded, in which rounds, and which ratio or bound is promised. A case is a module with `run`,
which gives Results, and PEERS, whom it stands beside.
"""
