"""The dossier of a release: what it is, what was found of it, and everywhere it went."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from django.urls import reverse

from apps.approvals.models import Promotion
from apps.changelogs.models import ChangelogEntry
from apps.compliance.dossiers import change as changes
from apps.compliance.dossiers.change import Change, changes_of, kind_of
from apps.compliance.dossiers.deployment import EVIDENCE, MIGRATIONS, evidence_rows, migration_rows
from apps.compliance.dossiers.document import Column, Dossier, Fact, Row, Section, Show, section
from apps.compliance.dossiers.ledger import Ledger, finished, first_and_last, ids, read
from apps.deployments.enums import DeploymentKind
from apps.deployments.models import Deployment
from apps.releases.enums import EvidenceKind
from apps.releases.models import (
    Acceptance,
    ApiComparison,
    Artifact,
    DataMigration,
    EventPublication,
    Evidence,
    Finding,
    Release,
    ReleaseTrait,
)

AT_MOST = 500


def release_dossier(release: Release, *, workspaces: tuple[UUID, ...], now: datetime) -> Dossier:
    """This function will gather the dossier of a release, of what these workspaces did with it.

    Queries: always as many. `now` says which acceptances of findings still last.
    Shapes: the release comes with its service and people.
    """
    deployments = list(
        Deployment.objects.visible_in(workspaces)
        .filter(release=release)
        .with_subject()
        .select_related("rolls_back", "lane__environment__workspace")
        .order_by("number")[:AT_MOST]
    )
    promotions = list(
        Promotion.objects.visible_in(workspaces)
        .filter(release=release)
        .with_subject()
        .select_related("configuration__created_by")
        .order_by("number")[:AT_MOST]
    )
    asked = changes_of(promotions)
    found = changes.incidents_about([each.pk for each in deployments], promotions, workspaces=workspaces)
    evidence = list(
        Evidence.objects.visible_in(workspaces)
        .filter(release=release)
        .select_related("environment", "release")
        .order_by("received_at", "pk")
    )
    accepted = list(
        Acceptance.objects.visible_in(workspaces).filter(service=release.service_id).select_related("accepted_by")
    )
    ledger = read(
        workspaces,
        {
            "release": [release.pk],
            "evidence": [each.pk for each in evidence],
            "acceptance": [each.pk for each in accepted],
            "promotion": [each.pk for each in promotions],
            "deployment": [each.pk for each in deployments],
            "incident": [each.pk for each in found],
        },
    )
    told = [
        _identity(release, ledger),
        _exceptions(release, asked, deployments, found, ledger),
        _contents(release),
        _changes(release),
        section("evidence", "Tests and other evidence",
                "Every report of it; the originals are kept by these digests.", EVIDENCE,
                evidence_rows(evidence, release.artifact_digest, ledger), none="No report is readable here."),
        _findings(evidence, accepted, ledger, now=now),
        _contracts(evidence, workspaces),
        section("migrations", "Data migrations", "What it declares, in its order.", MIGRATIONS,
                migration_rows(tuple(DataMigration.objects.filter(release=release))), none="It brings none."),
        _traits(release, ledger),
        _promotions(asked, ledger),
        changes.approvals(asked, ledger),
        changes.waivers(asked, ledger),
        _deployments(deployments, ledger),
        changes.incidents(found, ledger),
    ]  # fmt: skip
    subject = {"kind": "release", "id": release.pk, "service": release.service.slug, "version": release.version,
               "workspaces": sorted(map(str, workspaces))}  # fmt: skip
    return finished(subject, f"Release {release.service} {release}", told, ledger, workspaces=workspaces)


def _identity(release: Release, ledger: Ledger) -> Section:
    def proof(*kinds: str) -> tuple[str, ...]:
        return ids(ledger.about("release", release.pk, *kinds)[:1])

    facts = (
        Fact("service", "Service", release.service.name),
        Fact("version", "Version", release.version, Show.CODE),
        Fact("kind", "Kind", release.get_kind_display()),
        Fact("state", "State", release.label),
        Fact("artifact", "Artifact", release.artifact_digest, Show.CODE, proof("release.sealed")),
        Fact("content_hash", "Sealed content", release.content_hash or None, Show.CODE, proof("release.sealed")),
        Fact("commit", "Commit", release.commit or None, Show.CODE),
        Fact("tag", "Tag", release.tag or None, Show.CODE),
        Fact("repository", "Repository", release.service.repository or None, Show.CODE),
        Fact("source", "Came by", release.get_source_display()),
        Fact("author", "Author", release.author_label or None),
        Fact("committer", "Committer", str(release.committer) if release.committer else None),
        Fact("made_by", "Made by", release.created_by_label, entries=proof("release.created")),
        Fact("made_at", "Made at", release.created_at, Show.TIME, proof("release.created")),
        Fact("sealed_at", "Sealed at", release.sealed_at, Show.TIME, proof("release.sealed")),
        Fact("quarantine", "Quarantine", _quarantine(release), entries=proof("release.quarantined")),
        Fact("retired_at", "Retired at", release.retired_at, Show.TIME, proof("release.retired")),
    )
    return Section("identity", "What it is", "", facts)


def _quarantine(release: Release) -> str | None:
    return f"by {release.quarantined_by_label}: {release.quarantine_reason}" if release.quarantined_at else None


def _exceptions(
    release: Release, asked: Sequence[Change], deployments: Sequence[Deployment], found: Sequence[Any], ledger: Ledger
) -> Section:
    rows = []
    if words := _quarantine(release):
        proof = ids(ledger.about("release", release.pk, "release.quarantined"))
        rows.append(Row({"what": "In quarantine", "said": words}, proof, "bad"))
    for each in deployments:
        if each.tone == "bad":
            said = f"Deployment {each} to {each.lane.environment}: {each.label.lower()}. {each.outcome}"
            rows.append(Row({"what": each.label, "said": said}, ids(ledger.about("deployment", each.pk)[-1:]), "bad"))
    rows += [row for each in asked for row in changes.unusual(each, release, ledger)]
    rows += changes.incidents_named(found, ledger)
    none = "Nothing unusual: no quarantine, failure, emergency, waiver, broken rule or incident."
    return changes.exceptions(rows, none)


CONTENTS = (
    Column("name", "Part", weight=5),
    Column("version", "Version", Show.CODE, 2),
    Column("sha256", "SHA-256", Show.CODE, 8),
    Column("size", "Bytes", weight=2),
)


def _contents(release: Release) -> Section:
    artifact = Artifact.objects.filter(release=release).first()
    manifest = artifact.manifest if artifact else {}
    parts = [*manifest.get("wheels", []), *(manifest[name] for name in ("archive", "chart") if name in manifest)]
    rows = [
        Row({"name": each.get("filename") or each.get("name"), "version": each.get("version"),
             "sha256": each.get("sha256"), "size": each.get("size")})
        for each in parts
    ]  # fmt: skip
    return section("contents", "Contents", "What the artifact's digest is of.", CONTENTS, rows, none="No artifact.")


CHANGES = (
    Column("kind", "Kind", weight=2),
    Column("text", "Change", weight=10),
    Column("by", "Author", weight=3),
    Column("commit", "Commit", Show.CODE, 5),
    Column("breaking", "Breaking", weight=2),
)


def _changes(release: Release) -> Section:
    rows = [
        Row({"kind": each.get_kind_display(), "text": f"{each.scope}: {each.text}" if each.scope else each.text,
             "by": each.author_label, "commit": each.commit, "breaking": "yes" if each.is_breaking else ""},
            tone="warn" if each.is_breaking else "")
        for each in ChangelogEntry.objects.filter(release=release).order_by("position")
    ]  # fmt: skip
    return section("changes", "Changes", "Read from its history or its notes.", CHANGES, rows, none="None is listed.")


FINDINGS = (
    Column("severity", "Severity", Show.STATE, 2),
    Column("rule", "Rule", Show.CODE, 4),
    Column("title", "Finding", weight=7),
    Column("place", "Where", Show.CODE, 4),
    Column("accepted", "Accepted", weight=8),
)


def _findings(
    evidence: Sequence[Evidence], accepted: Sequence[Acceptance], ledger: Ledger, *, now: datetime
) -> Section:
    """This function will list the worst findings of its scans, each with who lets it stay (a query)."""
    scans = [each.pk for each in evidence if each.is_scan]
    words = {(each.rule, each.fingerprint): each for each in sorted(accepted, key=lambda each: each.accepted_at)}
    found = Finding.objects.filter(evidence__in=scans).order_by("-severity", "rule", "place", "pk")[:AT_MOST]
    rows = []
    for each in found:
        word = words.get((each.rule, each.fingerprint))
        told = _acceptance(word, now=now) if word and word.severity >= each.severity else ""
        rows.append(
            Row({"severity": each.label, "rule": each.rule, "title": each.title, "place": each.place, "accepted": told},
                ids(ledger.about("acceptance", word.pk)) if word and told else (),
                tone="warn" if told else "bad" if each.tone == "bad" else "")
        )  # fmt: skip
    says = f"What scanners found, the worst first, at most {AT_MOST}."
    return section("findings", "Findings", says, FINDINGS, rows, none="No scan that is readable here found anything.")


def _acceptance(word: Acceptance, *, now: datetime) -> str:
    until = f"until {word.lasts_until:%Y-%m-%d %H:%M} UTC"
    return f"by {word.accepted_by}, {until}{'' if word.lasts(now) else ' (over)'}: {word.reason}"


CONTRACTS = (
    Column("what", "Contract", weight=5),
    Column("sha256", "SHA-256", Show.CODE, 7),
    Column("said", "Compared", weight=8),
)


def _contracts(evidence: Sequence[Evidence], workspaces: tuple[UUID, ...]) -> Section:
    """This function will tell its API descriptions with what they were compared to, and its events (two queries)."""
    described = {each.sha256 for each in evidence if each.kind == EvidenceKind.OPENAPI}
    compared = ApiComparison.objects.visible_in(workspaces).finished().filter(new_sha256__in=described)
    rows = [
        Row({"what": "API description", "sha256": each.new_sha256,
             "said": f"beside {each.old_sha256[:12]}: {each.sentence}"}, tone="bad" if each.breaking else "")
        for each in compared.order_by("finished_at")[:AT_MOST]
    ]  # fmt: skip
    told = {row.values["sha256"] for row in rows}
    rows += [Row({"what": "API description", "sha256": each, "said": "compared with none"})
             for each in sorted(described - told)]  # fmt: skip
    published = EventPublication.objects.filter(evidence__in=[each.pk for each in evidence])
    for each in published.select_related("schema__version__subject")[:AT_MOST]:
        rows.append(Row({"what": f"Event {each.schema}", "sha256": each.schema.digest, "said": each.schema.label},
                        tone="bad" if each.schema.tone == "bad" else ""))  # fmt: skip
    return section(
        "contracts", "Contracts", "Its interface and its events.", CONTRACTS, rows, none="None is described."
    )


TRAITS = (
    Column("trait", "Trait", weight=4),
    Column("by", "Declared by", weight=4),
    Column("at", "When", Show.TIME, 3),
    Column("reason", "Reason", weight=9),
)


def _traits(release: Release, ledger: Ledger) -> Section:
    proof = ids(ledger.about("release", release.pk, "release.trait_declared"))
    rows = [
        Row({"trait": str(each), "by": each.declared_by_label, "at": each.declared_at, "reason": each.reason}, proof)
        for each in ReleaseTrait.objects.filter(release=release)
    ]
    says = "What people declared of it, so that more people have to agree."
    return section("traits", "Traits", says, TRAITS, rows, none="None was declared.")


PROMOTIONS = (
    Column("promotion", "Promotion", Show.CODE, 2),
    Column("to", "To", weight=4),
    Column("state", "State", Show.STATE, 3),
    Column("by", "Asked by", weight=4),
    Column("at", "Asked", Show.TIME, 3),
    Column("ended", "Ended", Show.TIME, 3),
    Column("plan", "Plan hash", Show.CODE, 5),
    Column("outcome", "Outcome", weight=6),
)


def _promotions(asked: Sequence[Change], ledger: Ledger) -> Section:
    rows = [
        Row(
            {
                "promotion": f"#{each.promotion.number}", "to": str(each.promotion.lane.environment),
                "state": each.promotion.label, "by": each.promotion.requested_by_label,
                "at": each.promotion.requested_at, "ended": each.promotion.ended_at, "plan": each.promotion.plan_hash,
                "outcome": each.promotion.outcome,
            },
            first_and_last(ledger.about("promotion", each.promotion.pk)),
            tone={"bad": "bad", "ok": "ok"}.get(each.promotion.tone, ""),
            link=reverse("approvals:promotion-detail", args=[each.promotion.number]),
        )
        for each in asked
    ]  # fmt: skip
    says = "Every time somebody asked to bring it to an environment, oldest first."
    return section("promotions", "Promotions", says, PROMOTIONS, rows, none="Nobody asked for it yet.")


DEPLOYMENTS = (
    Column("deployment", "Deployment", Show.CODE, 2),
    Column("kind", "Kind", weight=3),
    Column("to", "To", weight=4),
    Column("state", "Outcome", Show.STATE, 3),
    Column("by", "Started by", weight=4),
    Column("at", "Began", Show.TIME, 3),
    Column("ended", "Ended", Show.TIME, 3),
    Column("said", "What it says", weight=8),
)


def _deployments(deployments: Sequence[Deployment], ledger: Ledger) -> Section:
    rows = [
        Row(
            {
                "deployment": str(each),
                "kind": kind_of(each),
                "to": str(each.lane.environment), "state": each.label, "by": each.requested_by_label,
                "at": each.started_at, "ended": each.ended_at, "said": each.outcome,
            },
            first_and_last(ledger.about("deployment", each.pk)),
            tone="warn" if each.kind == DeploymentKind.ROLLBACK else {"bad": "bad", "ok": "ok"}.get(each.tone, ""),
            link=reverse("compliance:dossier-deployment", args=[each.number]),
        )
        for each in deployments
    ]  # fmt: skip
    says = "Every attempt to make it run, rollbacks to it too, oldest first."
    return section("deployments", "Deployments", says, DEPLOYMENTS, rows, none="It was deployed nowhere.")
