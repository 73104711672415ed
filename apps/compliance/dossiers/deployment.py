"""The dossier of one attempt: all that was asked, agreed, done and seen of it."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from uuid import UUID

from django.db.models import Q
from django.urls import reverse

from apps.approvals.models import Promotion
from apps.approvals.plan import hash_of
from apps.audit.fingerprints import fingerprint
from apps.compliance.dossiers import change as changes
from apps.compliance.dossiers.change import Change, changes_of
from apps.compliance.dossiers.document import Column, Dossier, Fact, Row, Section, Show, section
from apps.compliance.dossiers.ledger import Ledger, finished, ids, read
from apps.configuration.secrecy import shown
from apps.deployments import ansi
from apps.deployments.enums import DeploymentKind, DeploymentState
from apps.deployments.models import Deployment, LogChunk
from apps.environments.models import Freeze, Hold, Window
from apps.incidents.models import Incident
from apps.releases import data_migrations
from apps.releases.models import DataMigration, Evidence, Release

LAST_LINES = 200
MOST_LINES = 20_000


def deployment_dossier(deployment: Deployment, *, workspaces: tuple[UUID, ...], whole_log: bool = False) -> Dossier:
    """This function will gather the dossier of a deployment that comes `with_subject`. Queries: always as many.

    Shapes: with `whole_log` all lines are in it, at most the last `MOST_LINES`; otherwise the last 200. The digest of
    the log is of all of it.
    """
    release = Release.objects.select_related("service", "author", "committer", "created_by").get(
        pk=deployment.release_id
    )
    undone = list(Deployment.objects.filter(rolls_back=deployment).order_by("number"))
    promotion = _promotion(deployment)
    change = changes_of([promotion])[0] if promotion else None
    attempts = change.deployments if change else (deployment,)
    found = changes.incidents_about(
        [deployment.pk, *(each.pk for each in undone)], [promotion] if promotion else [], workspaces=workspaces
    )
    received = Evidence.objects.visible_in(workspaces).filter(release=release)
    if deployment.started_at:
        received = received.filter(received_at__lte=deployment.started_at)
    reports = list(received.select_related("environment", "release").order_by("received_at", "pk"))
    ledger = read(
        workspaces,
        {
            "evidence": [each.pk for each in reports],
            "deployment": {deployment.pk, *(each.pk for each in (*undone, *attempts)), deployment.rolls_back_id}
            - {None},
            "promotion": [promotion.pk] if promotion else [],
            "incident": [each.pk for each in found],
            "lane": [deployment.lane_id],
            "configurationversion": [deployment.configuration_id],
        },
    )
    log, log_section = _log(deployment, whole=whole_log)
    told: list[Section] = [
        _identity(deployment, release, ledger),
        _exceptions(deployment, release, change, ledger, undone=undone, found=found, log=log),
    ]
    if change:
        told += [*changes.duties(change, release, attempts), changes.approvals([change], ledger),
                 changes.gates(change, ledger), _plan(change, deployment, ledger)]  # fmt: skip
    else:
        told.append(_without_promotion(deployment, ledger))
    told += [
        _configuration(deployment, ledger),
        changes.waivers([change] if change else [], ledger),
        changes.checklists([change] if change else [], ledger),
        _limits(deployment, change),
        _migrations(deployment),
        _evidence(deployment, reports, ledger),
        _steps(deployment),
        _history(deployment, ledger),
        _verification(deployment),
        _rollback(deployment, undone, ledger),
        changes.incidents(found, ledger),
        log_section,
    ]
    place = deployment.lane.environment
    subject = {"kind": "deployment", "id": deployment.pk, "number": deployment.number, "workspace": place.workspace_id}
    title = f"Deployment {deployment} of {release.service} {release} to {place}"
    return finished(subject, title, told, ledger, workspaces=(deployment.workspace_id,))


def _promotion(deployment: Deployment) -> Promotion | None:
    if deployment.promotion_id is None:
        return None
    found = Promotion.objects.with_subject().select_related("configuration__created_by")
    return found.get(pk=deployment.promotion_id)


def _identity(deployment: Deployment, release: Release, ledger: Ledger) -> Section:
    place, proof = deployment.lane.environment, ledger.about("deployment", deployment.pk)
    start, end = ids(proof[:1]), ids(proof[-1:])
    started = [each for each in proof if each.kind == "deployment.starting"]
    facts = (
        Fact("number", "Deployment", str(deployment), Show.CODE, start),
        Fact("kind", "Kind", deployment.get_kind_display()),
        Fact("outcome", "Outcome", f"{deployment.label}. {deployment.outcome}".strip(), entries=end),
        Fact("service", "Service", release.service.name),
        Fact("version", "Version", release.version, Show.CODE),
        Fact("environment", "Environment", f"{place.name} ({place.get_tier_display()})"),
        Fact("workspace", "Workspace", place.workspace.name),
        Fact("target", "Target", f"{deployment.target_key}, by {deployment.lane.executor}", Show.CODE),
        Fact("plan_hash", "Plan hash", deployment.plan_hash or None, Show.CODE, start),
        Fact("promotion", "Promotion", f"#{deployment.promotion.number}" if deployment.promotion else None, Show.CODE),
        Fact("artifact", "Artifact", release.artifact_digest, Show.CODE, start),
        Fact("content_hash", "Sealed content", release.content_hash, Show.CODE),
        Fact("commit", "Commit", release.commit or None, Show.CODE),
        Fact("asked_by", "Started by", deployment.requested_by_label, entries=start),
        Fact("asked_at", "Started to wait", deployment.requested_at, Show.TIME, start),
        Fact("started_at", "Began", deployment.started_at, Show.TIME, ids(started[:1])),
        Fact("ended_at", "Ended", deployment.ended_at, Show.TIME, end if deployment.ended_at else ()),
        Fact("took", "Took", deployment.took),
        Fact("reason", "Reason", deployment.reason or None, entries=start),
        Fact("before", "Served before", str(deployment.from_release or "nothing"), Show.CODE),
        Fact("after", "Serves after", _after(deployment), Show.CODE, end),
    )
    return Section("identity", "What was done", "", facts)


def _after(deployment: Deployment) -> str:
    if deployment.state == DeploymentState.SUCCEEDED:
        return str(deployment.release)
    if deployment.is_open:
        return "not known yet"
    if deployment.state == DeploymentState.FAILED:
        return f"see the rollback; before it was {deployment.from_release or 'nothing'}"
    return f"{deployment.from_release or 'nothing'}, as before"


def _exceptions(
    deployment: Deployment, release: Release, change: Change | None, ledger: Ledger, *, undone: list[Deployment],
    found: list[Incident], log: str,
) -> Section:  # fmt: skip
    rows: list[Row] = []
    last = ids(ledger.about("deployment", deployment.pk)[-1:])
    if deployment.tone == "bad" or deployment.state == DeploymentState.ERRORED:
        rows.append(Row({"what": deployment.label, "said": deployment.outcome}, last, "bad"))
    for each in undone:
        said = f"Deployment {each} brought {each.release} back: {each.label.lower()}. {each.reason}"
        rows.append(Row({"what": "Rolled back", "said": said}, ids(ledger.about("deployment", each.pk)[:1]), "bad"))
    if deployment.rollback_withheld:
        rows.append(Row({"what": "Rollback withheld", "said": deployment.rollback_withheld}, last, "bad"))
    if change:
        rows += changes.unusual(change, release, ledger)
    if deployment.kind == DeploymentKind.ROLLBACK:
        said = deployment.reason or "It brings back what served before, without a promotion."
        rows.append(
            Row({"what": "A rollback", "said": said}, ids(ledger.about("deployment", deployment.pk)[:1]), "warn")
        )
    rows += changes.incidents_named(found, ledger)
    if deployment.attempt > 1:
        rows.append(Row({"what": "Tried again", "said": f"It took {deployment.attempt} tries."}, last, "warn"))
    if deployment.cancel_requested_at:
        said = f"{deployment.cancel_requested_by} asked to cancel it: {deployment.cancel_reason}"
        proof = ids(ledger.about("deployment", deployment.pk, "deployment.cancel_requested"))
        rows.append(Row({"what": "Cancelled by a person", "said": said}, proof, "warn"))
    if log:
        rows.append(Row({"what": "Log", "said": log}, (), "warn"))
    return changes.exceptions(
        rows, "Nothing unusual: no failure, rollback, emergency, waiver, broken rule or incident."
    )


def _without_promotion(deployment: Deployment, ledger: Ledger) -> Section:
    if deployment.rolls_back_id:
        says = (
            f"It undoes deployment {deployment.rolls_back}: the engine starts that by itself after a failure, and asks "
            "for no approval."
        )
    else:
        says = "A rollback is started by whoever may roll back there, and asks for no approval."
    facts = (
        Fact("started_by", "Started by", deployment.requested_by_label,
             entries=ids(ledger.about("deployment", deployment.pk)[:1])),
        Fact("reason", "Reason", deployment.reason or None),
    )  # fmt: skip
    return Section("approvals", "Approvals", says, facts)


PLAN = (Column("part", "Part of the plan", weight=4), Column("is", "As approved", Show.CODE, 12))


def _plan(change: Change, deployment: Deployment, ledger: Ledger) -> Section:
    plan: Mapping[str, Any] = change.promotion.plan
    found = hash_of(change.promotion.plan)
    same = found == deployment.plan_hash == change.promotion.plan_hash
    rows = [Row({"part": part, "is": value}) for part, value in _parts(plan)]
    is_it = "the one that was approved and deployed." if same else f"NOT the one deployed: {deployment.plan_hash}"
    says = f"SHA-256 over its canonical JSON, computed anew: {found}. It is {is_it}"
    facts = (
        Fact("hash", "Plan hash", change.promotion.plan_hash, Show.CODE,
             ids(ledger.about("deployment", deployment.pk)[:1])),
        Fact("recomputed", "Computed anew", found, Show.CODE),
        Fact("asked_by", "Asked by", change.promotion.requested_by_label,
             entries=ids(ledger.about("promotion", change.promotion.pk, "promotion.requested"))),
        Fact("asked_at", "Asked at", change.promotion.requested_at, Show.TIME),
        Fact("reason", "Reason", change.promotion.reason or None),
    )  # fmt: skip
    return Section("plan", "Plan", says, facts, PLAN, tuple(rows))


def _parts(plan: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in plan.items():
        if name == "policy":
            yield "policy: tier", value["tier"]
            yield "policy: clauses", [f"{clause} {digest}" for clause, digest in sorted(value["clauses"].items())]
        elif isinstance(value, Mapping):
            yield name.replace("_", " "), [f"{key} {inner}" for key, inner in value.items()]
        elif isinstance(value, list):
            rows = [" ".join(map(str, each.values())) if isinstance(each, Mapping) else str(each) for each in value]
            yield name.replace("_", " "), rows or "none"
        else:
            yield name.replace("_", " "), value if value is not None else "none"


CONFIGURATION = (
    Column("name", "Setting", Show.CODE, 4),
    Column("change", "Change", weight=2),
    Column("before", "Before", Show.CODE, 6),
    Column("after", "After", Show.CODE, 6),
)


def told_setting(name: str, values: Mapping[str, object]) -> str | None:
    """This function will say what may be told of a setting: a secret by a keyed fingerprint, so that two compare."""
    told = shown(name, values)
    if told is None or told == str(values[name]):
        return told
    return f"{told} {fingerprint(str(values[name]))}"


def _configuration(deployment: Deployment, ledger: Ledger) -> Section:
    before = deployment.from_configuration.values if deployment.from_configuration else {}
    after = deployment.configuration.values
    rows = [
        Row(
            {
                "name": name,
                "change": "added" if name not in before else "removed" if name not in after else "changed",
                "before": told_setting(name, before), "after": told_setting(name, after),
            },
            ids(ledger.about("configurationversion", deployment.configuration_id)),
        )
        for name in sorted({*before, *after})
        if before.get(name) != after.get(name)
    ]  # fmt: skip
    was = str(deployment.from_configuration) if deployment.from_configuration else "none"
    says = f"From {was} to {deployment.configuration}. Secrets are told by fingerprints: equal ones are equal secrets."
    none = f"From {was} to {deployment.configuration}: every setting has the value it had."
    return section("configuration", "Configuration", says, CONFIGURATION, rows, none=none)


LIMITS = (
    Column("kind", "Kind", weight=2),
    Column("what", "What", weight=7),
    Column("by", "By", weight=3),
    Column("since", "Since", Show.TIME, 3),
    Column("until", "Until", Show.TIME, 3),
    Column("state", "State", weight=4),
)


def _limits(deployment: Deployment, change: Change | None) -> Section:
    """This function will list windows as they are set now, and freezes and holds that fell into the time of it."""
    began = change.promotion.requested_at if change else deployment.requested_at
    ended = deployment.started_at or deployment.ended_at
    place = deployment.lane.environment_id
    rows = [
        Row({
            "kind": "Window", "what": f"{each.label}: {each.get_kind_display().lower()}, on days "
            f"{', '.join(map(str, each.weekdays))}, {each.starts_at:%H:%M} to {each.ends_at:%H:%M} {each.zone}",
            "state": "as it is set now",
        })
        for each in Window.objects.filter(environment=place)
    ]  # fmt: skip
    freezes = Freeze.objects.over(deployment.lane).filter(
        Q(lifted_at=None) | Q(lifted_at__gte=began), Q(ends_at=None) | Q(ends_at__gte=began)
    )
    holds = Hold.objects.filter(Q(lifted_at=None) | Q(lifted_at__gte=began), lane=deployment.lane_id)
    if ended:
        freezes, holds = freezes.filter(frozen_at__lte=ended), holds.filter(set_at__lte=ended)
    for freeze in freezes.select_related("frozen_by", "lifted_by").order_by("frozen_at"):
        lifted = (
            f"lifted by {freeze.lifted_by}" if freeze.lifted_by else "ends by itself" if freeze.ends_at else "stands"
        )
        rows.append(Row({
            "kind": "Freeze", "what": f"{freeze.get_scope_display()}: {freeze.reason}", "by": str(freeze.frozen_by),
            "since": freeze.frozen_at, "until": freeze.lifted_at or freeze.ends_at, "state": lifted,
        }, tone="warn"))  # fmt: skip
    for hold in holds.select_related("lifted_by").order_by("set_at"):
        rows.append(Row({
            "kind": "Hold", "what": hold.reason, "by": "the engine", "since": hold.set_at, "until": hold.lifted_at,
            "state": f"lifted by {hold.lifted_by}: {hold.lift_reason}" if hold.lifted_by else "stands",
        }, tone="warn"))  # fmt: skip
    says = "What stood in the way between asking and starting; what it meant at the start is said by the gates."
    return section("limits", "Windows, freezes, holds", says, LIMITS, rows, none="No window, freeze or hold applied.")


MIGRATIONS = (
    Column("name", "Migration", Show.CODE, 5),
    Column("class", "Class", weight=3),
    Column("sha256", "SHA-256 of its file", Show.CODE, 6),
    Column("back", "The way back", weight=7),
    Column("reason", "Reason", weight=4),
)


def migration_rows(found: tuple[DataMigration, ...]) -> list[Row]:
    return [
        Row({"name": each.name, "class": each.label, "sha256": each.sha256, "back": f"{each.way_back} {each.rollback}",
             "reason": each.reason}, tone="warn" if each.is_forward_only else "")
        for each in found
    ]  # fmt: skip


def _migrations(deployment: Deployment) -> Section:
    found = data_migrations.between(deployment.from_release, deployment.release)
    says = "Data migrations on the way from what served before to this release, in their order."
    return section("migrations", "Data migrations", says, MIGRATIONS, migration_rows(found), none="It brought none.")


EVIDENCE = (
    Column("kind", "Report", weight=4),
    Column("says", "What it says", weight=6),
    Column("where", "Ran in", weight=3),
    Column("at", "Received", Show.TIME, 3),
    Column("by", "From", weight=3),
    Column("sha256", "SHA-256 of the original", Show.CODE, 6),
    Column("of", "Of this artifact", weight=2),
)


def evidence_rows(found: Sequence[Evidence], digest: str, ledger: Ledger) -> list[Row]:
    return [
        Row(
            {
                "kind": each.label, "says": each.sentence, "where": str(each.environment or "elsewhere"),
                "at": each.received_at, "by": each.received_from_label, "sha256": each.sha256,
                "of": "yes" if each.artifact_digest == digest else "no",
            },
            ids(ledger.about("evidence", each.pk)),
            tone="bad" if each.tone == "bad" else "",
        )
        for each in found
    ]  # fmt: skip


def _evidence(deployment: Deployment, found: Sequence[Evidence], ledger: Ledger) -> Section:
    says = "Reports of the release that had been received before it started; their originals are kept by these digests."
    rows = evidence_rows(found, deployment.release.artifact_digest, ledger)
    return section("evidence", "Tests and other evidence", says, EVIDENCE, rows, none="No report is readable here.")


STEPS = (
    Column("step", "Step", weight=5),
    Column("try", "Try", weight=1),
    Column("verdict", "Result", Show.STATE, 2),
    Column("began", "Began", Show.TIME, 3),
    Column("ended", "Ended", Show.TIME, 3),
    Column("detail", "What it says", weight=5),
    Column("intent", "SHA-256 of what was told", Show.CODE, 5),
)


def _steps(deployment: Deployment) -> Section:
    rows = [
        Row(
            {"step": each.label, "try": each.attempt, "verdict": each.get_verdict_display(), "began": each.started_at,
             "ended": each.ended_at, "detail": each.detail, "intent": each.intent_sha256},
            tone={"bad": "bad", "ok": "ok", "warn": "warn"}.get(each.tone, ""),
        )
        for each in deployment.steps.order_by("seq", "attempt")
    ]  # fmt: skip
    says = "The journal: what was intended was written before the effect, the result after it."
    return section("steps", "Steps", says, STEPS, rows, none="It never began.")


HISTORY = (
    Column("at", "When", Show.TIME, 3),
    Column("to", "State", Show.STATE, 3),
    Column("by", "By", weight=4),
    Column("why", "Why", weight=9),
)


def _history(deployment: Deployment, ledger: Ledger) -> Section:
    proof: dict[str, list[Any]] = {}
    for event in ledger.about("deployment", deployment.pk):
        proof.setdefault(event.kind, []).append(event)
    rows = []
    for each in deployment.transitions.order_by("n"):
        events = proof.get(f"deployment.{each.to_state.lower()}", [])
        rows.append(
            Row({"at": each.at, "to": each.get_to_state_display(), "by": each.actor_label, "why": each.why},
                ids([events.pop(0)] if events else []))
        )  # fmt: skip
    says = "Every change of its state, each with the entry that was written in the same transaction."
    return section("history", "History", says, HISTORY, rows, none="Nothing happened yet.")


SAMPLES = (
    Column("at", "When", Show.TIME, 4),
    Column("requests", "Requests", weight=2),
    Column("errors", "Failed", weight=2),
    Column("error_limit", "Limit, %", weight=2),
    Column("p95", "p95, ms", weight=2),
    Column("p95_limit", "Limit, ms", weight=2),
    Column("fault", "Health check", weight=6),
)


def _verification(deployment: Deployment) -> Section:
    rows = [
        Row(
            {"at": each.taken_at, "requests": each.requests, "errors": each.errors, "error_limit": each.error_limit,
             "p95": each.p95_ms, "p95_limit": each.p95_limit_ms, "fault": each.fault or "healthy"},
            tone="bad" if each.fault else "",
        )
        for each in deployment.samples.order_by("taken_at")
    ]  # fmt: skip
    terms = {name: value for name, value in deployment.terms.items() if not isinstance(value, Mapping | list)}
    facts = tuple(Fact(name, name.replace("_", " ").capitalize(), value) for name, value in sorted(terms.items()))
    says = "What users got after the switch, and the terms by which it was judged, as they were at the start."
    found = section("verification", "Verification", says, SAMPLES, rows, none="Nothing was measured.")
    return Section(found.key, found.title, found.says, facts, found.columns, found.rows)


ROLLBACKS = (
    Column("deployment", "Deployment", Show.CODE, 2),
    Column("what", "What", weight=8),
    Column("state", "Outcome", Show.STATE, 3),
    Column("by", "Started by", weight=4),
    Column("at", "When", Show.TIME, 3),
)


def _rollback(deployment: Deployment, undone: list[Deployment], ledger: Ledger) -> Section:
    pairs = [(each, f"undoes this one, brings {each.release} back") for each in undone]
    if deployment.rolls_back:
        pairs.insert(0, (deployment.rolls_back, "is undone by this one"))
    rows = [
        Row(
            {"deployment": str(each), "what": words, "state": each.label, "by": each.requested_by_label,
             "at": each.requested_at},
            ids(ledger.about("deployment", each.pk)[:1]),
            link=reverse("deployments:deployment-detail", args=[each.number]),
        )
        for each, words in pairs
    ]  # fmt: skip
    none = deployment.rollback_withheld or "Nothing was rolled back."
    return section("rollback", "Rollback", deployment.rollback_withheld, ROLLBACKS, rows, none=none)


def _log(deployment: Deployment, *, whole: bool) -> tuple[str, Section]:
    """Return what is unusual of the log, and the section. Its digest is of the text that the portal hands out."""
    digest, kept, count = hashlib.sha256(), [], 0
    chunks = LogChunk.objects.filter(deployment=deployment).order_by("seq").values_list("lines", flat=True)
    for lines in chunks.iterator(chunk_size=50):
        texts = [ansi.plain(text) for _milliseconds, text in lines]
        digest.update("".join(f"{text}\n" for text in texts).encode())
        count += len(texts)
        kept += texts
        del kept[: -(MOST_LINES if whole else LAST_LINES)]
    unusual = (
        "" if count == deployment.log_lines else f"It holds {count} lines, and {deployment.log_lines} were counted."
    )
    if not count:
        return unusual, Section("log", "Log", "Nothing was written.")
    says = "All of it." if len(kept) == count else f"The last {len(kept)} of {count} lines."
    facts = (
        Fact("lines", "Lines", count),
        Fact("bytes", "Bytes as written", deployment.log_bytes),
        Fact("sha256", "SHA-256 of the text", digest.hexdigest(), Show.CODE),
    )
    says += " The digest is of the whole text as it is downloaded. Secrets were masked before it was stored."
    return unusual, Section("log", "Log", says, facts, lines=tuple(kept))
