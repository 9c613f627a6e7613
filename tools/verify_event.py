"""Verifies one event of an audit trail, alone: by its line, a path of hashes, and a checkpoint that the log signed.

    python verify_event.py EVENT.json EVENT.tlog-proof --key VKEY [--witness VKEY]

The proof is a c2sp.org/tlog-proof, as `store audit prove` writes it. VKEY is the trail's key (or a file with it), got
from the people who run the store. Notes and keys are read by verify_audit.py, which lies beside this file; nothing of
the store is imported. Exit status: 0 verified, 1 it is not that event, or not that key's, 4 wrong usage.
"""

import argparse
import sys
from hashlib import sha256
from pathlib import Path

from verify_audit import HOSTILE, NUMBER, TAMPER, Key, Note, as_written, expect, key, unbase64, usage


def root_by_inclusion(index: int, size: int, leaf: bytes, proof: list[bytes]) -> bytes:
    """The root that an inclusion proof leads to: its last hash is that of the tree's other half."""
    expect(0 <= index < size and all(len(each) == 32 for each in (leaf, *proof)), "hashes, and a place in the tree")
    expect(bool(proof) == (size > 1), "a proof of as many hashes as lead to the root")
    if size == 1:
        return leaf
    half = 1 << (size - 1).bit_length() - 1
    if index < half:
        return sha256(b"\1" + root_by_inclusion(index, half, leaf, proof[:-1]) + proof[-1]).digest()
    return sha256(b"\1" + proof[-1] + root_by_inclusion(index - half, size - half, leaf, proof[:-1])).digest()


def verify_event(line: bytes, proof: bytes, trail: Key, witnesses: list[Key]) -> None:
    """One event under one checkpoint (c2sp.org/tlog-proof): its place in a tree that the key signed."""
    head, _, signed = proof.partition(b"\n\n")
    title, place, *hashes = [each for each in head.decode("ascii").split("\n") if not each.startswith("extra ")]
    index = as_written(f"{title} {place}", r"c2sp\.org/tlog-proof@v1 index \d{1,16}", "a tlog-proof").rpartition(" ")[2]
    note = Note(signed)
    origin, size, root = note.checkpoint()
    leaf = sha256(b"\0" + line.removesuffix(b"\n")).digest()
    found = root_by_inclusion(
        int(as_written(index, NUMBER, "a number")), size, leaf, [unbase64(each) for each in hashes]
    )
    expect(found == root, f"this event to be event {index} of {origin}")
    signers = note.signers(trail, *witnesses)
    expect(origin == trail.name and trail.text in signers, "a checkpoint of the key's trail, with its signature")
    expect(signers >= {each.text for each in witnesses}, "the cosignature of every witness")


def main(arguments: list[str] | None = None) -> int:
    """Verify, print the verdict, and return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.error = usage  # type: ignore[method-assign]  # Its own status would say something else.
    parser.add_argument("event", type=Path, metavar="EVENT.json", help="the event's line")
    parser.add_argument("proof", type=Path, metavar="EVENT.tlog-proof", help="its place under a signed root")
    parser.add_argument("--key", type=key, required=True, metavar="VKEY", help="the trail's verification key")
    parser.add_argument("--witness", type=key, action="append", default=[], metavar="VKEY", help="must have cosigned")
    try:
        options = parser.parse_args(arguments)
        verify_event(options.event.read_bytes(), options.proof.read_bytes(), options.key, options.witness)
    except OSError as error:
        usage(f"cannot read: {error}")
    except HOSTILE as error:
        print(ascii(f"TAMPER     {options.event}: {error}")[1:-1])
        return TAMPER
    print("VERIFIED")
    return 0


if __name__ == "__main__":
    sys.exit(main())
