"""Opening a WebSocket to a store, and naming what is wrong where that fails."""

import ssl as tls
from collections.abc import Callable
from typing import Final
from urllib.parse import urlsplit, urlunsplit

from websockets.asyncio.client import ClientConnection
from websockets.asyncio.client import connect as open_websocket
from websockets.exceptions import InvalidHandshake, InvalidStatus, InvalidURI, NegotiationError
from websockets.typing import Subprotocol
from websockets.uri import parse_uri

from store.client.errors import HINT_TOKEN, HINT_TOKEN_SOURCE, HINT_URL, Unreachable, handshake_error
from store.client.options import ClientOptions
from store.errors import ConfigError, Denied, ProtocolError
from store.subscribe.messages import CLOSE_SUBPROTOCOL, SUBPROTOCOL_MSGPACK

PATH: Final = "/v1/connect"
_SCHEMES: Final = {"ws": "ws", "wss": "wss", "http": "ws", "https": "wss"}
_EXPECTED: Final = "expected an address like ws://127.0.0.1:8400"

Token = str | Callable[[], str]
"""A bearer token, or what gives a fresh one for each connection; after an OSError it is asked again."""


def websocket_url(url: str) -> str:
    """The WebSocket address of a store named by a ws, wss, http or https address. ConfigError: it is none."""
    try:
        parts = urlsplit(url)
        path = PATH if parts.path in {"", "/"} else parts.path
        whole = urlunsplit((_SCHEMES[parts.scheme], parts.netloc, path, parts.query, ""))
        parse_uri(whole)  # What opens the socket reads it so: nothing it refuses goes further.
    except KeyError:
        raise ConfigError(f"{_EXPECTED}, found {url!r}") from None
    except (ValueError, InvalidURI) as error:
        raise ConfigError(f"{_EXPECTED}, found {url!r}: {error}") from None
    return whole


async def dial(url: str, token: Token, *, options: ClientOptions, ssl: tls.SSLContext | None) -> ClientConnection:
    """A WebSocket that speaks our subprotocol. Unreachable is worth another try; Denied and ProtocolError are not."""
    bearer = _bearer(token)
    try:
        socket = await open_websocket(
            url,
            additional_headers={"Authorization": f"Bearer {bearer}"},
            subprotocols=[Subprotocol(SUBPROTOCOL_MSGPACK)],
            compression=None,
            ssl=ssl if ssl is not None or not url.startswith("wss:") else True,  # True: the system's authorities.
            open_timeout=options.connect_timeout_s,
            ping_interval=options.ping_interval_s,
            ping_timeout=options.ping_interval_s,
            close_timeout=options.close_timeout_s,
            max_size=options.frame_received_max,
            user_agent_header=None,
        )
    except InvalidStatus as error:
        answer = error.response
        body = (answer.body or b"").decode(errors="replace")
        raise handshake_error(answer.status_code, body, answer.headers) from None
    except NegotiationError as error:
        raise ProtocolError(f"no subprotocol in common: {error}", close_code=CLOSE_SUBPROTOCOL) from None
    except InvalidHandshake as error:
        if isinstance(error.__cause__, EOFError | OSError):  # The server went away while it was answering.
            raise Unreachable(f"{url} broke off while it was answering", hint=HINT_URL) from None
        raise ProtocolError(f"no store answers at {url}: {error}", close_code=1002, hint=HINT_URL) from None
    except TimeoutError:
        raise Unreachable(f"{url} did not answer within {options.connect_timeout_s} s", hint=HINT_URL) from None
    except (OSError, EOFError) as error:
        raise Unreachable(f"cannot reach {url}: {error}", hint=HINT_URL) from None
    if socket.subprotocol != SUBPROTOCOL_MSGPACK:
        await socket.close()
        raise ProtocolError(f"{url} does not speak {SUBPROTOCOL_MSGPACK}", close_code=CLOSE_SUBPROTOCOL, hint=HINT_URL)
    return socket


def _bearer(token: Token) -> str:
    """The token, without repeating in an error what may be a secret.

    Unreachable: what gives it met an OSError, which may pass. Denied: it gives none, or one that no header can carry.
    """
    try:
        said = token() if callable(token) else token
    except OSError as error:
        raise Unreachable(f"what gives the token raised {error!r}", hint=HINT_TOKEN_SOURCE) from error
    except Exception as error:
        raise Denied(f"what gives the token raised {error!r}", hint=HINT_TOKEN_SOURCE) from error
    if not isinstance(said, str):
        raise Denied(f"expected a token as text, found a {type(said).__name__}", hint=HINT_TOKEN)
    if not said.isascii() or not said.isprintable():
        raise Denied("the token holds what no token has, such as a line break at its end", hint=HINT_TOKEN)
    return said
