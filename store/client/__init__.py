"""The agent's side of the wire: calls with typed answers, rows that stay current, and a connection that comes back.

    from store.client import connect

Responsible for: one conversation over many connections (conversation), rows and their deltas (rows), live views of them
with indexes, callbacks and streams (view), the asyncio shell (connection), the facade for scripts (blocking). Not
responsible for: what a reducer does, and not for keeping anything beyond its own process.
"""

from store.client.blocking import BlockingClient, BlockingView, connect_sync
from store.client.connection import Client, connect
from store.client.errors import FellBehind, OutcomeUnknown, Unreachable
from store.client.index import ViewIndex
from store.client.options import ClientOptions
from store.client.query import Query
from store.client.rows import Change, Delete, Insert, Rows, Update, ViewDelta
from store.client.streams import ChangeStream, DeltaStream
from store.client.view import View
from store.subscribe.messages import Anew

__all__ = [
    "Anew",
    "BlockingClient",
    "BlockingView",
    "Change",
    "ChangeStream",
    "Client",
    "ClientOptions",
    "Delete",
    "DeltaStream",
    "FellBehind",
    "Insert",
    "OutcomeUnknown",
    "Query",
    "Rows",
    "Unreachable",
    "Update",
    "View",
    "ViewDelta",
    "ViewIndex",
    "connect",
    "connect_sync",
]
