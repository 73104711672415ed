"""Reviews are owned, completed once for each day they are due, and told of by mail."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from typing import Any

import pytest
from django.core import mail
from django.db import IntegrityError, connection, transaction
from django.urls import reverse
from django.utils import timezone

from apps.accounts.models import Role, User
from apps.audit.models import AuditEvent
from apps.compliance import actions, jobs
from apps.compliance.access import access_at
from apps.compliance.actions.reviews import FLAG, KEEP, later, row_id
from apps.compliance.models import Review, ReviewDone
from apps.core.verdict import Conflict, Denied
from apps.environments import actions as environment_actions
from tests.cast import NOW
from tests.drill import get, post, text_of
from tests.world import World, last_event

pytestmark = pytest.mark.django_db
DUE = date(2026, 11, 20)


def put(world: World, kind: str = "POLICY", **fields: Any) -> Review:
    values = {"title": "It", "asks": "Look.", "interval_months": 3, "next_due_date": DUE, **fields}
    if "owner" not in values:
        values.setdefault("owner_role", Role.objects.get(code="SECURITY"))
    return actions.set_review(world.cast.platform, kind=kind, by=world.cast.devops, now=NOW, **values)


def test_months_later_ends_with_the_month() -> None:
    assert [later(date(2026, 11, 30), months) for months in (1, 3, 12)] == [
        date(2026, 12, 30), date(2027, 2, 28), date(2027, 11, 30),
    ]  # fmt: skip


def test_owner_completes_it_with_the_policies_in_force_and_the_next_one_follows(world: World) -> None:
    review = put(world)

    done = actions.complete(
        review, due_date=DUE, note="They hold.", with_policies=True, by=world.cast.security, now=NOW
    )

    review.refresh_from_db()
    assert (review.next_due_date, done.was_late) == (date(2027, 2, 20), False)
    assert {row["tier"] for row in done.details["policies"]} >= {"QA", "PRODUCTION"}
    event = last_event("review.completed")
    assert (event.actor_label, event.reason) == ("Security", "They hold.")
    assert event.change["policies"]["after"] == done.details["policies"]
    with pytest.raises(IntegrityError), transaction.atomic():
        ReviewDone.objects.update(note="Other")


def test_others_do_not_complete_it_and_nobody_twice(world: World) -> None:
    review = put(world)
    with pytest.raises(Denied, match="Only its owner"):
        actions.complete(review, due_date=DUE, note="x", by=world.cast.devops, now=NOW)
    actions.complete(review, due_date=DUE, note="x", by=world.cast.security, now=NOW)

    with pytest.raises(Conflict, match="Security completed it already"):
        actions.complete(review, due_date=DUE, note="x", by=world.cast.security, now=NOW)
    with pytest.raises(Denied):
        actions.end_review(review, by=world.cast.auditor, now=NOW)


def test_what_was_missed_for_long_is_due_an_interval_from_now(world: World) -> None:
    review = put(world, interval_months=1)

    done = actions.complete(review, due_date=DUE, note="x", by=world.cast.security, now=NOW + timedelta(days=200))

    review.refresh_from_db()
    assert (done.was_late, review.next_due_date) == (True, later((NOW + timedelta(days=200)).date(), 1))


def test_usual_reviews_are_put_on_once(world: World) -> None:
    first = actions.set_usual(world.cast.platform, by=world.cast.devops, now=NOW)

    assert len(first) == 6
    assert actions.set_usual(world.cast.platform, by=world.cast.devops, now=NOW) == []
    with pytest.raises(Denied):
        actions.set_usual(world.cast.customer, by=world.cast.customer_operator, now=NOW)
    assert len(actions.set_usual(world.cast.customer, by=world.cast.administrator, now=NOW)) == 6


def test_review_of_access_answers_every_row_but_ones_own(world: World) -> None:
    review, as_of = put(world, kind="ACCESS"), timezone.now()
    rows = access_at(as_of, [world.cast.platform.pk])
    answers = {row_id(row): KEEP for row in rows if row.who != "Security"}
    flagged = next(row for row in rows if row.who == "Auditor")
    values = {"due_date": DUE, "as_of": as_of, "note": "Looked", "by": world.cast.security, "now": NOW}
    with pytest.raises(Conflict, match="row by row"):
        actions.complete(review, due_date=DUE, note="x", by=world.cast.security, now=NOW)
    with pytest.raises(actions.NotAnswered, match="more than a day ago"):
        actions.complete_access(review, answers=answers, **{**values, "now": as_of + timedelta(days=2)})
    part = {key: answer for key, answer in answers.items() if key != row_id(flagged)}
    with pytest.raises(actions.NotAnswered, match="1 rows have no answer, the first is of Auditor"):
        actions.complete_access(review, answers=part, **values)

    done = actions.complete_access(review, answers={**answers, row_id(flagged): FLAG}, **values)

    said = {row["who"]: row["answer"] for row in done.details["access"]["rows"]}
    assert (said["Auditor"], said["Security"], said["DevOps"]) == ("FLAG", "OWN", "KEEP")
    event = last_event("review.completed")
    assert event.change["flagged"]["after"] == ["Auditor: Auditor"]
    assert event.change["own"]["after"] == 1


def test_page_of_access_review_keeps_answers_when_one_is_missing(world: World) -> None:
    review = put(world, kind="ACCESS")
    address = reverse("compliance:access-review", args=[review.pk])
    page = text_of(get(world.cast.security, address))
    as_of = page.split('name="as_of" value="')[1].split('"')[0]
    keys = [part.split('"')[0] for part in page.split('name="row-')[1:]]
    data = {"as_of": as_of, "due_date": DUE, "note": "Looked", **{f"row-{key}": KEEP for key in keys}}

    assert post(world.cast.security, address, {**data, "note": ""}).status_code == 422
    answer = post(world.cast.security, address, {**data, f"row-{keys[0]}": ""})
    assert answer.status_code == 422
    assert "1 rows have no answer" in text_of(answer)
    assert text_of(answer).count('value="KEEP" selected') == len(keys) - 1
    assert post(world.cast.devops, address, data).status_code == 403
    assert post(world.cast.security, address, data).status_code == 302
    assert "rows of access" in text_of(get(world.cast.security, reverse("compliance:review-detail", args=[review.pk])))


@pytest.mark.django_db(transaction=True)
def test_of_two_who_complete_at_once_one_does(world: World) -> None:
    with world.everything():
        review = put(world)
    barrier = threading.Barrier(4)

    def act(number: int) -> str:
        barrier.wait()
        try:
            with world.everything():
                actions.complete(review, due_date=DUE, note=f"By {number}", by=world.cast.security, now=NOW)
        except Conflict as refusal:
            return refusal.code
        finally:
            connection.close()
        return "completed"

    with ThreadPoolExecutor(4) as threads:
        answers = sorted(threads.map(act, range(4)))

    assert answers == ["completed"] + ["review_completed"] * 3
    with world.everything():
        assert ReviewDone.objects.count() == AuditEvent.objects.filter(kind="review.completed").count() == 1


def test_owners_are_told_once_before_it_is_due_and_once_after(world: World, settings: Any) -> None:
    User.objects.filter(pk=world.cast.security.pk).update(email="security@example.test")
    today = timezone.now().date()
    review = put(world, next_due_date=today + timedelta(days=2))
    put(world, title="Far", next_due_date=today + timedelta(days=60))

    jobs.remind_owners()
    jobs.remind_owners()

    [letter] = mail.outbox
    assert (letter.to, letter.subject) == (["security@example.test"], "Review is due: It")
    assert f"/compliance/reviews/{review.pk}/" in letter.body
    Review.objects.filter(pk=review.pk).update(next_due_date=today - timedelta(days=1))
    jobs.remind_owners()
    assert mail.outbox[1].subject == "Review is overdue: It"
    assert AuditEvent.objects.filter(kind="review.reminded").count() == 2


def test_mail_that_is_not_taken_is_tried_again_later(
    world: World, monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    User.objects.filter(pk=world.cast.security.pk).update(email="security@example.test")
    review = put(world, next_due_date=timezone.now().date())
    settings.EMAIL_BACKEND, settings.EMAIL_HOST, settings.EMAIL_PORT = (
        "django.core.mail.backends.smtp.EmailBackend", "127.0.0.1", 1,
    )  # fmt: skip

    jobs.remind_owners()

    review.refresh_from_db()
    assert review.reminded_for is None
    assert review.mail_after is not None
    assert not AuditEvent.objects.filter(kind="review.reminded").exists()


def test_overdue_review_stands_on_the_dashboard_and_in_its_owners_calendar(world: World) -> None:
    put(world, title="Overdue one", next_due_date=timezone.now().date() - timedelta(days=3))
    _feed, secret = environment_actions.open_feed(by=world.cast.security, now=timezone.now())
    _feed, others = environment_actions.open_feed(by=world.cast.devops, now=timezone.now())

    board = text_of(get(world.cast.devops, reverse("dashboards:dashboard")))
    theirs, not_theirs = (
        text_of(get(world.cast.devops, reverse("calendar:feed", args=[each]))) for each in (secret, others)
    )

    assert "Overdue one</a>" in board
    assert "Due: Overdue one" in theirs
    assert "Overdue one" not in not_theirs
