"""What somebody does to a trail, and how each verifier must find it: the same list for both of them.

An attack changes the trail and says with which options it is verified. Kinds: 1 tamper, 2 incomplete, 3 unlocked, 0 for
what lies beside the evidence: said as a warning, while the evidence stands.
"""

import base64
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Final

import zstandard

from tests.audit.small_trails import (
    FIRST_KEY,
    LOG,
    SECOND_KEY,
    START,
    WITNESS,
    Lock,
    Signer,
    Stored,
    Trail,
    canonical,
    event,
    root,
    small_trail,
)

BATCH = "batch/000000000001-00000000000000000003-00000000000000000003.jsonl.zst"
LONG = "batch/000000000002-00000000000000000004-00000000000000000007.jsonl.zst"
MANIFEST = "manifest/000000000001.json"
CHECKPOINT = "checkpoint/00000000000000000004.ckpt"
LAST = ("batch/000000000003-00000000000000000008-00000000000000000009.jsonl.zst", "manifest/000000000003.json",
        "checkpoint/00000000000000000010.ckpt")  # fmt: skip


@dataclass(frozen=True)
class Attack:
    """One attack, done."""

    trail: Trail
    found: int
    """The exit status."""
    says: str
    """Part of a finding's text, or of the object's name."""
    trusted: bytes | None = None
    """A checkpoint that the auditor kept."""
    witnesses: tuple[str, ...] = ()
    options: dict[str, int] = field(default_factory=dict)


def overwritten() -> Attack:
    """A batch's file is replaced, and so is what the folder says of it."""
    trail = small_trail()
    trail.change(BATCH, zstandard.ZstdCompressor(write_checksum=True).compress(canonical(event(3)) + b"\n\n"))
    return Attack(trail, 1, BATCH)


def new_version() -> Attack:
    """Other bytes are put above a locked version, which stays."""
    trail = small_trail()
    above = (Lock(version_id="v2", data=b"other bytes"),)
    trail.objects[BATCH] = replace(trail.objects[BATCH], later=above)
    return Attack(trail, 0, "2 versions")


def delete_marker() -> Attack:
    """A delete marker hides a locked version, which stays."""
    trail = small_trail()
    above = (Lock(version_id="v2", marker=True, mode=None, retain_until=None),)
    trail.objects[MANIFEST] = replace(trail.objects[MANIFEST], later=above)
    return Attack(trail, 0, "delete marker")


def missing_batch() -> Attack:
    """A batch is gone; what is signed still says that it was there."""
    trail = small_trail()
    del trail.objects[BATCH]
    return Attack(trail, 2, "events 3 to 3 are missing")


def missing_manifest() -> Attack:
    """A manifest is gone."""
    trail = small_trail()
    del trail.objects[MANIFEST]
    return Attack(trail, 2, "manifests 1 to 1 are missing")


def missing_end() -> Attack:
    """The last batch and manifest are gone, but not the checkpoint that signs them."""
    trail = small_trail()
    for name in LAST[:2]:
        del trail.objects[name]
    return Attack(trail, 2, "10 events were signed")


def missing_key() -> Attack:
    """The note that introduces the key is gone."""
    trail = small_trail()
    del trail.objects[f"keys/{FIRST_KEY.id.hex()}.note"]
    return Attack(trail, 1, "first key")


def missing_checkpoints() -> Attack:
    """No checkpoint is left: nothing is signed."""
    trail = small_trail()
    for name in [each for each in trail.objects if each.startswith("checkpoint/")]:
        del trail.objects[name]
    return Attack(trail, 2, "no event is proven")


def nothing_left() -> Attack:
    """All but the key is gone."""
    trail = small_trail()
    for name in [each for each in trail.objects if not each.startswith("keys/")]:
        del trail.objects[name]
    return Attack(trail, 2, "no event is proven")


def reordered_events() -> Attack:
    """Two events of a batch change places."""
    trail = small_trail()
    lines = [trail.lines[place] + b"\n" for place in (5, 4, 6, 7)]
    trail.change(LONG, zstandard.ZstdCompressor(write_checksum=True).compress(b"".join(lines)))
    return Attack(trail, 1, LONG)


def reordered_batches() -> Attack:
    """Two manifests change names."""
    trail = small_trail()
    one, other = MANIFEST, "manifest/000000000002.json"
    trail.objects[one], trail.objects[other] = trail.objects[other], trail.objects[one]
    return Attack(trail, 1, "as its name says")


def truncated_tail() -> Attack:
    """The end is cut off cleanly: whoever kept a checkpoint knows that there was more."""
    trail = small_trail()
    kept = trail.objects[LAST[2]].data
    for name in LAST:
        del trail.objects[name]
    return Attack(trail, 2, "10 events", trusted=kept)


def rewritten(*, witnesses: tuple[Signer, ...] = ()) -> Trail:
    """Somebody with the signing key leaves out what happened, and signs it all again."""
    trail = Trail()
    trail.introduce(FIRST_KEY)
    trail.batch([event(each, unmapped={"args": {"amount": 0}}) for each in range(3)])
    trail.checkpoint(witnesses=witnesses)
    return trail.grow(1, 4, 2, 5)


def rewritten_against_trusted() -> Attack:
    """A rewritten history against a checkpoint that the auditor kept, at a size that is signed again."""
    return Attack(rewritten(), 1, "rewritten", trusted=small_trail().objects[CHECKPOINT].data)


def rewritten_between() -> Attack:
    """The same where no checkpoint of the rewritten history has the size of the one that was kept."""
    trail = Trail()
    trail.introduce(FIRST_KEY)
    trail.grow(7, 8, actor={"user": {"uid": "nobody", "domain": "test"}})
    return Attack(trail, 1, "rewritten", trusted=small_trail().objects[CHECKPOINT].data)


def rewritten_against_witness() -> Attack:
    """A rewritten history has no cosignature."""
    return Attack(rewritten(), 1, "cosigned", witnesses=(WITNESS.vkey,))


def witness_behind() -> Attack:
    """The witness has not cosigned the end."""
    trail = Trail()
    trail.introduce(FIRST_KEY)
    trail.grow(3, 2, witnesses=[WITNESS]).grow(4)
    return Attack(trail, 2, "cosigned", witnesses=(WITNESS.vkey,))


def forged_cosignature() -> Attack:
    """Somebody else cosigns under the witness's name and id."""
    forger = Signer(8, "witness.example", algorithm=4)
    forger.id = WITNESS.id
    trail = Trail()
    trail.introduce(FIRST_KEY)
    return Attack(trail.grow(3, witnesses=[forger]), 1, "witness.example", witnesses=(WITNESS.vkey,))


def forged_key() -> Attack:
    """A whole trail by another key, under the same name."""
    return Attack(small_trail(signer=SECOND_KEY), 1, "the key that was named")


def forged_rotation() -> Attack:
    """A key that the one before did not introduce."""
    trail = small_trail()
    trail.introduce(SECOND_KEY, FIRST_KEY, signer=SECOND_KEY)
    return Attack(trail.grow(2), 1, "sign")


def two_successors() -> Attack:
    """Whoever stole an old key introduces another successor."""
    trail = small_trail()
    trail.introduce(SECOND_KEY, FIRST_KEY)
    trail.grow(2)
    trail.introduce(Signer(3), FIRST_KEY)
    trail.signer = SECOND_KEY
    return Attack(trail.grow(1), 1, "two")


def old_key_goes_on() -> Attack:
    """After its succession the old key alone signs no more."""
    trail = small_trail()
    trail.introduce(SECOND_KEY, FIRST_KEY)
    trail.grow(2)
    trail.signer = FIRST_KEY
    return Attack(trail.grow(1), 1, "signature of")


def revoked_key_goes_on() -> Attack:
    """A revoked key signs on."""
    trail = small_trail()
    trail.revoke(FIRST_KEY)
    return Attack(trail.grow(2), 1, "revoked")


def forged_revocation() -> Attack:
    """A revocation that the root key did not sign is not obeyed."""
    trail = small_trail()
    trail.revoke(FIRST_KEY, signer=SECOND_KEY)
    return Attack(trail, 1, "root key")


def unlocked() -> Attack:
    """An object without a lock."""
    trail = small_trail()
    trail.objects[BATCH] = replace(trail.objects[BATCH], lock=None)
    return Attack(trail, 3, BATCH)


def unlocked_mode() -> Attack:
    """A version without a mode."""
    trail = small_trail()
    trail.objects[CHECKPOINT] = replace(trail.objects[CHECKPOINT], lock=Lock(mode=None, retain_until=None))
    return Attack(trail, 3, CHECKPOINT)


def governance() -> Attack:
    """A mode that somebody may lift."""
    trail = small_trail()
    trail.objects[MANIFEST] = replace(trail.objects[MANIFEST], lock=Lock(mode="GOVERNANCE"))
    return Attack(trail, 3, "GOVERNANCE")


def under_retained() -> Attack:
    """A lock that ends before the manifest says."""
    trail = small_trail()
    trail.objects[BATCH] = replace(trail.objects[BATCH], lock=Lock(retain_until="2027-01-01T00:00:00Z"))
    return Attack(trail, 3, "2027-01-01")


def under_retained_manifest() -> Attack:
    """A manifest that may go before its batch."""
    trail = small_trail()
    trail.objects[MANIFEST] = replace(trail.objects[MANIFEST], lock=Lock(retain_until="2027-01-01T00:00:00Z"))
    return Attack(trail, 3, "2027-01-01")


def under_retained_checkpoint() -> Attack:
    """A checkpoint that may go before what it signs."""
    trail = small_trail()
    trail.objects[CHECKPOINT] = replace(trail.objects[CHECKPOINT], lock=Lock(retain_until="2027-01-01T00:00:00Z"))
    return Attack(trail, 3, "2027-01-01")


def under_retained_key() -> Attack:
    """The note of a key that may go before the batches whose manifests it signs."""
    trail, name = small_trail(), f"keys/{FIRST_KEY.id.hex()}.note"
    trail.objects[name] = replace(trail.objects[name], lock=Lock(retain_until="2036-11-20T23:59:59Z"))
    return Attack(trail, 3, "2036-11-20")


def under_retained_policy() -> Attack:
    """The same of a policy."""
    trail = small_trail()
    trail.objects["policy/000001.note"] = replace(
        trail.objects["policy/000001.note"], lock=Lock(retain_until="2036-11-20T23:59:59Z")
    )
    return Attack(trail, 3, "2036-11-20")


def event_hold() -> Attack:
    """A date that moves."""
    trail = small_trail()
    trail.objects[BATCH] = replace(trail.objects[BATCH], lock=Lock(event_hold=True))
    return Attack(trail, 3, "event hold")


def other_version() -> Attack:
    """The version that the manifest names is gone, and another is in its place."""
    trail = small_trail()
    trail.objects[BATCH] = replace(trail.objects[BATCH], lock=Lock(version_id="v9"))
    return Attack(trail, 1, "version that the manifest names")


def foreign() -> Attack:
    """A file that is no part of any trail."""
    trail = small_trail()
    trail.objects["batch/notes.txt"] = Stored(b"hello")
    return Attack(trail, 0, "no trail has")


def garbage_manifest() -> Attack:
    """A manifest that is none."""
    trail = small_trail()
    trail.objects["manifest/000000000004.json"] = Stored(b"{}")
    return Attack(trail, 1, "manifest/000000000004.json")


def garbage_policy() -> Attack:
    """A policy that is none."""
    trail = small_trail()
    trail.objects["policy/000002.note"] = Stored(b"quorum none\n")
    return Attack(trail, 1, "policy/000002.note")


def unsigned_policy() -> Attack:
    """A policy that somebody else signed."""
    trail = small_trail()
    trail.signer = SECOND_KEY
    trail.policy()
    return Attack(trail, 1, "policy/000002.note")


def overlapping_signature() -> Attack:
    """The signature of the key before, which may stand beside the new one's, does not hold."""
    trail = small_trail(3)
    trail.introduce(SECOND_KEY, FIRST_KEY)
    trail.batch([event(3)])
    forger = Signer(8)
    forger.id = FIRST_KEY.id
    trail.checkpoint(SECOND_KEY, forger)
    return Attack(trail, 1, CHECKPOINT)


def garbage_checkpoint() -> Attack:
    """A checkpoint that is none."""
    trail = small_trail()
    trail.objects["checkpoint/00000000000000000005.ckpt"] = Stored(b"\x00\xff")
    return Attack(trail, 1, "checkpoint/00000000000000000005.ckpt")


def within_a_batch() -> Attack:
    """A checkpoint in the middle of a batch, with the right root, signed by who has the key: no shipper made it."""
    trail = small_trail()
    text = f"{trail.origin}\n6\n{base64.b64encode(root(trail.leaves[:6])).decode()}\n"
    trail.objects["checkpoint/00000000000000000006.ckpt"] = Stored(f"{text}\n{FIRST_KEY.line(text)}".encode())
    return Attack(trail, 1, "no batch ends")


def foreign_trusted() -> Attack:
    """What the auditor kept was signed by somebody else."""
    other = small_trail(3)
    return Attack(small_trail(3), 1, "signature of", trusted=other.note(SECOND_KEY))


def empty_root() -> Attack:
    """A checkpoint of no events with some root, signed by who has the key."""
    trail = small_trail()
    text = f"{trail.origin}\n0\n{base64.b64encode(bytes(32)).decode()}\n"
    trail.objects["checkpoint/00000000000000000000.ckpt"] = Stored(f"{text}\n{FIRST_KEY.line(text)}".encode())
    return Attack(trail, 1, "empty tree")


def other_spelling(until: str = "2036-11-21T0:00:00Z") -> Attack:
    """A date that can be read and is not written as it must be, signed by who has the key."""
    trail = small_trail(3)
    said = trail.signed({**trail.manifests[0], "retain_until": until})
    trail.objects["manifest/000000000000.json"] = Stored(canonical(said))
    return Attack(trail, 1, "retain_until")


def far_away() -> Attack:
    """A manifest with a number in the far future."""
    trail = small_trail()
    trail.objects["manifest/999999999999.json"] = trail.objects[MANIFEST]
    return Attack(trail, 1, "as its name says")


def other_tenant() -> Attack:
    """Manifest and batch of another tenant's trail, of the same numbers."""
    trail, other = small_trail(), small_trail(log="f" * 32)
    trail.objects[MANIFEST], trail.objects[BATCH] = other.objects[MANIFEST], other.objects[BATCH]
    return Attack(trail, 1, LOG)


def replayed() -> Attack:
    """A batch comes again, under the next number, with its manifest."""
    trail = small_trail()
    again = "batch/000000000004-00000000000000000003-00000000000000000003.jsonl.zst"
    trail.objects["manifest/000000000004.json"], trail.objects[again] = trail.objects[MANIFEST], trail.objects[BATCH]
    return Attack(trail, 1, "batch 4, as its name says")


def replayed_object() -> Attack:
    """A batch lies there again, and no manifest names it."""
    trail = small_trail()
    trail.objects["batch/000000000004-00000000000000000003-00000000000000000003.jsonl.zst"] = trail.objects[BATCH]
    return Attack(trail, 0, "no manifest names this batch")


def clock_set_back() -> Attack:
    """Events that are older than those before them, signed by who has the key."""
    trail = small_trail()
    early = {"timestamp": START - 5_000_000}
    trail.batch([event(10, unmapped=early, time=(START - 5_000_000) // 1000)])
    trail.checkpoint()
    return Attack(trail, 1, "clock went back")


def left_out() -> Attack:
    """A record of the log without an event, signed by who has the key."""
    trail = small_trail()
    trail.batch([event(10, offset=13)])
    trail.checkpoint()
    return Attack(trail, 2, "offsets 11 to 12")


def one_bit() -> Attack:
    """One event is changed by one bit, and packed again."""
    trail = small_trail()
    line = bytearray(trail.lines[3])
    line[line.index(b"alice")] ^= 1
    trail.change(BATCH, zstandard.ZstdCompressor(write_checksum=True).compress(bytes(line) + b"\n"))
    return Attack(trail, 1, BATCH)


def one_bit_with_manifest() -> Attack:
    """The same, and the manifests signed again by who has the key, but not the checkpoints."""
    trail = small_trail(3)
    kept = trail.objects["checkpoint/00000000000000000003.ckpt"]
    other = Trail()
    other.introduce(FIRST_KEY)
    other.grow(3, actor={"user": {"uid": "`lice", "domain": "test"}})
    other.objects["checkpoint/00000000000000000003.ckpt"] = kept
    return Attack(other, 1, "rewritten")


ATTACKS: Final[tuple[Callable[[], Attack], ...]] = (
    overwritten, new_version, delete_marker, missing_batch, missing_manifest, missing_end, missing_key,
    missing_checkpoints, nothing_left, reordered_events, reordered_batches, truncated_tail, rewritten_against_trusted,
    rewritten_between, rewritten_against_witness, witness_behind, forged_cosignature, forged_key, forged_rotation,
    two_successors, old_key_goes_on, revoked_key_goes_on, forged_revocation, unlocked, unlocked_mode, governance,
    under_retained, under_retained_manifest, under_retained_checkpoint, under_retained_key, under_retained_policy,
    within_a_batch, foreign_trusted, event_hold, other_version, foreign,
    garbage_manifest, garbage_policy, unsigned_policy, overlapping_signature, garbage_checkpoint, empty_root,
    other_spelling, far_away,
    other_tenant, replayed, replayed_object, clock_set_back, left_out, one_bit, one_bit_with_manifest,
)  # fmt: skip
