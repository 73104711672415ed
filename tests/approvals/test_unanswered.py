"""Approvals that nobody gives: who is told when, once each, on a test clock; and what the mail does and does not."""

import re
from datetime import timedelta

import pytest
from django.core import mail
from django.db import connection
from django.db.models import Value
from django.db.models.functions import Concat
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from apps.approvals import actions, jobs
from apps.approvals.actions.unanswered import due
from apps.approvals.enums import NoticeKind, PromotionState
from apps.approvals.inbox import gate_box, inbox_entries, told_to
from apps.approvals.models import Notice, Promotion, Requirement
from apps.audit.actors import SYSTEM
from apps.audit.models import AuditEvent
from apps.core.platform import PLATFORM_WORKSPACE_ID
from apps.policies.reminders import Reminders
from apps.workspaces import actions as workspace_actions
from apps.workspaces.models import Membership
from tests.approvals.promotions import ask_for_production, lend, put_in_force, say
from tests.cast import NOW
from tests.drill import get, text_of

HERE = (PLATFORM_WORKSPACE_ID,)
HOUR = timedelta(hours=1)
ALARM, REMINDER, ESCALATION = NoticeKind.ALARM, NoticeKind.REMINDER, NoticeKind.ESCALATION


@pytest.mark.parametrize(
    ("fields", "is_stuck", "after", "kinds"),
    [
        ({}, False, 3, []),
        ({}, False, 4, [REMINDER]),
        ({"reminded_at": NOW}, False, 23, []),
        ({"reminded_at": NOW}, False, 24, [ESCALATION]),
        ({"reminded_at": NOW, "escalated_at": NOW}, False, 700, []),
        ({"waits_since": NOW + 20 * HOUR}, False, 23, []),
        ({}, True, 0, [ALARM]),
        ({"stuck_since": NOW}, True, 4, []),
        ({"stuck_since": NOW}, True, 24, []),
    ],
)
def test_what_is_told_of_a_requirement_and_when(fields, is_stuck, after, kinds):
    requirement, promotion = Requirement(**fields), Promotion(requested_at=NOW)

    assert due(requirement, promotion, Reminders(), is_stuck=is_stuck, now=NOW + after * HOUR) == kinds


def sweep(after):
    actions.settle_waiting(workspace_id=PLATFORM_WORKSPACE_ID, now=NOW + after * HOUR)


def told(kind):
    return sorted(Notice.objects.filter(kind=kind).values_list("requirement__role", "recipient__username"))


def said(kind):
    return AuditEvent.objects.filter(kind=kind).count()


@pytest.mark.django_db
def test_one_that_nobody_answers_reminds_escalates_and_expires(world):
    cast, promotion = world.cast, ask_for_production(world)
    lend(cast.devops, "DEVOPS", to=cast.auditor)
    say(promotion, "ENGINEERING_MANAGER", cast.engineering_manager)

    sweep(3)
    assert not Notice.objects.exists()
    for after in (4, 5, 23):
        sweep(after)
    assert told(REMINDER) == [("DEVOPS", "auditor"), ("DEVOPS", "devops"), ("DEVOPS", "second-devops")]
    assert said("requirement.reminded") == 1
    [entry] = inbox_entries([Promotion.objects.with_subject().get(pk=promotion.pk)], cast.devops, now=NOW)
    assert (entry.is_reminded, entry.is_escalated) == (True, False)
    assert not told_to(cast.engineering_manager, HERE)

    for after in (24, 25):
        sweep(after)
    assert told(ESCALATION) == [("DEVOPS", "engineering-manager")]
    event = AuditEvent.objects.get(kind="requirement.escalated")
    assert event.summary.endswith("waits for DevOps and nobody answers. Told: Engineering manager")
    [_] = told_to(cast.engineering_manager, HERE)
    assert "Waits for DevOps, and nobody answers." in text_of(get(cast.engineering_manager, reverse("approvals:inbox")))

    promotion.refresh_from_db()
    actions.settle(promotion, now=promotion.expires_at)
    assert Promotion.objects.get(pk=promotion.pk).state == PromotionState.EXPIRED
    assert not told_to(cast.engineering_manager, HERE)


@pytest.mark.django_db
def test_the_policy_says_when_and_whom_and_a_void_decision_begins_anew(world):
    terms = {"remind_hours": 1, "escalate_hours": 2, "escalate_to": "SECURITY"}
    put_in_force("PRODUCTION", "previous_tier", roles=("DEVOPS",), reminders=terms)
    promotion = say(ask_for_production(world, starts_by_itself=False), "DEVOPS", world.cast.second_devops)
    sweep(3)
    assert not Notice.objects.exists()

    held = Membership.objects.current().get(user=world.cast.second_devops)
    workspace_actions.end_role(held, by=SYSTEM, now=NOW)
    sweep(4)
    assert promotion.requirements.get().waits_since == NOW + 4 * HOUR
    assert not Notice.objects.exists()
    sweep(6)
    assert told(REMINDER) == [("DEVOPS", "devops")]
    assert told(ESCALATION) == [("DEVOPS", "security")]


@pytest.mark.django_db
def test_a_requirement_that_nobody_can_meet_is_alarmed_once_and_told_to_who_can_change_that(world):
    cast, promotion = world.cast, ask_for_production(world)
    held = Membership.objects.current().get(user=cast.engineering_manager)
    workspace_actions.end_role(held, by=SYSTEM, now=NOW)

    for after in (1, 2):
        sweep(after)

    helpers = ("administrator", "devops", "second-devops", "security")
    assert told(ALARM) == [("ENGINEERING_MANAGER", person) for person in helpers]
    assert said("requirement.stuck") == 1
    alarm = "Nobody is left who could decide as Engineering manager."
    assert alarm in text_of(get(cast.security, reverse("approvals:inbox")))
    assert alarm not in text_of(get(cast.auditor, reverse("approvals:inbox")))
    assert "Nobody can approve this" in text_of(
        get(cast.devops, reverse("approvals:promotion-detail", args=[promotion.number]))
    )

    workspace_actions.grant_role(cast.security, role="ENGINEERING_MANAGER", workspace=cast.platform, by=SYSTEM, now=NOW)
    for after in (2.5, 2.6):
        sweep(after)
    assert said("requirement.freed") == 1
    assert not told_to(cast.security, HERE)
    box = gate_box(Promotion.objects.with_subject().get(pk=promotion.pk), cast.security, now=NOW)
    assert not any(row.is_stuck for row in box.requirements)


@pytest.mark.django_db
def test_where_only_those_are_left_who_have_a_part_in_it_nobody_can(world):
    """Lending is no way round: who may not decide can't lend the decision either."""
    cast = world.cast
    workspace_actions.end_role(Membership.objects.current().get(user=cast.second_devops), by=SYSTEM, now=NOW)
    release = world.next_release("1.1.0", committer=cast.devops)
    put_in_force("DEV", roles=("DEVOPS",))
    lend(cast.devops, "DEVOPS", to=cast.security)
    promotion = actions.request_promotion(
        release, lane=world.lane(world.dev), by=cast.release_engineer, now=NOW, reason="", starts_by_itself=True
    )

    sweep(0)

    assert promotion.requirements.get().stuck_since is not None
    assert said("requirement.stuck") == 1


@pytest.fixture
def with_mail(settings):
    settings.EMAIL_HOST, settings.PORTAL_URL = "mail.example", "https://portal.example"


@pytest.mark.django_db
def test_it_is_mailed_once_with_a_link_to_the_page(world, with_mail):
    type(world.cast.devops).objects.filter(pk=world.cast.devops.pk).update(email="devops@example.com")
    promotion = ask_for_production(world)
    sweep(4)
    Notice.objects.filter(mail_after__isnull=False).update(mail_after=NOW - HOUR * 24 * 365 * 5)

    for _ in range(2):
        jobs.see_to_approvals()

    [letter] = mail.outbox
    assert letter.to == ["devops@example.com"]
    assert letter.subject == f"Waits for you: {promotion.subject}"
    assert f"https://portal.example/approvals/promotions/{promotion.number}/\n" in letter.body
    assert said("notice.mailed") == 1
    assert not promotion.decisions.exists()


@pytest.mark.django_db
def test_a_server_that_refuses_is_tried_again_later_and_what_is_decided_is_not_mailed(world, with_mail, settings):
    settings.EMAIL_BACKEND, settings.EMAIL_HOST = "django.core.mail.backends.smtp.EmailBackend", "127.0.0.1"
    settings.EMAIL_PORT = 1
    type(world.cast.devops).objects.update(email=Concat("username", Value("@example.com")))
    promotion, long_ago = ask_for_production(world), NOW - HOUR * 24 * 365 * 5
    sweep(4)
    Notice.objects.update(mail_after=long_ago)
    say(promotion, "DEVOPS", world.cast.devops, now=NOW + 4 * HOUR)

    jobs.see_to_approvals()

    refused = Notice.objects.get(requirement__role="ENGINEERING_MANAGER")
    assert (refused.mail_tries, refused.mailed_at) == (1, None)
    assert refused.mail_after > long_ago
    assert not Notice.objects.exclude(pk=refused.pk).filter(mail_after__isnull=False).exists()


@pytest.mark.django_db
def test_all_that_nobody_answers_is_paged_in_as_many_queries_however_many_there_are(world):
    promotion, manager = ask_for_production(world), world.cast.engineering_manager
    address = reverse("approvals:unanswered-list")
    told_of(promotion, manager, range(2))
    assert "All of them" not in text_of(get(manager, reverse("approvals:inbox")))
    with CaptureQueriesContext(connection) as few:
        get(manager, address)

    told_of(promotion, manager, range(2, 60))

    with CaptureQueriesContext(connection) as many:
        page = get(manager, address).content.decode()
    assert (page.count("and nobody answers."), len(many)) == (50, len(few))
    older = re.search(r'rel="next" href="([^"]+)"', page)
    assert get(manager, address + older[1].replace("&amp;", "&")).content.decode().count("and nobody answers.") == 10
    inbox = text_of(get(manager, reverse("approvals:inbox")))
    assert (inbox.count("and nobody answers."), "All of them" in inbox) == (10, True)
    assert "and nobody answers." not in text_of(get(world.cast.auditor, address))


def told_of(promotion, recipient, numbers):
    """Tell somebody of so many requirements that nobody answers, each at its own moment."""
    asked = [
        Requirement(
            workspace_id=promotion.workspace_id, promotion=promotion, role_id="DEVOPS", clause=f"X-{number}",
            position=number, reason="A test", escalated_at=NOW + number * timedelta(minutes=1),
        )
        for number in numbers
    ]  # fmt: skip
    Requirement.objects.bulk_create(asked)
    Notice.objects.bulk_create(
        Notice(
            workspace_id=row.workspace_id, requirement=row, kind=ESCALATION, recipient=recipient,
            told_at=row.escalated_at,
        )
        for row in asked
    )  # fmt: skip
