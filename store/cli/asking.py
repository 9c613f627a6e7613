"""One HTTP request to a running tenant, and its answer: for what only the serving process can do or know."""

import http.client
import ssl as tls
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

from store.cli.arguments import address_of, token_of, trust
from store.cli.directories import look_at
from store.cli.output import note
from store.cli.presence import is_served, served_at
from store.client.errors import HINT_TOKEN, HINT_URL, Unreachable
from store.config import Config
from store.errors import CALL_ERRORS, CallError, ConfigError, Denied, DirectoryError, ProtocolError, Refused, StoreError
from store.log.segment import segment_offsets
from store.log.survey import read_header

ANSWER_SIZE_MAX: Final = 16 << 20
SEAL_WAIT_S: Final = 30.0
"""Seconds to wait until a running tenant has sealed its log."""


def ask_to_seal(options: Config, url: str | None, token: str | None, ca: Path | None, *, named: bool) -> None:
    """Ask whoever serves the directory to close its open segment: what is sealed is proven durable, and can be pushed.

    Nobody is asked where nobody serves it. Who is not found is only told of, unless they were `named`.
    """
    why = "the running tenant was not asked to seal, so its last moments may be left out"
    tenant = find_tenant(options, url, token, ca, named=named, without=why, timeout_s=SEAL_WAIT_S)
    if tenant is None:
        return
    try:
        tenant.post("/v1/seal")
    except CallError as error:
        if named:
            raise
        note(f"{why} ({error.message})")


def find_tenant(
    options: Config,
    url: str | None,
    token: str | None,
    ca: Path | None,
    *,
    named: bool,
    without: str,
    timeout_s: float | None,
) -> "Tenant | None":
    """The tenant that serves the data directory; None where nobody does.

    One that is not to be reached, or serves something else, is an error where it was `named` by its URL; else it is
    only told of, with what it means to go on `without` it.
    """
    root = options.tenant.data
    served = is_served(root)
    if not served and not named:
        return None
    try:
        address = url if named and url else served_at(root) or address_of(options, url)
        tenant = Tenant(address, token_of(options, token), ssl=trust(ca), timeout_s=timeout_s)
        if served:
            _expect_to_serve(tenant, root)
    except StoreError as error:
        if named:
            raise
        note(f"{without} ({error.message}); --url names it")
        return None
    return tenant


def _expect_to_serve(tenant: "Tenant", root: Path) -> None:
    """DirectoryError: what answers there serves the history of another directory."""
    disk = look_at(root)
    offsets = segment_offsets(disk)
    mine = read_header(disk, offsets[-1]).epoch.hex() if offsets else ""
    found = tenant.get("/v1/schema").get("epoch")
    if found != mine:
        raise DirectoryError(
            f"the tenant at {tenant.url} serves another store (epoch {found}) than the one in {root} (epoch {mine})",
            hint="Name the one that serves this directory with --url",
        )


class Tenant:
    """Where a tenant answers, and with which token."""

    def __init__(self, url: str, token: str, *, ssl: tls.SSLContext | None, timeout_s: float | None) -> None:
        """ConfigError: the address is none. Without `timeout_s` an answer is waited for as long as it takes."""
        parts = urlsplit(url)
        if parts.scheme not in {"ws", "wss", "http", "https"} or not parts.hostname:
            raise ConfigError(f"expected an address like ws://127.0.0.1:8400, found {url!r}")
        self.url: Final = url
        self._secure: Final = parts.scheme in {"wss", "https"}
        self._host: Final = parts.hostname
        self._port: Final = parts.port
        self._token: Final = token
        self._ssl: Final = ssl
        self._timeout_s: Final = timeout_s

    def post(self, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """What it answers. Unreachable: nobody is there; Denied, or the CallError that it names."""
        return self._ask("POST", path, body or {})

    def get(self, path: str) -> dict[str, Any]:
        """As `post`, for what changes nothing."""
        return self._ask("GET", path, None)

    def _ask(self, method: str, path: str, body: dict[str, Any] | None) -> dict[str, Any]:
        connection = self._connection()
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"}
        try:
            connection.request(method, path, None if body is None else msgspec.json.encode(body), headers)
            answer = connection.getresponse()
            said = answer.read(ANSWER_SIZE_MAX)
        except (OSError, http.client.HTTPException) as error:
            raise Unreachable(f"cannot reach {self.url}: {error or type(error).__name__}", hint=HINT_URL) from None
        finally:
            connection.close()
        return self._read(answer.status, said)

    def _connection(self) -> http.client.HTTPConnection:
        if self._secure:
            ssl = self._ssl or tls.create_default_context()
            return http.client.HTTPSConnection(self._host, self._port, timeout=self._timeout_s, context=ssl)
        return http.client.HTTPConnection(self._host, self._port, timeout=self._timeout_s)

    def _read(self, status: int, said: bytes) -> dict[str, Any]:
        try:
            answer = msgspec.json.decode(said, type=dict[str, Any])
        except msgspec.MsgspecError:
            answer = {"message": said[:300].decode(errors="replace")}
        if status < 400:
            return answer
        raise self._error(status, answer)

    def _error(self, status: int, answer: dict[str, Any]) -> StoreError:
        message = str(answer.get("message", "")) or f"HTTP {status}"
        code = str(answer.get("error", ""))
        if status in {401, 403} or code == Denied.code:
            return Denied(f"{self.url} does not let us: {message}", hint=HINT_TOKEN)
        details = answer.get("details")
        said = details if isinstance(details, dict) else {}
        if code == Refused.code:
            return Refused(str(said.pop("reason", message)), message=message, details=said)
        if code in CALL_ERRORS:
            return CALL_ERRORS[code](message)
        if status >= 500 or code:
            return CallError(f"{self.url} could not: {message}", details={"status": status})
        hint = "A store of this version answers there? See that `store serve` is of the same version"
        return ProtocolError(f"{self.url} does not know this (HTTP {status}): {message}", close_code=1002, hint=hint)
