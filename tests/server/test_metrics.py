"""Metrics: all that is listed is told, each with its help, and weighted as it says."""

import re
from pathlib import Path

import pytest

from store.server.metrics import METRICS, Histogram, Measured, Metric
from tests.server.scenes import Tenant, serving


def read(tenant: Tenant) -> dict[str, float]:
    """Every sample by its name and labels."""
    text = tenant.request("GET", "/metrics").body.decode()
    return {
        line.rpartition(" ")[0]: float(line.rpartition(" ")[2])
        for line in text.splitlines()
        if line and not line.startswith("#")
    }


def test_complete(tmp_path: Path) -> None:
    """Every metric that is listed is told with its help and type, and none that is not listed."""
    with serving(tmp_path) as tenant:
        said = tenant.request("GET", "/metrics")
    text = said.body.decode()
    assert said.headers["content-type"].startswith("text/plain; version=0.0.4")
    helps = dict(re.findall(r"^# HELP (store_\w+) (.*)$", text, re.MULTILINE))
    kinds = dict(re.findall(r"^# TYPE (store_\w+) (\w+)$", text, re.MULTILINE))
    assert helps == {metric.name: metric.help for metric in METRICS}
    assert kinds == {metric.name: metric.kind for metric in METRICS}


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_documented(metric: Metric) -> None:
    """A metric's help is a sentence, and its name ends as its kind wants."""
    assert metric.help.endswith(".")
    assert len(metric.help) > 15
    assert metric.name.endswith("_total") == (metric.kind == "counter")


def test_page() -> None:
    """HTTP.md lists every metric with its type, labels and meaning, in their order, and no other."""
    page = (Path(__file__).parents[2] / "store" / "server" / "HTTP.md").read_text()
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in page.splitlines() if line[:9] == "| `store_"]
    assert [
        (name.strip("`"), kind, tuple(re.findall(r"`(\w+)`", labels)), said) for name, kind, labels, said, _ in rows
    ] == [(metric.name, metric.kind, metric.labels, metric.help) for metric in METRICS]


def test_counts(tmp_path: Path) -> None:
    """Calls, failures, refusals, denials, connections and rows are counted."""
    with serving(tmp_path) as tenant, tenant.greet() as talk:
        talk.say(["subscribe", 1, "SELECT * FROM notes"], ["subscribe", 2, "SELECT * FROM notes WHERE id = 1"])
        talk.hear()
        tenant.call("write", 1, "one")
        tenant.call("write", 2)
        tenant.request("GET", "/v1/schema", token="")
        with tenant.full_disk():
            tenant.call("write", 3, "three")
        found = read(tenant)
        assert found['store_calls_failed_total{code="refused"}'] == 1
        assert found['store_calls_refused_total{reason="disk"}'] == 1
        assert found['store_doors_denied_total{status="401"}'] == 1
        assert found["store_connections"] == 1
        assert found["store_subscribers"] == 2
        assert found["store_followed_queries"] == 2
        assert found['store_table_rows{table="notes"}'] == 1
        assert found["store_last_offset"] == found["store_durable_offset"]
        assert found["store_accepting_calls"] == 1
        assert found["store_log_segments"] == 1
        assert found["store_call_latency_seconds_count"] == found["store_batch_records_sum"]
        assert found["store_fsync_latency_seconds_count"] == found["store_batch_records_count"]
        assert found["store_free_bytes"] > 0


def test_maintenance(tmp_path: Path) -> None:
    """What is known of snapshots, drills and backups is told beside; nothing has happened yet."""
    with serving(tmp_path) as tenant:
        found = read(tenant)
        assert found["store_snapshot_offset"] == found["store_drill_timestamp_seconds"] == 0
        assert found["store_restart_estimate_seconds"] > 0
        assert not [name for name in found if name.startswith("store_snapshots_total")]
        measured = Measured({"store_snapshot_offset": 7}, {"store_drills_total": {"same": 2}})
        tenant.on_loop(lambda: setattr(tenant.service.metrics, "maintenance", lambda: measured))
        found = read(tenant)
        assert found["store_snapshot_offset"] == 7
        assert found['store_drills_total{result="same"}'] == 2
        assert found["store_snapshot_seconds"] == 0


def test_closed(tmp_path: Path) -> None:
    """Connections that this side ended are counted by their close code."""
    with serving(tmp_path) as tenant:
        talk = tenant.greet()
        talk.connection.send("text")
        tenant.wait_until(lambda: tenant.service.metrics.closed == {"4400": 1})
        talk.close()


def test_weight() -> None:
    """An observation may stand for many: the counts add up along the bounds, and the sum is weighted."""
    histogram = Histogram((1.0, 2.0))
    histogram.observe(1.0, 3)
    histogram.observe(1.5)
    histogram.observe(9.0, 2)
    samples = {(each.name, each.labels.get("le")): each.value for each in histogram.family(METRICS[0]).samples}
    name = METRICS[0].name
    assert [samples[f"{name}_bucket", bound] for bound in ("1.0", "2.0", "+Inf")] == [3, 4, 6]
    assert samples[f"{name}_sum", None] == 22.5
    assert histogram.count == 6
