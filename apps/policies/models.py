from functools import lru_cache

from django.db import models
from django.db.models import F, Q

from apps.environments.enums import Tier
from apps.environments.models import person
from apps.policies import documents
from apps.policies.clauses import TierPolicy
from apps.policies.enums import ProposalState
from apps.policies.querysets import PolicyQuerySet, ProposalQuerySet
from apps.workspaces.models import TenantModel


class PolicyVersion(TenantModel):
    """The rules of one tier as one numbered document that never changes; one version of a tier is in force.

    `document` has the shape that `apps.policies.documents.parse` reads; `digest` is the SHA-256 (hex) over its
    canonical JSON.
    """

    tier = models.CharField(max_length=10, choices=Tier)
    number = models.PositiveIntegerField()
    document = models.JSONField()
    digest = models.CharField(max_length=64)
    reason = models.CharField(max_length=300)
    created_at = models.DateTimeField()
    created_by = person(null=True, blank=True)
    is_active = models.BooleanField(default=False)
    is_published = models.BooleanField(default=True)

    objects = PolicyQuerySet.as_manager()

    class Meta:
        ordering = ["tier", "-number"]
        constraints = [
            models.UniqueConstraint(name="policy_number_once", fields=["tier", "number"]),
            models.UniqueConstraint(name="policy_in_force_once", fields=["tier"], condition=Q(is_active=True)),
            models.CheckConstraint(name="policy_tier_known", condition=Q(tier__in=Tier.values)),
        ]

    def __str__(self) -> str:
        return f"{self.tier} policy {self.number}"

    @property
    def rules(self) -> TierPolicy:
        """What the document says. It never changes, so it is read once in a process."""
        return _rules_of(self)


@lru_cache(maxsize=64)
def _rules_of(version: PolicyVersion) -> TierPolicy:
    return documents.parse(version.document)


class PolicyProposal(TenantModel):
    """Another policy of a tier, as somebody wrote it, until somebody else puts it in force or turns it down.

    `source` is the YAML text as it was written, `document` what it says, `digest` as in `PolicyVersion`. `based_on` was
    in force when it was written: once another version is, the proposal is of the past. `commit` is the one of the
    policies' repository that says so, where it came from there.
    """

    tier = models.CharField(max_length=10, choices=Tier)
    source = models.TextField()
    commit = models.CharField(max_length=64, blank=True)
    document = models.JSONField()
    digest = models.CharField(max_length=64)
    reason = models.CharField(max_length=300)
    based_on = models.ForeignKey(PolicyVersion, on_delete=models.PROTECT, related_name="+")
    proposed_at = models.DateTimeField()
    proposed_by = person()
    state = models.CharField(
        max_length=9, choices=[(state.value, state.label) for state in ProposalState], default=ProposalState.OPEN
    )
    decided_at = models.DateTimeField(null=True, blank=True)
    decided_by = person(null=True, blank=True)
    comment = models.CharField(max_length=300, blank=True)
    version = models.OneToOneField(
        PolicyVersion, null=True, blank=True, on_delete=models.PROTECT, related_name="proposal"
    )

    objects = ProposalQuerySet.as_manager()

    class Meta:
        ordering = ["-proposed_at", "-pk"]
        indexes = [models.Index(name="proposal_by_tier", fields=["tier", "-proposed_at", "-id"])]
        constraints = [
            models.CheckConstraint(name="proposal_tier_known", condition=Q(tier__in=Tier.values)),
            models.CheckConstraint(
                name="proposal_decided_whole",
                condition=Q(state=ProposalState.OPEN, decided_at=None, decided_by=None, version=None)
                | Q(state=ProposalState.ACTIVATED, decided_at__isnull=False, version__isnull=False)
                | Q(
                    state__in=[ProposalState.REJECTED, ProposalState.WITHDRAWN],
                    decided_at__isnull=False,
                    decided_by__isnull=False,
                    version=None,
                ),
            ),
            models.CheckConstraint(
                name="proposal_activated_by_another",
                condition=~Q(state=ProposalState.ACTIVATED)
                | Q(decided_by__isnull=False) & ~Q(decided_by=F("proposed_by")),
            ),
        ]

    def __str__(self) -> str:
        return f"proposed {self.get_tier_display()} policy"

    @property
    def label(self) -> str:
        return ProposalState(self.state).label

    @property
    def tone(self) -> str:
        return ProposalState(self.state).tone
