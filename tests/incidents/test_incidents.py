"""What can be done with an incident: by whom, when, and what stays of it."""

from typing import Any
from uuid import uuid4

import pytest
from django.db import IntegrityError, transaction

from apps.audit.models import AuditEvent
from apps.core.texts import TextInvalid
from apps.core.verdict import Denied
from apps.incidents import actions, transitions
from apps.incidents.actions import Attempt
from apps.incidents.enums import EntryKind, IncidentState
from apps.incidents.models import Entry, Incident
from apps.incidents.transitions import IncidentOver
from tests.approvals.test_races import at_once
from tests.cast import NOW
from tests.world import World, last_event

TITLE = "Sign-in fails for every second customer"


def declare(world: World, **values: Any) -> Incident:
    wanted = {"title": TITLE, "severity": "SEV2", "environment": world.production, "service": world.service,
              "by": world.cast.devops, "now": NOW, **values}  # fmt: skip
    return actions.declare(wanted.pop("workspace", world.cast.platform), **wanted)


def kinds(incident: Incident) -> list[str]:
    return list(incident.entries.order_by("at", "pk").values_list("kind", flat=True))


def test_it_is_declared_noted_and_resolved_and_the_ledger_says_so(world: World) -> None:
    incident = declare(world, what="Since ten o'clock")
    actions.add_note(incident, text="Seen in the logs", by=world.cast.security, now=NOW)
    actions.change_severity(incident, severity="SEV1", by=world.cast.engineering_manager, now=NOW)
    actions.resolve(incident, resolution="Rolled back", by=world.cast.devops, now=NOW)
    actions.add_note(incident, text="The cause was a cache", by=world.cast.devops, now=NOW)

    incident = Incident.objects.get(pk=incident.pk)
    assert (incident.state, incident.severity, incident.resolution) == ("RESOLVED", "SEV1", "Rolled back")
    assert sorted(kinds(incident)) == ["DECLARED", "NOTE", "NOTE", "RESOLVED", "SEVERITY"]
    assert incident.entries.get(kind=EntryKind.SEVERITY).text == "SEV2 to SEV1"
    event = last_event("incident.resolved")
    assert (event.environment_id, event.service_id) == (world.production.pk, world.service.pk)
    assert event.change["state"] == {"before": "OPEN", "after": "RESOLVED"}
    assert last_event("incident.severity_changed").change["severity"] == {"before": "SEV2", "after": "SEV1"}


def test_who_answers_for_releases_their_operation_or_security_declares_and_nobody_else(world: World) -> None:
    cast = world.cast
    for person in (cast.devops, cast.engineering_manager, cast.security):
        assert declare(world, by=person).declared_by == person
    for person in (cast.release_engineer, cast.auditor, cast.customer_operator, cast.outsider):
        with pytest.raises(Denied):
            declare(world, by=person)
    incident = declare(world)
    for refused in (
        lambda: actions.add_note(incident, text="Mine", by=cast.auditor, now=NOW),
        lambda: actions.change_severity(incident, severity="SEV1", by=cast.release_engineer, now=NOW),
        lambda: actions.resolve(incident, resolution="Mine", by=cast.auditor, now=NOW),
        lambda: actions.link_deployment(incident, attempt(world), by=cast.auditor, now=NOW),
    ):
        with pytest.raises(Denied):
            refused()
    theirs = declare(world, workspace=cast.customer, environment=world.customer_production, by=cast.customer_operator)
    assert theirs.workspace == cast.customer


def attempt(world: World, workspace: Any = None) -> Attempt:
    return Attempt(world.release.pk, (workspace or world.cast.platform).pk, "Deployment #1")


def test_what_does_not_belong_together_is_refused(world: World) -> None:
    with pytest.raises(actions.IncidentInvalid, match="not an environment of"):
        declare(world, environment=world.customer_production)
    with pytest.raises(actions.IncidentInvalid, match="no severity"):
        declare(world, severity="SEV5")
    with pytest.raises(TextInvalid):
        declare(world, title=" ")
    incident = declare(world)
    with pytest.raises(actions.IncidentInvalid, match="not a deployment of"):
        actions.link_deployment(incident, attempt(world, world.cast.customer), by=world.cast.devops, now=NOW)
    with pytest.raises(actions.IncidentInvalid, match="SEV2 already"):
        actions.change_severity(incident, severity="SEV2", by=world.cast.devops, now=NOW)


def test_what_is_resolved_stays_so_and_a_line_of_the_timeline_never_changes(world: World) -> None:
    incident = actions.resolve(declare(world), resolution="Rolled back", by=world.cast.devops, now=NOW)

    with pytest.raises(IncidentOver):
        actions.change_severity(incident, severity="SEV1", by=world.cast.devops, now=NOW)
    for change in (
        lambda: Incident.objects.filter(pk=incident.pk).update(
            state="OPEN", resolved_at=None, resolved_by=None, resolution=""
        ),
        lambda: Entry.objects.filter(incident=incident).update(text="Nothing happened"),
        lambda: Entry.objects.filter(incident=incident).delete(),
    ):
        with pytest.raises(IntegrityError), transaction.atomic():
            change()


def test_every_state_has_its_row_and_its_event() -> None:
    assert transitions.TABLE.keys() == set(IncidentState) == transitions.WHEN.keys()
    assert not transitions.TABLE[IncidentState.RESOLVED]
    assert set(transitions.KINDS) == set().union(*transitions.TABLE.values())


@pytest.mark.django_db(transaction=True)
def test_two_who_resolve_at_once_and_a_third_who_changes_the_severity(world: World) -> None:
    with world.everything():
        incident = declare(world)
    by = world.cast.devops

    ended = at_once(
        world,
        *[lambda: actions.resolve(incident, resolution="Rolled back", by=by, now=NOW)] * 2,
        lambda: actions.change_severity(incident, severity="SEV1", by=by, now=NOW),
    )

    said = [type(each).__name__ for each in ended]
    assert sorted(said[:2]) == ["Incident", "IncidentOver"]
    with world.everything():
        changed = said[2] == "Incident"
        assert Incident.objects.get(pk=incident.pk).severity == ("SEV1" if changed else "SEV2")
        assert AuditEvent.objects.filter(kind="incident.resolved").count() == 1
        assert kinds(incident).count("SEVERITY") == changed


@pytest.mark.django_db(transaction=True)
def test_two_who_pay_the_same_debt_at_once(world: World) -> None:
    with world.everything():
        incident = declare(world)
        [debt, _] = actions.owe(incident, promotion_id=uuid4(), subject="It", roles=(), now=NOW)
        assert actions.owe(incident, promotion_id=uuid4(), subject="Another", roles=(), now=NOW) == []

    paid = at_once(world, *[lambda: actions.pay(debt, words="wiki/1", by=world.cast.devops, now=NOW)] * 2)

    assert sorted(type(each).__name__ for each in paid) == ["Debt", "DebtPaid"]
    with world.everything():
        assert AuditEvent.objects.filter(kind="incident.paid").count() == 1
