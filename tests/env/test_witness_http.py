"""Asking a witness over HTTP."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from store.env.witness_http import HttpWitness
from store.errors import ConfigError


@contextmanager
def answering(said: bytes) -> Iterator[str]:
    """Something that answers one connection with these bytes."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(1 << 16)
                connection.sendall(said)

        thread = threading.Thread(target=answer)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
        thread.join()


@pytest.mark.parametrize("status", [200, 400, 403, 404, 409, 422, 500])
def test_whatever_it_answers_is_an_answer(status: int) -> None:
    """Status and body; a refusal is no error."""
    with answering(b"HTTP/1.1 %d X\r\nContent-Length: 3\r\n\r\n13\n" % status) as url:
        assert HttpWitness(url + "/").add_checkpoint(b"old 0\n") == (status, b"13\n")


@pytest.mark.parametrize("said", [b"", b"hello\r\n\r\n", b"HTTP/1.1 99999 X\r\n\r\n", b"\xff\x00"])
def test_what_is_no_http_is_an_oserror(said: bytes) -> None:
    """As if nobody had answered."""
    with answering(said) as url, pytest.raises(OSError):  # noqa: PT011  # Its text is the library's.
        HttpWitness(url).add_checkpoint(b"old 0\n")


def test_where_nobody_listens_is_an_oserror() -> None:
    """So is an answer that does not come in time."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        with pytest.raises(OSError, match="timed out"):
            HttpWitness(url, timeout_s=0.05).add_checkpoint(b"old 0\n")
    with pytest.raises(OSError, match=f"^{url} does not answer: Connection refused$"):
        HttpWitness(url).add_checkpoint(b"old 0\n")


@pytest.mark.parametrize("url", ["", "file:///etc/passwd", "ftp://x", "w1.example"])
def test_a_witness_is_at_an_http_url(url: str) -> None:
    """Nothing else is opened."""
    with pytest.raises(ConfigError, match="http or https"):
        HttpWitness(url)
