"""A witness over HTTP, as the one who asks sees it."""

import urllib.error
import urllib.request
from http.client import HTTPException
from typing import Final

from store.errors import ConfigError

TIMEOUT_S: Final = 10.0
"""Seconds a witness has to answer."""
ANSWER_SIZE_MAX: Final = 1 << 16
"""Bytes of an answer that are read."""


class HttpWitness:
    """Asks one witness, at its submission prefix. ConfigError: that is no http or https URL."""

    def __init__(self, url: str, *, timeout_s: float = TIMEOUT_S) -> None:
        if not url.startswith(("http://", "https://")):
            raise ConfigError(f"a witness is at an http or https URL, found {url!r:.120}")
        self.url: Final = url.rstrip("/")
        self._timeout_s: Final = timeout_s

    def add_checkpoint(self, data: bytes) -> tuple[int, bytes]:
        """(status, body). OSError: nobody answered, or too late."""
        request = urllib.request.Request(  # noqa: S310  # The scheme was looked at.
            f"{self.url}/add-checkpoint", data=data, method="POST", headers={"Content-Type": "text/plain"}
        )
        try:
            with urllib.request.urlopen(request, timeout=self._timeout_s) as response:  # noqa: S310  # The same.
                return response.status, response.read(ANSWER_SIZE_MAX)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read(ANSWER_SIZE_MAX)
        except urllib.error.URLError as error:  # Whose own text is an object's.
            reason = error.reason
            said = reason.strerror if isinstance(reason, OSError) and reason.strerror else reason
            raise OSError(f"{self.url} does not answer: {said}") from None
        except (HTTPException, ValueError) as error:
            raise OSError(f"{self.url} did not answer in HTTP: {error}") from None
