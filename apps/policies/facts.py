"""Everything that gates may know, as plain frozen data. Whoever judges has looked it all up before."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum
from typing import Any


@dataclass(frozen=True)
class ReleaseFacts:
    """`order` sorts by SemVer precedence: (major, minor, patch, precedence); `commit` is empty where none was named."""

    version: str
    order: tuple[int, int, int, str]
    state: str
    is_prerelease: bool = False
    quarantine_reason: str = ""
    commit: str = ""


@dataclass(frozen=True)
class ArtifactFacts:
    """`parts` counts what this machine needs, `stored` how much of it the store holds; what is in `gone` is neither
    in the store nor to be had from the package index.
    """

    digest: str
    sealed_digest: str
    parts: int
    stored: int
    gone: tuple[str, ...] = ()

    @property
    def is_stored(self) -> bool:
        return self.digest == self.sealed_digest and self.parts == self.stored


@dataclass(frozen=True)
class AcceptedFacts:
    """So many findings of one severity in a report, which a person accepted from `since` on, until before `until`."""

    severity: str
    count: int
    by: str
    since: datetime
    until: datetime


@dataclass(frozen=True)
class ReportFacts:
    """The newest report of its kind and subject, made of what the release was sealed with.

    `kind` and `figures` as `releases.EvidenceKind` and `releases.reports.read` say; `subject` is the suite of tests or
    the scanner, builder or tool; `label` names it for people; `where` is the environment, empty where it was none of
    ours.
    """

    kind: str
    subject: str
    label: str
    figures: Mapping[str, Any]
    at: datetime
    where: str = ""
    accepted: tuple[AcceptedFacts, ...] = ()


@dataclass(frozen=True)
class BaselineFacts:
    """What runs in Production, which a release is measured by: its newest benchmarks of each tool; `order` as there."""

    version: str
    order: tuple[int, int, int, str]
    reports: tuple[ReportFacts, ...] = ()


@dataclass(frozen=True)
class ApiFacts:
    """What the release's API description says beside that of `version`, which runs in Production; `order` as there.

    `is_compared` is False while they are being compared, `is_whole` where that was given up. `breaking_in` and
    `undecided_in` name the first operations with such changes. `removed` are the first operations that are gone, each
    with the day until which it was promised to stay (None: it was never announced to end), the last day first.
    """

    version: str
    order: tuple[int, int, int, str]
    is_described: bool = False
    is_version_described: bool = False
    is_compared: bool = False
    is_whole: bool = True
    breaking: int = 0
    undecided: int = 0
    compatible: int = 0
    breaking_in: tuple[str, ...] = ()
    undecided_in: tuple[str, ...] = ()
    removed: tuple[tuple[str, date | None], ...] = ()


@dataclass(frozen=True)
class EventFacts:
    """A major version of an event, such as "orders.placed 1", and its minor versions: in what runs in Production, and
    in the release; None where it is not published. `consumers` names the services that opted in. `is_checked`, the
    counts and `worst` are of the release's schema beside lower ones: path and rule of what does not fit.
    """

    name: str
    old_minor: int | None = None
    new_minor: int | None = None
    is_dropped: bool = False
    consumers: tuple[str, ...] = ()
    is_checked: bool = True
    breaking: int = 0
    undecided: int = 0
    worst: tuple[str, ...] = ()


@dataclass(frozen=True)
class EventsFacts:
    """What the release publishes beside `version`, which runs in Production ("" where nothing does), and whether each
    of them has a list of its events.
    """

    version: str = ""
    is_listed: bool = False
    is_version_listed: bool = False
    events: tuple[EventFacts, ...] = ()


@dataclass(frozen=True)
class TierPassed:
    """One tier on the way here. `at` is None when the release has not succeeded there.

    It soaks since `soaks_since`, None while something is wrong there; `watched_closely`: its lane was under a close
    watch since it succeeded.
    """

    tier: str
    at: datetime | None = None
    where: str = ""
    promotion: str = ""
    soaks_since: datetime | None = None
    watched_closely: bool = False


@dataclass(frozen=True)
class AnswerFacts:
    """What was said last of a release where the lane takes it from, in a word of `environments.Answer`.

    `at` is when whoever knows said so, None where nobody has yet; `trouble` is why nobody did when it was `asked_at`.
    """

    answer: str
    detail: str
    at: datetime | None
    asked_by: str = ""
    asked_at: datetime | None = None
    trouble: str = ""


@dataclass(frozen=True)
class FallbackFacts:
    """A release that the lane could go back to, best first: what runs now, then what ran before.

    One that `is_elsewhere` is taken from outside of this installation's store, and goes by `answer`: None where nobody
    has asked yet.
    """

    release: ReleaseFacts
    artifact: ArtifactFacts | None
    configuration: str
    is_elsewhere: bool = False
    answer: AnswerFacts | None = None


@dataclass(frozen=True)
class MigrationFacts:
    """A data migration between what runs and what would, the version that brings it, its class as releases say it."""

    name: str
    migration_class: str
    sha256: str
    version: str = ""

    @property
    def is_forward_only(self) -> bool:
        return self.migration_class == "FORWARD_ONLY"


@dataclass(frozen=True)
class RecordFacts:
    """What counts of an environment's records of one kind: of backups the newest that succeeded, of tests the newest.

    `kind` is a word of `environments.RecordKind`, the figures are those of `environments.RecoveryRecord`.
    """

    kind: str
    at: datetime
    succeeded: bool = True
    point_in_time: bool = False
    reach_hours: int = 0
    kept_daily: int | None = None
    kept_monthly: int | None = None
    rpo_minutes: int | None = None
    rto_minutes: int | None = None


@dataclass(frozen=True)
class FreezeFacts:
    scope: str
    reason: str
    by: str
    ends_at: datetime | None = None


@dataclass(frozen=True)
class HoldFacts:
    reason: str
    since: datetime


@dataclass(frozen=True)
class WindowFacts:
    """`is_open` already means: open for as long as a deployment is expected to last."""

    is_open: bool
    sentence: str
    next_open: datetime | None = None


@dataclass(frozen=True)
class DecisionFacts:
    """A decision that nobody voided. `holds_role` says whether the person holds the role at this moment, or is still
    there as the one for whom they decided is. `person_label` names both.
    """

    person: str
    person_label: str
    plan_hash: str
    lapses_at: datetime
    holds_role: bool


@dataclass(frozen=True)
class RequirementFacts:
    """One role that must approve. `may_decide` names the people who could do so now."""

    role: str
    label: str
    decision: DecisionFacts | None = None
    may_decide: tuple[str, ...] = ()


@dataclass(frozen=True)
class TickFacts:
    """A tick that nobody took back or voided. `holds_role` is as of now; `by` names also for whom they ticked."""

    by: str
    at: datetime
    note: str
    plan_hash: str
    holds_role: bool


@dataclass(frozen=True)
class LineFacts:
    """A line of a checklist that somebody has to tick, by the ids of both; `label` is that of the role."""

    checklist: str
    line: str
    label: str
    tick: TickFacts | None = None


@dataclass(frozen=True)
class WaiverFacts:
    """A gate that somebody lets this promotion pass, on one plan, until before `until`. `holds_role` is as of now."""

    gate: str
    role: str
    by: str
    reason: str
    plan_hash: str
    until: datetime
    holds_role: bool


@dataclass(frozen=True)
class ServiceFacts:
    """What one service's configuration says in an environment: `source` names its version, in effect since `at`.

    `production` is what the same service says in Production; None where it doesn't run there. `lane` is its id.
    """

    name: str
    source: str
    values: Mapping[str, str]
    at: datetime | None = None
    production: Mapping[str, str] | None = None
    lane: str = ""


@dataclass(frozen=True)
class ProbeFacts:
    """The lowest version of TLS that an address of a service took, such as "1.2"; "" where no handshake came about."""

    service: str
    address: str
    version: str
    at: datetime | None = None
    lane: str = ""


@dataclass(frozen=True)
class EnvironmentFacts:
    """What an environment is seen to be, by the services that run in it."""

    services: tuple[ServiceFacts, ...] = ()
    probes: tuple[ProbeFacts, ...] = ()


class Origin(StrEnum):
    """Where a hotfix was cut, as the repository says."""

    PRODUCTION = "PRODUCTION"
    ELSEWHERE = "ELSEWHERE"
    UNTOLD = "UNTOLD"


@dataclass(frozen=True)
class EmergencyFacts:
    """The open incident for which an emergency was asked, such as "#3", and what Production runs, None for nothing.

    `origin` is where its release was cut, None while the repository is being asked; `commits` are that of what
    Production runs and its own.
    """

    incident: str
    production: ReleaseFacts | None = None
    origin: Origin | None = Origin.UNTOLD
    commits: tuple[str, ...] = ()


@dataclass(frozen=True)
class OverdueFacts:
    """What an emergency of the service left owed until `due_at`, which is over, and nobody has done."""

    what: str
    incident: str
    due_at: datetime


@dataclass(frozen=True)
class Facts:
    """`at` is the moment of judging, UTC. `path` runs from the first tier to the one before this, empty at the start.

    `window` is None where no window is set; `fallbacks` is empty where nothing runs yet; `api` and `baseline` are None
    where nothing runs in Production yet; `emergency` is None in an ordinary case. `repository` is the service's. `seen`
    is the environment with what the promotion brings; None where no clause asks for it.
    """

    at: datetime
    service: str
    environment: str
    plan_hash: str
    release: ReleaseFacts
    artifact: ArtifactFacts | None
    reports: tuple[ReportFacts, ...] = ()
    api: ApiFacts | None = None
    migrations: tuple[MigrationFacts, ...] = ()
    events: EventsFacts = field(default_factory=EventsFacts)
    baseline: BaselineFacts | None = None
    repository: str = ""
    path: tuple[TierPassed, ...] = ()
    live: ReleaseFacts | None = None
    fallbacks: tuple[FallbackFacts, ...] = ()
    records: tuple[RecordFacts, ...] = ()
    freezes: tuple[FreezeFacts, ...] = ()
    hold: HoldFacts | None = None
    window: WindowFacts | None = None
    requirements: tuple[RequirementFacts, ...] = ()
    lines: tuple[LineFacts, ...] = ()
    waivers: tuple[WaiverFacts, ...] = ()
    emergency: EmergencyFacts | None = None
    overdue: tuple[OverdueFacts, ...] = ()
    seen: EnvironmentFacts | None = None
