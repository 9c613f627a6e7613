"""A real server and its audit process are killed at random; the independent tool verifies the trail all the same."""

import asyncio
import json
import os
import random
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import zstandard

from store.client import ClientOptions, connect
from tests.end_to_end.tenant import ROOT, Tenant, run

VERIFY = ROOT / "tools" / "verify_audit.py"
PATIENT = ClientOptions(backoff_first_ms=5.0, backoff_max_ms=100.0)
OPTIONS = ("--set", "audit.batch_age_max_s=0.2", "--set", "audit.batch_events_max=200", "--set", "audit.heartbeat_s=1")
KILLS = 5
CALLS = 1_500
IN_FLIGHT = 20


@pytest.fixture(name="tenant")
def _tenant(make_tenant: Callable[..., Tenant]) -> Tenant:
    """A tenant with small batches."""
    return make_tenant("tenant", *OPTIONS)


def folder_of(tenant: Tenant) -> Path:
    """Its audit folder."""
    return tenant.data.with_name("data.audit")


def key_of(tenant: Tenant) -> str:
    """The trail's first public key."""
    notes = sorted(folder_of(tenant).glob("keys/*.note"))
    return next(line.partition(" ")[2] for line in notes[0].read_text().splitlines() if line.startswith("new "))


def verify(tenant: Tenant) -> subprocess.CompletedProcess[str]:
    """What the independent tool says of the embedded folder."""
    words = [sys.executable, str(VERIFY), str(folder_of(tenant) / "bucket"), "--key", key_of(tenant)]
    return subprocess.run(words, capture_output=True, text=True, check=False, timeout=60)


def events(tenant: Tenant) -> list[dict[str, Any]]:
    """Every event in the folder, in order."""
    found: list[dict[str, Any]] = []
    for batch in sorted((folder_of(tenant) / "bucket").glob("audit/v1/*/batch/*.zst")):
        lines = zstandard.ZstdDecompressor().decompressobj().decompress(batch.read_bytes()).splitlines()
        found += map(json.loads, lines)
    return found


def audit_process(tenant: Tenant) -> int | None:
    """The process id of whoever ships now."""
    with suppress(OSError, ValueError, KeyError):
        said = json.loads((folder_of(tenant) / "status.json").read_text())
        return int(said["pid"])
    return None


def ship_the_rest(tenant: Tenant) -> None:
    """By hand, of a store that is stopped."""
    done = run("audit", "ship", str(tenant.data), *OPTIONS, folder=tenant.data.parent)
    assert done.returncode == 0, done.stdout + done.stderr


async def call_many(tenant: Tenant, answered: list[int]) -> None:
    """Deposits, each with its own amount, noted when it is answered; retried across every restart."""
    async with connect(tenant.url, tenant.token, client="caller", options=PATIENT) as client:
        await client.call("open_account", 1, "ada")

        async def deposit(amount: int) -> None:
            async with limit:
                await client.call("deposit", 1, amount)
                answered.append(amount)

        limit = asyncio.Semaphore(IN_FLIGHT)
        await asyncio.gather(*(deposit(amount) for amount in range(1, CALLS + 1)))


@pytest.mark.parametrize("seed", [1, 2])
def test_whatever_is_killed_every_answered_call_is_in_the_trail_once(tenant: Tenant, seed: int) -> None:
    """Server and audit process, at random moments; the independent tool verifies what they left."""
    dice = random.Random(seed)  # noqa: S311  # Chance, not a secret.
    tenant.start()
    answered: list[int] = []
    caller = threading.Thread(target=lambda: asyncio.run(call_many(tenant, answered)))
    caller.start()
    moment = threading.Event()
    for _ in range(KILLS):
        moment.wait(dice.uniform(0.2, 0.8))
        if dice.random() < 0.5 and (pid := audit_process(tenant)) is not None:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        else:
            tenant.kill()
            tenant.start()
    caller.join(60)
    assert sorted(answered) == list(range(1, CALLS + 1))
    tenant.stop()
    ship_the_rest(tenant)
    done = verify(tenant)
    assert done.returncode == 0, done.stdout + done.stderr
    found = events(tenant)
    deposits = Counter(each["unmapped"]["args"]["amount"] for each in found if each["api"]["operation"] == "deposit")
    assert deposits == Counter(range(1, CALLS + 1))
    assert [each["metadata"]["sequence"] for each in found] == list(range(len(found)))
    assert found[-1]["api"]["operation"] == "stop"


def test_a_ledger_that_is_deleted_under_a_stopped_store_is_made_anew(tenant: Tenant) -> None:
    """From the folder and the log, by the server itself; the trail goes on and verifies."""
    for part in range(3):
        tenant.start()
        asyncio.run(some_calls(tenant, part))
        tenant.stop()
        ship_the_rest(tenant)
        for each in (folder_of(tenant) / "ledger").iterdir():
            each.unlink()
    ship_the_rest(tenant)
    done = verify(tenant)
    assert done.returncode == 0, done.stdout + done.stderr
    assert sum(each["api"]["operation"] == "open_account" for each in events(tenant)) == 90


def test_a_store_that_is_away_for_long_stops_no_call(tenant: Tenant) -> None:
    """Calls go on, operators are told, and when it is back everything is in it."""
    tenant.start()
    asyncio.run(some_calls(tenant, 0))
    tenant.stop()
    ship_the_rest(tenant)
    bucket = folder_of(tenant) / "bucket"
    away = bucket.with_name("away")
    bucket.rename(away)
    bucket.write_text("the disk with the bucket is not mounted")
    tenant.start()
    asyncio.run(some_calls(tenant, 1))
    tenant.stop()
    bucket.unlink()
    away.rename(bucket)
    ship_the_rest(tenant)
    assert verify(tenant).returncode == 0
    assert sum(each["api"]["operation"] == "open_account" for each in events(tenant)) == 60


async def some_calls(tenant: Tenant, part: int) -> None:
    """Thirty accounts."""
    async with connect(tenant.url, tenant.token, client=f"part {part}", options=PATIENT) as client:
        for number in range(30):
            await client.call("open_account", part * 1_000 + number, "ada")
