"""What the pages of controls show: each control with what its checks say now."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import Q

from apps.audit.models import AuditEvent
from apps.audit.querysets import EventQuerySet
from apps.compliance import checks
from apps.compliance.catalogue import Control, Framework, frameworks
from apps.compliance.checks import Result, Scope
from apps.compliance.enums import Status

COLUMNS = ("framework", "control", "title", "status", "asks", "met_by", "checks", "said", "evidence", "not_shown")


@dataclass(frozen=True)
class Shown:
    """A control and what its checks said. Without a check, the portal computes nothing of it."""

    control: Control
    results: tuple[tuple[str, Result], ...]

    @property
    def status(self) -> Status:
        return checks.worst([result for _name, result in self.results])

    @property
    def sentence(self) -> str:
        worst = [result.sentence for _name, result in self.results if result.status == self.status]
        return worst[0] if worst else "Nothing is computed of this: see what the portal can't show."


@dataclass(frozen=True)
class ShownFramework:
    framework: Framework
    controls: tuple[Shown, ...]

    def count(self, status: Status) -> int:
        return sum(shown.status == status for shown in self.controls)

    @property
    def met(self) -> int:
        return self.count(Status.MET)

    @property
    def attention(self) -> int:
        return self.count(Status.ATTENTION)

    @property
    def not_shown(self) -> int:
        return self.count(Status.NOT_SHOWN)


def shown_now(scope: Scope) -> list[ShownFramework]:
    """This function will run every check once and say how each control stands."""
    said = checks.run(set(checks.CHECKS), scope)
    return [
        ShownFramework(framework, tuple(_shown(control, said) for control in framework.controls))
        for framework in frameworks().values()
    ]


def shown(control: Control, scope: Scope) -> Shown:
    """This function will run the checks of one control."""
    return _shown(control, checks.run(set(control.checks), scope))


def proof_of(control: Control, workspaces: tuple[UUID, ...], *, since: datetime, until: datetime) -> EventQuerySet:
    """This function will return the entries of the ledger that prove a control, in a time."""
    kinds = [kind for kind in control.kinds if "." in kind]
    wanted = Q(kind__in=kinds)
    for noun in set(control.kinds) - set(kinds):
        wanted |= Q(kind__startswith=f"{noun}.")
    events: EventQuerySet = AuditEvent.objects.visible_in(workspaces)
    return events.filter(wanted, recorded_at__gte=since, recorded_at__lt=until)


def rows_of(found: list[ShownFramework]) -> list[dict[str, Any]]:
    """This function will write the mapping as it is exported, one row for each control."""
    return [
        {
            "framework": each.framework.name, "control": shown.control.id, "title": shown.control.title,
            "status": shown.status.value, "asks": shown.control.asks, "met_by": "; ".join(shown.control.met_by),
            "checks": " ".join(shown.control.checks),
            "said": " ".join(result.sentence for _name, result in shown.results),
            "evidence": " ".join(shown.control.kinds), "not_shown": shown.control.not_shown,
        }
        for each in found
        for shown in each.controls
    ]  # fmt: skip


def _shown(control: Control, said: Mapping[str, Result]) -> Shown:
    return Shown(control, tuple((name, said[name]) for name in control.checks))
