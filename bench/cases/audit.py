"""audit: what the trail costs a caller, how fast events are made and shipped, and how fast they are verified.

Laws: on and off take turns in one run. There the server's audit process shares the server's core, as everything of the
server does here, so what it takes a caller loses. Where it has to keep up with a load it may run on either core, beside
the server or beside the generator, as it would where nobody is given a core. What is verified is what the server
shipped; the verifier runs in one process, told the key by the store's own folder. What is promised of a core is counted
in CPU time, from a process's first step on, so that whoever else wants the machine moves nothing.
"""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import Final

from bench.load import Load
from bench.machine import cpu_seconds, peak_bytes, unpin
from bench.peers import BenchError
from bench.peers.tenant import Tenant
from bench.results import Result, against, at_least, at_most, rate, rounded, within
from store.audit.objects.batches import EVENTS_MAX, Frozen
from store.audit.objects.checkpoint import Checkpoint
from store.audit.objects.layout import checkpoint_name, manifest_name, origin_of
from store.audit.objects.manifest import NO_MANIFEST, Writer
from store.audit.objects.notes import SecretKey, sign
from store.audit.recording.context import Context
from store.audit.recording.trail import BEGINNING, Trail
from store.audit.signing.keys import introduce_first
from store.codec import encode_transaction
from store.env.memory import SeededEntropy
from store.env.posix import SystemClock
from store.env.subjects import MemorySubjectKeys
from store.env.worm import SECOND
from store.env.worm_folder import FolderWorm
from store.ids import ConnectionId, Epoch, IdentityReference, Offset, SchemaVersion, TableId, Timestamp
from store.transaction import Kind, Op, Transaction
from store.values import encode

CASE: Final = "audit"
PEERS: Final = ("itself, without a trail",)
ACCOUNTS: Final = 100_000
ROUNDS: Final = 5
ROUNDS_QUICK: Final = 3
SECONDS: Final = 6.0
SECONDS_QUICK: Final = 3.0
"""Of load, in a turn."""
SATURATION_CALLS: Final = 120 * 2_560
KEEP_UP_RATE: Final = 50_000
KEEP_UP_S: Final = 60
KEEP_UP_S_QUICK: Final = 10
KEEP_UP_LAG_S: Final = 6.0
KEEP_UP_SHARE: Final = 0.15
"""Seconds behind that still count as keeping up: what a batch may wait to be closed and take to be stored, and this
share of the load's length, so that a trail that falls behind all the time is found out."""
CALLER_SHARE: Final = 0.9
EVENTS_RATE: Final = 100_000
VERIFY_RATE: Final = 200_000
MADE: Final = 300_000
MADE_QUICK: Final = 100_000
LONG: Final = (1_000_000, 10_000_000)
LONG_QUICK: Final = (100_000, 500_000)
"""Events of a trail, and of one that is several times as long, which takes no more memory to verify."""
LONGER_MEMORY: Final = 1.2
DAY: Final = 86_400 * SECOND
"""How long what is made stays locked."""
DRAIN_S: Final = 120.0
LOOK_S: Final = 0.02
"""Seconds from one look at a verifier's memory to the next."""
LOG: Final = "0123456789abcdef" * 2
ORIGIN: Final = origin_of("example.com", LOG)
KEY: Final = SecretKey(ORIGIN, bytes(32))
SOON: Final = Timestamp(2 * 10**15)
Put = Callable[[str, bytes], str]
"""Stores an object under a name, and returns its version."""


def run(directory: Path, *, quick: bool) -> Iterator[Result]:
    """What a caller notices; events made in this process; a minute of load shipped; that verified; and its memory."""
    directory.mkdir()
    yield from _callers(directory, quick=quick)
    yield from _made(MADE_QUICK if quick else MADE)
    yield from _kept_up(directory, quick=quick)
    yield from _memory(directory, LONG_QUICK if quick else LONG)


def _callers(directory: Path, *, quick: bool) -> Iterator[Result]:
    with (
        Tenant(directory / "off", accounts=ACCOUNTS) as off,
        Tenant(directory / "on", accounts=ACCOUNTS, options=("audit.on=true",)) as on,
    ):
        saturated = off.load(Load(calls=SATURATION_CALLS, accounts=ACCOUNTS)).rate
        _drain(on)
        rates: dict[str, list[float]] = {"off": [], "on": []}
        p50: dict[str, list[float]] = {"off": [], "on": []}
        for seed in range(1, (ROUNDS_QUICK if quick else ROUNDS) + 1):
            for name, tenant in (("off", off), ("on", on)):
                calls = max(int(saturated / 2 * (SECONDS_QUICK if quick else SECONDS)) // 2_560, 4) * 2_560
                found = tenant.load(Load(calls=calls, rate=saturated / 2, accounts=ACCOUNTS, seed=seed))
                rates[name].append(found.rate)
                p50[name].append(found.p50_us)
            _drain(on)
    base = "calls answered at half of saturation, without a trail"
    yield rate(CASE, "saturation, without a trail", [saturated], "calls/s")
    yield rate(CASE, base, rates["off"], "calls/s")
    yield against(
        CASE, "the same, with a trail", rates["on"], "calls/s", base=base, bases=rates["off"], least=CALLER_SHARE
    )
    p50_base = "call p50 at half of saturation, without a trail"
    yield rate(CASE, p50_base, p50["off"], "us")
    yield against(CASE, "the same p50, with a trail", p50["on"], "us", base=p50_base, bases=p50["off"], least=None)


def _made(count: int) -> Iterator[Result]:
    """Deriving, hashing, compressing and signing, in this process, from records' bytes."""
    records = list(_transfers(count))
    began = time.process_time()
    _make(records, lambda *_: "v")
    seconds = time.process_time() - began
    yield at_least(
        CASE, "transfers derived, hashed, compressed and signed, by one core", count / seconds, "events/s", EVENTS_RATE
    )


def _make(records: Iterable[bytes], put: Put, until: Timestamp = SOON) -> None:
    """A trail of these records, batch by batch: the three objects of each."""
    writer, prev = Writer(version="0", host="bench", fence=1), NO_MANIFEST
    for frozen in _batches(records):
        version = put(frozen.name, frozen.data)
        manifest = frozen.manifest(origin=ORIGIN, prev=prev, version_id=version, until=until, writer=writer, signer=KEY)
        prev = manifest.digest
        put(manifest_name(LOG, frozen.batch), manifest.encode())
        checkpoint = Checkpoint(ORIGIN, frozen.size_after, frozen.after.root())
        put(checkpoint_name(LOG, frozen.size_after), sign(checkpoint.text, [KEY]).encode())


def _batches(records: Iterable[bytes]) -> Iterator[Frozen]:
    trail = Trail(LOG, keys=MemorySubjectKeys(SeededEntropy(1)), standing=BEGINNING, context=_context())
    waiting = iter(records)
    while taken := list(islice(waiting, EVENTS_MAX)):
        yield from (each.frozen for each in trail.take(Epoch(b"e" * 16), taken))
    last = trail.close()
    if last is not None:
        yield last.frozen


def _memory(directory: Path, sizes: tuple[int, int]) -> Iterator[Result]:
    """What the verifier takes at most for a trail, and for one that is several times as long."""
    base = f"memory of store audit verify at {sizes[0]:,} events, at most"
    peaks = [_verified_made(directory / "long", count) for count in sizes]
    yield rate(CASE, base, peaks[:1], "MiB")
    yield within(
        CASE, f"the same at {sizes[1]:,} events", peaks[1:], "MiB", base=base, bases=peaks[:1], most=LONGER_MEMORY
    )


def _verified_made(folder: Path, count: int) -> float:
    """Write a trail of so many events into a folder, verify it, remove it: the verifier's peak memory in MiB."""
    store, until = FolderWorm(folder, SystemClock()), Timestamp(SystemClock().wall() // SECOND * SECOND + DAY)
    store.create(retention_days=1)

    def put(name: str, data: bytes) -> str:
        return store.put(name, data, sha256=sha256(data).hexdigest(), retain_until=until)

    try:
        put(*introduce_first(LOG, KEY, root=None))
        _make(_transfers(count), put, until)
        words = ["-m", "store", "audit", "verify", str(folder), "--key", str(KEY.key), "--jobs", "1"]
        _, memory = _run("store audit verify", words)
        return memory
    finally:
        shutil.rmtree(folder)


def _context() -> Context:
    parameters = (("source", ""), ("target", ""), ("amount", ""))
    return Context(tables={1: "account"}, identities={3: ("tokens", "bench")}, declared={"transfer": parameters})


def _transfers(count: int) -> Iterator[bytes]:
    """Records as the log holds them: two updates each, by callers over a network."""
    for offset in range(1, count + 1):
        source, target = offset % ACCOUNTS, (offset * 7 + 1) % ACCOUNTS
        rows = [encode([key, "owner", 1_000_000 + offset]) for key in (source, target)]
        writes = tuple(
            (TableId(1), int(Op.UPDATE), key, row, row[:-1] + b"\x01")
            for key, row in zip((source, target), rows, strict=True)
        )
        yield encode_transaction(
            Transaction(
                int(Kind.CALL), Offset(offset), Timestamp(1_700_000_000_000_000 + offset), writes, None,
                IdentityReference(3), ConnectionId(offset % 64 + 1), "127.0.0.1:50000", SchemaVersion(1), "transfer",
                encode([source, target, 1]), "", b"\xc0",
            )
        )  # fmt: skip


def _kept_up(directory: Path, *, quick: bool) -> Iterator[Result]:
    """A load that the trail has to keep up with, and then what it shipped, verified."""
    seconds = KEEP_UP_S_QUICK if quick else KEEP_UP_S
    tenant = Tenant(directory / "kept", accounts=ACCOUNTS, options=("audit.on=true",))
    with tenant:
        trail = int(tenant.get("/v1/audit")["process"])
        unpin(trail)
        calls = KEEP_UP_RATE * seconds // 2_560 * 2_560
        found = tenant.load(Load(calls=calls, rate=KEEP_UP_RATE, accounts=ACCOUNTS))
        behind, began = _behind(tenant), time.monotonic()
        _drain(tenant)
        drained = time.monotonic() - began
        used = cpu_seconds(trail) / calls * 1e6
    yield rate(CASE, f"calls answered while {KEEP_UP_RATE:,}/s came for {seconds} s", [found.rate], "calls/s")
    yield at_most(
        CASE,
        "of its calls, in seconds of it, behind at its end",
        behind / found.rate,
        "s",
        KEEP_UP_LAG_S + KEEP_UP_SHARE * seconds,
    )
    yield rate(CASE, "seconds until all of it was shipped", [drained], "s")
    yield rate(CASE, "CPU of the audit process, its start among it", [used], "us/event")
    folder = tenant.data.with_name("data.audit")
    (note,) = (folder / "keys").glob("*.note")
    key = next(line.partition(" ")[2] for line in note.read_text().splitlines() if line.startswith("new "))
    tool = str(Path(__file__).parents[2] / "tools" / "verify_audit.py")
    verifiers = {
        "store audit verify": ["-m", "store", "audit", "verify", str(folder / "bucket"), "--key", key, "--jobs", "1"],
        "the one-file tool": [tool, str(folder / "bucket"), "--key", key],
    }
    for name, words in verifiers.items():
        yield from _verified(name, words, _events(folder), last=name != "store audit verify")


def _events(folder: Path) -> int:
    checkpoints = sorted((folder / "bucket").glob("audit/v1/*/checkpoint/*.ckpt"))
    return int(checkpoints[-1].stem)


def _verified(name: str, words: Sequence[str], events: int, *, last: bool) -> Iterator[Result]:
    seconds, memory = _run(name, words)
    metric = f"events verified by a core, {name}, {events:,} in all"
    if last:
        yield rate(CASE, metric, [events / seconds], "events/s")
    else:
        yield at_least(CASE, metric, events / seconds, "events/s", VERIFY_RATE)
    yield Result(CASE, f"its memory at {events:,} events, at most", rounded(memory), "MiB")


def _run(name: str, words: Sequence[str]) -> tuple[float, float]:
    """Run a verifier, which must find nothing: the seconds of CPU that it took, and its peak memory in MiB.

    The kernel is asked while it runs: what `wait4` says of memory is at least that of the process that started it.
    """
    process = subprocess.Popen([sys.executable, *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    peak, ended = 0, 0
    while not ended:
        peak = max(peak, peak_bytes(process.pid))
        time.sleep(LOOK_S)
        ended, status, usage = os.wait4(process.pid, os.WNOHANG)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise BenchError(f"{name} ended with {process.returncode}")
    return usage.ru_utime + usage.ru_stime, peak / (1 << 20)


def _behind(tenant: Tenant) -> int:
    """Durable records that are not shipped yet, as the server counts them."""
    return int(tenant.get("/v1/audit")["lag_records"])


def _drain(tenant: Tenant) -> None:
    """Come back when all that happened is shipped."""
    limit = time.monotonic() + DRAIN_S
    while (behind := _behind(tenant)) > 0:
        if time.monotonic() > limit:
            raise BenchError(f"the trail did not catch up within {DRAIN_S} s: {behind} records are behind")
        time.sleep(0.2)
