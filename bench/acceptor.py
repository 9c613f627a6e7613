"""The least server there can be: it counts calls and answers with bytes made before, so the generator is the limit.

Laws: it checks nothing and keeps nothing. What the generator reaches against it is the generator's ceiling.
"""

import asyncio
import base64
import hashlib
import re
import sys
from typing import Final, cast

import msgspec
import uvloop

from bench.machine import pin
from bench.wire import GUID

_RESULT: Final = msgspec.msgpack.encode(["result", 1_000, 1_000_000, None])


class Acceptor(asyncio.Protocol):
    """One connection; its frames hold `frame_calls` calls each."""

    def __init__(self, frame_calls: int) -> None:
        payload = msgspec.msgpack.encode([msgspec.Raw(_RESULT)] * frame_calls)
        size = len(payload)
        head = bytes((0x82, size)) if size < 126 else b"\x82\x7e" + size.to_bytes(2, "big")
        self._answer: Final = head + payload
        self._rest = b""
        self._upgraded = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the way back."""
        self._write = cast("asyncio.Transport", transport).write  # uvloop's transports are not registered as such.

    def data_received(self, data: bytes) -> None:
        """Answer as many frames as there are, in one write."""
        if not self._upgraded:
            found = re.search(rb"Sec-WebSocket-Key: (\S+)", data)
            assert found is not None
            accept = base64.b64encode(hashlib.sha1(found[1] + GUID).digest())  # noqa: S324  # RFC 6455 §4.2.2.
            self._write(b"HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: " + accept + b"\r\n\r\n")
            self._upgraded = True
            return
        buffer = self._rest + data
        place, end, frames = 0, len(buffer), 0
        while end - place >= 4:
            size = buffer[place + 1] & 0x7F
            size = size + 6 if size < 126 else int.from_bytes(buffer[place + 2 : place + 4], "big") + 8
            if place + size > end:
                break
            place += size
            frames += 1
        self._rest = buffer[place:]
        if frames:
            self._write(self._answer * frames)


async def serve(frame_calls: int) -> None:
    """Listen, print the port, go on until killed."""
    server = await asyncio.get_running_loop().create_server(lambda: Acceptor(frame_calls), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    pin(0, server=True)
    uvloop.run(serve(int(sys.argv[1])))
