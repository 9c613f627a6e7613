"""Many subscribers in one process: raw sockets on epoll, which count what is delivered while the clock runs.

Laws: it reads a Crowd from its input, connects everybody, says ready, waits for a line, runs, and prints a Delivered.
What must come is known beforehand; what came is counted whole, and its end is read. A wrong answer is a traceback.
"""

import base64
import os
import select
import socket
import subprocess
import sys
import time
from typing import Any, Final

import msgspec

from bench.load import READY, TIME_MAX_S
from bench.machine import cpu_seconds, pin
from bench.wire import Frames, WrongAnswer, command, masked, upgrade_request
from store.subscribe.messages import Chunk, Delta, ServerMessage, Subscribed, Welcome

RECEIVED_MAX: Final = 1 << 18
"""Bytes asked of a socket at a time."""
DELTAS_RECEIVED_MAX: Final = 4_096
"""The same where deltas come: a large buffer costs more to make than they to read."""
SILENCE_MAX_S: Final = 30
"""Seconds without a byte for anybody after which a run has failed."""
FEW: Final = 64
"""Sockets with something to read below which it is awaited that there are more: to be woken for each costs more than
to read it, on both sides."""
PAUSE_S: Final = 0.0002
_pack: Final = msgspec.msgpack.Encoder().encode
_unpack: Final = msgspec.msgpack.Decoder().decode
_read: Final = msgspec.msgpack.Decoder(list[ServerMessage]).decode


class Crowd(msgspec.Struct, frozen=True, kw_only=True):
    """Who subscribes, and what is waited for."""

    peer: str = "store"
    """store or redis."""
    port: int = 0
    token: str = ""
    subscribers: int
    sql: str = ""
    changes: int = 0
    """Changes that are made, one call each, all told to every subscriber; 0 where first rows are waited for."""
    window: int = 1
    """Changes on their way at a time."""
    payload_size: int = 0
    """Bytes that Redis publishes for each change."""
    in_turn: bool = False
    """Whether each subscribes when the one before has its rows."""
    gives_way: bool = False
    """Whether it runs only while nobody else wants its core: what others there measure is then not its doing."""
    epoch: str = ""
    offset: int = 0
    """Where the subscribers were."""


class Delivered(msgspec.Struct, frozen=True, kw_only=True):
    """What came of it."""

    seconds: float
    deliveries: int = 0
    """Changes told, all subscribers together."""
    rows: int = 0
    size: int = 0
    """Bytes received."""
    resumed: int = 0
    connecting_s: float = 0.0
    delivery_size: int = 0
    """Bytes of one delivery on the wire, at the end."""
    server_us: float = 0.0
    """CPU microseconds of the server for each delivery."""


def run_crowd(crowd: Crowd, server: int, **asked: Any) -> Delivered:
    """Put a crowd in front of the server with that process id. RuntimeError with its own words where it failed."""
    crowd = msgspec.structs.replace(crowd, **asked)
    with subprocess.Popen(
        [sys.executable, "-m", "bench.crowd"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(msgspec.json.encode(crowd) + b"\n")
        process.stdin.flush()
        ready = process.stdout.readline()
        before = cpu_seconds(server)
        if ready == READY:
            process.stdin.write(b"go\n")
            process.stdin.flush()
        told = process.stdout.readline()
        used = cpu_seconds(server) - before
        _, complaint = process.communicate(timeout=TIME_MAX_S)
    if process.returncode:
        raise RuntimeError(f"the crowd failed on {crowd}:\n{complaint.decode()}")
    delivered = msgspec.json.decode(told, type=Delivered)
    return msgspec.structs.replace(delivered, server_us=used / max(delivered.deliveries, delivered.rows, 1) * 1e6)


class Subscriber:
    """One socket, and what it has heard."""

    def __init__(self, port: int) -> None:
        self.socket: Final = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.frames: Final = Frames()
        self.heard = 0
        self.last = b""

    def hear(self) -> list[Any]:
        """The next messages of a store, awaited."""
        while True:
            payloads = [payload for _, payload in self.frames.feed(self._receive())]
            if payloads:
                return [message for payload in payloads for message in _read(payload)]

    def _receive(self) -> bytes:
        data = self.socket.recv(RECEIVED_MAX)
        if not data:
            raise WrongAnswer("the server hung up")
        return data

    def greet(self, crowd: Crowd) -> Welcome:
        """Upgrade and say hello."""
        key = base64.b64encode(os.urandom(16)).decode()
        self.socket.sendall(upgrade_request(crowd.port, crowd.token, key))
        head = b""
        while b"\r\n\r\n" not in head:
            head += self._receive()
        if not head.startswith(b"HTTP/1.1 101"):
            raise WrongAnswer(f"the upgrade was answered {head!r:.300}")
        self.socket.sendall(masked(_pack([["hello", ""]])))
        (welcome,) = self.hear()
        if not isinstance(welcome, Welcome):
            raise WrongAnswer(f"hello was answered {welcome!r:.300}")
        return welcome

    def follow_channel(self) -> None:
        """Subscribe at Redis."""
        self.socket.sendall(command(b"SUBSCRIBE", b"bench"))
        if b"subscribe" not in self._receive():
            raise WrongAnswer("SUBSCRIBE was not answered")


def count_deltas(payload: bytes) -> int:
    """Messages of a frame that is an array of few, or of up to 65,535: nothing but deltas is told."""
    first = payload[0]
    return first & 0x0F if first & 0xF0 == 0x90 else int.from_bytes(payload[1:3], "big")


def count_frames(data: bytes, rest: bytes) -> tuple[int, bytes, bytes]:
    """(deltas, the last whole payload, what is no whole frame yet) of small frames, quickly."""
    data = rest + data if rest else data
    place, end, deltas, last = 0, len(data), 0, b""
    while end - place >= 2:
        size, begin = data[place + 1], place + 2
        if size == 126:
            begin += 2
            size = int.from_bytes(data[place + 2 : begin], "big")
        if begin + size > end:
            break
        if data[place] == 0x82:
            last = data[begin : begin + size]
            deltas += count_deltas(last)
        place = begin + size
    return deltas, last, data[place:]


def run_changes(crowd: Crowd, members: list[Subscriber], caller: socket.socket) -> Delivered:
    """Make changes, `window` at a time; every subscriber hears each."""
    redis = crowd.peer == "redis"
    by_number = {each.socket.fileno(): each for each in members}
    poll = select.epoll()
    for number in by_number:
        poll.register(number, select.EPOLLIN)
    rests: dict[int, bytes] = {}
    push = len(b"*3\r\n$7\r\nmessage\r\n$5\r\nbench\r\n$%d\r\n" % crowd.payload_size) + crowd.payload_size + 2
    made = heard = size = 0
    total, count = crowd.changes * len(members), len(members)
    publish = command(b"PUBLISH", b"bench", bytes(crowd.payload_size))
    began = time.perf_counter()
    while heard < total:
        while made < crowd.changes and made - heard // count < crowd.window:
            made += 1
            caller.sendall(publish if redis else masked(_pack([["call", made, "deposit", [1, 1]]])))
        ready = poll.poll(SILENCE_MAX_S)
        if not ready:
            raise WrongAnswer(f"nothing was heard for {SILENCE_MAX_S} s, after {heard:,} of {total:,} deliveries")
        if len(ready) < min(count // 4, FEW):
            time.sleep(PAUSE_S)
        for number, _ in ready:
            data = os.read(number, DELTAS_RECEIVED_MAX)
            size += len(data)
            if redis:
                told = len(data) + len(rests.get(number, b""))
                heard += told // push
                rests[number] = bytes(told % push)
            else:
                deltas, last, rests[number] = count_frames(data, rests.get(number, b""))
                heard += deltas
                by_number[number].heard += deltas
                by_number[number].last = last or by_number[number].last
    seconds = time.perf_counter() - began
    if not redis:
        _check_changes(members, crowd.changes)
    one = push if redis else 2 + len(members[0].last)
    return Delivered(seconds=seconds, deliveries=heard, size=size, delivery_size=one)


def _check_changes(members: list[Subscriber], changes: int) -> None:
    last = {each.last for each in members}
    if {each.heard for each in members} != {changes} or len(last) != 1:
        raise WrongAnswer(f"subscribers do not end alike: {len(last)} endings")
    if not isinstance(_read(last.pop())[-1], Delta):
        raise WrongAnswer("the last that was told is no delta")


def run_rows(crowd: Crowd, members: list[Subscriber]) -> Delivered:
    """All subscribe at once; the clock stops when the last has its last chunk."""
    message = masked(_pack([["subscribe", 1, crowd.sql, [], crowd.epoch, crowd.offset]]))
    poll = select.epoll()
    by_number = {each.socket.fileno(): each for each in members}
    rows = deliveries = size = resumed = 0
    began = time.perf_counter()
    for number, each in by_number.items():
        poll.register(number, select.EPOLLIN)
        each.socket.sendall(message)
    left = len(members)
    while left:
        ready = poll.poll(SILENCE_MAX_S)
        if not ready:
            raise WrongAnswer(f"nothing was heard for {SILENCE_MAX_S} s, {left:,} subscribers wait for rows")
        for number, _ in ready:
            data = os.read(number, RECEIVED_MAX)
            size += len(data)
            if not data:
                raise WrongAnswer("the server hung up")
            for _, payload in by_number[number].frames.feed(data):
                for said in _read(payload):
                    if isinstance(said, Subscribed | Chunk):
                        rows += _array_length(memoryview(said.rows)[:5])
                        left -= not said.more
                        resumed += isinstance(said, Subscribed) and said.resumed
                        deliveries += len(said.missed) if isinstance(said, Chunk) else 0
                    elif not isinstance(said, Delta):
                        raise WrongAnswer(f"a subscription was answered {said!r:.300}")
    return Delivered(seconds=time.perf_counter() - began, deliveries=deliveries, rows=rows, size=size, resumed=resumed)


def _sum(each: list[Delivered]) -> Delivered:
    total = {name: sum(getattr(one, name) for one in each) for name in ("seconds", "deliveries", "rows", "size")}
    return Delivered(**total)


def _array_length(data: memoryview) -> int:
    if data[0] & 0xF0 == 0x90:
        return data[0] & 0x0F
    return int.from_bytes(data[1 : 3 if data[0] == 0xDC else 5], "big")


def main() -> None:
    """One crowd from the input, one line of what was delivered to the output."""
    pin(0, server=False)
    crowd = msgspec.json.decode(sys.stdin.readline(), type=Crowd)
    if crowd.gives_way:
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    began = time.perf_counter()
    members = [Subscriber(crowd.port) for _ in range(crowd.subscribers)]
    caller = Subscriber(crowd.port)
    for each in members:
        if crowd.peer == "redis":
            each.follow_channel()
            continue
        each.greet(crowd)
        if crowd.changes:
            each.socket.sendall(masked(_pack([["subscribe", 1, crowd.sql]])))
            if not isinstance(each.hear()[0], Subscribed):
                raise WrongAnswer("a subscription was refused")
    if crowd.peer == "store":
        caller.greet(crowd)
    connecting = time.perf_counter() - began
    sys.stdout.buffer.write(READY)
    sys.stdout.flush()
    sys.stdin.readline()
    if crowd.changes:
        delivered = run_changes(crowd, members, caller.socket)
    elif crowd.in_turn:
        delivered = _sum([run_rows(crowd, [each]) for each in members])
    else:
        delivered = run_rows(crowd, members)
    delivered = msgspec.structs.replace(delivered, connecting_s=connecting)
    sys.stdout.buffer.write(msgspec.json.encode(delivered) + b"\n")


if __name__ == "__main__":
    main()
