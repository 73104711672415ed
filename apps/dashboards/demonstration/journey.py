"""Brings the demonstration's programs up by the way that every release goes: asked for, approved, deployed.

Nothing is kept here between two looks: what is to be done next is read from the database, so that a start that was
killed goes on where it was.
"""

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from apps.accounts import actions as account_actions
from apps.accounts.confirmation import Confirmation, Given
from apps.accounts.models import User
from apps.accounts.permissions import NotConfirmed
from apps.approvals import actions
from apps.approvals.enums import Choice, PromotionState
from apps.approvals.models import Promotion
from apps.core.verdict import Refusal
from apps.dashboards.demonstration.catalogue import GREETER
from apps.dashboards.demonstration.people import PASSWORD
from apps.deployments import actions as deployment_actions
from apps.deployments.enums import DeploymentState
from apps.environments.models import Lane
from apps.policies.enums import Outcome
from apps.releases.enums import ReleaseState
from apps.releases.models import Release

ALL_THE_WAY = ("dev", "qa", "staging", "production")
DECIDERS = {
    "ENGINEERING_MANAGER": "engineering-manager",
    "DEVOPS": "devops",
    "CUSTOMER_OPERATOR": "customer-operator",
    "ARCHITECTURE_REVIEWER": "architect",
}
TICKERS = {**DECIDERS, "RELEASE_ENGINEER": "release-engineer", "SECURITY": "security"}

GIVEN = Given(password=PASSWORD)

MOST_ATTEMPTS = 3
WAIVED = "A program of another project: its own tests measure its coverage"

Say = Callable[[str], None]


@dataclass(frozen=True)
class Goal:
    """One release of one service, and the environments that it comes to, in this order."""

    service: str
    version: str
    environments: tuple[str, ...]
    decided: bool = True
    """False: the last promotion is left to the visitor, to approve, report or waive what it waits for."""


# Two releases in Production each, so that there is something to roll back to; newer ones wait for the visitor.
GOALS = (
    Goal("package-index", "2.3.2", ALL_THE_WAY),
    Goal("package-index", "2.3.2", ("customer-production",)),
    Goal("package-index", "2.4.0", ALL_THE_WAY),
    Goal("package-index", "2.4.1", ALL_THE_WAY, decided=False),
    Goal("calendar", "3.7.7", ALL_THE_WAY),
    Goal("calendar", "3.7.8", ALL_THE_WAY[:3]),
    Goal("calendar", "3.8.0", ALL_THE_WAY[:1]),
    Goal("file-share", "4.3.3", ALL_THE_WAY),
    Goal("file-share", "4.3.4", ALL_THE_WAY[:3], decided=False),
    Goal("greeter", "1.0.1", ALL_THE_WAY),
    Goal("greeter", "1.1.0", ALL_THE_WAY),
    Goal("greeter", "2.0.0", ALL_THE_WAY[:3]),
)


class Journey:
    """Looks at what has been reached and takes the next step of each service; one service never waits for another."""

    def __init__(
        self,
        lanes: Mapping[tuple[str, str], Lane],
        people: Mapping[str, User],
        say: Say,
        goals: tuple[Goal, ...] = GOALS,
    ) -> None:
        self.lanes, self.people, self.say = lanes, people, say
        self.goals = [goal for goal in goals if all((goal.service, place) in lanes for place in goal.environments)]
        self.told: set[tuple[str, str]] = set()
        self.confirmed: dict[UUID, Confirmation | None] = {}

    def step(self, now: datetime) -> bool:
        """This function will do what can be done now and return whether anything is still to come.

        The caller opens a scope that sees the workspaces of all lanes.
        """
        steps = [self._step_of(service, now) for service in dict.fromkeys(goal.service for goal in self.goals)]
        return any(steps)

    def _step_of(self, service: str, now: datetime) -> bool:
        for goal in self.goals:
            if goal.service != service:
                continue
            release = Release.objects.filter(service__slug=service, version=goal.version).first()
            if release is None:
                return True
            for place in goal.environments:
                left_to_visitor = not goal.decided and place == goal.environments[-1]
                waits = self._bring(release, self.lanes[service, place], left_to_visitor, now)
                if waits is not None:
                    return waits
        return False

    def _bring(self, release: Release, lane: Lane, left_to_visitor: bool, now: datetime) -> bool | None:
        """Return None when the release got there, True while it is under way, False when it will not."""
        named = f"{release.service.name} {release.version} in {lane.environment.name}"
        asked = Promotion.objects.filter(release=release, lane=lane).order_by("-number").first()
        if asked is None:
            return self._ask(release, lane, named, now)
        if asked.state == PromotionState.COMPLETED:
            self._tell(f"{named}: runs", str(asked.pk))
            return None
        if not asked.is_open:
            self._tell(f"{named}: {asked.label.lower()}. {asked.outcome}", str(asked.pk))
            return False
        if left_to_visitor:
            self._tell(f"{named}: waits for you", str(asked.pk))
            return None
        self._waive_coverage(asked, now)
        self._tick(asked, now)
        self._approve(asked, now)
        return self._start_again(asked, named, now)

    def _ask(self, release: Release, lane: Lane, named: str, now: datetime) -> bool | None:
        if release.state != ReleaseState.SEALED:
            self._tell(f"{named}: {release.label.lower()}", named)
            return False
        try:
            actions.request_promotion(
                release, lane=lane, by=self.people["release-engineer"], now=now, reason="Demonstration"
            )
        except actions.AlreadyRuns:
            return None
        except Refusal as refusal:
            # A visitor was quicker, or has changed what runs: theirs is the world now.
            self._tell(f"{named}: {refusal}", named)
            return False
        return True

    def _tick(self, promotion: Promotion, now: datetime) -> None:
        """Tick what is asked before the start; what is owed afterwards is left to the visitor."""
        if promotion.state != PromotionState.PENDING:
            return
        for line in promotion.checklist_lines.open().filter(follows=""):
            promotion.refresh_from_db()
            person = self.people[TICKERS[str(line.role_id)]]
            try:
                actions.tick(line, note="", plan_hash=promotion.plan_hash, by=person, now=now)
            except (actions.StalePlan, actions.NotWaiting, actions.AlreadyTicked):
                return  # looked at again at the next step
        promotion.refresh_from_db()

    def _approve(self, promotion: Promotion, now: datetime) -> None:
        if promotion.state != PromotionState.PENDING:
            return
        for requirement in promotion.requirements.filter(ended_at=None):
            if requirement.decisions.filter(voided_at=None).exists():
                continue
            promotion.refresh_from_db()
            person = self.people[DECIDERS[requirement.role_id]]
            try:
                actions.decide(
                    requirement,
                    choice=Choice.APPROVE,
                    comment="Seen in Staging",
                    plan_hash=promotion.plan_hash,
                    by=person,
                    now=now,
                    confirmation=self._confirmation(person, now),
                )
            except (actions.StalePlan, actions.NotWaiting, actions.AlreadyDecided, NotConfirmed):
                return  # looked at again at the next step

    def _waive_coverage(self, promotion: Promotion, now: datetime) -> None:
        """Programs of other projects come without their tests, so nobody here can say how much of them those reach."""
        held = any((row["name"], row["outcome"]) == ("coverage", Outcome.WAITING) for row in promotion.gates)
        if promotion.release.service.slug == GREETER or not held:
            return
        with suppress(actions.StalePlan, actions.NotWaiting, actions.NothingToWaive):
            actions.waive(
                promotion,
                gate="coverage",
                reason=WAIVED,
                hours=24,
                plan_hash=promotion.plan_hash,
                by=self.people["engineering-manager"],
                now=now,
            )

    def _confirmation(self, person: User, now: datetime) -> Confirmation | None:
        """Confirm with the password that the person was given, as often as people have to."""
        kept = self.confirmed.get(person.pk)
        if kept is None or now >= kept.until:
            kept = account_actions.confirm(person, GIVEN, place=None, now=now).confirmation
            self.confirmed[person.pk] = kept
        return kept

    def _start_again(self, promotion: Promotion, named: str, now: datetime) -> bool:
        """Return whether it goes on. What did not run is started again by a person alone."""
        if promotion.state != PromotionState.READY:
            return True
        attempts = list(promotion.deployments.order_by("-number"))
        if not attempts or attempts[0].state != DeploymentState.ERRORED:
            return True
        self._tell(f"{named}: {attempts[0].outcome}", str(attempts[0].pk))
        if len(attempts) >= MOST_ATTEMPTS:
            return False
        try:
            deployment_actions.start_deployment(promotion, by=self.people["release-engineer"], now=now)
        except Refusal:
            return True  # looked at again at the next step
        return True

    def _tell(self, sentence: str, about: str) -> None:
        if (about, sentence) not in self.told:
            self.told.add((about, sentence))
            self.say(sentence)
