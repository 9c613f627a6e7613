"""A real server that cannot go on, or cannot begin: what it says, how it ends, and that nothing answered is lost."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from store.client import Client, ClientOptions, OutcomeUnknown, Rows, Unreachable, connect
from store.errors import Overloaded
from tests.end_to_end.tenant import Tenant, run

EXIT_CORRUPTION, EXIT_DIRECTORY, EXIT_DURABILITY_LOST = 4, 7, 74
GIVES_UP = ClientOptions(backoff_first_ms=5.0, backoff_max_ms=50.0, give_up_s=0.2)


@pytest.fixture
def tenant(make_tenant: Callable[..., Tenant]) -> Tenant:
    """A running tenant."""
    tenant = make_tenant("tenant")
    tenant.start()
    return tenant


def filled(tenant: Tenant) -> Tenant:
    """A tenant with two accounts and some transfers, stopped."""

    async def scenario() -> None:
        async with connect(tenant.url, tenant.token) as db:
            await db.call("open_accounts", 1, 2, 1_000)
            await asyncio.gather(*(db.call("transfer", 1, 2, 1) for _ in range(50)))

    asyncio.run(scenario())
    tenant.stop()
    return tenant


def refused_start(tenant: Tenant, *, data: Path | None = None) -> tuple[int, str]:
    """How a start that must fail ends: the exit status and the error's message. Never a traceback."""
    folder = tenant.data.parent
    words = ("--port", "0", "--data", str(data or tenant.data), "--token-file", str(folder / "tokens"))
    done = run("serve", *words, folder=folder)
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    said: dict[str, Any] = json.loads(line)
    assert said["exit"] == done.returncode
    return done.returncode, f"{said['message']} {said['hint']}"


async def transfer_until_lost(db: Client, answered: list[int]) -> None:
    """Transfer 1 again and again, noting each answer, until the server is gone."""
    while True:
        await db.call("transfer", 1, 2, 1)
        answered.append(1)


def test_full_disk_stops_the_server(tenant: Tenant) -> None:
    """A write that fails ends the server with its reason and a status of its own; all it answered is there."""
    answered: list[int] = []

    async def fill() -> None:
        async with connect(tenant.url, tenant.token, options=GIVES_UP) as db:
            await db.call("open_accounts", 1, 2, 1_000_000)
            tenant.limit_files(60_000)
            with pytest.raises(OutcomeUnknown) as unknown:
                await transfer_until_lost(db, answered)
            assert isinstance(unknown.value.__cause__, Unreachable)

    asyncio.run(fill())
    assert tenant.wait() == EXIT_DURABILITY_LOST
    assert "failed to write" in tenant.complaint
    assert "Traceback" not in tenant.complaint
    assert len(answered) > 10

    async def look() -> None:
        async with connect(tenant.url, tenant.token) as db:
            rows: Rows[Any] = await db.query("SELECT * FROM accounts WHERE id = $1", 2)
            assert len(answered) <= rows[0].balance - 1_000_000 <= len(answered) + 1  # One was under way.
            assert await db.call("total") == 2_000_000

    tenant.start()
    asyncio.run(look())
    tenant.stop()


def test_too_little_space_refuses_calls(make_tenant: Callable[..., Tenant]) -> None:
    """Below the reserve of free space a server starts and reads, and refuses calls with the reason."""
    tenant = make_tenant("full")
    tenant.start()
    filled(tenant)
    full = make_tenant("full", "--set", f"engine.free_space_reserve={1 << 60}")
    full.start()

    async def scenario() -> None:
        async with connect(full.url, full.token) as db:
            assert len(await db.query("SELECT * FROM accounts")) == 2
            with pytest.raises(Overloaded, match="disk"):
                await db.call("transfer", 1, 2, 1)

    asyncio.run(scenario())
    full.stop()
    assert "Traceback" not in full.complaint


def test_second_server_is_refused(tenant: Tenant) -> None:
    """While one server has the directory, another is refused by the first one's process id, and disturbs nobody."""
    status, said = refused_start(tenant)
    assert status == EXIT_DIRECTORY
    assert "in use by process" in said
    filled(tenant)


def test_foreign_directory_is_refused(tenant: Tenant, tmp_path: Path) -> None:
    """A folder with other people's files is refused, and nothing is put into it."""
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    (foreign / "thesis.txt").write_text("precious")
    status, said = refused_start(tenant, data=foreign)
    assert status == EXIT_DIRECTORY
    assert "thesis.txt" in said
    assert [path.name for path in foreign.iterdir()] == ["thesis.txt"]


def test_newer_directory_is_refused(tenant: Tenant) -> None:
    """A directory of a newer format is refused with both numbers."""
    marker = filled(tenant).data / "store.json"
    marker.write_bytes(marker.read_bytes().replace(b'"format":1', b'"format":9'))
    status, said = refused_start(tenant)
    assert status == EXIT_DIRECTORY
    assert "format 9" in said


def test_damaged_log_is_refused(tenant: Tenant) -> None:
    """Damage to what was answered is refused with file and position, and the log is left as it is."""
    segment = max((filled(tenant).data / "log").iterdir())
    data = bytearray(segment.read_bytes())
    data[len(data) // 2] ^= 1
    segment.write_bytes(data)
    status, said = refused_start(tenant)
    assert status == EXIT_CORRUPTION
    assert segment.name in said
    assert segment.read_bytes() == data


def test_torn_tail_is_cut(tenant: Tenant) -> None:
    """What a crash left half written is cut and reported, and the server starts."""
    segment = max((filled(tenant).data / "log").iterdir())
    with segment.open("ab") as file:
        file.write(b"half a batch")
    tenant.start()
    tenant.stop()
    assert tenant.verify()["verdict"] == "sound"


def test_directory_that_is_a_file_is_refused(tenant: Tenant, tmp_path: Path) -> None:
    """A data directory that is a file is refused."""
    (tmp_path / "file").write_text("a file")
    status, _ = refused_start(tenant, data=tmp_path / "file")
    assert status == EXIT_DIRECTORY
