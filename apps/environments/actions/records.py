"""What is told of an environment's data: that they were refreshed, removed, backed up, and tried to be brought back."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar, cast

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import RegexValidator, URLValidator
from django.db import transaction
from django.db.models import Manager

from apps.accounts.models import User
from apps.audit import actions as audit
from apps.audit.actors import Actor, actor_of
from apps.core import live
from apps.core.texts import one_line
from apps.core.verdict import Conflict, Invalid, Refusal
from apps.environments import permissions
from apps.environments.actions.standing import standing
from apps.environments.data_rules import BROUGHT, DataRules
from apps.environments.enums import DataKind, RecordKind, Tier
from apps.environments.models import DataRefresh, Environment, Evidenced, RecoveryRecord
from apps.integrations.artifact_store import ArtifactStore, StoreFull

LIMIT = 16 << 20
LONGEST_FIGURE = 100_000
MOST_KEPT = 10_000
BACKUP_FIGURES = ("point_in_time", "reach_hours", "kept_daily", "kept_monthly")
TEST_FIGURES = ("rpo_minutes", "rto_minutes")
_is_digest = RegexValidator(r"\A[0-9a-f]{64}\Z")
_is_link = URLValidator(schemes=["http", "https"])
Row = TypeVar("Row", bound=Evidenced)


class RecordInvalid(Invalid):
    code = "record_invalid"
    next_step = "Nothing was recorded. Correct it and send it again."


class DataNotAllowed(Invalid):
    code = "data_not_allowed"
    next_step = "Nothing was recorded. Bring data that this environment may hold, and record those."


class NothingToRemove(Conflict):
    code = "nothing_to_remove"
    next_step = "Nothing was recorded. Record first the refresh that brought what was removed."


class EvidenceMissing(Invalid):
    code = "evidence_missing"
    next_step = "Nothing was recorded. Send the report as a file, or its address with its SHA-256."


class RecordDiffers(Conflict):
    code = "record_differs"
    next_step = "Records are never changed: tell what happened with the moment at which it did."


class EvidenceStoreFull(Refusal):
    status = 507
    code = "store_full"
    next_step = "Make room on the disk of the artifact store, then send it again."


@dataclass(frozen=True)
class Evidence:
    """A report as a file, or where it stands with its SHA-256 in hex; all empty is none."""

    report: bytes = b""
    name: str = ""
    link: str = ""
    sha256: str = ""

    def __bool__(self) -> bool:
        return bool(self.report or self.name or self.link or self.sha256)


NONE = Evidence()


@transaction.atomic
def record_refresh(
    environment: Environment,
    *,
    rules: DataRules,
    kind: str,
    refreshed_at: datetime,
    source: Environment | None = None,
    evidence: Evidence = NONE,
    by: User | Actor,
    now: datetime,
) -> tuple[DataRefresh, bool]:
    """This function will record that an environment got a data set; told again, it answers again.

    Shapes: `rules` are those of its tier's policy in force; `source` is where it was taken from, None for data that
    were made up; returns the record, and whether it is new. Raises DataNotAllowed: a kind that the tier may not hold,
    and any in Production. Raises EvidenceMissing: it comes from Production, without evidence. Raises RecordInvalid.
    Raises RecordDiffers: something else is on record of that moment. Raises EnvironmentGone, EvidenceStoreFull.
    """
    environment = standing(environment)
    permissions.may_record(by, environment).require()
    _require_moment(refreshed_at, now)
    _require_allowed(environment, rules, kind)
    if source is None and kind != DataKind.SYNTHETIC:
        raise RecordInvalid(f"{DataKind(kind).label} data come from somewhere: name the environment.")
    if source is not None and (source.pk == environment.pk or source.workspace_id != environment.workspace_id):
        raise RecordInvalid("The source has to be another environment of the same workspace.")
    if source is not None and source.is_production and not evidence:
        raise EvidenceMissing(f"What comes from {source} needs a report that says it was {kind.lower()} on the way.")
    told = {
        "tier": environment.tier,
        "kind": kind,
        "source_id": source.pk if source else None,
        "source_tier": source.tier if source else "",
        **_evidence(evidence),
    }
    refresh, is_new = _keep(DataRefresh, environment, {"refreshed_at": refreshed_at}, told, by=by, now=now)
    if is_new:
        came = f" from {source.name}" if source else ""
        summary = f"{refresh.get_kind_display()} data{came} in {environment.name} since {_moment(refreshed_at)}"
        after = {"refreshed_at": refreshed_at, "kind": kind, "source": source.slug if source else ""}
        _tell("data.refreshed", refresh, environment, summary, after, by=by)
    return refresh, is_new


@transaction.atomic
def record_removal(
    environment: Environment,
    *,
    removed_at: datetime,
    evidence: Evidence = NONE,
    by: User | Actor,
    now: datetime,
) -> tuple[DataRefresh, bool]:
    """This function will record that an environment's data set was removed; told again, it answers again.

    Shapes: returns the record, and whether it is new. Raises NothingToRemove: there was none then, by the records.
    Raises RecordInvalid. Raises RecordDiffers: something else is on record of that moment. Raises EnvironmentGone,
    EvidenceStoreFull.
    """
    environment = standing(environment)
    permissions.may_record(by, environment).require()
    _require_moment(removed_at, now)
    removed = _held(environment, removed_at)
    told = {
        "tier": environment.tier,
        "kind": DataKind.REMOVED,
        "source_id": None,
        "source_tier": "",
        **_evidence(evidence),
    }
    removal, is_new = _keep(DataRefresh, environment, {"refreshed_at": removed_at}, told, by=by, now=now)
    if is_new:
        summary = (
            f"{removed} of {_moment(removed.refreshed_at)} removed from {environment.name} on {_moment(removed_at)}"
        )
        after = {"removed_at": removed_at, "kind": removed.kind, "refreshed_at": removed.refreshed_at}
        _tell("data.removed", removal, environment, summary, after, by=by)
    return removal, is_new


@transaction.atomic
def record_recovery(
    environment: Environment,
    *,
    kind: str,
    done_at: datetime,
    succeeded: bool = True,
    figures: Mapping[str, Any],
    evidence: Evidence = NONE,
    by: User | Actor,
    now: datetime,
) -> tuple[RecoveryRecord, bool]:
    """This function will record a backup, or a test of backups; told again, it answers again.

    Shapes: `figures` are those of the kind, as `RecoveryRecord` says: BACKUP_FIGURES or TEST_FIGURES; what failed has
    none. Returns the record, and whether it is new.
    Raises EvidenceMissing: of a test. Raises RecordInvalid. Raises RecordDiffers: another of that kind and moment is on
    record. Raises EnvironmentGone, EvidenceStoreFull.
    """
    environment = standing(environment)
    permissions.may_record(by, environment).require()
    _require_moment(done_at, now)
    if kind not in RecordKind.values:
        raise RecordInvalid(f"There is no kind {kind[:40]!r}. There are {', '.join(RecordKind.values)}.")
    is_backup = kind == RecordKind.BACKUP
    told = {"succeeded": succeeded, **_figures(kind, figures, succeeded=succeeded), **_evidence(evidence)}
    if not is_backup and not evidence:
        raise EvidenceMissing(f"A {RecordKind(kind).label.lower()} needs a report of what was measured.")
    record, is_new = _keep(RecoveryRecord, environment, {"kind": kind, "done_at": done_at}, told, by=by, now=now)
    if is_new:
        how = "succeeded" if succeeded else "failed"
        summary = f"{record} of {environment.name} {how} on {_moment(done_at)}"
        told_figures = {name: getattr(record, name) for name in (BACKUP_FIGURES if is_backup else TEST_FIGURES)}
        after = {"done_at": done_at, "succeeded": succeeded, **told_figures}
        _tell("backup.recorded" if is_backup else "recovery.tested", record, environment, summary, after, by=by)
    return record, is_new


def _require_moment(moment: datetime, now: datetime) -> None:
    if moment > now:
        raise RecordInvalid(f"{_moment(moment)} is still to come; only what is done is recorded.")


def _require_allowed(environment: Environment, rules: DataRules, kind: str) -> None:
    if environment.is_production:
        raise DataNotAllowed(f"{environment} holds what its users enter; no data set is brought there.")
    if kind in rules.kinds:
        return
    words = " or ".join(DataKind(each).label.lower() for each in rules.kinds)
    held = f"holds {words} data alone" if words else "holds no data set, by its policy"
    real = " Real data belong in Production alone." if kind not in BROUGHT else ""
    raise DataNotAllowed(f"{environment} is {Tier(environment.tier).label}, which {held}.{real}")


def _held(environment: Environment, moment: datetime) -> DataRefresh:
    """Return what the environment held just before the moment."""
    found = DataRefresh.objects.filter(environment=environment)
    before = found.filter(refreshed_at__lt=moment).order_by("-refreshed_at").first()
    after = found.filter(refreshed_at__gt=moment).order_by("refreshed_at").first()
    gone = next((each for each in (before, after) if each and each.kind == DataKind.REMOVED), None)
    if gone is not None:
        raise NothingToRemove(f"It is on record that its data set was removed on {_moment(gone.refreshed_at)}.")
    if before is None:
        raise NothingToRemove(f"No data set of {environment} is on record before {_moment(moment)}.")
    return before


def _figures(kind: str, figures: Mapping[str, Any], *, succeeded: bool) -> dict[str, Any]:
    """Return every figure, those of other kinds empty: what was not told is not taken from anywhere."""
    known = (BACKUP_FIGURES if kind == RecordKind.BACKUP else TEST_FIGURES) if succeeded else ()
    given = {name: value for name, value in figures.items() if value not in (None, False, 0) or name in known}
    if unknown := sorted(set(given) - set(known)):
        what = RecordKind(kind).label.lower() + ("" if succeeded else " that failed")
        raise RecordInvalid(f"A {what} has no {', '.join(unknown)[:200]}.")
    read = {"point_in_time": bool(given.get("point_in_time")), "reach_hours": given.get("reach_hours") or 0}
    if read["point_in_time"] != bool(read["reach_hours"]):
        raise RecordInvalid("Point-in-time recovery reaches at least one hour back where it is on, and none where not.")
    for name in ("kept_daily", "kept_monthly", *TEST_FIGURES):
        read[name] = given.get(name)
        if name in known and read[name] is None:
            raise RecordInvalid(f"The figure {name} is missing.")
    for name, value in read.items():
        most = MOST_KEPT if name.startswith("kept") else LONGEST_FIGURE
        if value is not None and not 0 <= value <= most:
            raise RecordInvalid(f"The figure {name} may be 0 to {most:,}.")
    return read


def _evidence(evidence: Evidence) -> dict[str, str]:
    """Return the columns of evidence; a file is kept under its digest."""
    if not evidence:
        return {"evidence_sha256": "", "evidence_name": "", "evidence_link": ""}
    if evidence.report or evidence.name:
        return _kept(evidence)
    try:
        _is_link(evidence.link)
        _is_digest(evidence.sha256)
    except ValidationError as error:
        told = "An address of a report begins with http:// or https:// and comes with its SHA-256, 64 digits in hex."
        raise RecordInvalid(told) from error
    link = one_line(evidence.link, name="The address of the report", limit=500)
    return {"evidence_sha256": evidence.sha256, "evidence_name": "", "evidence_link": link}


def _kept(evidence: Evidence) -> dict[str, str]:
    if evidence.link:
        raise RecordInvalid("Send the report as a file or as an address, not both.")
    if not 0 < len(evidence.report) <= LIMIT:
        raise RecordInvalid(f"A report may have 1 byte to {LIMIT >> 20} MB.")
    sha256 = hashlib.sha256(evidence.report).hexdigest()
    try:
        ArtifactStore(settings.ARTIFACT_DIR).put([evidence.report], sha256=sha256, size=len(evidence.report))
    except StoreFull as error:
        raise EvidenceStoreFull(str(error)) from error
    name = one_line(evidence.name, name="The name of the report", limit=150)
    return {"evidence_sha256": sha256, "evidence_name": name, "evidence_link": ""}


def _keep(
    model: type[Row],
    environment: Environment,
    key: Mapping[str, Any],
    told: Mapping[str, Any],
    *,
    by: User | Actor,
    now: datetime,
) -> tuple[Row, bool]:
    """Keep it once: whoever tells the same of the same moment at the same time waits for the environment's row."""
    rows = cast("Manager[Row]", model._default_manager)
    same = rows.filter(environment=environment, **key).first()
    if same is not None:
        if any(getattr(same, name) != value for name, value in told.items()):
            raise RecordDiffers(f"Something else is on record of {environment} for that moment.")
        return same, False
    row = rows.create(
        workspace_id=environment.workspace_id,
        environment=environment,
        **key,
        **told,
        recorded_at=now,
        recorded_by=by if isinstance(by, User) else None,
        recorded_by_label=actor_of(by).label[:150],
    )
    return row, True


def _tell(
    kind: str, row: Evidenced, environment: Environment, summary: str, after: Mapping[str, Any], *, by: User | Actor
) -> None:
    evidence = {"evidence_sha256": row.evidence_sha256} if row.evidence_sha256 else {}
    audit.record(kind, by=by, target=row, environment_id=environment.pk, summary=summary, after={**after, **evidence})
    live.hint(environment.workspace_id, f"environment:{environment.pk}")


def _moment(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
