"""Every door through which something changes, and the event that it leaves. A door that is not here fails the build."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection, transaction
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver, reverse
from django.utils import timezone

from apps.accounts.forms import AppForm
from apps.approvals import actions as approval_actions
from apps.audit import saved_filters
from apps.audit.actors import SYSTEM
from apps.audit.filters import TrailFilter
from apps.audit.models import AuditEvent
from apps.compliance import actions as compliance_actions
from apps.compliance.access import access_at
from apps.compliance.actions.reviews import row_id
from apps.deployments import actions as deployment_actions
from apps.deployments import rollouts, runner
from apps.deployments.models import Deployment
from apps.environments import actions as environment_actions
from apps.environments.enums import FreezeScope, Tier
from apps.health import actions as health_actions
from apps.incidents import actions as incident_actions
from apps.incidents.models import Call as OnCall
from apps.incidents.models import Incident
from apps.policies import actions as policy_actions
from apps.releases import actions as release_actions
from apps.releases.models import EventVersion, Release
from apps.workspaces import actions as workspace_actions
from apps.workspaces.models import Membership
from eaip.celery import app as celery
from tests.accounts.factors import by_password, code_at, register_app
from tests.approvals.promotions import ask, lend, tick
from tests.approvals.test_checklists import ask_for_checklists
from tests.approvals.test_waive import let_waive
from tests.cast import NOW, PASSWORD
from tests.compliance.keeping import archived_cut, propose_retention, put_hold, somebody_who_left
from tests.deployments.conftest import Stage, judge, stage
from tests.drill import post
from tests.policies.proposals import text
from tests.releases.ends import announced_end
from tests.releases.events import consumer, event_version
from tests.world import World, make_environment, make_lane, make_manifest, make_service

__all__ = ["judge", "stage"]


_RECEIVER = {"kind": "WEBHOOK", "name": "SIEM", "url": "https://siem.example/in"}


JSON = {"format": "json"}
_AGO = "2026-11-18T10:00"


@dataclass(frozen=True)
class Call:
    """One request as it is made: by whom, where to, with what."""

    by: Any
    address: str
    data: dict[str, Any]


def _environment(name: str, world: World, **more: Any) -> str:
    return reverse(f"environments:{name}", args=[world.cast.platform.slug, more.get("slug", world.staging.slug)])


def _release(name: str, release: Release) -> str:
    return reverse(f"releases:{name}", args=[release.service.slug, release.version])


def _event(name: str, version: EventVersion) -> str:
    return reverse(f"releases:{name}", args=[version.subject.service.slug, version.subject.name, version.number])


def _draft(world: World) -> Release:
    return release_actions.create_release(
        world.service, version="1.5.0", manifest=make_manifest(version="1.5.0"), source="FORM",
        by=world.cast.release_engineer, now=NOW,
    )  # fmt: skip


def _quarantined(world: World) -> Release:
    return release_actions.quarantine_release(world.release, reason="It hurt", by=world.cast.devops, now=NOW)


def _closely_watched(world: World) -> Any:
    now = timezone.now()
    return environment_actions.set_close_watch(
        world.lane(world.staging), until=now + timedelta(hours=1), reason="An emergency", by=world.cast.devops, now=now
    )


def _lend(world: World) -> Call:
    held = Membership.objects.get(user=world.cast.devops, role_id="DEVOPS")
    until = (timezone.now() + timedelta(days=1)).strftime("%Y-%m-%dT%H:%M")
    data = {"membership": held.pk, "to": world.cast.security.pk, "ends_at": until, **REASON}
    return Call(world.cast.devops, reverse("approvals:delegation-list"), data)


def _end_delegation(world: World) -> Call:
    lent = lend(world.cast.devops, "DEVOPS", to=world.cast.security, now=timezone.now())
    return Call(world.cast.devops, reverse("approvals:delegation-end", args=[lent.pk]), {})


def _freeze(world: World) -> Any:
    return environment_actions.freeze(
        scope=FreezeScope.ENVIRONMENT,
        environment=world.staging,
        workspace_id=world.cast.platform.pk,
        reason="Audit week",
        ends_at=None,
        by=world.cast.devops,
        now=NOW,
    )


def _resource(world: World) -> Any:
    return environment_actions.claim_resource(
        world.staging, kind="DATA_STORE", uri="postgresql://db.example/app", by=world.cast.devops, now=NOW
    )


def _check(name: str, world: World) -> str:
    values = {"name": CHECK["name"], "url": CHECK["url"], "by": world.cast.devops, "now": NOW}
    check = health_actions.create_check(world.lane(world.staging), **values)
    return reverse(f"health:{name}", args=[check.pk])


def _review(world: World, kind: str = "METRICS") -> Any:
    return compliance_actions.set_review(
        world.cast.platform, kind=kind, title="It", asks="Look.", interval_months=1, next_due_date=NOW.date(),
        owner=world.cast.devops, by=world.cast.devops, now=NOW,
    )  # fmt: skip


def _complete(world: World) -> Call:
    address = reverse("compliance:review-detail", args=[_review(world).pk])
    return Call(world.cast.devops, address, {"due_date": NOW.date(), "note": "Looked"})


def _dossier(world: World) -> Call:
    promotion = ask(world, world.dev, starts_by_itself=False)
    deployment = deployment_actions.start_deployment(promotion, by=world.cast.devops, now=timezone.now())
    return Call(world.cast.auditor, reverse("compliance:dossier-deployment-copy", args=[deployment.number]), JSON)


def _complete_access(world: World) -> Call:
    review, as_of = _review(world, "ACCESS"), timezone.now()
    rows = access_at(as_of, [world.cast.platform.pk])
    answers = {f"row-{row_id(row)}": "KEEP" for row in rows if row.person_id != str(world.cast.devops.pk)}
    data = {"due_date": NOW.date(), "note": "Looked", "as_of": as_of.isoformat(), **answers}
    return Call(world.cast.devops, reverse("compliance:access-review", args=[review.pk]), data)


INCIDENT = {"title": "Sign-in fails", "severity": "SEV2"}


def _incident(name: str, world: World) -> str:
    incident = incident_actions.declare(world.cast.platform, **INCIDENT, by=world.cast.devops, now=NOW)
    return reverse(f"incidents:{name}", args=[incident.number])


def _refused_call(world: World) -> Call:
    address = _incident("call-repeat", world)
    incident = Incident.objects.first()
    OnCall.objects.create(workspace_id=incident.workspace_id, incident=incident, refused=1)
    return Call(world.cast.devops, address, {})


def _debt(world: World) -> str:
    incident = incident_actions.declare(world.cast.platform, **INCIDENT, by=world.cast.devops, now=NOW)
    [debt, _] = incident_actions.owe(incident, promotion_id=world.release.pk, subject="It", roles=(), now=NOW)
    return reverse("incidents:debt-pay", args=[incident.number, debt.pk])


def _local(world: World) -> Any:
    return make_environment(world.cast.platform, "Local", Tier.LOCAL)


ENVIRONMENT = {
    "name": "Local", "slug": "local", "tier": "LOCAL", "purpose": "Trying", "data_class": "SYNTHETIC",
    "url_pattern": "*.localhost", "deployment_method": "Manual",
}  # fmt: skip
SERVICE = {
    "name": "Ledger", "slug": "ledger", "plane": "CONTROL", "owner_team": "Platform", "program": "ledger",
    "artifact_kind": "WHEELS", "health_path": "/",
}  # fmt: skip
WINDOW = {
    "window-kind": "ALLOW", "window-weekdays": ["2"], "window-starts_at": "10:00", "window-ends_at": "15:00",
    "window-zone": "UTC", "window-label": "Usual",
}  # fmt: skip
CHECK = {
    "name": "Front door", "url": "https://app.example.com/", "interval_seconds": "60", "timeout_seconds": "3",
    "expected_status": "204", "days_left": "14",
}  # fmt: skip
REASON = {"reason": "Because of a test"}


def _proposal(world: World) -> Any:
    return policy_actions.propose(text(), tier="QA", reason="A test", by=world.cast.devops, now=NOW)


def _finding(world: World) -> Any:
    report = {
        "version": "2.1.0",
        "runs": [{"tool": {"driver": {"name": "semgrep"}}, "results": [{"ruleId": "A secret reason"}]}],
    }
    evidence, _ = release_actions.keep_evidence(
        world.release, kind="SARIF", report=json.dumps(report).encode(), by=world.cast.release_engineer, now=NOW
    )
    return evidence.findings.get()


def _acceptance(world: World) -> Any:
    return approval_actions.accept_finding(
        _finding(world), reason="A secret reason", days=30, by=world.cast.security, now=timezone.now(),
        confirmation=by_password(world.cast.security, timezone.now()),
    )  # fmt: skip


def _waiver(world: World) -> Call:
    let_waive()
    promotion = ask(world, world.dev, now=timezone.now(), starts_by_itself=False)
    address = reverse("approvals:waiver-create", args=[promotion.number, "tests"])
    return Call(world.cast.devops, address, {"plan_hash": promotion.plan_hash, "hours": "2", **REASON})


def _line(world: World) -> Any:
    ask_for_checklists()
    return ask(world, world.dev, now=timezone.now(), starts_by_itself=False).checklist_lines.get(line="on-call")


def _tick(world: World) -> Call:
    line = _line(world)
    data = {"plan_hash": line.promotion.plan_hash, "note": "Seen to"}
    return Call(world.cast.devops, reverse("approvals:tick-create", args=[line.pk]), data)


def _taken_back(world: World) -> Call:
    line = _line(world)
    tick(line, world.cast.devops, now=timezone.now())
    return Call(world.cast.devops, reverse("approvals:tick-withdrawal", args=[line.ticks.get().pk]), REASON)


def _app(person: Any) -> dict[str, Any]:
    form = AppForm(user=person)
    shown = code_at(form.app_secret, timezone.now())
    return {"name": "Phone", "secret": form.initial["secret"], "app_code": shown, "password": PASSWORD}


def _recovery_code(person: Any) -> dict[str, Any]:
    return {"code": register_app(person).recovery_codes[0]}


def _removal(person: Any) -> tuple[str, dict[str, Any]]:
    given = _recovery_code(person)
    return reverse("accounts:factor-removal", args=[person.second_factors.get().pk]), given


def _waiver_withdrawal(world: World) -> Call:
    let_waive()
    promotion = ask(world, world.dev, now=timezone.now(), starts_by_itself=False)
    approval_actions.waive(
        promotion, gate="tests", reason="The runner is down", hours=2, plan_hash=promotion.plan_hash,
        by=world.cast.devops, now=timezone.now(),
    )  # fmt: skip
    return Call(world.cast.devops, reverse("approvals:waiver-withdrawal", args=[promotion.waivers.get().pk]), REASON)


# Doors that need the catalogue and the environments alone: (URL name, kind of event, request).
def _with_an_address(world: World) -> Call:
    environment_actions.open_feed(by=world.cast.devops, now=NOW)
    return Call(world.cast.devops, reverse("calendar:feed-end"), {})


DOORS: list[tuple[str, str, Callable[[World], Call]]] = [
    ("accounts:theme", "profile.changed", lambda w: Call(w.cast.devops, reverse("accounts:theme"), {"theme": "DARK"})),
    (
        "accounts:time-zone",
        "profile.changed",
        lambda w: Call(w.cast.devops, reverse("accounts:time-zone"), {"time_zone": "Europe/Berlin"}),
    ),
    (
        "accounts:preferences",
        "profile.changed",
        lambda w: Call(w.cast.devops, reverse("accounts:preferences"), {"theme": "DARK", "time_zone": ""}),
    ),
    (
        "calendar:feed-create",
        "calendar_feed.opened",
        lambda w: Call(w.cast.devops, reverse("calendar:feed-create"), {}),
    ),
    ("calendar:feed-end", "calendar_feed.ended", _with_an_address),
    (
        "accounts:app-create",
        "factor.registered",
        lambda w: Call(w.cast.devops, reverse("accounts:app-create"), _app(w.cast.devops)),
    ),
    ("accounts:factor-removal", "factor.removed", lambda w: Call(w.cast.devops, *_removal(w.cast.devops))),
    (
        "accounts:recovery-code-create",
        "recovery_codes.renewed",
        lambda w: Call(w.cast.devops, reverse("accounts:recovery-code-create"), _recovery_code(w.cast.devops)),
    ),
    (
        "policies:proposal-create",
        "policy.proposed",
        lambda w: Call(w.cast.devops, reverse("policies:proposal-create", args=["qa"]), {"source": text(), **REASON}),
    ),
    (
        "policies:proposal-decision",
        "policy.activated",
        lambda w: Call(
            w.cast.security,
            reverse("policies:proposal-decision", args=[_proposal(w).pk]),
            {"choice": "ACTIVATE", "password": PASSWORD},
        ),
    ),
    ("accounts:sign-out", "session.ended", lambda w: Call(w.cast.devops, reverse("accounts:sign-out"), {})),
    (
        "releases:service-create",
        "service.registered",
        lambda w: Call(
            w.cast.release_engineer, reverse("releases:service-create"), {"workspace": w.cast.platform.pk, **SERVICE}
        ),
    ),
    (
        "releases:release-create",
        "release.created",
        lambda w: Call(
            w.cast.release_engineer,
            reverse("releases:release-create"),
            {"service": "greeter", "version": "1.1.0", "manifest": json.dumps(make_manifest(version="1.1.0"))},
        ),
    ),
    (
        "releases:release-seal",
        "release.sealed",
        lambda w: Call(w.cast.release_engineer, _release("release-seal", _draft(w)), {}),
    ),
    (
        "releases:release-quarantine",
        "release.quarantined",
        lambda w: Call(w.cast.devops, _release("release-quarantine", w.release), REASON),
    ),
    (
        "releases:quarantine-lift",
        "release.released",
        lambda w: Call(w.cast.devops, _release("quarantine-lift", _quarantined(w)), REASON),
    ),
    (
        "releases:evidence-create",
        "evidence.received",
        lambda w: Call(
            w.cast.release_engineer,
            _release("evidence-create", w.release),
            {"kind": "LCOV", "report": SimpleUploadedFile("a", b"SF:a\nDA:1,1\nend_of_record")},
        ),
    ),
    (
        "approvals:finding-acceptance",
        "finding.accepted",
        lambda w: Call(
            w.cast.security,
            reverse("approvals:finding-acceptance", args=[_finding(w).pk]),
            {"days": "30", "password": PASSWORD, **REASON},
        ),
    ),
    (
        "approvals:acceptance-withdrawal",
        "acceptance.withdrawn",
        lambda w: Call(w.cast.security, reverse("approvals:acceptance-withdrawal", args=[_acceptance(w).pk]), REASON),
    ),
    ("approvals:tick-create", "tick.given", _tick),
    ("approvals:tick-withdrawal", "tick.taken_back", _taken_back),
    (
        "approvals:trait-create",
        "release.trait_declared",
        lambda w: Call(
            w.cast.devops, reverse("approvals:trait-create", args=[w.release.pk]), {"trait": "SENSITIVE", **REASON}
        ),
    ),
    (
        "approvals:waiver-create",
        "waiver.granted",
        _waiver,
    ),
    ("approvals:waiver-withdrawal", "waiver.withdrawn", _waiver_withdrawal),
    (
        "releases:end-announce",
        "end_of_life.announced",
        lambda w: Call(
            w.cast.release_engineer,
            reverse("releases:end-announce", args=[w.service.slug]),
            {"line": "1.0", "ends_date": "2099-01-01", "reason": "Nobody uses it"},
        ),
    ),
    (
        "releases:end-withdraw",
        "end_of_life.withdrawn",
        lambda w: Call(w.cast.release_engineer, reverse("releases:end-withdraw", args=[announced_end(w).pk]), {}),
    ),
    (
        "releases:event-consumer-create",
        "event_consumer.opted_in",
        lambda w: Call(
            w.cast.release_engineer, _event("event-consumer-create", event_version(w)), {"service": w.service.slug}
        ),
    ),
    (
        "releases:event-consumer-end",
        "event_consumer.ended",
        lambda w: Call(w.cast.release_engineer, reverse("releases:event-consumer-end", args=[consumer(w).pk]), {}),
    ),
    (
        "releases:event-version-drop",
        "event_version.dropped",
        lambda w: Call(w.cast.release_engineer, _event("event-version-drop", event_version(w)), {}),
    ),
    (
        "releases:release-retire",
        "release.retired",
        lambda w: Call(w.cast.release_engineer, _release("release-retire", w.release), REASON),
    ),
    (
        "environments:environment-create",
        "environment.created",
        lambda w: Call(
            w.cast.devops, reverse("environments:environment-create"), {"workspace": w.cast.platform.pk, **ENVIRONMENT}
        ),
    ),
    (
        "environments:environment-destroy",
        "environment.destroyed",
        lambda w: Call(w.cast.devops, _environment("environment-destroy", w, slug=_local(w).slug), REASON),
    ),
    (
        "environments:environment-recreate",
        "environment.created",
        lambda w: Call(w.cast.devops, _environment("environment-recreate", w, slug=_local(w).slug), REASON),
    ),
    (
        "environments:freeze-create",
        "freeze.set",
        lambda w: Call(w.cast.devops, _environment("freeze-create", w), {"freeze-reason": "Audit week"}),
    ),
    (
        "environments:freeze-lift",
        "freeze.lifted",
        lambda w: Call(w.cast.devops, reverse("environments:freeze-lift", args=[_freeze(w).pk]), {}),
    ),
    (
        "environments:close-watch-create",
        "close_watch.begun",
        lambda w: Call(
            w.cast.devops,
            _environment("close-watch-create", w),
            {"watch-lane": w.lane(w.staging).pk, "watch-reason": "An emergency", "watch-hours": "1"},
        ),
    ),
    (
        "environments:close-watch-end",
        "close_watch.ended",
        lambda w: Call(w.cast.devops, reverse("environments:close-watch-end", args=[_closely_watched(w).pk]), {}),
    ),
    (
        "environments:resource-create",
        "resource.claimed",
        lambda w: Call(
            w.cast.devops,
            _environment("resource-create", w),
            {"resource-kind": "DATA_STORE", "resource-uri": "redis://cache.example/1"},
        ),
    ),
    (
        "environments:resource-release",
        "resource.released",
        lambda w: Call(w.cast.devops, reverse("environments:resource-release", args=[_resource(w).pk]), {}),
    ),
    (
        "environments:lane-create",
        "lane.created",
        lambda w: Call(
            w.cast.devops,
            _environment("lane-create", w),
            {"lane-service": make_service(w.cast.platform, "ledger").pk, "lane-port": "28123"},
        ),
    ),
    (
        "environments:lane-remove",
        "lane.removed",
        lambda w: Call(w.cast.devops, reverse("environments:lane-remove", args=[w.lane(w.staging).pk]), REASON),
    ),
    (
        "environments:window-create",
        "window.set",
        lambda w: Call(w.cast.devops, _environment("window-create", w), WINDOW),
    ),
    (
        "environments:data-create",
        "data.refreshed",
        lambda w: Call(
            w.cast.devops, _environment("data-create", w, slug=w.qa.slug), {"kind": "SYNTHETIC", "refreshed_at": _AGO}
        ),
    ),
    (
        "environments:recovery-create",
        "backup.recorded",
        lambda w: Call(
            w.cast.devops,
            _environment("recovery-create", w),
            {"kind": "BACKUP", "done_at": _AGO, "succeeded": "yes", "kept_daily": 30, "kept_monthly": 12},
        ),
    ),
    (
        "environments:window-remove",
        "window.removed",
        lambda w: Call(w.cast.devops, reverse("environments:window-remove", args=[w.production.windows.get().pk]), {}),
    ),
    (
        "environments:configuration-create",
        "configuration.written",
        lambda w: Call(
            w.cast.devops,
            reverse("environments:configuration-create", args=[w.lane(w.staging).pk]),
            {"values": "GREETING=Hello", **REASON},
        ),
    ),
    (
        "health:lane-queries",
        "queries.changed",
        lambda w: Call(w.cast.devops, reverse("health:lane-queries", args=[w.lane(w.staging).pk]), {"requests": "up"}),
    ),
    (
        "health:service-queries",
        "queries.changed",
        lambda w: Call(
            w.cast.devops, reverse("health:service-queries", args=[w.lane(w.staging).pk]), {"requests": "up"}
        ),
    ),
    (
        "health:check-create",
        "check.created",
        lambda w: Call(w.cast.devops, reverse("health:check-create", args=[w.lane(w.staging).pk]), CHECK),
    ),
    (
        "incidents:incident-create",
        "incident.declared",
        lambda w: Call(w.cast.devops, reverse("incidents:incident-create"), INCIDENT),
    ),
    (
        "incidents:note-create",
        "incident.noted",
        lambda w: Call(w.cast.devops, _incident("note-create", w), {"text": "Seen in the logs"}),
    ),
    (
        "incidents:severity-change",
        "incident.severity_changed",
        lambda w: Call(w.cast.devops, _incident("severity-change", w), {"severity": "SEV1"}),
    ),
    (
        "incidents:resolution",
        "incident.resolved",
        lambda w: Call(w.cast.devops, _incident("resolution", w), {"resolution": "Rolled back"}),
    ),
    ("incidents:call-repeat", "incident.call_repeated", _refused_call),
    (
        "incidents:debt-pay",
        "incident.paid",
        lambda w: Call(w.cast.devops, _debt(w), {"words": "wiki/1"}),
    ),
    ("health:check-change", "check.changed", lambda w: Call(w.cast.devops, _check("check-change", w), CHECK)),
    ("health:check-remove", "check.removed", lambda w: Call(w.cast.devops, _check("check-remove", w), {})),
    (
        "compliance:export-list",
        "export.asked",
        lambda w: Call(w.cast.auditor, reverse("compliance:export-list"), {"format": "CSV"}),
    ),
    (
        "compliance:stream-list",
        "stream.created",
        lambda w: Call(
            w.cast.devops, reverse("compliance:stream-list"), {"workspace": w.cast.platform.pk, **_RECEIVER}
        ),
    ),
    *(
        (
            f"compliance:stream-{what}",
            f"stream.{kind}",
            lambda w, what=what: Call(
                w.cast.devops,
                reverse(f"compliance:stream-{what}", args=[_stream(w, what).pk]),
                {"since": NOW.strftime("%Y-%m-%dT%H:%M")} if what == "rewind" else {},
            ),
        )
        for what, kind in (
            ("pause", "paused"),
            ("resume", "resumed"),
            ("rewind", "rewound"),
            ("replay", "replay_asked"),
            ("secret", "secret_read"),
            ("remove", "removed"),
        )
    ),
    (
        "compliance:export-cancel",
        "export.cancelled",
        lambda w: Call(w.cast.auditor, reverse("compliance:export-cancel", args=[_export(w).pk]), {}),
    ),
    (
        "audit:saved-filter-create",
        "saved_filter.saved",
        lambda w: Call(w.cast.auditor, reverse("audit:saved-filter-create"), {"name": "Refusals"}),
    ),
    (
        "audit:saved-filter-rename",
        "saved_filter.renamed",
        lambda w: Call(w.cast.auditor, _saved_filter("rename", w), {"name": "Theirs"}),
    ),
    (
        "audit:saved-filter-take-over",
        "saved_filter.taken_over",
        lambda w: Call(w.cast.security, _saved_filter("take-over", w, is_left=True), {}),
    ),
    (
        "audit:saved-filter-remove",
        "saved_filter.removed",
        lambda w: Call(w.cast.auditor, _saved_filter("remove", w), {}),
    ),
    ("approvals:delegation-list", "delegation.given", _lend),
    ("approvals:delegation-end", "delegation.ended", _end_delegation),
    (
        "approvals:promotion-create",
        "promotion.requested",
        lambda w: Call(
            w.cast.release_engineer,
            reverse("approvals:promotion-create", args=[w.release.pk, w.lane(w.dev).pk]),
            REASON,
        ),
    ),
    (
        "compliance:review-list",
        "review.set",
        lambda w: Call(
            w.cast.devops,
            reverse("compliance:review-list"),
            {
                "workspace": w.cast.platform.pk,
                "kind": "METRICS",
                "title": "It",
                "asks": "Look.",
                "interval_months": 1,
                "owner": "role:DEVOPS",
                "next_due_date": NOW.date(),
            },
        ),
    ),
    (
        "compliance:review-setup",
        "review.set",
        lambda w: Call(w.cast.devops, reverse("compliance:review-setup"), {"workspace": w.cast.platform.slug}),
    ),
    ("compliance:review-detail", "review.completed", _complete),
    ("compliance:access-review", "review.completed", _complete_access),
    (
        "compliance:review-end",
        "review.ended",
        lambda w: Call(w.cast.devops, reverse("compliance:review-end", args=[_review(w).pk]), {}),
    ),
    (
        "compliance:retention-propose",
        "retention.proposed",
        lambda w: Call(
            w.cast.security,
            reverse("compliance:retention-propose"),
            {"workspace": w.cast.platform.pk, "online_days": 500, "archive_years": 7, **REASON},
        ),
    ),
    (
        "compliance:hold-put",
        "legal_hold.put",
        lambda w: Call(
            w.cast.security,
            reverse("compliance:hold-put"),
            {"workspace": w.cast.platform.pk, "scope": "WORKSPACE", **REASON},
        ),
    ),
    (
        "compliance:hold-detail",
        "retention.proposed",
        lambda w: Call(w.cast.security, reverse("compliance:hold-detail", args=[put_hold(w).pk]), REASON),
    ),
    (
        "compliance:proposal-decision",
        "retention.changed",
        lambda w: Call(
            w.cast.engineering_manager,
            reverse("compliance:proposal-decision", args=[propose_retention(w).pk]),
            {"choice": "CONFIRM", "password": PASSWORD},
        ),
    ),
    (
        "compliance:archive-take",
        "retention.archive_taken",
        lambda w: Call(w.cast.auditor, reverse("compliance:archive-take", args=[archived_cut(w).pk]), {}),
    ),
    (
        "compliance:erasure-list",
        "retention.proposed",
        lambda w: Call(
            w.cast.security,
            reverse("compliance:erasure-list"),
            {"person": somebody_who_left(w).pk, "legal_basis": "NOT_NEEDED", **REASON},
        ),
    ),
    *(
        (
            f"compliance:{what}-export",
            f"{noun}.exported",
            lambda w, what=what: Call(w.cast.auditor, reverse(f"compliance:{what}-export"), {}),
        )
        for what, noun in (("mapping", "compliance"), ("access", "access"), ("population", "population"))
    ),
    (
        "compliance:dossier-release-copy",
        "dossier.made",
        lambda w: Call(w.cast.auditor, reverse("compliance:dossier-release-copy", args=["greeter", "1.0.0"]), JSON),
    ),
    (
        "compliance:dossier-period-copy",
        "dossier.made",
        lambda w: Call(
            w.cast.auditor,
            reverse("compliance:dossier-period-copy"),
            {"workspace": w.cast.platform.pk, "since": "2026-11-01", "until": "2026-11-30", **JSON},
        ),
    ),
    ("compliance:dossier-deployment-copy", "dossier.made", _dossier),
]


def _stream(world: World, what: str) -> Any:
    stream = compliance_actions.create_stream(world.cast.platform, by=world.cast.devops, now=NOW, **_RECEIVER)
    if what == "resume":
        compliance_actions.pause_stream(stream, by=world.cast.devops)
    if what == "replay":
        stream.letters.create(
            workspace=stream.workspace, leaf_index=0, event_id=uuid4(), refused_at=NOW, detail="It answered 422."
        )
    return stream


def _export(world: World) -> Any:
    trail = TrailFilter({}, workspaces=(world.cast.platform.pk,))
    return compliance_actions.ask_export(trail, form="CSV", by=world.cast.auditor, now=NOW)


def _saved_filter(verb: str, world: World, *, is_left: bool = False) -> str:
    saved = saved_filters.save_filter(
        "Refusals", "outcome=REFUSED", workspace_id=world.cast.platform.pk, is_shared=is_left,
        person_id=uuid4() if is_left else world.cast.auditor.pk, by=world.cast.auditor, now=NOW,
    )  # fmt: skip
    return reverse(f"audit:saved-filter-{verb}", args=[saved.pk])


def _decision(stage: Stage) -> Call:
    world, release = stage.world, stage.world.release
    for environment in (world.dev, world.qa, world.staging):
        deployment = stage.start(release, environment)
        runner.run(deployment.pk)
    promotion = stage.promotion(release, world.production)
    with stage.everything():
        requirement = promotion.requirements.get(role_id="DEVOPS")
    data = {"requirement": requirement.pk, "plan_hash": promotion.plan_hash, "choice": "APPROVE", "comment": "Seen"}
    data["password"] = PASSWORD
    return Call(world.cast.devops, reverse("approvals:decision-create", args=[promotion.number]), data)


def _report(stage: Stage) -> Call:
    stage.deploy()
    last = stage.deploy("1.1.0")
    data = {"harm": "OTHER", **REASON}
    return Call(stage.world.cast.devops, reverse("deployments:report", args=[last.number]), data)


def _look_again(stage: Stage) -> Call:
    stage.deploy()
    stage.judge.behave(v1_1_0={"DRAIN_BLUE": "bug", "probe": "UNREACHABLE"})
    lost = stage.deploy("1.1.0")
    with stage.everything():
        Deployment.objects.filter(pk=lost.pk).update(probe_after=timezone.now() + timedelta(minutes=1))
    return Call(stage.world.cast.devops, reverse("deployments:look-again", args=[lost.number]), {})


def _rollback(stage: Stage) -> Call:
    stage.deploy()
    with stage.everything():
        first = stage.world.release
    last = stage.deploy("1.1.0")
    return Call(
        stage.world.cast.devops, reverse("deployments:rollback", args=[last.number]), {"to": str(first.pk), **REASON}
    )


def _hold(stage: Stage) -> Call:
    last = stage.deploy()
    with stage.everything():
        environment_actions.set_hold(
            stage.lane(), reason="Look first", deployment_id=last.pk, by=stage.world.cast.devops, now=timezone.now()
        )
    return Call(stage.world.cast.devops, reverse("deployments:hold-lift", args=[last.number]), REASON)


def _rollout(stage: Stage, *, pause: timedelta = timedelta(0)) -> Any:
    """Two environments where nobody has to approve; the first wave is asked for."""
    with stage.everything():
        place = make_environment(stage.world.cast.platform, "Dev West", Tier.DEV)
        lanes = [stage.world.lane(stage.world.dev), make_lane(place, stage.world.service)]
        return rollouts.start_rollout(
            stage.world.release, waves_of={lanes[0]: 1, lanes[1]: 2}, pause=pause, reason="",
            by=stage.world.cast.release_engineer, now=timezone.now(),
        )  # fmt: skip


def _steer(name: str, stage: Stage, rollout: Any, data: dict[str, Any]) -> Call:
    return Call(stage.world.cast.devops, reverse(f"deployments:{name}", args=[rollout.number]), data)


def _create_rollout(stage: Stage) -> Call:
    world = stage.world
    with stage.everything():
        lanes = [
            world.lane(world.dev),
            make_lane(make_environment(world.cast.platform, "Dev West", Tier.DEV), world.service),
        ]
    address = reverse("deployments:rollout-create", args=[world.release.pk, world.cast.platform.slug])
    return Call(world.cast.release_engineer, address, {"pause": "0", **{f"lane-{lane.pk}": "1" for lane in lanes}})


def _resume(stage: Stage) -> Call:
    rollout = _rollout(stage)
    with stage.everything():
        rollouts.pause_rollout(rollout, by=stage.world.cast.devops, now=timezone.now())
    return _steer("rollout-resume", stage, rollout, {})


def _release_wave(stage: Stage) -> Call:
    rollout = _rollout(stage, pause=timedelta(hours=1))
    runner.roll_out()
    for due in runner.due_work(unclaimed=runner.AT_ONCE):
        runner.handle(due)
    return _steer("wave-release", stage, rollout, {"wave": "2"})


def _part(stage: Stage) -> Call:
    cast = stage.world.cast
    with stage.everything():
        workspace_actions.grant_role(
            cast.release_engineer, role="RELEASE_ENGINEER", workspace=cast.customer, by=SYSTEM, now=NOW
        )
        place = make_environment(cast.customer, "Dev", Tier.DEV)
        lanes = [stage.world.lane(stage.world.dev), make_lane(place, stage.world.service)]
        rollout = rollouts.start_rollout(
            stage.world.release, waves_of={lanes[0]: 1, lanes[1]: 2}, pause=timedelta(0), reason="",
            by=cast.release_engineer, now=timezone.now(),
        )  # fmt: skip
    address = reverse("deployments:rollout-part", args=[rollout.number, cast.customer.slug])
    return Call(cast.customer_operator, address, {**REASON, "to": "HELD"})


def _link(stage: Stage) -> Call:
    last = stage.deploy()
    with stage.everything():
        address = _incident("deployment-link", stage.world)
    return Call(stage.world.cast.devops, address, {"deployment": str(last.number)})


# Doors that need something deployed, or about to be.
STAGED: list[tuple[str, str, Callable[[Stage], Call]]] = [
    ("approvals:decision-create", "decision.approved", _decision),
    (
        "approvals:withdrawal",
        "promotion.withdrawn",
        lambda s: Call(
            s.world.cast.release_engineer, reverse("approvals:withdrawal", args=[s.promotion().number]), REASON
        ),
    ),
    (
        "deployments:deployment-create",
        "deployment.queued",
        lambda s: Call(
            s.world.cast.release_engineer, reverse("deployments:deployment-create", args=[s.promotion().pk]), {}
        ),
    ),
    (
        "deployments:cancellation",
        "deployment.cancelled",
        lambda s: Call(s.world.cast.devops, reverse("deployments:cancellation", args=[s.start().number]), REASON),
    ),
    ("deployments:rollback", "deployment.queued", _rollback),
    ("deployments:report", "deployment.reported", _report),
    ("deployments:look-again", "deployment.look_requested", _look_again),
    ("deployments:hold-lift", "hold.lifted", _hold),
    ("incidents:deployment-link", "incident.deployment_linked", _link),
    ("deployments:rollout-create", "rollout.started", _create_rollout),
    ("deployments:rollout-pause", "rollout.paused", lambda s: _steer("rollout-pause", s, _rollout(s), {})),
    ("deployments:rollout-resume", "rollout.resumed", _resume),
    ("deployments:wave-release", "rollout.wave_released", _release_wave),
    ("deployments:rollout-part", "rollout.part_held", _part),
    ("deployments:rollout-stop", "rollout.stopped", lambda s: _steer("rollout-stop", s, _rollout(s), REASON)),
]

# Doors whose events are asserted where their surroundings are: the test that does it.
ELSEWHERE = {
    "accounts:sign-in": "tests/test_doors.py::test_sign_in_leaves_its_event",
    "accounts:passkey-create": "tests/accounts/test_factors.py",
    "api:admission": "tests/api/test_admission.py",
    "api:releases": "tests/api/test_create_release.py",
    "api:evidence": "tests/releases/test_evidence.py",
    "api:event-consumer": "tests/releases/test_events.py",
    "api:cosignatures": "tests/api/test_witnesses.py",
    "api:exports": "tests/api/test_exports.py",
    "api:data-refreshes": "tests/environments/test_records.py",
    "api:data-removals": "tests/environments/test_records.py",
    "environments:data-removal": "tests/environments/test_record_pages.py",
    "api:recovery-records": "tests/environments/test_records.py",
    "api:git-webhook": "tests/api/test_git_webhook.py",
    "api:alertmanager-webhook": "tests/api/test_alertmanager_webhook.py",
    "deployments:abandonment": "tests/deployments/test_cancel.py",
    "policies:commit-propose": "tests/policies/test_repository.py",
    "compliance:cut-propose": "tests/compliance/test_retention.py",
}
TASKS = {
    "deployments.run": "deployment.succeeded",
    "deployments.start_ready": "deployment.queued",
    "deployments.cancel": "deployment.cancelled",
    "deployments.roll_out": "rollout.wave_begun",
    "api.build_pushed": "release.sealed",
    "approvals.mail": "notice.mailed",
    "releases.compare_api": "api.compared",
    "releases.check_events": "event_schema.checked",
    "compliance.write_export": "audit.exported",
}


def _routes(patterns: list[URLPattern | URLResolver], namespace: str = "") -> Iterator[tuple[str, URLPattern]]:
    for pattern in patterns:
        if isinstance(pattern, URLResolver):
            yield from _routes(pattern.url_patterns, pattern.namespace or namespace)
        else:
            yield f"{namespace}:{pattern.name}", pattern


def test_every_door_is_listed(db: None, cast: Any) -> None:
    examples = {"IntConverter": 0, "UUIDConverter": "00000000-0000-4000-8000-000000000000"}
    doors = set()
    for name, pattern in _routes(get_resolver().url_patterns):
        arguments = {
            key: examples.get(type(converter).__name__, "x") for key, converter in pattern.pattern.converters.items()
        }
        if post(cast.outsider, reverse(name, kwargs=arguments)).status_code != 405:
            doors.add(name)

    assert doors == {name for name, *_ in [*DOORS, *STAGED]} | ELSEWHERE.keys()


def test_every_task_is_listed() -> None:
    celery.loader.import_default_modules()

    assert {name for name in celery.tasks if not name.startswith("celery.")} == TASKS.keys()


@pytest.mark.django_db
@pytest.mark.parametrize(("name", "kind", "call"), DOORS, ids=[name for name, *_ in DOORS])
def test_door_leaves_its_event(world: World, name: str, kind: str, call: Callable[[World], Call]) -> None:
    with world.everything():
        asked = call(world)
        before = AuditEvent.objects.filter(kind=kind).count()

    response = post(asked.by, asked.address, asked.data)

    assert response.status_code in {200, 204, 302}, response.content.decode()[:3000]
    if response.streaming:
        list(response.streaming_content)  # whose end closes the file
    with world.everything():
        _assert_said(kind, before, asked.by)


@pytest.mark.parametrize(("name", "kind", "call"), STAGED, ids=[name for name, *_ in STAGED])
def test_door_of_what_is_deployed_leaves_its_event(
    stage: Stage, name: str, kind: str, call: Callable[[Stage], Call]
) -> None:
    asked = call(stage)
    with stage.everything():
        before = AuditEvent.objects.filter(kind=kind, actor_id=str(asked.by.pk)).count()

    response = post(asked.by, asked.address, asked.data)

    assert response.status_code in {200, 204, 302}, response.content.decode()[:3000]
    with stage.everything():
        events = AuditEvent.objects.filter(kind=kind, actor_id=str(asked.by.pk)).order_by("-recorded_at")
        assert events.count() > before
        assert events[0].change or events[0].approval
        # Each request and each task was a transaction of its own: the net found none without its event.
        assert not AuditEvent.objects.filter(kind="database.changed").exists()


@pytest.mark.django_db
@pytest.mark.parametrize(("password", "kind"), [(PASSWORD, "session.started"), ("wrong", "session.refused")])
def test_sign_in_leaves_its_event(client: Client, world: World, password: str, kind: str) -> None:
    client.post(reverse("accounts:sign-in"), {"username": "devops", "password": password})

    with world.everything():
        assert AuditEvent.objects.filter(kind=kind).count() == 1


@pytest.mark.django_db
@pytest.mark.parametrize(("name", "kind", "call"), DOORS, ids=[name for name, *_ in DOORS])
def test_door_is_shut_when_the_ledger_cannot_be_written(
    world: World, monkeypatch: pytest.MonkeyPatch, name: str, kind: str, call: Callable[[World], Call]
) -> None:
    """The event and the change are one transaction: break the first, and the second did not happen."""
    with world.everything():
        asked = call(world)
    before = _rows()

    def refuse(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if "record_event" in str(sql):
            raise LedgerBroken
        return execute(sql, params, many, context)

    client = Client()
    client.force_login(asked.by)
    with connection.execute_wrapper(refuse), transaction.atomic(), pytest.raises(LedgerBroken):
        client.post(asked.address, asked.data)

    assert _rows() == before


# What happened, without a field that was one thing before and is another now.
FACTS = {"recovery_codes.renewed", "session.ended", "stream.secret_read"}


class LedgerBroken(Exception):
    pass


def _assert_said(kind: str, before: int, by: Any) -> None:
    events = AuditEvent.objects.filter(kind=kind).order_by("-recorded_at")
    assert events.count() > before
    event = events[0]
    assert (event.actor_id, event.source["via"]) == (str(by.pk), "page")
    assert event.source["ip"] == "127.0.0.1"
    assert event.request_id
    assert event.actor["session"]
    assert event.change or event.approval or kind in FACTS


def _rows() -> dict[str, int]:
    """Return what every table of the domain holds, as one number a table (its rows and their content)."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT set_config('app.workspaces', string_agg(id::text, ','), true) FROM "
                       "unnest(%s::uuid[]) id", [[str(key) for key in _workspaces()]])  # fmt: skip
        cursor.execute(
            "SELECT c.relname FROM pg_class c WHERE c.relrowsecurity AND c.relnamespace = 'public'::regnamespace "
            "AND has_table_privilege(c.oid, 'SELECT') AND c.relname NOT IN ('audit_event', 'django_session')"
        )
        tables = [row[0] for row in cursor.fetchall()]
        found = {}
        for table in tables:
            cursor.execute(f"SELECT COALESCE(sum(hashtext(t::text)::bigint), 0) FROM {table} t")  # noqa: S608
            found[table] = cursor.fetchone()[0]
        return found


def _workspaces() -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT DISTINCT w FROM accounts_user u, LATERAL workspaces_of(u.id) w")
        return [row[0] for row in cursor.fetchall()]
