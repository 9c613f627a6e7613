"""An S3 server that says anything at all: who asks hears a WormError or an answer, never a crash."""

import random
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler
from types import SimpleNamespace

import pytest

from store.env.worm import SECOND, WormError
from store.env.worm_s3 import S3Worm
from store.ids import Timestamp
from tests.env.s3_server import Proxy, s3_server
from tests.env.worm_servers import BUCKET

ROUNDS = 300


class Garbling(Proxy):
    """Hands answers on with something in them turned, cut, doubled or left out."""

    def __init__(self, target: str, seed: int) -> None:
        super().__init__(target)
        self.dice = random.Random(seed)  # noqa: S311  # The same nonsense each time.
        self.garbles = False

    def _hand_on(self, handler: BaseHTTPRequestHandler, body: bytes) -> tuple[int, dict[str, str], bytes]:
        status, headers, answer = super()._hand_on(handler, body)
        if not self.garbles:
            return status, headers, answer
        act = self.dice.randrange(4)
        if act == 0:
            return self.dice.choice([200, 204, 206, 301, 304, 400, 404, 500, 503]), headers, answer
        if act == 1:
            return status, {name: value for name, value in headers.items() if self.dice.random() < 0.6}, answer
        if act == 2:
            values = ["", "\xe4", "-1", "9" * 30, "x"]
            return status, {name: self.dice.choice([value, *values]) for name, value in headers.items()}, answer
        return status, headers, self._garbled(answer)

    def _garbled(self, answer: bytes) -> bytes:
        """Cut, turned, shuffled, or something else altogether."""
        nonsense = [b"", b"<html>bad gateway</html>", b"<?xml version='1.0'?><a/>", b"\x00\xff" * 20]
        if not answer or self.dice.random() < 0.3:
            return self.dice.choice(nonsense)
        place = self.dice.randrange(len(answer))
        words = answer.split(b">")
        self.dice.shuffle(words)
        turned = bytes((answer[place] ^ 1 << self.dice.randrange(8),))
        return self.dice.choice([answer[:place], answer[:place] + turned + answer[place + 1 :], b">".join(words)])


@pytest.fixture(name="server", scope="module")
def _server() -> Iterator[str]:
    """A server with a bucket that knows locks."""
    with pytest.MonkeyPatch.context() as patch, s3_server(patch) as url:
        store = S3Worm(BUCKET, endpoint=url, region="us-east-1")
        store.create(retention_days=1)
        store.close()
        yield url


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_no_answer_crashes_who_asks(server: str, monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    """Whatever is turned, cut, left out or made up in it."""
    monkeypatch.setattr("botocore.endpoint.time", SimpleNamespace(sleep=lambda _: None))
    proxy = Garbling(server, seed)
    store = S3Worm(BUCKET, f"fuzz-{seed}", endpoint=proxy.url, region="us-east-1", read_timeout_s=0.5)
    until = Timestamp((store.now() // SECOND + 7_200) * SECOND)
    digest = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"
    version_id = store.put("k", b"hello", sha256=digest, retain_until=until)
    proxy.garbles = True
    acts = [
        lambda number: store.put(f"k{number}", b"hello", sha256=digest, retain_until=until),
        lambda _: list(store.versions()),
        lambda _: store.lock_of("k", version_id),
        lambda _: store.get("k", version_id),
        lambda _: store.facts(),
        lambda _: store.extend("k", version_id, until),
        lambda _: store.hold("k", version_id, on=True),
    ]
    for number in range(ROUNDS):
        with suppress(WormError):
            proxy.dice.choice(acts)(number)
    proxy.garbles = False
    store.close()
    proxy.close()
