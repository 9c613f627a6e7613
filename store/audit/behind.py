"""Whether the store holds more of a trail than its ledger knows: then the ledger is not to be gone on with.

Laws: it is looked at once, before anything is put. A batch that is frozen anew might be cut otherwise than the one that
is stored; two objects for one number would be a fork that nobody could mend.
"""

from store.audit.layout import folder_of, manifest_name
from store.audit.rows import Rows, State
from store.env.worm import WormStore
from store.errors import StoreError


class LedgerBehind(StoreError):
    """The store holds more of this trail than the ledger knows: it was lost, or an old copy of it was put back."""


def check_not_behind(store: WormStore, rows: Rows, log: str) -> None:
    """LedgerBehind: the store holds what comes next by this ledger, or the ledger is empty and the store is not."""
    folder = folder_of(log)
    frozen, newest = rows.first_in(State.FROZEN), rows.newest
    prefixes = [f"{folder}{kind}/" for kind in ("batch", "manifest")]
    if newest is not None:
        number = frozen.batch if frozen is not None else newest.batch + 1
        prefixes = [f"{folder}batch/{number:012d}-", manifest_name(log, number)]
    ours = rows.frozen(frozen).name if frozen is not None else ""
    for prefix in prefixes:
        for each in store.versions(prefix):
            if not each.marker and each.key != ours:
                raise LedgerBehind(
                    f"{store.url} holds {each.key}, which the ledger does not know of",
                    hint="The ledger was lost or is an old copy: `store audit rebuild` makes it anew from bucket and"
                    " log. If another process ships this trail, stop it first.",
                )
