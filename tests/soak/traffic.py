"""The people of the soak: they start, roll back and cancel on hundreds of lanes, as fast as the workers can follow."""

import json
import random
import threading
from collections import Counter
from dataclasses import dataclass, field

from django.conf import settings
from django.db import Error, connection
from django.utils import timezone

from apps.approvals import actions as approval_actions
from apps.core.platform import PLATFORM_WORKSPACE_ID
from apps.core.verdict import Refusal
from apps.deployments import actions
from apps.deployments.models import Deployment
from apps.environments import actions as environment_actions
from apps.environments.enums import Tier
from apps.environments.models import Hold, Lane
from apps.integrations.atomic_file import write_atomically
from apps.releases.models import Release, Service
from apps.workspaces.scope import workspace_scope
from tests.cast import Cast, make_cast
from tests.deployments.reference import BEHAVIOUR
from tests.world import make_environment, make_lane, make_service, sealed_release

SERVICES, ENVIRONMENTS = 10, 20
MOST_OPEN = 24
NATURES = ("good",) * 16 + ("unready", "sick", "buggy", "untouched")
CANCELLED, ROLLED_BACK = 0.05, 0.1
USES_OF_A_RELEASE = 8


@dataclass
class Traffic:
    """Many lanes and those who deploy to them; `counts` says what was asked."""

    cast: Cast
    lanes: list[Lane]
    counts: Counter[str] = field(default_factory=Counter)
    releases: dict[object, tuple[Release, int]] = field(default_factory=dict)
    behaviour: dict[str, dict[str, str]] = field(default_factory=dict)
    over: threading.Event = field(default_factory=threading.Event)
    patch: int = 0

    @classmethod
    def make(cls) -> "Traffic":
        with workspace_scope([PLATFORM_WORKSPACE_ID]):
            cast = make_cast()
        with workspace_scope([cast.platform.pk]):
            services = [make_service(cast.platform, f"service-{number}") for number in range(SERVICES)]
            places = [make_environment(cast.platform, f"Dev {number}", Tier.DEV) for number in range(ENVIRONMENTS)]
            return cls(cast, [make_lane(place, service) for place in places for service in services])

    def go_on(self) -> None:
        """Ask for one thing after the other until `over`."""
        while not self.over.is_set():
            try:
                with workspace_scope([self.cast.platform.pk]):
                    busy = Deployment.objects.open().count()
                if busy >= MOST_OPEN:
                    self.over.wait(0.2)
                else:
                    self._one(random.choice(self.lanes))
            except Refusal as refusal:
                self.counts[f"refused: {refusal.code}"] += 1
            except Error:
                self.counts["no answer from the database"] += 1
                connection.close()
                self.over.wait(0.5)
        connection.close()

    def _one(self, lane: Lane) -> None:
        with workspace_scope([self.cast.platform.pk]):
            for hold in Hold.objects.open().filter(lane=lane):
                environment_actions.lift_hold(hold, reason="Looked at", by=self.cast.devops, now=timezone.now())
        if random.random() < ROLLED_BACK:
            with workspace_scope([self.cast.platform.pk]):
                actions.roll_back(lane, reason="Worse", by=self.cast.devops, now=timezone.now())
            self.counts["rolled back by a person"] += 1
            return
        release = self._release(lane.service)
        with workspace_scope([self.cast.platform.pk]):
            promotion = approval_actions.request_promotion(
                release, lane=lane, by=self.cast.release_engineer, now=timezone.now(), starts_by_itself=False
            )
        with workspace_scope([self.cast.platform.pk]):
            started = actions.start_deployment(promotion, by=self.cast.release_engineer, now=timezone.now())
        self.counts["started"] += 1
        if random.random() < CANCELLED:
            self.over.wait(random.random())
            with workspace_scope([self.cast.platform.pk]):
                actions.cancel_deployment(started, reason="No", by=self.cast.devops, now=timezone.now())
            self.counts["cancelled by a person"] += 1

    def _release(self, service: Service) -> Release:
        known, uses = self.releases.get(service.pk, (None, 0))
        if known is None or uses >= USES_OF_A_RELEASE:
            known = self._next(service)
            uses = 0
        self.releases[service.pk] = known, uses + 1
        return known

    def _next(self, service: Service) -> Release:
        self.patch += 1
        version = f"1.0.{self.patch}"
        nature = random.choice(NATURES)
        if nature != "good":
            self.behaviour[version] = BEHAVIOUR[nature]
            settings.TARGET_DIR.mkdir(parents=True, exist_ok=True)
            write_atomically(settings.TARGET_DIR / "behaviour.json", json.dumps(self.behaviour))
        with workspace_scope([self.cast.platform.pk]):
            return sealed_release(service, version, by=self.cast.release_engineer, now=timezone.now())
