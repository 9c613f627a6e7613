"""Which class of OCSF 1.8.0 an act belongs to, and what it does there; FORMAT.md §4.3 is the same as a table.

Laws: it follows from a record's kind and reducer alone. Numbers are OCSF's: class, activity, and category, which is the
class without its last three digits. 99 is "other" in every class.
"""

from collections.abc import Mapping
from typing import Final, NamedTuple

from store.transaction import Kind, Op

DATASTORE: Final = 6005
"""Datastore Activity."""
ENTITY: Final = 3004
"""Entity Management."""
AUTHENTICATION: Final = 3002
APPLICATION: Final = 6002
"""Application Lifecycle."""

OTHER: Final = "other"

KIND_NAMES: Final[Mapping[int, str]] = {int(each): each.name.lower() for each in Kind}
OP_NAMES: Final[Mapping[int, str]] = {int(each): each.name.lower() for each in Op}


class Act(NamedTuple):
    """What somebody did, in OCSF's numbers."""

    class_uid: int
    activity_id: int

    @property
    def category_uid(self) -> int:
        """The class's category."""
        return self.class_uid // 1000

    @property
    def type_uid(self) -> int:
        """Class and activity in one number."""
        return self.class_uid * 100 + self.activity_id


_UNKNOWN: Final = Act(DATASTORE, 99)
_WRITE: Final = Act(DATASTORE, 5)

_BY_KIND: Final[Mapping[int, Act]] = {
    Kind.CALL: _WRITE,
    Kind.FAILED_CALL: _WRITE,
    Kind.SCHEDULE: _WRITE,
    Kind.STREAM: _WRITE,
    Kind.SCHEMA: Act(ENTITY, 3),
    Kind.EPOCH: Act(ENTITY, 1),
    Kind.IDENTITY: Act(AUTHENTICATION, 1),
    Kind.ADMIN: Act(ENTITY, 3),
    Kind.LIFECYCLE: Act(APPLICATION, 99),
    Kind.DENIED: _UNKNOWN,
}

_BY_NAME: Final[Mapping[tuple[int, str], Act]] = {
    (Kind.LIFECYCLE, "start"): Act(APPLICATION, 3),
    (Kind.LIFECYCLE, "stop"): Act(APPLICATION, 4),
    (Kind.ADMIN, "heartbeat"): Act(APPLICATION, 99),
    (Kind.DENIED, "authenticate"): Act(AUTHENTICATION, 1),
    (Kind.DENIED, "call"): _WRITE,
    (Kind.DENIED, "query"): Act(DATASTORE, 4),
    (Kind.DENIED, "subscribe"): Act(DATASTORE, 1),
    (Kind.DENIED, "operate"): Act(ENTITY, 3),
    (Kind.READ, "query"): Act(DATASTORE, 4),
    (Kind.READ, "subscribe"): Act(DATASTORE, 1),
}


def act_of(kind: int, reducer: str) -> Act:
    """What a record of this kind tells of."""
    return _BY_NAME.get((kind, reducer)) or _BY_KIND.get(kind, _UNKNOWN)
