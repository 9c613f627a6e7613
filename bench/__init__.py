"""The store's speed and memory beside its peers, as ratios of one run on one machine.

Responsible for: starting the store and its peers alike, loading them with one generator, and saying what was measured.
Not responsible for: being fast, or for being right beyond what a measured number rests on (tests/ is).
"""
