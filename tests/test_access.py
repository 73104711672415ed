"""Nobody sees another workspace's objects: every address, by both layers, and by each layer alone.

A route that is not here fails the build.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from django.db.models import QuerySet
from django.urls import get_resolver, reverse
from django.utils import timezone

from apps.approvals import actions as approval_actions
from apps.approvals.actions.lines import ask_for_lines
from apps.audit.filters import TrailFilter
from apps.audit.models import AuditEvent
from apps.audit.querysets import WorkspaceRows
from apps.audit.saved_filters import save_filter
from apps.compliance import actions as compliance_actions
from apps.deployments import actions as deployment_actions
from apps.deployments import rollouts
from apps.deployments.querysets import RolloutQuerySet
from apps.environments import actions as environment_actions
from apps.environments.data_rules import USUAL
from apps.environments.enums import FreezeScope
from apps.health import actions as health_actions
from apps.incidents import actions as incident_actions
from apps.policies import actions as policy_actions
from apps.policies.checklists import Phase
from apps.releases import actions as release_actions
from apps.releases.models import Finding
from apps.releases.querysets import CatalogueQuerySet
from apps.workspaces.querysets import TenantQuerySet, WorkspaceQuerySet
from tests.accounts.factors import register_app
from tests.approvals.promotions import lend, tick
from tests.cast import NOW
from tests.compliance.keeping import archived_cut, propose_retention, put_hold
from tests.drill import get, post
from tests.policies.documents import make_policy
from tests.policies.proposals import text
from tests.releases.ends import announced_end
from tests.releases.events import consumer
from tests.test_doors import _acceptance, _routes
from tests.world import World

pytestmark = pytest.mark.django_db


@dataclass(frozen=True)
class Objects:
    """One of everything, all of it the customer's or unpublished, so that a stranger may see none of it."""

    world: World
    promotion: Any
    deployment: Any
    freeze: Any
    resource: Any
    check: Any
    event: Any
    rollout: Any
    evidence: Any
    acceptance: Any
    waiver: Any
    proposal: Any
    delegation: Any
    incident: Any
    consumer: Any
    review: Any
    refresh: Any


@pytest.fixture
def objects(world: World) -> Objects:
    with world.everything():
        lane = world.lane(world.dev)
        promotion = approval_actions.request_promotion(
            world.release, lane=lane, by=world.cast.release_engineer, now=timezone.now(), starts_by_itself=False
        )
        deployment = deployment_actions.start_deployment(promotion, by=world.cast.devops, now=timezone.now())
        freeze = environment_actions.freeze(
            scope=FreezeScope.ENVIRONMENT, environment=world.staging, workspace_id=world.cast.platform.pk,
            reason="A secret reason", ends_at=None, by=world.cast.devops, now=NOW,
        )  # fmt: skip
        resource = environment_actions.claim_resource(
            world.staging, kind="DATA_STORE", uri="postgresql://db.example/app", by=world.cast.devops, now=NOW
        )
        check = health_actions.create_check(
            world.lane(world.staging), name="A secret check", url="https://a.example", by=world.cast.devops, now=NOW
        )
        for model in (type(world.service), type(world.release), type(world.release.artifact)):
            model.objects.update(is_published=False)
        rollout = rollouts.start_rollout(
            world.release, waves_of={lane: 1, world.lane(world.qa): 2}, pause=timedelta(0), reason="",
            by=world.cast.release_engineer, now=NOW,
        )  # fmt: skip
        evidence, _ = release_actions.keep_evidence(
            world.release, kind="LCOV", report=b"SF:secret.py\nDA:1,1\nend_of_record",
            by=world.cast.release_engineer, now=NOW,
        )  # fmt: skip
        acceptance = _acceptance(world)
        waiver = promotion.waivers.create(
            workspace_id=promotion.workspace_id, gate="tests", role_id="DEVOPS", reason="A secret reason",
            plan_hash=promotion.plan_hash, granted_at=NOW, granted_by=world.cast.devops,
            expires_at=NOW + timedelta(days=1),
        )  # fmt: skip
        consumed = consumer(world)
        event = AuditEvent.objects.filter(workspace_id=world.cast.platform.pk).first()
        incident = incident_actions.declare(
            world.cast.platform, title="A secret incident", severity="SEV1", environment=world.staging,
            by=world.cast.devops, now=NOW,
        )  # fmt: skip
        incident_actions.owe(incident, promotion_id=promotion.pk, subject="A secret", roles=(), now=NOW)
        proposal = policy_actions.propose(text(), tier="QA", reason="A secret reason", by=world.cast.devops, now=NOW)
        review = compliance_actions.set_review(
            world.cast.platform, kind="ACCESS", title="A secret reason", asks="Look.", interval_months=3,
            next_due_date=NOW.date(), owner=world.cast.devops, by=world.cast.devops, now=NOW,
        )  # fmt: skip
        refresh, _ = environment_actions.record_refresh(
            world.staging, rules=USUAL["STAGING"], kind="ANONYMISED", refreshed_at=NOW, source=world.production,
            evidence=environment_actions.Evidence(report=b"A secret reason", name="A secret reason"),
            by=world.cast.devops, now=NOW,
        )  # fmt: skip
        delegation = lend(world.cast.devops, "DEVOPS", to=world.cast.security, now=timezone.now())
    return Objects(
        world,
        promotion,
        deployment,
        freeze,
        resource,
        check,
        event,
        rollout,
        evidence,
        acceptance,
        waiver,
        proposal,
        delegation,
        incident,
        consumed,
        review,
        refresh,
    )


def _line(objects: Objects) -> Any:
    ask_for_lines(objects.promotion, make_policy("checklist"), Phase.PRE, now=NOW)
    return objects.promotion.checklist_lines.get(line="notes")


def _tick(objects: Objects) -> Any:
    line = _line(objects)
    tick(line, objects.world.cast.release_engineer, now=timezone.now())
    return line.ticks.get()


def _saved_filter(objects: Objects) -> Any:
    cast = objects.world.cast
    return save_filter(
        "A secret reason", "kind=release", workspace_id=cast.platform.pk, is_shared=True, person_id=cast.auditor.pk,
        by=cast.auditor, now=NOW,
    )  # fmt: skip


def _export(o: Objects) -> Any:
    cast = o.world.cast
    trail = TrailFilter({"q": "A secret reason"}, workspaces=(cast.platform.pk,))
    return compliance_actions.ask_export(trail, form="CSV", by=cast.auditor, now=NOW)


def _stream(o: Objects) -> Any:
    return compliance_actions.create_stream(
        o.world.cast.platform, kind="WEBHOOK", name="A secret reason", url="https://siem.example/",
        by=o.world.cast.devops, now=NOW,
    )  # fmt: skip


OBJECTS: dict[str, Callable[[Objects], list[Any]]] = {
    "releases:service-detail": lambda o: [o.world.service.slug],
    **{
        f"releases:{name}": lambda o: [o.world.service.slug, o.world.release.version]
        for name in (
            "release-detail", "release-seal", "release-quarantine", "quarantine-lift", "release-retire",
            "evidence-list", "evidence-create", "finding-list", "part-list", "api-comparison",
        )
    },
    **{
        f"releases:{name}": lambda o: [o.world.service.slug, o.consumer.version.subject.name, 1]
        for name in ("event-version", "event-consumer-create", "event-version-drop")
    },
    "releases:event-schema": lambda o: [o.world.service.slug, o.consumer.version.subject.name, 1, 0],
    "releases:support-list": lambda o: [o.world.service.slug],
    "releases:end-announce": lambda o: [o.world.service.slug],
    "releases:end-withdraw": lambda o: [announced_end(o.world).pk],
    "releases:api-promise-list": lambda o: [o.world.service.slug],
    "releases:event-consumer-end": lambda o: [o.consumer.pk],
    "releases:acceptance-list": lambda o: [o.world.service.slug],
    "approvals:finding-acceptance": lambda o: [Finding.objects.get().pk],
    "approvals:acceptance-withdrawal": lambda o: [o.acceptance.pk],
    "releases:evidence-original": lambda o: [o.world.service.slug, o.world.release.version, o.evidence.pk],
    **{
        f"environments:{name}": lambda o: [o.world.cast.platform.slug, o.world.staging.slug]
        for name in (
            "environment-detail", "requirement-list", "alert-list",
            "freeze-create", "resource-create", "lane-create", "window-create",
            "environment-destroy", "environment-recreate", "close-watch-create", "data-list", "data-create",
            "data-removal", "recovery-list", "recovery-create",
        )
    },
    "environments:record-evidence": lambda o: [o.world.cast.platform.slug, o.world.staging.slug, o.refresh.pk],
    "environments:freeze-lift": lambda o: [o.freeze.pk],
    "environments:resource-release": lambda o: [o.resource.pk],
    "environments:window-remove": lambda o: [o.world.production.windows.get().pk],
    "environments:close-watch-end": lambda o: [o.world.lane(o.world.staging).pk],
    "environments:lane-remove": lambda o: [o.world.lane(o.world.staging).pk],
    "environments:configuration-list": lambda o: [o.world.lane(o.world.staging).pk],
    "environments:configuration-create": lambda o: [o.world.lane(o.world.staging).pk],
    **{
        f"health:{name}": lambda o: [o.world.lane(o.world.staging).pk]
        for name in ("check-list", "check-create", "lane-queries", "service-queries")
    },
    **{f"health:{name}": lambda o: [o.check.pk] for name in ("check-detail", "check-change", "check-remove")},
    "approvals:promotion-detail": lambda o: [o.promotion.number],
    "approvals:decision-create": lambda o: [o.promotion.number],
    "approvals:tick-create": lambda o: [_line(o).pk],
    "approvals:tick-withdrawal": lambda o: [_tick(o).pk],
    "approvals:waiver-create": lambda o: [o.promotion.number, "tests"],
    "approvals:trait-create": lambda o: [o.world.release.pk],
    "approvals:waiver-withdrawal": lambda o: [o.waiver.pk],
    "approvals:withdrawal": lambda o: [o.promotion.number],
    "approvals:delegation-end": lambda o: [o.delegation.pk],
    "approvals:promotion-create": lambda o: [o.world.release.pk, o.world.lane(o.world.qa).pk],
    **{
        f"deployments:{name}": lambda o: [o.deployment.number]
        for name in (
            "deployment-detail", "log-raw", "cancellation", "rollback", "report", "look-again", "abandonment",
            "hold-lift",
        )
    },
    "deployments:deployment-create": lambda o: [o.promotion.pk],
    "deployments:rollout-create": lambda o: [o.world.release.pk, o.world.cast.platform.slug],
    **{
        f"deployments:{name}": lambda o: [o.rollout.number]
        for name in ("rollout-detail", "rollout-pause", "rollout-resume", "wave-release", "rollout-stop")
    },
    "deployments:rollout-part": lambda o: [o.rollout.number, o.world.cast.customer.slug],
    **{
        f"incidents:{name}": lambda o: [o.incident.number]
        for name in (
            "incident-detail", "note-create", "deployment-link", "severity-change", "call-repeat", "resolution"
        )
    },
    "incidents:debt-pay": lambda o: [o.incident.number, o.incident.debts.first().pk],
    "policies:proposal-detail": lambda o: [o.proposal.pk],
    "policies:proposal-decision": lambda o: [o.proposal.pk],
    "policies:proposal-simulation": lambda o: [o.proposal.pk],
    **{f"audit:{name}": lambda o: [o.event.pk] for name in ("event-detail", "event-bytes", "event-proof")},
    "audit:seal-note": lambda o: [o.event.pk],  # tests/audit/test_seal.py has real ones, which need a sealer
    **{
        f"audit:saved-filter-{name}": lambda o: [_saved_filter(o).pk]
        for name in ("detail", "rename", "take-over", "remove")
    },
    **{
        f"compliance:proposal-{name}": lambda o: [propose_retention(o.world).pk] for name in ("detail", "decision")
    },
    "compliance:hold-detail": lambda o: [put_hold(o.world).pk],
    "compliance:archive-take": lambda o: [archived_cut(o.world).pk],
    **{f"compliance:{name}": lambda o: [o.review.pk] for name in ("review-detail", "review-end", "access-review")},
    **{
        f"compliance:export-{name}": lambda o: [_export(o).pk]
        for name in ("detail", "download", "manifest", "cancel")
    },
    **{
        f"compliance:stream-{name}": lambda o: [_stream(o).pk]
        for name in ("detail", "pause", "resume", "rewind", "replay", "secret", "remove")
    },
    **{f"compliance:dossier-deployment{name}": lambda o: [o.deployment.number] for name in ("", "-copy")},
    **{
        f"compliance:dossier-release{name}": lambda o: [o.world.service.slug, o.world.release.version]
        for name in ("", "-copy")
    },
    "accounts:factor-removal": lambda o: [register_app(o.world.cast.devops).factor.pk],
}  # fmt: skip

# Addresses of no single object; the second test reads them.
LISTS = {
    "dashboards:dashboard", "releases:release-list", "releases:service-list", "environments:environment-list",
    "releases:event-list",
    "approvals:inbox", "approvals:unanswered-list",
    "approvals:delegation-list", "deployments:deployment-list", "deployments:rollout-list",
    "audit:event-list", "audit:seal-list", "calendar:calendar", "releases:release-create",
    "compliance:overview", "compliance:review-list", "compliance:export-list", "compliance:stream-list",
    "compliance:access", "compliance:population",
    "compliance:dossier-period",
    "compliance:retention", "compliance:erasure-list",
    "incidents:incident-list", "incidents:incident-create",
    "releases:service-create", "environments:environment-create",
}  # fmt: skip

# Nothing of any workspace is there: policies are published to all of them.
OPEN = {
    "policies:policy-list", "policies:policy-detail", "policies:policy-version", "policies:policy-source",
    "policies:proposal-create", "policies:commit-propose",
    "policies:strategy", "policies:strategy-markdown", "policies:strategy-pdf",
    "accounts:factor-list", "accounts:app-create", "accounts:passkey-create", "accounts:passkey-options",
    "accounts:recovery-code-create",
    "accounts:sign-in", "accounts:sign-out", "accounts:preferences", "accounts:theme", "accounts:time-zone",
    "calendar:feed-create", "calendar:feed-end", "core:styleguide",
    "audit:saved-filter-create",
    "compliance:control", "compliance:mapping-export", "compliance:access-export", "compliance:population-export",
    "compliance:review-setup", "compliance:dossier-period-copy",
    "compliance:retention-propose", "compliance:cut-propose", "compliance:hold-put",
}  # fmt: skip

# Not for people: tests/api and tests/dashboards/test_calendar.py show that another's token or signature opens nothing.
PROGRAMS = {
    "calendar:feed", "api:admission", "api:releases", "api:evidence", "api:event-consumer", "api:git-webhook",
    "api:alertmanager-webhook", "api:checkpoint", "api:consistency", "api:cosignatures",
    "api:release", "api:exports", "api:export", "api:export-file", "api:deployment-dossier",
    "api:release-dossier", "metrics:metrics", "api:data-refreshes", "api:data-removals",
    "api:recovery-records",
}  # fmt: skip

SECRETS = (
    "postgresql://db.example",
    "A secret reason",
    "A secret incident",
    "Greeter",
    "The Staging of the tests",
    "EAIP platform",
)


def test_every_address_is_listed() -> None:
    routes = {name for name, _ in _routes(get_resolver().url_patterns)}

    assert routes == OBJECTS.keys() | LISTS | OPEN | PROGRAMS


def _answers(objects: Objects, name: str) -> set[int]:
    stranger, address = objects.world.cast.outsider, reverse(name, args=_arguments(objects, name))
    return {get(stranger, address).status_code, post(stranger, address).status_code}


def _arguments(objects: Objects, name: str) -> list[Any]:
    with objects.world.everything():
        return OBJECTS[name](objects)


@pytest.mark.parametrize("name", sorted(OBJECTS))
def test_stranger_finds_nothing(objects: Objects, name: str) -> None:
    assert _answers(objects, name) <= {404, 405}


@pytest.mark.parametrize("name", sorted(OBJECTS))
def test_stranger_finds_nothing_when_the_view_forgets_its_filter(
    objects: Objects, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forget(self: QuerySet, workspaces: tuple[UUID, ...]) -> QuerySet:
        return self.all()

    for queryset in (TenantQuerySet, WorkspaceQuerySet, WorkspaceRows, RolloutQuerySet):
        monkeypatch.setattr(queryset, "visible_in", forget)
    monkeypatch.setattr(CatalogueQuerySet, "readable_in", forget)

    assert _answers(objects, name) <= {404, 405}


@pytest.mark.parametrize("name", sorted(LISTS))
def test_no_list_shows_a_stranger_anything(objects: Objects, name: str) -> None:
    page = get(objects.world.cast.outsider, reverse(name)).content.decode()

    assert not [secret for secret in SECRETS if secret in page.split("<main", 1)[1]]


@pytest.mark.parametrize("name", sorted(OBJECTS))
def test_views_filter_too_when_the_database_would_show_all(objects: Objects, name: str, settings: Any) -> None:
    """The other layer alone: the scope of the transaction names every workspace, the person's own list does not."""
    everything = [str(workspace.pk) for workspace in objects.world.cast.workspaces]
    settings.MIDDLEWARE = [
        "tests.test_access.WideScope" if entry.endswith("ScopeMiddleware") else entry for entry in settings.MIDDLEWARE
    ]
    WideScope.everything = everything

    assert _answers(objects, name) <= {404, 405}


class WideScope:
    """The product's middleware, with the database's layer taken away."""

    everything: list[str] = []

    def __new__(cls, get_response: Callable[..., Any]) -> Any:
        from apps.workspaces import middleware

        original = middleware.enter_scope

        def wide(request: Any) -> Any:
            middleware.enter_scope = lambda _workspaces, **more: original(cls.everything, **more)
            try:
                return inner(request)
            finally:
                middleware.enter_scope = original

        inner = middleware.ScopeMiddleware(get_response)
        return wide
