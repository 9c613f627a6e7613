"""The health check: it truly commits, and costs one commit a second however many ask."""

from pathlib import Path

import pytest

from store.engine.options import EngineOptions
from store.server.health import HEARTBEAT_INTERVAL_S
from store.server.options import ServerOptions
from tests.server.scenes import answer_of, serving


def test_commits(tmp_path: Path) -> None:
    """/healthz appends a record and answers its offset once that is durable."""
    with serving(tmp_path) as tenant:
        before = tenant.engine.write_path.last_offset
        said = tenant.request("GET", "/healthz")
        assert said.status == 200
        assert said.body["healthy"] is True
        assert said.body["offset"] == before + 1
        assert tenant.engine.log.durable_offset >= said.body["offset"]


def test_shared(tmp_path: Path) -> None:
    """Requests within a second share one heartbeat."""
    with serving(tmp_path) as tenant:
        offsets = {tenant.request("GET", "/healthz").body["offset"] for _ in range(5)}
        assert len(offsets) == 1


def test_interval(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After its second a heartbeat's answer holds no longer."""
    assert HEARTBEAT_INTERVAL_S == 1.0
    monkeypatch.setattr("store.server.health.HEARTBEAT_INTERVAL_S", 0.0)
    with serving(tmp_path) as tenant:
        first, second = (tenant.request("GET", "/healthz").body["offset"] for _ in range(2))
        assert second == first + 1


def test_one_at_a_time(tmp_path: Path) -> None:
    """While a heartbeat hangs no other begins: all who ask wait for that one, and are told when it takes too long."""
    options = ServerOptions(port=0, health_limit_s=0.3)
    with serving(tmp_path, options, engine_options=EngineOptions(fsync_inline_max_ms=-1.0)) as tenant:
        tenant.gate.shut()
        asked = [tenant.ask("GET", "/healthz") for _ in range(3)]
        for connection in asked:
            said = answer_of(connection)
            assert (said.status, said.body["healthy"]) == (503, False)
            connection.close()
        last = tenant.on_loop(lambda: tenant.engine.write_path.last_offset)
        assert tenant.request("GET", "/healthz").status == 503
        assert tenant.on_loop(lambda: tenant.engine.write_path.last_offset) == last
        tenant.gate.open()
        tenant.wait_until(lambda: not tenant.engine.log.unsynced)
        assert tenant.request("GET", "/healthz").status == 200


@pytest.mark.parametrize(("open_health", "status"), [(False, 401), (True, 200)])
@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_open_health(tmp_path: Path, path: str, *, open_health: bool, status: int) -> None:
    """The health doors want a token like every other, unless an option opens them; only them."""
    with serving(tmp_path, ServerOptions(port=0, open_health=open_health)) as tenant:
        assert tenant.request("GET", path, token="").status == status
        assert tenant.request("GET", "/metrics", token="").status == 401


def test_unreadable_tokens(tmp_path: Path) -> None:
    """Readiness says when the token file cannot be read."""
    with serving(tmp_path, ServerOptions(port=0, open_health=True)) as tenant:
        tenant.tokens.write_text("nonsense\n")
        tenant.on_loop(tenant.service.end_withdrawn)
        said = tenant.request("GET", "/readyz", token="")
        assert said.status == 503
        assert "line 1" in said.body["reasons"]["tokens"]
