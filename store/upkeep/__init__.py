"""What is done to a data directory, beside a store that runs or to one that is stopped.

Responsible for: taking snapshots, letting old ones and old log go, which moments can be restored, restoring them,
going back, salvage. Not responsible for: calls (engine), what snapshots and log look like (snapshot, log), who asks.
"""
