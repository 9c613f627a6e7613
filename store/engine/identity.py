"""Who calls: an identity as a token says it and the log keeps it, and one connection's caller."""

from typing import Final

import msgspec

from store.engine.idempotency import Window
from store.ids import ClientId, ConnectionId, IdentityReference, Sender

SCOPE_CALL: Final = "call"
"""May call reducers."""
SCOPE_READ: Final = "read"
"""May query and subscribe to public tables."""
SCOPE_OPERATE: Final = "operate"
"""May read private tables too, and do what operators do."""
SCOPES: Final = (SCOPE_CALL, SCOPE_READ, SCOPE_OPERATE)


class Identity(msgspec.Struct, frozen=True, array_like=True):
    """A caller as the log keeps it. (issuer, subject) is who it is; the rest is what the token said of it."""

    issuer: str
    subject: str
    scopes: tuple[str, ...] = ()
    claims: bytes = b"\x80"
    """Further claims as a canonical MessagePack map; without those that change from token to token."""

    @property
    def sender(self) -> Sender:
        """Who it is: what idempotency keys are scoped to."""
        return (self.issuer, self.subject)


STORE_IDENTITY: Final = Identity(issuer="", subject="store", scopes=SCOPES)
"""The store itself: lifecycle, schema and heartbeat records. Its reference is 0."""

encode_identity: Final = msgspec.msgpack.Encoder().encode
decode_identity: Final = msgspec.msgpack.Decoder(Identity).decode


class Caller:
    """One connection's caller. `client` is set when the client has named itself; calls are idempotent from then on."""

    __slots__ = (
        "client",
        "connection",
        "identity",
        "may_call",
        "may_operate",
        "may_read",
        "reference",
        "sender",
        "source",
        "window",
    )

    def __init__(self, identity: Identity, connection: ConnectionId, source: str) -> None:
        self.identity: Final = identity
        self.connection: Final = connection
        self.source: Final = source
        self.client = ClientId("")
        self.reference: IdentityReference | None = None
        """Where the log holds the identity; None until its first record."""
        self.sender: Final = identity.sender
        self.window: Window | None = None
        """The client's window of first answers, as the write path found it last."""
        self.may_call: Final = SCOPE_CALL in identity.scopes
        self.may_operate: Final = SCOPE_OPERATE in identity.scopes
        self.may_read: Final = SCOPE_READ in identity.scopes or self.may_operate
