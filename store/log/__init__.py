"""The commitlog: every transaction in order, as checked bytes in segments on a Disk.

Responsible for: batches, their checksums and chain, segments and their rotation, telling a torn tail from
corruption, rewriting what nothing vouches for, reading from any offset. FORMAT.md is the page beside the code.
Not responsible for: what a record means (codec), when to flush, sync, vouch or rotate (engine), which thread waits
(server). It climbs from byte to whole: format, segment, reader, unproven, commitlog, opening; survey tells what is
there, cutting writes a log that ends earlier, remains reads a damaged one, following reads one that grows.
"""
