"""What operators do by hand beside a server that runs."""

from pathlib import Path
from typing import Any

import msgspec

from store.engine.acts import ACTS, DONE, acting, note
from store.env.posix import SystemClock, SystemEntropy
from store.ids import Offset
from store.server.acts import LOOK_TICKS
from tests.server.scenes import Tenant, serving


def told(tenant: Tenant) -> list[Any]:
    """What the log says of pins."""
    records = tenant.engine.feed.tail(Offset(0)) or ()
    return [msgspec.msgpack.decode(each.args) for each in records if each.reducer == "pin"]


def test_a_note_becomes_a_record_while_the_server_runs(tmp_path: Path) -> None:
    """Once, with who did it, and the note goes when the record is durable."""
    with serving(tmp_path) as tenant:
        disk = tenant.engine.world.disk
        act = acting("pin", ("host:den", "eve"), SystemClock(), {"pin": "keep"})
        begun = tenant.on_loop(lambda: note(disk, act, SystemEntropy()))
        tenant.on_loop(lambda: [each() for _ in range(LOOK_TICKS) for each in tenant.service.runner._on_tick])
        assert tenant.on_loop(lambda: told(tenant)) == []
        tenant.on_loop(lambda: begun.end(DONE, {"offset": 3}))
        tenant.wait_until(lambda: not disk.names(ACTS))
        ((what, who),) = tenant.on_loop(lambda: told(tenant))
        assert (what["pin"], what["offset"], what["state"], who) == ("keep", 3, DONE, ["host:den", "eve"])


def test_a_note_that_cannot_be_removed_is_not_logged_again(tmp_path: Path) -> None:
    """It is tried again until it is gone."""
    with serving(tmp_path) as tenant:
        disk = tenant.engine.world.disk
        act = acting("pin", ("host:den", "eve"), SystemClock(), {"pin": "keep"}, state=DONE)
        fails = [3]

        def logged() -> None:
            if fails[0]:
                fails[0] -= 1
                raise OSError("no")
            original()

        original = tenant.engine.acts.logged
        tenant.on_loop(lambda: setattr(tenant.engine.acts, "logged", logged))
        tenant.on_loop(lambda: note(disk, act, SystemEntropy()).end(DONE, {}))
        tenant.wait_until(lambda: not fails[0] and not disk.names(ACTS))
        assert len(tenant.on_loop(lambda: told(tenant))) == 1
