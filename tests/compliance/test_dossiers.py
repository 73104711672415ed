"""What an auditor asks of a change, with no further question: each line told, and proved by an entry that is there."""

import hashlib
import io
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace as Row
from typing import Any

import jsonschema
import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone
from pypdf import PdfReader

from apps.accounts.models import User
from apps.audit import actions as audit
from apps.audit.actors import SYSTEM
from apps.audit.models import AuditEvent
from apps.compliance.dossiers import find
from apps.compliance.dossiers.change import Change, rules_of
from apps.compliance.dossiers.document import Dossier
from apps.compliance.dossiers.period import Period, period_dossier, sampled
from apps.configuration import actions as configuration_actions
from apps.deployments import actions as deployment_actions
from apps.deployments.models import Deployment
from apps.environments.models import Environment
from apps.incidents import actions as incident_actions
from apps.incidents.actions.incidents import Attempt
from apps.releases.models import Release
from apps.workspaces import actions as workspace_actions
from tests.api.test_create_release import make_token
from tests.approvals.promotions import approve_all, ask, bring
from tests.cast import make_person
from tests.drill import get, post, text_of
from tests.world import World, last_event

pytestmark = pytest.mark.django_db

SCHEMA = json.loads((Path(__file__).parents[2] / "static/schemas/dossier-1.json").read_text())


def start(world: World, environment: Environment, release: Release | None = None) -> Deployment:
    """Ask, approve and queue, now: the moment is the ledger's own."""
    promotion = ask(world, environment, release, now=timezone.now(), starts_by_itself=False)
    promotion = approve_all(promotion, world, now=timezone.now())
    deployment: Deployment = deployment_actions.start_deployment(promotion, by=world.cast.devops, now=timezone.now())
    return deployment


def dossier_of(deployment: Deployment, *, whole_log: bool = False) -> Dossier:
    return find.deployment((deployment.workspace_id,), deployment.number, whole_log=whole_log)[1]


def period_of(world: World, **asked: Any) -> Period:
    now = timezone.now()
    values = {
        "workspace": world.cast.platform, "environment": None, "since": now - timedelta(days=1),
        "until": now + timedelta(days=1), "seed": "seed", "size": 2,
    }  # fmt: skip
    return Period(**(values | asked))


def values(dossier: Dossier, key: str) -> list[Any]:
    return [row.values for row in dossier.section(key).rows]


def fact(dossier: Dossier, section: str, key: str) -> Any:
    return next(each.value for each in dossier.section(section).facts if each.key == key)


def test_deployment_tells_who_approved_what_on_which_plan(world: World) -> None:
    bring(world, world.staging)
    deployment = start(world, world.production)

    dossier = dossier_of(deployment)

    said = values(dossier, "approvals")
    assert {row["by"] for row in said} <= {"Engineering manager", "DevOps"}
    assert said
    assert all(row["plan"] == deployment.plan_hash and row["choice"] == "Approved" for row in said)
    assert fact(dossier, "plan", "recomputed") == deployment.plan_hash
    assert {row["held"] for row in values(dossier, "duties")} == {"Held"}
    did = {row["person"]: " ".join(row["did"]) for row in values(dossier, "people")}
    assert "asked for promotion" in did["Release engineer"]
    assert "approved as" in did["DevOps"]
    assert "started deployment" in did["DevOps"]
    gates = {row["gate"]: row for row in values(dossier, "gates")}
    assert gates["Approvals"]["outcome"] == "passed"
    assert gates["Approvals"]["clause"]
    assert gates["Approvals"]["rule"]
    assert f"version {deployment.promotion.policy_version} of the policy" in dossier.section("gates").says


def test_every_line_cites_entries_that_are_in_the_ledger(world: World) -> None:
    bring(world, world.staging)
    dossier = dossier_of(start(world, world.production))

    cited = {key for section in dossier.sections for key in section.cited()}
    assert cited == {each.id for each in dossier.entries} == set(dossier.numbers)
    assert AuditEvent.objects.filter(pk__in=cited).count() == len(cited)
    assert all(row.entries for row in dossier.section("approvals").rows)
    assert all(row.entries for row in dossier.section("history").rows)


def test_secrets_of_the_configuration_are_fingerprints(world: World) -> None:
    lane, now = world.lane(world.dev), timezone.now()
    for secret, host in (("hunter2-one", "a"), ("hunter2-two", "b")):
        configuration_actions.write_version(
            lane, values={"GREETING": "Hi", "API_TOKEN": secret, "DATABASE_URL": f"postgres://app:{secret}@{host}/x"},
            reason="New secrets", by=world.cast.devops, now=now,
        )  # fmt: skip

    dossier = dossier_of(start(world, world.dev))

    told = {row["name"]: row for row in values(dossier, "configuration")}
    assert told["API_TOKEN"]["after"].startswith("••••••")
    assert "hmac:" in told["API_TOKEN"]["after"]
    assert told["DATABASE_URL"]["after"].startswith("postgres://app:••••••@b/x hmac:")
    assert told["GREETING"]["after"] == "Hi"
    assert "hunter2" not in str(dossier.facts)


def test_unusual_things_come_first(world: World) -> None:
    deployment = start(world, world.dev)
    incident = incident_actions.declare(
        world.cast.platform, title="Greetings are late", severity="SEV2", environment=world.dev,
        by=world.cast.devops, now=timezone.now(),
    )  # fmt: skip
    attempt = Attempt(deployment.pk, deployment.workspace_id, "it")
    incident_actions.link_deployment(incident, attempt, by=world.cast.devops, now=timezone.now())

    dossier = dossier_of(deployment)

    assert [section.key for section in dossier.sections[:2]] == ["identity", "exceptions"]
    assert f"Incident #{incident.number}" in [row["what"] for row in values(dossier, "exceptions")]
    assert values(dossier, "incidents")[0]["title"] == "Greetings are late"


class Person(Row):
    def __str__(self) -> str:
        return str(self.name)

    def __hash__(self) -> int:
        return hash(self.name)


ASKER, MAKER, OTHER = (Person(name=name, pk=name) for name in ("asker", "maker", "other"))


def changed(**options: Any) -> tuple[Change, Any]:
    """Return a change with one approval by somebody else, or otherwise, and its release."""
    at = datetime(2026, 11, 18, tzinfo=UTC)
    by, holder = options.get("by", OTHER), options.get("holder")
    need = Row(pk=1, role="DevOps", ended_at=None)
    promotion = Row(
        number=1, plan_hash="plan", requested_by_id="asker", requested_by_label="asker",
        was_emergency=options.get("emergency", False), incident=None,
    )  # fmt: skip
    decision = Row(
        requirement_id=1, voided_at=None, choice="APPROVE", plan_hash=options.get("plan", "plan"), decided_by=by,
        decided_by_id=by.pk, on_behalf_of=holder, on_behalf_of_id=holder.pk if holder else None,
        decided_at=at + timedelta(hours=options.get("hours", 0)),
    )  # fmt: skip
    waivers = [
        Row(voided_at=None, granted_by=who, granted_by_id=who.pk, title="Tests") for who in options.get("waiver", ())
    ]
    deployment = Row(started_at=at + timedelta(hours=1))
    change: Any = Change(promotion, (need,), (decision,), tuple(waivers), (), (), (deployment,))  # type: ignore[arg-type]
    return change, Row(
        author_id="maker",
        committer_id=None,
        created_by_id="other",
        source="FORM",
        version="1.0.0",
        author_label="maker",
        created_by_label="other",
    )


@pytest.mark.parametrize(
    ("options", "broken"),
    [
        ({}, []),
        ({"by": ASKER}, ["Who asks does not approve"]),
        ({"holder": ASKER}, ["Who asks does not approve"]),
        ({"by": MAKER}, ["Who makes the release does not approve it"]),
        ({"plan": "another"}, ["Each role asked for approved this plan before the start"]),
        ({"plan": "another", "emergency": True}, []),
        ({"hours": 2}, ["Approvals came before the start"]),
        ({"waiver": [ASKER]}, ["Who asks does not waive"]),
        ({"waiver": [OTHER]}, []),
        ({"holder": OTHER}, ["Nobody approves twice"]),
    ],
)
def test_duties_are_judged_anew(options: dict[str, Any], broken: list[str]) -> None:
    change, release = changed(**options)

    assert [rule for rule, said, _seen in rules_of(change, release) if said] == broken


def test_release_tells_everything_that_became_of_it(world: World) -> None:
    bring(world, world.dev)
    deployment = start(world, world.qa)

    _release, dossier = find.release((world.cast.platform.pk,), "greeter", world.release.version, now=timezone.now())

    assert fact(dossier, "identity", "artifact") == world.release.artifact_digest
    assert values(dossier, "contents")[0]["sha256"] == world.release.artifact.manifest["wheels"][0]["sha256"]
    assert [row["to"] for row in values(dossier, "promotions")] == ["Dev", "QA"]
    assert [row["deployment"] for row in values(dossier, "deployments")] == [str(deployment)]
    evidence = values(dossier, "evidence")
    assert {len(row["sha256"]) for row in evidence} == {64}
    assert {row["of"] for row in evidence} == {"yes"}


def test_tenant_sees_only_its_own_of_a_release(world: World) -> None:
    bring(world, world.staging)
    ours = start(world, world.production)
    theirs = ask(world, world.customer_production, now=timezone.now())

    _release, dossier = find.release((world.cast.customer.pk,), "greeter", "1.0.0", now=timezone.now())

    assert [row["promotion"] for row in values(dossier, "promotions")] == [f"#{theirs.number}"]
    assert not dossier.section("deployments").rows
    assert not dossier.section("evidence").rows
    assert {each.workspace_id for each in dossier.entries} <= {str(world.cast.customer.pk)}
    with pytest.raises(Deployment.DoesNotExist):
        find.deployment((world.cast.customer.pk,), ours.number, whole_log=False)


def test_period_is_the_whole_population_and_its_counts_agree(world: World) -> None:
    bring(world, world.staging)
    queued = start(world, world.production)
    cancelled = start(world, world.dev, world.next_release("1.1.0"))
    deployment_actions.cancel_deployment(cancelled, reason="Not today", by=world.cast.devops, now=timezone.now())

    dossier = period_dossier(period_of(world), now=timezone.now())

    assert [row["deployment"] for row in values(dossier, "changes")] == [str(queued), str(cancelled)]
    assert {row["agrees"] for row in values(dossier, "counts")} == {"yes"}
    assert sum(row["number"] for row in values(dossier, "outcomes")) == 2
    assert "DevOps as DevOps" in values(dossier, "changes")[0]["approved"]
    assert all(row.entries for row in dossier.section("changes").rows)
    [only] = values(period_dossier(period_of(world, environment=world.production), now=timezone.now()), "changes")
    assert only["deployment"] == str(queued)


def test_what_ledger_and_record_do_not_agree_on_is_told_first(world: World) -> None:
    known = start(world, world.dev)
    # Two that came past the engine: a row without an entry, and an entry without a row.
    unknown = Deployment.objects.get(pk=known.pk)
    unknown.pk, unknown.number, unknown.state = "0198d0aa-0000-7000-8000-000000000001", known.number + 1, "CANCELLED"
    unknown.ended_at, unknown.target_key = timezone.now(), "elsewhere"
    unknown.save(force_insert=True)
    ghost = Row(pk="0198d0aa-0000-7000-8000-000000000002", _meta=Row(model_name="deployment"), workspace_id=None)
    tell(world, ghost)

    dossier = period_dossier(period_of(world), now=timezone.now())

    first = dossier.section("exceptions").rows[:2]
    assert {row.values["what"] for row in first} == {"Missing from the record", "Missing from the ledger"}
    assert [row["agrees"] for row in values(dossier, "counts")].count("NO") >= 2


def tell(world: World, target: Any) -> None:
    audit.record("deployment.queued", by=SYSTEM, target=target, summary="A ghost", workspace_id=world.cast.platform.pk)


def test_refusals_and_changes_of_access_are_listed_with_their_numbers(world: World) -> None:
    workspace_actions.grant_role(
        world.cast.outsider, role="AUDITOR", workspace=world.cast.platform, by=world.cast.administrator,
        now=timezone.now(),
    )  # fmt: skip
    with world.everything():
        post(world.cast.auditor, reverse("compliance:review-setup"), {"workspace": world.cast.platform.slug})

    with world.everything():
        dossier = period_dossier(period_of(world), now=timezone.now())

    assert "membership.granted" in {row["kind"] for row in values(dossier, "access")}
    assert fact(dossier, "access", "total") == len(values(dossier, "access"))
    refused = values(dossier, "refusals")
    assert refused
    assert fact(dossier, "refusals", "total") == len(refused)
    assert refused[0]["by"] == "Auditor"


def test_sample_can_be_drawn_again_by_anybody() -> None:
    keys = [str(number) for number in range(100)]

    drawn = sampled(keys, seed="2026", size=5)

    by_hand = sorted(keys, key=lambda key: hashlib.sha256(f"2026:{key}".encode()).hexdigest())[:5]
    assert drawn == by_hand == sampled(keys[::-1], seed="2026", size=5)
    assert drawn != sampled(keys, seed="2027", size=5)


def cost_of(makes: Callable[[], Dossier]) -> int:
    with CaptureQueriesContext(connection) as queries:
        makes()
    return len(queries)


def test_dossiers_take_the_same_number_of_queries_however_much_there_is(world: World) -> None:
    bring(world, world.dev)
    deployment = start(world, world.qa)

    def costs() -> list[int]:
        return [
            cost_of(lambda: dossier_of(deployment)),
            cost_of(lambda: find.release((world.cast.platform.pk,), "greeter", "1.0.0", now=timezone.now())[1]),
            cost_of(lambda: period_dossier(period_of(world), now=timezone.now())),
        ]

    few = costs()
    for version in ("1.1.0", "1.2.0", "1.3.0"):
        release = world.next_release(version)
        promotion = approve_all(
            ask(world, world.dev, release, now=timezone.now(), starts_by_itself=False), world, now=timezone.now()
        )
        started = deployment_actions.start_deployment(promotion, by=world.cast.devops, now=timezone.now())
        deployment_actions.cancel_deployment(started, reason="Enough", by=world.cast.devops, now=timezone.now())

    assert costs() == few
    assert max(few) <= 40


ADDRESSES = {
    "compliance:dossier-deployment": lambda d: [d.number],
    "compliance:dossier-release": lambda d: ["greeter", "1.0.0"],
    "compliance:dossier-period": lambda d: [],
}


@pytest.mark.parametrize("name", sorted(ADDRESSES))
def test_page_is_for_those_who_may_read_the_trail(world: World, name: str) -> None:
    deployment = start(world, world.dev)
    address = reverse(name, args=ADDRESSES[name](deployment))

    assert get(world.cast.auditor, address).status_code == 200
    assert get(make_person("nobody", "Nobody", (), world.cast.platform), address).status_code == 403
    assert post(world.cast.auditor, address).status_code == 405


def test_page_says_what_the_data_says_and_leads_to_its_entries(world: World) -> None:
    deployment = start(world, world.dev)

    page = text_of(get(world.cast.auditor, reverse("compliance:dossier-deployment", args=[deployment.number])))

    with world.everything():
        dossier = dossier_of(deployment)
    assert dossier.digest in page
    assert reverse("audit:event-detail", args=[dossier.entries[0].id]) in page
    assert reverse("compliance:dossier-deployment-copy", args=[deployment.number]) in page


def test_period_that_can_not_be_is_refused_with_a_sentence(world: World) -> None:
    query = f"?workspace={world.cast.platform.pk}&since=2026-11-10&until=2026-11-01"

    page = get(world.cast.auditor, reverse("compliance:dossier-period") + query)

    assert page.status_code == 422
    assert "It ends before it begins." in text_of(page)
    foreign = f"?workspace={world.cast.customer.pk}&since=2026-11-01&until=2026-11-10"
    assert get(world.cast.auditor, reverse("compliance:dossier-period") + foreign).status_code == 422


def copied(world: World, person: User, name: str, *arguments: Any, **data: Any) -> Any:
    return post(person, reverse(f"compliance:dossier-{name}-copy", args=arguments), data)


def test_copy_is_told_in_the_ledger_and_tied_to_it(world: World) -> None:
    deployment = start(world, world.dev)

    answer = copied(world, world.cast.auditor, "deployment", deployment.number, format="json")

    copy = json.loads(answer.content)
    jsonschema.validate(copy, SCHEMA)
    with world.everything():
        event = last_event("dossier.made")
    canonical = json.dumps(copy["facts"], sort_keys=True, separators=(",", ":")).encode()
    digest = hashlib.sha256(canonical).hexdigest()
    assert copy["made"]["sha256"] == digest == event.change["sha256"]["after"]
    assert digest in event.summary  # found by it
    assert (event.target_id, event.actor_label) == (str(deployment.pk), "Auditor")
    assert f"deployment-{deployment.number}-{digest[:12]}.json" in answer["Content-Disposition"]
    assert copied(world, world.cast.auditor, "deployment", deployment.number, format="docx").status_code == 422
    # Another copy of the same facts has the same digest: that it was made is no fact of the deployment.
    again = json.loads(copied(world, world.cast.auditor, "deployment", deployment.number, format="json").content)
    assert again["made"]["sha256"] == digest


def test_pdf_says_the_digest_on_each_page_and_carries_the_facts(world: World) -> None:
    deployment = start(world, world.dev)

    answer = copied(world, world.cast.auditor, "deployment", deployment.number, format="pdf")

    book = PdfReader(io.BytesIO(answer.content))
    with world.everything():
        digest = last_event("dossier.made").change["sha256"]["after"]
    texts = [page.extract_text() for page in book.pages]
    assert answer["Content-Type"] == "application/pdf"
    assert all(digest in text and "Made by Auditor" in text for text in texts)
    assert [f"{number} / {len(texts)}" in text for number, text in enumerate(texts, 1)] == [True] * len(texts)
    assert hashlib.sha256(book.attachments["facts.json"][0]).hexdigest() == digest
    chapters = [each.title for part in book.outline if isinstance(part, list) for each in part]
    assert chapters[:2] == ["What was done", "Exceptions"]
    assert chapters[-1] == "Entries of the ledger"
    assert deployment.plan_hash in "".join(texts).replace("\n", "")


def test_release_and_period_are_copied_too(world: World) -> None:
    start(world, world.dev)
    days = dict.fromkeys(("since", "until"), timezone.now().date().isoformat())

    release = json.loads(copied(world, world.cast.auditor, "release", "greeter", "1.0.0", format="json").content)
    period = json.loads(
        copied(world, world.cast.auditor, "period", format="json", workspace=world.cast.platform.pk, **days).content
    )

    for copy in (release, period):
        jsonschema.validate(copy, SCHEMA)
    assert [release["facts"]["subject"]["kind"], period["facts"]["subject"]["kind"]] == ["release", "period"]
    assert copied(world, world.cast.auditor, "period", format="json").status_code == 422


def api(text: str, address: str) -> Any:
    return Client().get(f"/api/v1/{address}", headers={"Authorization": f"Bearer {text}"})


def test_token_reads_dossiers_with_the_scope_for_it(world: World) -> None:
    deployment = start(world, world.dev)
    with world.everything():
        _token, text = workspace_actions.create_token(
            world.cast.platform, name="GRC", scopes=["audit:export"], days=1, by=world.cast.auditor, now=timezone.now()
        )
        pipeline = make_token(world.cast)

    of_deployment = api(text, f"deployments/{deployment.number}/dossier")
    of_release = api(text, "releases/greeter/1.0.0/dossier")

    for answer in (of_deployment, of_release):
        jsonschema.validate(json.loads(answer.content), SCHEMA)
    with world.everything():
        assert last_event("dossier.made").actor_label == "GRC"
    assert api(pipeline, f"deployments/{deployment.number}/dossier").status_code == 403
    assert api(pipeline, "releases/greeter/1.0.0/dossier").status_code == 403
    assert api(text, "deployments/999999/dossier").json()["code"] == "unknown_deployment"
    assert api(text, "releases/greeter/9.9.9/dossier").json()["code"] == "unknown_release"
    assert api("eaip_wrong", "releases/greeter/1.0.0/dossier").status_code == 401
    assert Client().post("/api/v1/releases/greeter/1.0.0/dossier").status_code == 405
    assert Client().post("/api/v1/deployments/1/dossier").status_code == 405
