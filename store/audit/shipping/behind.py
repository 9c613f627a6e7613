"""Whether the store and the ledger speak of the same trail: where one knows more, nothing is shipped.

Laws: where the store holds more is looked at once, before anything is put. A batch that is frozen anew might be cut
otherwise than the one that is stored; two objects for one number would be a fork that nobody could mend. Batches may be
stored before the one in front of them is, but only so many: looked at is every number that could be. Whether what
was stored last still lies there is looked at now and then: behind a hole nothing could be proven, and what is in the
log and in the ledger of it would soon be let go.
"""

from typing import Final

from store.audit.objects.layout import batch_name, folder_of, manifest_name
from store.audit.recording.rows import Rows, State
from store.env.worm import Misconfigured, WormStore
from store.errors import StoreError

AHEAD_MAX: Final = 8
"""Batches from the first whose manifest is not in the store on that may be there already, in any order: how many are
put at once. More fill a longer way; each is in memory while it is on it, and one more to look for after a crash."""


class LedgerBehind(StoreError):
    """The store holds more of this trail than the ledger knows: it was lost, or an old copy of it was put back."""


def check_not_behind(store: WormStore, rows: Rows, log: str) -> None:
    """LedgerBehind: the store holds what comes next by this ledger, or the ledger is empty and the store is not."""
    folder = folder_of(log)
    newest = rows.newest
    if newest is None:
        prefixes, ours = [f"{folder}{kind}/" for kind in ("batch", "manifest")], set[str]()
    else:
        frozen = rows.first_in(State.FROZEN)
        number = frozen.batch if frozen is not None else newest.batch + 1
        ahead = range(number, number + AHEAD_MAX)
        prefixes = [manifest_name(log, number), *(f"{folder}batch/{each:012d}-" for each in ahead)]
        known = (row for each in ahead if (row := rows.at(each)) is not None)
        ours = {batch_name(log, row.batch, first=row.first, last=row.size_after - 1) for row in known}
    for prefix in prefixes:
        for each in store.versions(prefix):
            if not each.marker and each.key not in ours:
                raise LedgerBehind(
                    f"{store.url} holds {each.key}, which the ledger does not know of",
                    hint="The ledger was lost or is an old copy: `store audit rebuild` makes it anew from bucket and"
                    " log. If another process ships this trail, stop it first.",
                )


def check_still_there(store: WormStore, rows: Rows, log: str) -> None:
    """Misconfigured: what was stored last is gone. An unmounted disk, another folder or bucket, or somebody's act."""
    row = next((each for each in reversed(tuple(rows)) if each.manifest_version_id), None)
    if row is None:
        return
    for name, version_id in (
        (batch_name(log, row.batch, first=row.first, last=row.size_after - 1), row.version_id),
        (manifest_name(log, row.batch), row.manifest_version_id),
    ):
        if not any(each.version_id == version_id and not each.marker for each in store.versions_of(name)):
            raise Misconfigured(
                f"{store.url} does not hold {name} any more, which was stored there (version {version_id})",
                hint="Is it the right place, and is its disk mounted? Bring it back. If it is lost for good, stop the"
                " server: `store audit rebuild` begins a trail anew with what the log still holds.",
            )
