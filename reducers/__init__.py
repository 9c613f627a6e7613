"""The domains a tenant is served with, one per file: its tables, then its reducers, then its pure rules.

Responsible for: what rows mean and which changes are allowed. Not responsible for: durability, order, the wire.
`store serve` loads these files by name; the store itself never imports them.
"""
