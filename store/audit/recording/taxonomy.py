"""Which class of OCSF 1.8.0 an act belongs to, what it does there, and what the class wants; FORMAT.md §4.2 as a table.

Laws: it follows from a record's kind and reducer alone. Numbers are OCSF's: class, activity, and category, which is the
class without its last three digits. 99 is "other" in every class, and then the activity has a name. Every member that
OCSF requires of a class is there.
"""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

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


PRODUCT: Final[Mapping[str, str]] = {"name": "commitstore", "vendor_name": "commitstore"}
RELATIONAL: Final = 1
"""What kind of database: tables and keys."""
UNMAPPED: Final = 99
"""The activity that a class has no number for."""


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


_UNKNOWN: Final = Act(DATASTORE, UNMAPPED)
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
    Kind.LIFECYCLE: Act(APPLICATION, UNMAPPED),
    Kind.DENIED: _UNKNOWN,
}

_BY_NAME: Final[Mapping[tuple[int, str], Act]] = {
    (Kind.LIFECYCLE, "start"): Act(APPLICATION, 3),
    (Kind.LIFECYCLE, "stop"): Act(APPLICATION, 4),
    (Kind.ADMIN, "heartbeat"): Act(APPLICATION, UNMAPPED),
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


def members_of(act: Act, *, log: str, name: str, user: Mapping[str, str]) -> dict[str, Any]:
    """What the class wants beside what every event has. `name` is the act's own; `user` is who acted.

    The database, the entity that was changed, the service that somebody logged on to: each is the store itself.
    """
    wanted: dict[str, Any] = {"activity_name": name} if act.activity_id == UNMAPPED else {}
    if act.class_uid == DATASTORE:
        return {**wanted, "database": {"type_id": RELATIONAL, "uid": log}, "src_endpoint": {"name": PRODUCT["name"]}}
    if act.class_uid == ENTITY:
        return {**wanted, "entity": {"type": "database", "uid": log}}
    if act.class_uid == AUTHENTICATION:
        return {**wanted, "service": {"name": PRODUCT["name"], "uid": log}, "user": user}
    return {**wanted, "app": PRODUCT}
