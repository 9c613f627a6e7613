"""Verifying a trail where it lies: names and versions, keys, manifests, batches, locks, and the log it tells of.

Responsible for: saying what is proven, what does not hold, and what was not looked at. It reads batch after batch and
keeps none, so a trail of any length takes the same memory.
Not responsible for: opening stores, running on several cores, showing what was found (cli). tools/verify_audit.py does
the same for folders and shares no code with this.
"""
