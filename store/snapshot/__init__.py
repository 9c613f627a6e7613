"""Snapshots: all tables at one offset, as checked blocks that snapshots share and a manifest that comes last.

Responsible for: blocks and manifests, their checks, which blocks a change rewrites, what lies in `snapshot/`, `block/`
and `pin/`, the order in which files come and go, JSON Lines. FORMAT.md is the page beside the code.
Not responsible for: when a snapshot is due, what its system part means, whether the log goes on from it, what is kept
and what goes (engine), which process works on it (server). It climbs from byte to whole: format, rows, repository,
merge, jsonlines.
"""
