"""Looks up what environments are seen to be: the configuration that is in effect in them, and what was probed."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from uuid import UUID

from django.db.models import Q

from apps.configuration.models import ConfigurationVersion
from apps.configuration.secrecy import shown
from apps.environments.enums import Tier
from apps.environments.models import Environment, Lane
from apps.health.models import EndpointCheck
from apps.policies.facts import EnvironmentFacts, ProbeFacts, ServiceFacts

Values = Mapping[str, str]


def seen_in(
    environments: Collection[Environment], *, planned: ConfigurationVersion | None = None
) -> dict[UUID, EnvironmentFacts]:
    """This function will tell of each environment what its services say, and which TLS its addresses take.

    Shapes: by the environment's id; services by name. `planned` counts in place of what its lane runs with now, also
    where nothing runs there yet. Secrets are covered. Two queries.
    """
    wanted = {environment.pk for environment in environments}
    of_production = Q(environment__tier=Tier.PRODUCTION, workspace_id__in={each.workspace_id for each in environments})
    is_running = Q(live_release__isnull=False) | Q(pk=planned.lane_id if planned else None)
    lanes = list(
        Lane.objects.standing()
        .filter(is_running, Q(environment_id__in=wanted) | of_production)
        .select_related("service", "live_configuration", "environment")
        .order_by("environment__position", "environment__name", "service__name")
    )
    production = _in_production(lanes)
    services: dict[UUID, list[ServiceFacts]] = defaultdict(list)
    for lane in lanes:
        if lane.environment_id in wanted:
            beside = production.get((lane.workspace_id, lane.service_id))
            services[lane.environment_id].append(_service(lane, planned, beside))
    probes = _probes(wanted)
    return {each: EnvironmentFacts(tuple(services[each]), tuple(probes[each])) for each in wanted}


def _service(lane: Lane, planned: ConfigurationVersion | None, production: Values | None) -> ServiceFacts:
    version: ConfigurationVersion | None
    if planned is not None and planned.lane_id == lane.pk:
        version, source, since = planned, f"planned configuration {planned}", None
    else:
        version, since = lane.live_configuration, lane.live_since
        source = f"configuration {version}" if version else "no configuration"
    return ServiceFacts(lane.service.name, source, _open(version), since, production, str(lane.pk))


def _in_production(lanes: Iterable[Lane]) -> dict[tuple[UUID, UUID], Values]:
    """Return what services say in the Production of their workspace; in the first one, where there are several."""
    found: dict[tuple[UUID, UUID], Values] = {}
    for lane in lanes:
        if lane.environment.tier == Tier.PRODUCTION and lane.live_release_id is not None:
            found.setdefault((lane.workspace_id, lane.service_id), _open(lane.live_configuration))
    return found


def _probes(environments: Collection[UUID]) -> dict[UUID, list[ProbeFacts]]:
    checks = EndpointCheck.objects.filter(
        lane__environment_id__in=environments, lane__removed_at=None, url__startswith="tls:"
    )
    found: dict[UUID, list[ProbeFacts]] = defaultdict(list)
    for check in checks.select_related("lane__service").order_by("lane__service__name", "name"):
        probe = ProbeFacts(check.lane.service.name, check.url, check.tls, check.checked_at, str(check.lane_id))
        found[check.lane.environment_id].append(probe)
    return found


def _open(version: ConfigurationVersion | None) -> Values:
    return {name: str(shown(name, version.values)) for name in version.values} if version else {}
