"""How it is learnt what users get of a lane: its own queries before those of its service before the settings'."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from string import Template

from django.conf import settings
from django.db.models import Q

from apps.environments.models import Lane
from apps.health.models import TrafficQueries
from apps.integrations import prometheus
from apps.integrations.prometheus import PrometheusProblem

FIELDS = ("source", "requests", "error_ratio", "p95_ms")
PLACEHOLDERS = frozenset({"service", "environment", "window"})


@dataclass(frozen=True)
class Measure:
    """`source` is empty where nobody chose; `origins` says of each query whose it is: "lane", "service", "settings"."""

    source: str
    queries: Mapping[str, str]
    origins: Mapping[str, str]

    @property
    def asked(self) -> list[tuple[str, dict[str, str]]]:
        """Each query with whose it is, for a page."""
        whose = {"lane": "of this lane", "service": "of the service", "settings": "of the settings"}
        return [(name, {"text": text, "origin": whose[self.origins[name]]}) for name, text in self.queries.items()]


@dataclass(frozen=True)
class Tried:
    """What Prometheus says now: a number, or why there is none."""

    name: str
    value: float | None
    why: str


def measure_of(lane: Lane, tried: TrafficQueries | None = None) -> Measure:
    """This function will say how a lane is measured, in one query. The caller stands in its workspace.

    `tried` is a row as it is not stored: it stands in the place of its like, and of what would be said before it.
    """
    of_service = Q(service_id=lane.service_id, workspace_id=lane.workspace_id)
    rows = sorted(TrafficQueries.objects.filter(Q(lane=lane) | of_service), key=_rank)
    if tried is not None:
        rows = [tried, *(row for row in rows if _rank(row) > _rank(tried))]
    return _merged(rows)


def stored(lane: Lane, *, of_service: bool) -> TrafficQueries:
    """This function will return what is said of the lane, or of its service; an empty row where nothing was yet."""
    of = {"service_id": lane.service_id, "lane": None} if of_service else {"service": None, "lane_id": lane.pk}
    found = TrafficQueries.objects.filter(workspace_id=lane.workspace_id, **of).first()
    return found or TrafficQueries(workspace_id=lane.workspace_id, **of)


def problem_of(query: str) -> str:
    """This function will say what is wrong with a query as far as it shows before it is asked; empty: nothing."""
    unknown = sorted(set(Template(query).get_identifiers()) - PLACEHOLDERS)
    return f"There is no ${unknown[0]}; there are ${', $'.join(sorted(PLACEHOLDERS))}." if unknown else ""


def filled_in(query: str, lane: Lane, seconds: float) -> str:
    """This function will return a query as Prometheus is asked it, over so many seconds."""
    names = {
        "service": prometheus.quoted(lane.service.slug),
        "environment": prometheus.quoted(lane.environment.slug),
        "window": f"{max(1, round(seconds))}s",
    }
    return Template(query).safe_substitute(names)


def tried(lane: Lane, queries: Mapping[str, str]) -> Iterator[Tried]:
    """This function will ask Prometheus now, over one window; after the first silence nobody waits for another."""
    silence = "" if settings.PROMETHEUS_URL else "PROMETHEUS_URL is not set, so nobody is asked."
    for name, query in queries.items():
        if silence:
            yield Tried(name, None, silence)
            continue
        try:
            text = filled_in(query, lane, settings.PROMETHEUS_WINDOW.total_seconds())
            reading = prometheus.ask(settings.PROMETHEUS_URL, text)
        except PrometheusProblem as error:
            silence = str(error) if isinstance(error, prometheus.NoAnswer) else ""
            yield Tried(name, None, str(error))
        else:
            yield Tried(name, reading.value, reading.why)


def _rank(row: TrafficQueries) -> int:
    """The lane's own words go before the service's."""
    return 0 if row.lane_id else 1


def _merged(rows: list[TrafficQueries]) -> Measure:
    """Return what the first row that says something says, else the settings."""
    queries, origins = dict(settings.PROMETHEUS_QUERIES), dict.fromkeys(settings.PROMETHEUS_QUERIES, "settings")
    for row in reversed(rows):
        said = {name: getattr(row, name) for name in queries if getattr(row, name)}
        queries |= said
        origins |= dict.fromkeys(said, "service" if row.lane_id is None else "lane")
    return Measure(next((row.source for row in rows if row.source), ""), queries, origins)
