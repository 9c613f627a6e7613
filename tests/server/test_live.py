"""Live: sealing comes to its end under load, and fingerprints are exact while calls go on."""

import asyncio
import functools
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from store.engine.options import EngineOptions
from tests.server.scenes import LIMIT_S, serving
from tests.server.upkeep import RealTenant, kept, write

Kept = Callable[..., AbstractContextManager[RealTenant]]


@pytest.fixture(name="tended")
def _tended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Kept:
    """A tenant whose children are stand-ins."""
    return functools.partial(kept, tmp_path, monkeypatch=monkeypatch)


@pytest.mark.parametrize("inline", [True, False])
def test_sealing_comes_to_its_end_under_load(tmp_path: Path, *, inline: bool) -> None:
    """Wherever syncs run, and though one is always on its way."""
    options = EngineOptions(fsync_inline_max_ms=1_000.0 if inline else -1.0)
    with serving(tmp_path, engine_options=options) as tenant:
        done = threading.Event()

        def load(first: int) -> None:
            number = first
            while not done.is_set():
                number += 1
                tenant.call("write", number, f"note {number}")

        threads = [threading.Thread(target=load, args=(place * 10**6,)) for place in range(3)]
        for thread in threads:
            thread.start()
        try:
            offsets = [tenant.request("POST", "/v1/seal").body["offset"] for _ in range(5)]
        finally:
            done.set()
            for thread in threads:
                thread.join(LIMIT_S)
        assert offsets == sorted(set(offsets))


def test_without_room_nothing_is_sealed(tended: Kept) -> None:
    """And the store goes on."""
    with tended() as tenant:
        disk = tenant.engine.world.disk
        tenant.on_loop(lambda: setattr(disk, "free_bytes", lambda: 100_000))
        assert tenant.request("POST", "/v1/seal").status == 200
        tenant.call("write", 1, "one")
        tenant.on_loop(lambda: setattr(disk, "free_bytes", lambda: 10))
        said = tenant.request("POST", "/v1/seal")
        assert (said.status, said.body["error"]) == (503, "overloaded")
        assert "no room for another segment" in said.body["message"]
        tenant.on_loop(lambda: setattr(disk, "free_bytes", lambda: 1 << 30))


def test_whoever_leaves_takes_only_their_own_question_along(tended: Kept) -> None:
    """A fingerprint that nobody waits for any more is given up; one that others wait for goes on."""
    with tended() as tenant:
        tenant.call("write", 1, "one")
        live = tenant.maintenance.live._live

        def ask_and_leave() -> None:
            task = asyncio.get_running_loop().create_task(tenant.maintenance.live.fingerprint())
            asyncio.get_running_loop().call_soon(task.cancel)

        tenant.on_loop(ask_and_leave)
        tenant.wait_until(lambda: not live.running)
        assert tenant.on_loop(lambda: tenant.engine.feed.followers) == []
        assert tenant.request("POST", "/v1/fingerprint").status == 200


def test_whoever_leaves_while_the_log_is_sealed_harms_nobody(tmp_path: Path) -> None:
    """The sync comes back later, finds nobody who waits, and the store goes on."""
    with serving(tmp_path, engine_options=EngineOptions(fsync_inline_max_ms=-1.0)) as tenant:
        tenant.gate.shut()
        writing = tenant.ask("POST", "/v1/call/write", [1, "one"])
        assert tenant.gate.reached.wait(LIMIT_S)
        tasks: list[asyncio.Task[Any]] = []
        tenant.on_loop(
            lambda: tasks.append(asyncio.get_running_loop().create_task(tenant.service.maintenance.live.seal()))
        )
        tenant.on_loop(lambda: None)
        tenant.on_loop(tasks[0].cancel)
        tenant.on_loop(lambda: None)
        tenant.gate.open()
        assert writing.getresponse().status == 200
        writing.close()
        assert tenant.request("POST", "/v1/seal").status == 200


def test_the_live_fingerprint_is_exact_while_calls_go_on(tended: Kept) -> None:
    """Many may ask; each is told the fingerprint of the tables at one offset, which a replay confirms."""
    with tended() as tenant:
        write(tenant, 20)
        seen: dict[int, str] = {}

        class Prints:
            """The fingerprint after every transaction."""

            def evaluate(self, transaction: Any) -> None:
                seen[transaction.offset] = tenant.engine.database.fingerprint()

        offset = tenant.on_loop(lambda: tenant.engine.write_path.last_offset)
        seen[offset] = tenant.on_loop(tenant.engine.database.fingerprint)
        tenant.on_loop(lambda: tenant.engine.feed.follow(Prints()))
        done = threading.Event()

        def load() -> None:
            number = 100
            while not done.is_set():
                number += 1
                write(tenant, 1, number)

        thread = threading.Thread(target=load)
        thread.start()
        try:
            for _ in range(5):
                asked = [tenant.ask_aside("/v1/fingerprint") for _ in range(3)]
                for each in asked:
                    assert seen[each.answer.body["offset"]] == each.answer.body["fingerprint"]
        finally:
            done.set()
            thread.join(LIMIT_S)
        assert tenant.metrics()["store_fingerprint_slice_max_seconds"] > 0
