"""What an operator measures, as Prometheus text; METRICS is the list of all of it.

Laws: a call costs nothing here. What happens is noted once for each group commit, weighted by its records; everything
else is read from the engine when somebody asks. A metric that rests on transactions nobody was told of yet (`rests`)
leaves with them, or not at all.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping
from typing import Final, NamedTuple

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric as Family

from store.engine.engine import Engine
from store.log.segment import segment_offsets

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
LATENCY_BOUNDS: Final = (
    *(0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025),
    *(0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0),
)
"""Seconds: from a tenth of a millisecond, an fdatasync on a good disk, to ten seconds."""
SIZE_BOUNDS: Final = (1.0, 2.0, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0, 1_000.0, 2_500.0, 5_000.0, 10_000.0)
"""Records in one group."""


class Metric(NamedTuple):
    """One metric as METRICS lists it."""

    name: str
    kind: str
    """gauge, counter or histogram."""
    help: str
    labels: tuple[str, ...] = ()
    rests: bool = False
    """It tells something of transactions that may not be durable yet."""


METRICS: Final = (
    Metric(
        "store_call_latency_seconds",
        "histogram",
        "From a group's first arrival until its answers leave, once for each of its records: each took at most that.",
    ),
    Metric("store_fsync_latency_seconds", "histogram", "How long the disk took for each sync of the commitlog."),
    Metric("store_batch_records", "histogram", "Records that one sync made durable."),
    Metric("store_last_offset", "gauge", "The offset of the newest transaction, durable or not.", rests=True),
    Metric("store_durable_offset", "gauge", "The offset up to which everything is on disk."),
    Metric("store_accepting_calls", "gauge", "1 while calls are taken, 0 while they are refused; /readyz says why."),
    Metric("store_calls_failed_total", "counter", "Calls that ran and failed, by the code of their error.", ("code",)),
    Metric("store_calls_refused_total", "counter", "Calls that were not run at all, by the reason.", ("reason",)),
    Metric("store_doors_denied_total", "counter", "Requests and connections turned away, by HTTP status.", ("status",)),
    Metric("store_connections", "gauge", "Open WebSocket connections."),
    Metric(
        "store_connections_closed_total", "counter", "WebSocket connections ended by this side, by code.", ("code",)
    ),
    Metric("store_subscribers", "gauge", "Subscriptions: each is one client that follows one query."),
    Metric("store_followed_queries", "gauge", "Different queries that somebody follows."),
    Metric("store_held_receivers", "gauge", "Connections and requests whose answers wait for a sync."),
    Metric("store_outbox_bytes", "gauge", "Bytes on their way to WebSocket clients that have not taken them yet."),
    Metric("store_table_rows", "gauge", "Rows of a table.", ("table",), rests=True),
    Metric("store_idempotency_bytes", "gauge", "Bytes of first answers kept for retries.", rests=True),
    Metric("store_idempotency_clients", "gauge", "Clients that first answers are kept for.", rests=True),
    Metric("store_log_segment_bytes", "gauge", "Bytes in the commitlog's open segment, flushed or on disk."),
    Metric("store_log_pending_bytes", "gauge", "Bytes of records that wait in RAM for the next flush."),
    Metric("store_log_segments", "gauge", "Segments of the commitlog."),
    Metric(
        "store_free_bytes", "gauge", "Bytes of disk that may still be written; calls are refused below the reserve."
    ),
    Metric("store_recovery_seconds", "gauge", "How long the last start took to recover."),
    Metric("store_recovery_replayed", "gauge", "Transactions that the last start replayed."),
    Metric("store_recovery_cut_bytes", "gauge", "Bytes of a torn tail that the last start cut."),
    Metric("store_snapshots_total", "counter", "Snapshots taken, by the reason they were taken for.", ("reason",)),
    Metric("store_snapshot_offset", "gauge", "The offset of the newest snapshot; 0 where there is none."),
    Metric(
        "store_snapshot_timestamp_seconds",
        "gauge",
        "When the newest snapshot was taken, in seconds since 1970; 0 where there is none.",
    ),
    Metric("store_snapshot_seconds", "gauge", "How long the newest snapshot took, from its child's first step."),
    Metric(
        "store_snapshot_written_bytes",
        "gauge",
        "Bytes that the newest snapshot wrote; what it shares is not among them.",
    ),
    Metric(
        "store_snapshot_retry_seconds",
        "gauge",
        "Seconds until a snapshot is tried again after a failure; 0 while the last one went well.",
    ),
    Metric(
        "store_restart_estimate_seconds",
        "gauge",
        "How long a restart would take now: loading the newest snapshot and replaying the log behind it.",
        rests=True,
    ),
    Metric("store_retention_floor_offset", "gauge", "The log is needed behind this offset, as of the last look."),
    Metric(
        "store_retention_waiting", "gauge", "Snapshots and segments that are not needed any more and have their grace."
    ),
    Metric("store_retention_segments_total", "counter", "Segments of the commitlog that were let go."),
    Metric("store_retention_snapshots_total", "counter", "Snapshots that were let go."),
    Metric("store_retention_bytes_total", "counter", "Bytes of disk that letting go has freed."),
    Metric(
        "store_drills_total", "counter", "Rehearsed restores, by how they ended: same, different, failed.", ("result",)
    ),
    Metric(
        "store_drill_timestamp_seconds",
        "gauge",
        "When the newest drill that restored the same rows ended, in seconds since 1970; 0 since the start for none.",
    ),
    Metric("store_drill_seconds", "gauge", "How long the newest drill took to restore and to compare."),
    Metric(
        "store_backup_timestamp_seconds",
        "gauge",
        "When the newest push of this server's ended well, in seconds since 1970; 0 since the start for none.",
    ),
    Metric("store_backup_bytes_total", "counter", "Bytes that pushes have sent to the backup."),
    Metric(
        "store_maintenance_failures_total",
        "counter",
        "Snapshots, drills and backups that failed, by what it was; calls went on.",
        ("what",),
    ),
    Metric("store_maintenance_working", "gauge", "1 for what a child of the server works on now.", ("what",)),
    Metric(
        "store_fingerprint_slice_max_seconds",
        "gauge",
        "The longest time for which the newest live fingerprint kept calls waiting.",
    ),
    Metric("store_audit_running", "gauge", "1 while the process that writes the audit trail runs."),
    Metric("store_audit_well", "gauge", "1 while the audit trail is written and shipped without trouble."),
    Metric("store_audit_starts_total", "counter", "Starts of the process that writes the audit trail."),
    Metric("store_audit_events", "gauge", "Events of the audit trail that are frozen in batches, from its beginning."),
    Metric("store_audit_offset", "gauge", "The offset up to which the log is in the audit store, under a checkpoint."),
    Metric(
        "store_audit_lag_records",
        "gauge",
        "Durable records that are not in the audit store under a checkpoint yet.",
    ),
    Metric(
        "store_audit_lag_seconds",
        "gauge",
        "About how old the oldest record is that is not in the audit store under a checkpoint; 0 for none.",
    ),
    Metric(
        "store_audit_held_records",
        "gauge",
        "Records that the cursor of a trail which is turned off keeps in the log, as the start found it; 0 for none.",
    ),
    Metric("store_audit_ledger_bytes", "gauge", "Bytes in the audit ledger."),
    Metric("store_audit_ledger_full", "gauge", "1 while the audit ledger has no room."),
    Metric("store_audit_batches", "gauge", "Batches in the audit ledger, by how far they are.", ("state",)),
    Metric("store_audit_checkpoint_events", "gauge", "Events under the newest checkpoint in the audit store."),
    Metric(
        "store_audit_checkpoint_timestamp_seconds",
        "gauge",
        "When that checkpoint was stored, in seconds since 1970; 0 since the start for none.",
    ),
    Metric("store_audit_found_total", "counter", "Strange things found in the audit store since its process began."),
    Metric(
        "store_audit_missing_events",
        "gauge",
        "Events that the audit store had held, and did not when the ledger was made anew from it.",
    ),
    Metric(
        "store_audit_verified_timestamp_seconds",
        "gauge",
        "When `store audit verify` last found the trail whole here, in seconds since 1970; 0 for never.",
    ),
)
"""Every metric there is, beside the process_… ones of the Prometheus client library."""


class Histogram:
    """Counts by upper bound; one observation may stand for many equal ones."""

    __slots__ = ("_bounds", "_counts", "_sum")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self._bounds: Final = bounds
        self._counts: Final = [0] * (len(bounds) + 1)
        self._sum = 0.0

    def observe(self, value: float, count: int = 1) -> None:
        """Note a value, `count` times."""
        self._counts[bisect_left(self._bounds, value)] += count
        self._sum += value * count

    @property
    def count(self) -> int:
        """How many were noted."""
        return sum(self._counts)

    def family(self, metric: Metric) -> HistogramMetricFamily:
        """The histogram as Prometheus reads it: counts add up along the bounds."""
        total, buckets = 0, []
        for bound, count in zip((*map(str, self._bounds), "+Inf"), self._counts, strict=True):
            total += count
            buckets.append((bound, float(total)))
        return HistogramMetricFamily(metric.name, metric.help, buckets=buckets, sum_value=self._sum)


class Gauges(NamedTuple):
    """What the doors know of themselves at one moment."""

    connections: int
    subscribers: int
    queries: int
    outbox_bytes: int


class Measured(NamedTuple):
    """Metrics that another room knows: values by name, and counts by name and label."""

    values: Mapping[str, float]
    labelled: Mapping[str, Mapping[str, int]]


class Metrics:
    """All metrics of one server."""

    def __init__(self, engine: Engine) -> None:
        self._engine: Final = engine
        self.call_latency: Final = Histogram(LATENCY_BOUNDS)
        self.fsync_latency: Final = Histogram(LATENCY_BOUNDS)
        self.batch_records: Final = Histogram(SIZE_BOUNDS)
        self.denied: Final[dict[str, int]] = {}
        self.closed: Final[dict[str, int]] = {}
        self.gauges: Callable[[], Gauges] = lambda: Gauges(0, 0, 0, 0)
        """Where to ask the doors; set by whoever opens them."""
        self.maintenance: Callable[[], Measured] = lambda: Measured({}, {})
        """Where to ask of snapshots, drills and backups."""
        self.auditing: Callable[[], Measured] = lambda: Measured({}, {})
        """Where to ask of the audit trail."""
        self._process: Final = CollectorRegistry()
        ProcessCollector(registry=self._process)

    def render(self, *, private: bool, rests: bool = True) -> bytes:
        """Everything as Prometheus text.

        With `private`, the rows of private tables too; without `rests`, nothing of what may not be durable yet.
        """
        view = _View(self._families(private=private), rests=rests)
        return generate_latest(view) + generate_latest(self._process)

    def _families(self, *, private: bool) -> Mapping[str, Family]:
        engine, gauges, report = self._engine, self.gauges(), self._engine.report
        log, windows, measured, audited = engine.log, engine.state.windows, self.maintenance(), self.auditing()
        histograms = {
            "store_call_latency_seconds": self.call_latency,
            "store_fsync_latency_seconds": self.fsync_latency,
            "store_batch_records": self.batch_records,
        }
        values: dict[str, float] = {
            "store_last_offset": engine.write_path.last_offset,
            "store_durable_offset": log.durable_offset,
            "store_accepting_calls": not engine.admission.reasons,
            "store_connections": gauges.connections,
            "store_subscribers": gauges.subscribers,
            "store_followed_queries": gauges.queries,
            "store_held_receivers": engine.feed.waiting,
            "store_outbox_bytes": gauges.outbox_bytes,
            "store_idempotency_bytes": windows.size,
            "store_idempotency_clients": windows.clients,
            "store_log_segment_bytes": log.position,
            "store_log_pending_bytes": log.unflushed_bytes,
            "store_log_segments": len(segment_offsets(engine.world.disk)),
            "store_free_bytes": engine.housekeeping.free_bytes,
            "store_recovery_seconds": report.seconds,
            "store_recovery_replayed": report.replayed,
            "store_recovery_cut_bytes": report.cut_bytes,
            **measured.values,
            **audited.values,
        }
        labelled: dict[str, Mapping[str, int]] = {
            "store_calls_failed_total": engine.write_path.failed,
            "store_calls_refused_total": engine.admission.refused,
            "store_doors_denied_total": self.denied,
            "store_connections_closed_total": self.closed,
            "store_table_rows": {
                table.schema.name: len(table)
                for table in engine.database.tables.values()
                if private or table.schema.public
            },
            **measured.labelled,
            **audited.labelled,
        }
        return {
            metric.name: histograms[metric.name].family(metric)
            if metric.kind == "histogram"
            else _family(metric, labelled.get(metric.name) or {"": values.get(metric.name, 0)})
            for metric in METRICS
        }


def count(counts: dict[str, int], what: str) -> None:
    """One more of these."""
    counts[what] = counts.get(what, 0) + 1


def _family(metric: Metric, values: Mapping[str, float]) -> Family:
    made = GaugeMetricFamily if metric.kind == "gauge" else CounterMetricFamily
    family = made(metric.name.removesuffix("_total"), metric.help, labels=metric.labels)
    for label, value in values.items():
        if label or not metric.labels:
            family.add_metric([label] if metric.labels else [], value)
    return family


class _View(CollectorRegistry):
    """The families of one moment, as a registry to render."""

    def __init__(self, families: Mapping[str, Family], *, rests: bool) -> None:
        super().__init__()
        self._shown: Final = [families[metric.name] for metric in METRICS if rests or not metric.rests]

    def collect(self) -> Iterator[Family]:
        """Every family, in the order of METRICS."""
        yield from self._shown
