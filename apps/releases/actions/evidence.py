import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

from django.conf import settings
from django.db import transaction

from apps.accounts.models import User
from apps.audit import actions as audit
from apps.audit.actors import Actor, actor_of
from apps.core import hints, live
from apps.core.verdict import Conflict, Denied, Invalid, Refusal
from apps.environments.models import Environment
from apps.integrations.artifact_store import ArtifactStore, StoreFull
from apps.releases import manifests, permissions, reports
from apps.releases.actions.events import publish
from apps.releases.actions.promises import keep_promises
from apps.releases.enums import EvidenceKind, ReleaseState, Suite
from apps.releases.models import Evidence, Finding, Part, Release
from apps.releases.reports.findings import Found
from apps.releases.reports.parts import Part as ListedPart

COMPARE_TASK = "releases.compare_api"
NAMED = 3
# The clocks of machines that run jobs are not quite ours.
AHEAD = timedelta(minutes=1)


class EvidenceInvalid(Invalid):
    code = "evidence_invalid"
    next_step = "Nothing was kept. Correct the report, or what is said of it, and send it again."


class EvidenceTooLarge(Refusal):
    status = 413
    code = "evidence_too_large"
    next_step = "Nothing was kept. Send the reports of its parts one by one."


class ReleaseNotSealed(Conflict):
    code = "release_not_sealed"
    next_step = "Seal the release first: what is reported of a draft may be of something else later."


class DigestDiffers(Conflict):
    code = "digest_differs"
    next_step = "Nothing was kept. Report what was measured of this release's own artifact."


class LinesUnknown(Invalid):
    code = "checklist_lines_unknown"
    next_step = "Nothing was kept. Name lines as the policy of the environment's tier does."


class LinesOfPeople(Denied):
    code = "checklist_lines_of_people"
    next_step = "Nothing was kept. A policy says of each line whether a job may tick it."


class StoreHasNoRoom(Refusal):
    status = 507
    code = "store_full"
    next_step = "Make room on the disk of the artifact store, then send it again."


@transaction.atomic
def keep_evidence(
    release: Release,
    *,
    kind: str,
    report: bytes,
    suite: str = "",
    environment: Environment | None = None,
    artifact_digest: str = "",
    lines: Mapping[tuple[str, str], bool] | None = None,
    by: User | Actor,
    now: datetime,
) -> tuple[Evidence, bool]:
    """This function will read a report of a release and keep it, with the original as it came, once.

    Shapes: `artifact_digest` is what was tried out, where the sender knows it; `lines` are those of the checklists
    there, by both ids, and whether a job may tick them; returns the evidence, and whether it is new: the same report of
    the same thing is kept once.
    Raises EvidenceInvalid: no such kind or suite, or no report of the kind. Raises EvidenceTooLarge: over
    `reports.LIMIT`. Raises ReleaseNotSealed. Raises DigestDiffers: it is of another artifact. Raises StoreHasNoRoom.
    Raises LinesUnknown, LinesOfPeople: it names others. Raises what `publish` does, for a list of events, and
    `keep_promises`, for an API description.
    """
    permissions.may_release(by, release.service).require()
    kind, suite = _known(kind, suite)
    if len(report) > reports.LIMIT:
        raise EvidenceTooLarge(f"A report may have {reports.LIMIT >> 20} MB.")
    try:
        figures = reports.read(kind, report)
    except reports.Unreadable as error:
        raise EvidenceInvalid(f"This can't be read as {kind.label}. {error}") from error
    found, published, promised, parts = (
        figures.pop(name, []) for name in ("findings", "published", "promised", "parts")
    )
    if kind == EvidenceKind.CHECKLIST:
        _require_lines(figures, lines, environment, by=by, now=now)
    release = Release.objects.locked().select_related("service").get(pk=release.pk)
    _require_fit(release, artifact_digest)
    if kind == EvidenceKind.PROVENANCE:
        _require_subject(release, figures.pop("subjects"))
    sha256 = hashlib.sha256(report).hexdigest()
    same = release.evidence.filter(kind=kind, suite=suite, environment=environment, sha256=sha256).first()
    if same is not None:
        return same, False
    try:
        ArtifactStore(settings.ARTIFACT_DIR).put([report], sha256=sha256, size=len(report))
    except StoreFull as error:
        raise StoreHasNoRoom(str(error)) from error
    evidence = Evidence.objects.create(
        workspace_id=release.workspace_id,
        release=release,
        kind=kind,
        suite=suite,
        environment=environment,
        artifact_digest=release.artifact_digest,
        sha256=sha256,
        size=len(report),
        figures=figures,
        received_at=now,
        received_from=by if isinstance(by, User) else None,
        received_from_label=actor_of(by).label[:150],
    )
    _keep_findings(evidence, found)
    if promised:
        keep_promises(release, promised, by=by, now=now)
    if published:
        publish(evidence, published, by=by, now=now)
    _keep_parts(evidence, parts)
    audit.record(
        "evidence.received",
        by=by,
        target=evidence,
        target_details={"release": release.version},
        service_id=release.service_id,
        environment_id=environment.pk if environment else None,
        summary=f"{evidence} of {release.service}: {evidence.sentence}",
        after={"sha256": sha256, "artifact": release.artifact_digest, **_told(figures)},
    )
    live.hint(release.workspace_id, f"release:{release.pk}")
    if kind == EvidenceKind.OPENAPI:
        hints.wake(COMPARE_TASK, release.pk)
    return evidence, True


def _keep_findings(evidence: Evidence, found: list[Found]) -> None:
    """Keep them under ids that fall in the order of the report."""
    ids = sorted((uuid4() for _ in found), reverse=True)
    Finding.objects.bulk_create(
        Finding(pk=pk, workspace_id=evidence.workspace_id, evidence=evidence, **one._asdict())
        for pk, one in zip(ids, found, strict=True)
    )


def _keep_parts(evidence: Evidence, parts: list[ListedPart]) -> None:
    rows = (
        Part(workspace_id=evidence.workspace_id, evidence=evidence, rank=rank, **part._asdict())
        for rank, part in zip(range(len(parts), 0, -1), parts, strict=True)
    )
    Part.objects.bulk_create(rows, batch_size=2000)


def _told(figures: dict[str, Any]) -> dict[str, Any]:
    """Return what the audit trail tells of figures: each benchmark stands in the original."""
    return {name: value for name, value in figures.items() if name != "results"}


def _known(kind: str, suite: str) -> tuple[EvidenceKind, str]:
    if kind not in EvidenceKind.values:
        raise EvidenceInvalid(
            f"There is no kind {kind[:20]!r} of evidence. There are: {', '.join(EvidenceKind.values)}."
        )
    if kind == EvidenceKind.JUNIT and suite not in Suite.values:
        raise EvidenceInvalid(f"Say which tests ran: one of {', '.join(Suite.values)}.")
    if kind != EvidenceKind.JUNIT and suite:
        raise EvidenceInvalid("Only tests are of a suite.")
    return EvidenceKind(kind), suite


def _require_fit(release: Release, artifact_digest: str) -> None:
    if release.state in (ReleaseState.DRAFT, ReleaseState.RETIRED):
        raise ReleaseNotSealed(f"{release.service} {release.version} is {release.label.lower()}.")
    if artifact_digest and artifact_digest != release.artifact_digest:
        raise DigestDiffers(f"It is of {artifact_digest[:80]}, the release was sealed with {release.artifact_digest}.")


def _require_lines(
    figures: Mapping[str, Any],
    known: Mapping[tuple[str, str], bool] | None,
    environment: Environment | None,
    *,
    by: User | Actor,
    now: datetime,
) -> None:
    """Refuse what no job says, or not of these lines: people tick theirs on the page, under their own name."""
    if isinstance(by, User) or known is None:
        raise EvidenceInvalid("Only a job tells of lines so, with its token. People tick them on the promotion's page.")
    if environment is None:
        raise EvidenceInvalid("Say in which environment: lines are ticked for one.")
    if datetime.fromisoformat(figures["at"]) > now + AHEAD:
        raise EvidenceInvalid("at: it is in the future.")
    named = [(line["checklist"], line["line"]) for line in figures["lines"]]
    if unknown := [name for name in named if name not in known]:
        raise LinesUnknown(f"No checklist there has {_listed(unknown)}.")
    if of_people := [name for name in named if not known[name]]:
        raise LinesOfPeople(f"No job ticks {_listed(of_people)}.")


def _listed(names: list[tuple[str, str]]) -> str:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(f"{line} of {checklist}" for checklist, line in names[:NAMED]) + more


def _require_subject(release: Release, subjects: Sequence[str]) -> None:
    """Refuse what was said of another artifact than the release's, or of none of the files that are its own."""
    artifact = getattr(release, "artifact", None)
    own = manifests.own_digests(artifact.manifest) if artifact else set()
    if not (own | {release.artifact_digest.removeprefix("sha256:")}) & set(subjects):
        named = ", ".join(f"sha256:{digest}" for digest in subjects[:3])
        raise DigestDiffers(f"It is of {named}; the release was sealed with {release.artifact_digest}.")
