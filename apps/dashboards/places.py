"""Environments as the dashboard shows them: their rule in a few words, and when something may start there."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import Any
from uuid import UUID

from django.contrib.postgres.expressions import ArraySubquery
from django.db.models import OuterRef, QuerySet, Subquery
from django.db.models.functions import JSONObject

from apps.environments.data_rules import DataRules, DataState, is_held
from apps.environments.enums import FreezeScope, Tier
from apps.environments.models import Environment, Freeze, Window
from apps.environments.windows import WindowRule, WindowState, window_state
from apps.policies import records
from apps.policies.clauses import Gate, When
from apps.policies.models import PolicyVersion
from apps.policies.recovery import Measure

ICONS = {Tier.LOCAL: "monitor", Tier.DEV: "sprout", Tier.QA: "flask-conical", Tier.STAGING: "git-compare",
         Tier.PRODUCTION: "shield"}  # fmt: skip
NO_TIME = timedelta(0)


@dataclass(frozen=True)
class Place:
    """An environment with the policy document of its tier (None when none is in force), its windows and its freeze.

    `measures` hold its backups against the policy, empty where that asks for none; `data` says how its data stand, None
    where nothing is asked of them, and `holds_data` whether there are any, by the records.
    """

    environment: Environment
    document: Mapping[str, Any] | None
    windows: tuple[WindowRule, ...]
    freeze: Freeze | None
    state: WindowState | None
    measures: tuple[Measure, ...] = ()
    data: DataState | None = None
    holds_data: bool = False

    @property
    def lacks(self) -> tuple[Measure, ...]:
        """What keeps it from being ready for a deployment: what its backups fall short of."""
        return tuple(measure for measure in self.measures if not measure.is_met)

    @property
    def data_rules(self) -> DataRules:
        """What data its tier may hold, by the policy in force."""
        return records.rules_of(self.environment.tier, self.document)

    @property
    def id(self) -> UUID:
        return self.environment.pk

    @property
    def name(self) -> str:
        return self.environment.name

    @property
    def icon(self) -> str:
        return ICONS[Tier(self.environment.tier)]

    @property
    def rule(self) -> str:
        """What stands between a release and this environment, in a few words."""
        words = rule_of(self.document)
        if self.freeze:
            return f"{words} · frozen"
        if self.state is None:
            return words
        return f"{words} · {'open now' if self.state.is_open else 'window closed'}"


def one(environment: Environment, freezes: Sequence[Freeze], *, now: datetime) -> Place:
    """Load an environment's policy and windows, in one query; the environment itself is at hand."""
    found = _with_rules(Environment.objects.filter(pk=environment.pk).select_related("workspace"))
    return place_of(found.get(), freezes, now=now)


def load(workspaces: tuple[UUID, ...], freezes: Iterable[Freeze], *, now: datetime, tier: str = "") -> list[Place]:
    """Load the standing environments of these workspaces, in promotion order, in one query."""
    environments = Environment.objects.visible_in(workspaces).standing().select_related("workspace")
    if tier:
        environments = environments.filter(tier=tier)
    frozen = list(freezes)
    return [place_of(environment, frozen, now=now) for environment in _with_rules(environments)]


def _with_rules(environments: "QuerySet[Environment]") -> "QuerySet[Environment]":
    policy = PolicyVersion.objects.filter(tier=OuterRef("tier"), is_active=True).values("document")[:1]
    rule = JSONObject(
        kind="kind", weekdays="weekdays", starts_at="starts_at", ends_at="ends_at", zone="zone", label="label"
    )
    windows = Window.objects.filter(environment=OuterRef("pk")).order_by("pk").annotate(rule=rule).values("rule")
    return records.with_records(environments).annotate(policy=Subquery(policy), rules=ArraySubquery(windows))


def place_of(environment: Any, freezes: Sequence[Freeze], *, now: datetime) -> Place:
    rules = tuple(map(_rule, environment.rules))
    freeze = next((freeze for freeze in freezes if is_frozen_by(freeze, environment)), None)
    state = window_state(rules, now, lasting=NO_TIME) if rules else None
    return Place(
        environment,
        environment.policy,
        rules,
        freeze,
        state,
        records.backups_of(environment, environment.policy, now),
        records.data_of(environment, environment.policy, now),
        is_held(environment.refreshed_at, environment.removed_at),
    )


def _rule(raw: Mapping[str, Any]) -> WindowRule:
    starts_at, ends_at = time.fromisoformat(raw["starts_at"]), time.fromisoformat(raw["ends_at"])
    return WindowRule(raw["kind"], frozenset(raw["weekdays"]), starts_at, ends_at, raw["zone"], raw["label"])


def rule(window: Window) -> WindowRule:
    """Return a window as the pure functions take it."""
    return WindowRule(
        window.kind, frozenset(window.weekdays), window.starts_at, window.ends_at, window.zone, window.label
    )


def is_frozen_by(freeze: Freeze, environment: Environment) -> bool:
    """Say whether a freeze holds the whole environment."""
    if freeze.scope == FreezeScope.ENVIRONMENT:
        return freeze.environment_id == environment.pk
    return freeze.scope == FreezeScope.ALL or (
        freeze.scope == FreezeScope.WORKSPACE and freeze.workspace_id == environment.workspace_id
    )


def rule_of(document: Mapping[str, Any] | None) -> str:
    """Say in a few words what a tier's policy asks of every release: how many approve, or how many gates there are."""
    if document is None:
        return "No policy"
    clauses = document.get("clauses", ())
    usual = [row for row in clauses if row.get("when") != When.EMERGENCY and "traits" not in row.get("settings", {})]
    gates = [clause["gate"] for clause in usual if clause.get("owner") != "CUSTOMER"]
    approvals = gates.count(Gate.APPROVALS)
    if not approvals:
        return f"Automatic, {len(set(gates))} gates"
    return f"{approvals} approval{'s' if approvals > 1 else ''}"


def frozen_now(workspaces: tuple[UUID, ...], now: datetime) -> list[Freeze]:
    """Return the freezes in force that these workspaces see, with what they freeze.

    Its workspace apart: a customer sees a freeze of everything, and not the platform's workspace, whose it is.
    """
    places = ("environment__workspace", "lane__environment__workspace", "lane__service", "frozen_by")
    freezes = Freeze.objects.visible_in(workspaces).in_force(now)
    return list(freezes.select_related(*places).prefetch_related("workspace"))
