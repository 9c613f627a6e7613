"""The keys in a folder, opened, rotated and revoked.

Laws: a crash between two steps leaves a line of keys that holds: a secret that no note names is not used, and a note is
written last. Only the first key is made unasked.
"""

from collections.abc import Callable, Sequence
from typing import Final

from store.audit.objects.layout import folder_of, policy_name
from store.audit.objects.notes import SecretKey, Signer, VerifierKey, read_note, read_secret_key, sign
from store.audit.signing.keys import Keyring, introduce_first, introduce_next, read_succession, revoke
from store.audit.signing.policy import Policy
from store.env.audit_keys import KeyFolder
from store.errors import ConfigError

SEED_SIZE: Final = 32
Random = Callable[[int], bytes]
"""So many bytes that nobody has seen."""

_FOLDER: Final = "keys/"


def open_keyring(
    folder: KeyFolder,
    log: str,
    *,
    origin: str,
    random: Random,
    root: VerifierKey | None = None,
    service: Signer | None = None,
) -> Keyring:
    """The keys of a log; the first is made, or taken from the environment or the key service, where there is none.

    ConfigError: a secret is damaged, others may read it, it is another log's, or the key in force is not at hand.
    Malformed: the notes do not hold.
    """
    signers = _signers(folder, service)
    notes = _notes(folder, log)
    if not notes:
        first = signers[0] if signers else _make(folder, origin, random)
        if first.key.name != origin:
            raise ConfigError(
                f"the audit key is named {first.key.name}, the log {origin}",
                hint="A key is named after its log: make one for it, or set audit_domain as it was",
            )
        signers = signers or [first]
        name, data = introduce_first(log, first, root=root)
        folder.add_note(_file(name), data)
        notes = {name: data}
    return Keyring(log, signers, notes)


def rotate(
    folder: KeyFolder,
    log: str,
    *,
    size: int,
    random: Random,
    service: Signer | None = None,
    root: Signer | None = None,
    following: Signer | None = None,
) -> VerifierKey:
    """Introduce the next key for all that is larger than `size`: a new one in the folder, or `following`.

    `root` is wanted where the key in force was revoked. Errors as `open_keyring`.
    """
    succession = read_succession(log, _notes(folder, log))
    signers = {each.key: each for each in _signers(folder, service)}
    by = root if str(succession.newest) in succession.revoked else signers.get(succession.newest)
    if by is None:
        raise ConfigError(
            f"neither the key in force, {succession.newest.key_id}, nor the root key is at hand",
            hint="Bring its file back into the keys' folder, or name the root key's file",
        )
    following = following or _make(folder, succession.newest.name, random)
    name, data = introduce_next(log, succession, following, by=by, from_size=size)
    folder.add_note(_file(name), data)
    return following.key


def revoke_key(folder: KeyFolder, log: str, key_id: str, *, root: Signer, size: int, reason: str) -> VerifierKey:
    """Revoke a key for all that is larger than `size`. ConfigError: it is not there, or that is not the root key."""
    succession = read_succession(log, _notes(folder, log))
    found = next((key for _, key in succession.keys if key.key_id == key_id), None)
    if found is None:
        raise ConfigError(f"{key_id} is no key of this log", hint="`store audit keys show` lists them")
    name, data = revoke(log, succession, found, root=root, from_size=size, reason=reason)
    folder.add_note(_file(name), data)
    return found


def policy_notes(folder: KeyFolder, log: str, policy: Policy, signer: Signer) -> dict[str, bytes]:
    """All policies of a log, by object names; this one is signed and added where it is not the newest.

    They say whom the log asked. What an auditor wants, nobody but the auditor says.
    """
    known = list(folder.policies().values())
    if not known or read_note(known[-1]).text != policy.text:
        known.append(sign(policy.text, [signer]).encode())
        folder.add_policy(len(known), known[-1])
    return {policy_name(log, number): data for number, data in enumerate(known, start=1)}


def _signers(folder: KeyFolder, service: Signer | None) -> Sequence[Signer]:
    secrets: list[Signer] = [read_secret_key(line) for line in folder.secrets()]
    return [service, *secrets] if service is not None else secrets


def _make(folder: KeyFolder, origin: str, random: Random) -> SecretKey:
    made = SecretKey(origin, random(SEED_SIZE))
    folder.add_secret(made.key.key_id, made.write())
    return made


def _notes(folder: KeyFolder, log: str) -> dict[str, bytes]:
    return {f"{folder_of(log)}{_FOLDER}{name}": data for name, data in folder.notes().items()}


def _file(name: str) -> str:
    return name.rpartition("/")[2]
