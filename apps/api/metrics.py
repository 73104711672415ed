"""What the portal tells Prometheus of itself, read from the database at each scrape: several processes serve.

Numbers by workspace, the names of streams, and those of the portal's own routes, tasks and steps: nothing that people,
releases or services are called.
"""

from collections.abc import Iterable
from datetime import datetime
from itertools import accumulate
from typing import Any

from django.db import connection
from django.db.models import Count
from prometheus_client import CollectorRegistry, Metric
from prometheus_client.core import GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from apps.api.models import Timing
from apps.compliance.anchors import places
from apps.compliance.enums import ExportState
from apps.compliance.models import AuditExport
from apps.core.timings import FAMILIES, Family
from apps.dashboards.attention import figures_of
from apps.deployments.enums import OPEN
from apps.deployments.models import Deployment
from apps.workspaces.models import Workspace
from apps.workspaces.scope import whole_scope

Rows = Iterable[tuple[object, ...]]

LOOKED = "SELECT extract(epoch FROM clock_timestamp() - looked_at)::float8, next_xid::text FROM audit_sealing"
# Where the seal has stood still for days, so many say enough.
MOST = 100_000
UNSEALED = """
SELECT workspace.slug, count(waiting.recorded_at),
    COALESCE(extract(epoch FROM clock_timestamp() - min(waiting.recorded_at)), 0)::float8
FROM workspaces_workspace workspace LEFT JOIN (
    SELECT workspace_id, recorded_at FROM audit_event
    WHERE xid >= %s::xid8 ORDER BY xid LIMIT %s
) waiting ON waiting.workspace_id = workspace.id
GROUP BY workspace.slug
"""
SEALS = """
SELECT workspace.slug, (tree.refused <> '')::integer, (
    SELECT extract(epoch FROM clock_timestamp() - signed_at)::float8 FROM audit_checkpoint
    WHERE workspace_id = tree.workspace_id ORDER BY signed_at DESC, id DESC LIMIT 1)
FROM audit_tree tree JOIN workspaces_workspace workspace ON workspace.id = tree.workspace_id
"""
STREAMS = """
SELECT workspace.slug, stream.name, (stream.failing_since IS NOT NULL)::integer,
    greatest(COALESCE(tree.size, 0) - stream.next_leaf, 0),
    COALESCE(extract(epoch FROM clock_timestamp() - leaf.recorded_at), 0)::float8
FROM compliance_auditstream stream
JOIN workspaces_workspace workspace ON workspace.id = stream.workspace_id
LEFT JOIN audit_tree tree ON tree.workspace_id = stream.workspace_id
LEFT JOIN audit_leaf leaf ON leaf.workspace_id = stream.workspace_id AND leaf.leaf_index = stream.next_leaf
WHERE stream.state = 'ACTIVE'
"""
ANCHORS = """
SELECT workspace.slug, lower(anchor.place), (anchor.failing_since IS NOT NULL)::integer,
    extract(epoch FROM clock_timestamp() - anchor.taken_at)::float8
FROM compliance_anchor anchor JOIN workspaces_workspace workspace ON workspace.id = anchor.workspace_id
WHERE anchor.place = ANY (%s)
"""
# What waits, as the label says, and the figure of the dashboard that counts it.
WAITING = {
    "approvals": "awaiting", "holds": "on_hold", "drift": "drifting", "debts": "owed", "incidents": "incidents",
    "checklists": "unticked", "reviews": "overdue",
}  # fmt: skip


def exposition(accept: str, *, now: datetime) -> tuple[bytes, str]:
    """This function will write all figures in the form that the reader accepts; return them and their content type."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(Portal(now))
    encode, content_type = choose_encoder(accept)
    return encode(registry), content_type


class Portal(Collector):
    """Asks for everything in one transaction. Queries: the same number, whatever there is."""

    def __init__(self, now: datetime) -> None:
        self.now = now

    def collect(self) -> Iterable[Metric]:
        with whole_scope():
            return [*_seal(), *_outgoing(), *_work(self.now), *_times()]


def _seal() -> Iterable[GaugeMetricFamily]:
    [(age, since)] = _rows(LOOKED)
    # A value that the planner sees: of a subquery it would expect a third of the ledger.
    unsealed, seals = _rows(UNSEALED, since, MOST), _rows(SEALS)
    yield _gauge("audit_seal_look_age_seconds", "Since the process that seals the trail looked last", (), [(age,)])
    yield _gauge(
        "audit_unsealed_entries", f"Entries without a leaf, of the {MOST} oldest", ("workspace",), _columns(unsealed, 1)
    )
    yield _gauge("audit_unsealed_age_seconds", "Age of the oldest of them", ("workspace",), _columns(unsealed, 2))
    yield _gauge("audit_seal_refused", "1 where the seal refuses to sign", ("workspace",), _columns(seals, 1))
    yield _gauge("audit_checkpoint_age_seconds", "Age of the last signed tree", ("workspace",), _columns(seals, 2))


def _outgoing() -> Iterable[GaugeMetricFamily]:
    exports = dict(AuditExport.objects.order_by().values_list("state").annotate(Count("pk")))
    streams = _rows(STREAMS)
    anchors = _rows(ANCHORS, [place.value for place in places()])
    by, to = ("workspace", "stream"), ("workspace", "place")
    yield _gauge(
        "audit_exports", "Exports of the trail, by state", ("state",),
        [(state.lower(), exports.get(state, 0)) for state in ExportState.values],
    )  # fmt: skip
    yield _gauge("audit_stream_failing", "1 where the receiver does not take the trail", by, _columns(streams, 2, 2))
    yield _gauge("audit_stream_lag_entries", "Sealed entries that wait to be sent", by, _columns(streams, 3, 2))
    yield _gauge("audit_stream_lag_seconds", "Age of the oldest of them", by, _columns(streams, 4, 2))
    yield _gauge("audit_anchor_failing", "1 where checkpoints can't be brought", to, _columns(anchors, 2, 2))
    yield _gauge("audit_anchor_age_seconds", "Since a checkpoint was brought there", to, _columns(anchors, 3, 2))


def _work(now: datetime) -> Iterable[GaugeMetricFamily]:
    deployments = dict(Deployment.objects.open().order_by().values_list("state").annotate(Count("pk")))
    waiting = figures_of(tuple(Workspace.objects.values_list("pk", flat=True)), now=now)
    yield _gauge(
        "deployments", "Deployments that have not ended, by state", ("state",),
        [(state.lower(), deployments.get(state, 0)) for state in OPEN],
    )  # fmt: skip
    yield _gauge(
        "waiting", "What waits for a person, as the dashboard counts it", ("what",),
        [(what, getattr(waiting, figure)) for what, figure in WAITING.items()],
    )  # fmt: skip


def _times() -> Iterable[HistogramMetricFamily]:
    found = list(Timing.objects.order_by("family", "labels").values_list("family", "labels", "counts", "seconds"))
    for name, family in FAMILIES.items():
        times = HistogramMetricFamily(f"eaip_{name}_duration_seconds", family.means, labels=family.labels)
        for of, labels, counts, seconds in found:
            if of == name:
                times.add_metric(labels, _bands(family, counts), seconds)
        yield times


def _bands(family: Family, counts: list[int]) -> list[tuple[str, float]]:
    """Return the upper edge of each band with how many took no longer."""
    return list(zip([*map(str, family.edges), "+Inf"], accumulate(counts), strict=True))


def _gauge(name: str, means: str, labels: tuple[str, ...], rows: Rows) -> GaugeMetricFamily:
    """Return one gauge of rows that hold the labels and then the value; without a value there is no sample."""
    family = GaugeMetricFamily(f"eaip_{name}", means, labels=labels)
    for *of, value in rows:
        if value is not None:
            family.add_metric([str(each) for each in of], float(str(value)))
    return family


def _rows(statement: str, *values: Any) -> list[tuple[object, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        found: list[tuple[object, ...]] = cursor.fetchall()
    return found


def _columns(rows: Rows, value: int, labels: int = 1) -> Rows:
    return [(*row[:labels], row[value]) for row in rows]
