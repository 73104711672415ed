from typing import Any

from django.db import models
from django.db.models import F, Func, Q, Value

from apps.accounts.enums import Proof
from apps.accounts.models import Role
from apps.approvals.enums import OPEN_PROMOTION, Choice, NoticeKind, PromotionState
from apps.approvals.querysets import (
    ChecklistLineQuerySet,
    DecisionQuerySet,
    DelegationQuerySet,
    PromotionQuerySet,
    RequirementQuerySet,
    TickQuerySet,
    WaiverQuerySet,
)
from apps.configuration.models import ConfigurationVersion
from apps.environments.models import Lane, all_or_none, person
from apps.incidents.models import Incident
from apps.policies.checklists import Phase
from apps.policies.clauses import WAIVABLE, Gate
from apps.policies.facts import Origin
from apps.policies.gates import TITLES
from apps.releases.models import Evidence, Release
from apps.releases.traits import Trait
from apps.workspaces.models import Membership, TenantModel


class Promotion(TenantModel):
    """The intent to bring one release, with one configuration version, to one lane. It never holds the lane.

    `plan` is what approvers are shown and `plan_hash` the SHA-256 (hex) over its canonical JSON; `gates` is the last
    evaluation: a list of {"name", "outcome", "sentence", "evidence", "who", "next_open"} in the policy's order.
    With an `incident` it was asked for as an emergency, and is one while that is open; `was_emergency`: it started as
    one. `origin` is what the repository said of its release beside the commit `cut_from`, which Production ran then.
    """

    number = models.BigIntegerField(db_default=Func(Value("promotion_number"), function="nextval"), editable=False)
    release = models.ForeignKey(Release, on_delete=models.PROTECT, related_name="promotions")
    lane = models.ForeignKey(Lane, on_delete=models.PROTECT, related_name="promotions")
    configuration = models.ForeignKey(ConfigurationVersion, on_delete=models.PROTECT, related_name="promotions")
    state = models.CharField(max_length=10, choices=PromotionState, default=PromotionState.PENDING)
    plan = models.JSONField()
    plan_hash = models.CharField(max_length=64)
    gates = models.JSONField(default=list)
    gates_at = models.DateTimeField(null=True, blank=True)
    policy_version = models.PositiveIntegerField()
    starts_by_itself = models.BooleanField(default=True)
    reason = models.CharField(max_length=300, blank=True)
    incident = models.ForeignKey(Incident, null=True, blank=True, on_delete=models.PROTECT, related_name="promotions")
    was_emergency = models.BooleanField(default=False, db_default=False)
    cut_from = models.CharField(max_length=64, blank=True, db_default="", default="")
    origin = models.CharField(
        max_length=10, blank=True, db_default="", default="", choices=[(each.value, each.value) for each in Origin]
    )
    requested_at = models.DateTimeField()
    requested_by = person(null=True, blank=True)
    requested_by_label = models.CharField(max_length=150)
    ready_at = models.DateTimeField(null=True, blank=True)
    expires_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True, blank=True)
    outcome = models.CharField(max_length=300, blank=True)

    objects = PromotionQuerySet.as_manager()

    class Meta:
        ordering = ["-number"]
        constraints = [
            models.UniqueConstraint(
                name="promotion_open_once", fields=["release", "lane"], condition=Q(state__in=OPEN_PROMOTION)
            ),
            models.CheckConstraint(name="promotion_state_known", condition=Q(state__in=PromotionState.values)),
            models.CheckConstraint(
                name="promotion_ended_whole",
                condition=Q(state__in=OPEN_PROMOTION, ended_at=None)
                | (~Q(state__in=OPEN_PROMOTION) & Q(ended_at__isnull=False)),
            ),
        ]
        indexes = [
            # What waits is listed newest first, of one workspace and of several, and read no further than it is shown.
            models.Index(
                name="promotion_waiting",
                fields=["workspace", "-requested_at", "-id"],
                condition=Q(state__in=OPEN_PROMOTION),
            ),
            models.Index(
                name="promotion_newest_waiting", fields=["-requested_at", "-id"], condition=Q(state__in=OPEN_PROMOTION)
            ),
        ]

    def __str__(self) -> str:
        return f"promotion #{self.number}"

    @property
    def label(self) -> str:
        return PromotionState(self.state).label

    @property
    def tone(self) -> str:
        return PromotionState(self.state).tone

    @property
    def is_open(self) -> bool:
        return self.state in OPEN_PROMOTION

    @property
    def is_emergency(self) -> bool:
        """Whether the incident that lets it pass is still open: needs `with_subject`."""
        return self.incident is not None and self.incident.is_open

    @property
    def traits(self) -> tuple[Trait, ...]:
        """What it was, when it was last planned, that asks for more people."""
        return tuple(map(Trait, self.plan.get("traits", ())))

    @property
    def subject(self) -> str:
        """What it is about, in words: needs `with_subject`."""
        return f"{self.release.service} {self.release} to {self.lane.environment}"


class Requirement(TenantModel):
    """One role that must approve, by a person who used no other requirement of the promotion. Never merged.

    `clause` asks for it, and each clause by itself: two that name one role are two requirements. Empty where a portal
    of before wrote it. `ended_at` is set when it is no longer asked for; decisions on it stay where they are. It waits
    since it was asked, or since a decision on it became void, and what was told in that time is told once. Nobody can
    decide since `stuck_since`.
    """

    promotion = models.ForeignKey(Promotion, on_delete=models.PROTECT, related_name="requirements")
    role = models.ForeignKey(Role, on_delete=models.PROTECT, related_name="+")
    clause = models.CharField(max_length=11, blank=True, db_default="", default="")
    position = models.PositiveSmallIntegerField()
    reason = models.CharField(max_length=200)
    ended_at = models.DateTimeField(null=True, blank=True)
    waits_since = models.DateTimeField(null=True, blank=True)
    reminded_at = models.DateTimeField(null=True, blank=True)
    escalated_at = models.DateTimeField(null=True, blank=True)
    stuck_since = models.DateTimeField(null=True, blank=True)

    objects = RequirementQuerySet.as_manager()

    class Meta:
        ordering = ["promotion", "position"]
        constraints = [
            models.UniqueConstraint(name="requirement_of_clause_once", fields=["promotion", "role", "clause"])
        ]

    def __str__(self) -> str:
        return self.role_id


class Notice(TenantModel):
    """What one person was told of a requirement that nobody answers: kept for their inbox, and mailed once.

    `mail_after` is when it may be tried to mail it, None when there is nothing to do: mailed, not wanted, or given up.
    """

    requirement = models.ForeignKey(Requirement, on_delete=models.PROTECT, related_name="notices")
    kind = models.CharField(max_length=10, choices=NoticeKind)
    recipient = person()
    told_at = models.DateTimeField()
    mail_after = models.DateTimeField(null=True, blank=True)
    mail_tries = models.PositiveSmallIntegerField(default=0)
    mailed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["told_at"]
        constraints = [
            models.UniqueConstraint(name="notice_once", fields=["requirement", "kind", "recipient", "told_at"]),
            models.CheckConstraint(name="notice_kind_known", condition=Q(kind__in=NoticeKind.values)),
            models.CheckConstraint(name="notice_mailed_once", condition=Q(mailed_at=None) | Q(mail_after=None)),
        ]
        indexes = [
            models.Index(name="notice_recipient", fields=["recipient"]),
            models.Index(name="notice_unmailed", fields=["mail_after"], condition=Q(mail_after__isnull=False)),
        ]

    def __str__(self) -> str:
        return f"{self.kind} to {self.recipient_id}"


class Delegation(TenantModel):
    """A role that its holder lends to another member of the workspace while they are absent. Ended, never removed.

    It hangs on the holder's own membership: one that ended stays ended, so a role that is given back revives nothing,
    and what somebody has by delegation alone can't be handed on. In force from `begins_at`, until before `ends_at`.
    """

    membership = models.ForeignKey(Membership, on_delete=models.PROTECT, related_name="+")
    delegate = person()
    reason = models.CharField(max_length=300)
    begins_at = models.DateTimeField()
    ends_at = models.DateTimeField()
    given_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True, blank=True)
    end_reason = models.CharField(max_length=200, null=True, blank=True)  # noqa: DJ001 set with ended_at or not at all

    objects = DelegationQuerySet.as_manager()

    class Meta:
        ordering = ["-given_at"]
        constraints = [
            models.CheckConstraint(name="delegation_lasts", condition=Q(ends_at__gt=F("begins_at"))),
            all_or_none("delegation_ended_whole", "ended_at", "end_reason"),
        ]
        indexes = [models.Index(name="delegation_standing", fields=["delegate"], condition=Q(ended_at=None))]

    def __str__(self) -> str:
        return f"{self.membership_id} to {self.delegate_id}"

    @property
    def sentence(self) -> str:
        """Who lends what to whom: needs `with_people`."""
        return f"{self.membership.role} of {self.membership.user} to {self.delegate}"


class Decision(TenantModel):
    """What one person said on one requirement, bound to the plan that was shown. Voided, never changed.

    `on_behalf_of` lent them the role by `delegation`; without, they hold it themselves.
    `confirmed_with` says how they confirmed that it is them; empty where the policy did not ask.
    """

    requirement = models.ForeignKey(Requirement, on_delete=models.PROTECT, related_name="decisions")
    promotion = models.ForeignKey(Promotion, on_delete=models.PROTECT, related_name="decisions")
    choice = models.CharField(max_length=7, choices=Choice)
    comment = models.TextField(max_length=2000, blank=True)
    plan_hash = models.CharField(max_length=64)
    decided_at = models.DateTimeField()
    decided_by = person()
    on_behalf_of = person(null=True, blank=True)
    delegation = models.ForeignKey(Delegation, null=True, blank=True, on_delete=models.PROTECT, related_name="+")
    # Said by the query `with_backing`.
    is_backed: bool
    confirmed_with = models.CharField(max_length=13, choices=Proof, blank=True, db_default="", default="")
    voided_at = models.DateTimeField(null=True, blank=True)
    void_reason = models.CharField(max_length=200, null=True, blank=True)  # noqa: DJ001 set with voided_at or not at all

    objects = DecisionQuerySet.as_manager()

    class Meta:
        ordering = ["decided_at"]
        constraints = [
            models.UniqueConstraint(name="decision_once", fields=["requirement"], condition=Q(voided_at=None)),
            models.UniqueConstraint(
                name="decision_person_once", fields=["promotion", "decided_by"], condition=Q(voided_at=None)
            ),
            models.UniqueConstraint(
                name="decision_holder_once", fields=["promotion", "on_behalf_of"], condition=Q(voided_at=None)
            ),
            models.CheckConstraint(name="decision_of_two_people", condition=~Q(decided_by=F("on_behalf_of"))),
            all_or_none("decision_delegated_whole", "on_behalf_of", "delegation"),
            models.CheckConstraint(name="decision_choice_known", condition=Q(choice__in=Choice.values)),
            models.CheckConstraint(
                name="decision_proof_known", condition=Q(confirmed_with="") | Q(confirmed_with__in=Proof.values)
            ),
            all_or_none("decision_voided_whole", "voided_at", "void_reason"),
        ]

    def __str__(self) -> str:
        return f"{self.choice} by {self.decided_by_id}"

    @property
    def people(self) -> str:
        """Who decided, and for whom: needs `with_people`."""
        return " for ".join(map(str, self.named))

    @property
    def named(self) -> list[Any]:
        return [person for person in (self.decided_by, self.on_behalf_of) if person]


class Waiver(TenantModel):
    """One gate that a person lets one promotion pass, on the plan that was shown, for a time. Voided, never changed."""

    promotion = models.ForeignKey(Promotion, on_delete=models.PROTECT, related_name="waivers")
    gate = models.CharField(max_length=30)
    role = models.ForeignKey(Role, on_delete=models.PROTECT, related_name="+")
    reason = models.CharField(max_length=300)
    plan_hash = models.CharField(max_length=64)
    granted_at = models.DateTimeField()
    granted_by = person()
    expires_at = models.DateTimeField()
    voided_at = models.DateTimeField(null=True, blank=True)
    void_reason = models.CharField(max_length=200, null=True, blank=True)  # noqa: DJ001 set with voided_at or not at all

    objects = WaiverQuerySet.as_manager()

    class Meta:
        ordering = ["granted_at"]
        constraints = [
            models.UniqueConstraint(name="waiver_once", fields=["promotion", "gate"], condition=Q(voided_at=None)),
            models.CheckConstraint(name="waiver_gate_known", condition=Q(gate__in=list(WAIVABLE))),
            models.CheckConstraint(name="waiver_lasts", condition=Q(expires_at__gt=F("granted_at"))),
            all_or_none("waiver_voided_whole", "voided_at", "void_reason"),
        ]

    def __str__(self) -> str:
        return f"waiver of {self.title.lower()}"

    @property
    def title(self) -> str:
        return TITLES[Gate(self.gate)]


class ChecklistLine(TenantModel):
    """A line of a checklist that a promotion is asked to have ticked, as the policy says it. Ended, never changed.

    `clause` asks for the checklist. The line ticks itself by the gate of the clause `follows`; without, who holds
    `role` ticks it, and where `job` says so a job may, too. After the deployment it is owed until `due_at`.
    """

    promotion = models.ForeignKey(Promotion, on_delete=models.PROTECT, related_name="checklist_lines")
    clause = models.CharField(max_length=11)
    checklist = models.CharField(max_length=40)
    title = models.CharField(max_length=120)
    phase = models.CharField(max_length=4, choices=[(phase.value, phase.value) for phase in Phase])
    position = models.PositiveSmallIntegerField()
    line = models.CharField(max_length=40)
    text = models.CharField(max_length=120)
    role = models.ForeignKey(Role, null=True, blank=True, on_delete=models.PROTECT, related_name="+")
    follows = models.CharField(max_length=11, blank=True)
    job = models.BooleanField(default=False)
    asked_at = models.DateTimeField()
    due_at = models.DateTimeField(null=True, blank=True)
    judged_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)
    end_reason = models.CharField(max_length=200, null=True, blank=True)  # noqa: DJ001 set with ended_at or not at all

    objects = ChecklistLineQuerySet.as_manager()

    class Meta:
        ordering = ["promotion", "asked_at", "position"]
        constraints = [
            models.UniqueConstraint(
                name="checklist_line_once",
                fields=["promotion", "phase", "checklist", "line"],
                condition=Q(ended_at=None),
            ),
            models.CheckConstraint(name="checklist_line_phase_known", condition=Q(phase__in=list(Phase))),
            models.CheckConstraint(
                name="checklist_line_ticked_one_way",
                condition=Q(role=None) & ~Q(follows="") | Q(role__isnull=False, follows=""),
            ),
            models.CheckConstraint(name="checklist_line_job_beside_role", condition=Q(job=False) | Q(follows="")),
            models.CheckConstraint(
                name="checklist_line_due_afterwards",
                condition=Q(phase=Phase.PRE, due_at=None) | Q(phase=Phase.POST, due_at__isnull=False),
            ),
            all_or_none("checklist_line_ended_whole", "ended_at", "end_reason"),
        ]
        indexes = [
            models.Index(
                name="checklist_line_owed", fields=["workspace", "due_at"], condition=Q(phase=Phase.POST, ended_at=None)
            )
        ]

    def __str__(self) -> str:
        return self.text


class Tick(TenantModel):
    """That a line was seen to: by one person on the plan that was shown, by a job whose word is in `evidence`, or by
    the gate that the line goes by.

    `note` is what they say of it, what the job gave as proof, or what the gate said. Taken back with a reason by
    `voided_by` (by the job itself without), or voided by the portal; never changed.
    """

    line = models.ForeignKey(ChecklistLine, on_delete=models.PROTECT, related_name="ticks")
    promotion = models.ForeignKey(Promotion, on_delete=models.PROTECT, related_name="ticks")
    note = models.CharField(max_length=500, blank=True)
    plan_hash = models.CharField(max_length=64)
    ticked_at = models.DateTimeField()
    ticked_by = person(null=True, blank=True)
    on_behalf_of = person(null=True, blank=True)
    delegation = models.ForeignKey(Delegation, null=True, blank=True, on_delete=models.PROTECT, related_name="+")
    evidence = models.ForeignKey(Evidence, null=True, blank=True, on_delete=models.PROTECT, related_name="+")
    voided_at = models.DateTimeField(null=True, blank=True)
    voided_by = person(null=True, blank=True)
    void_reason = models.CharField(max_length=300, null=True, blank=True)  # noqa: DJ001 set with voided_at or not at all
    # Said by the query `with_backing`.
    is_backed: bool

    objects = TickQuerySet.as_manager()

    class Meta:
        ordering = ["ticked_at"]
        constraints = [
            models.UniqueConstraint(name="tick_once", fields=["line"], condition=Q(voided_at=None)),
            models.CheckConstraint(name="tick_of_two_people", condition=~Q(ticked_by=F("on_behalf_of"))),
            models.CheckConstraint(
                name="tick_of_person_or_job", condition=Q(evidence=None) | Q(ticked_by=None, on_behalf_of=None)
            ),
            all_or_none("tick_delegated_whole", "on_behalf_of", "delegation"),
            all_or_none("tick_voided_whole", "voided_at", "void_reason"),
        ]

    def __str__(self) -> str:
        return f"tick of {self.line_id}"

    @property
    def people(self) -> str:
        """Who ticked it, and for whom: needs `with_people`."""
        if self.evidence is not None:
            return f"{self.evidence.received_from_label} (a job)"
        if self.ticked_by is None:
            return "its gate"
        return " for ".join(map(str, self.named))

    @property
    def named(self) -> list[Any]:
        return [person for person in (self.ticked_by, self.on_behalf_of) if person]
