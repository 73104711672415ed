"""Promotions as far as a test wants them, by the actions that people and the engine call."""

from datetime import datetime, timedelta
from typing import Any

from django.conf import settings

from apps.accounts.models import User
from apps.approvals import actions
from apps.approvals.enums import Choice, PromotionState
from apps.approvals.models import ChecklistLine, Delegation, Promotion, Requirement
from apps.audit.actors import SYSTEM
from apps.core.canonical import sha256_of
from apps.core.platform import PLATFORM_WORKSPACE_ID
from apps.environments.models import Environment, Lane
from apps.integrations.artifact_store import ArtifactStore
from apps.policies.models import PolicyVersion
from apps.releases.models import Release
from apps.workspaces.models import Membership
from tests.accounts.factors import by_password
from tests.cast import NOW
from tests.policies.documents import make_document
from tests.reported import reported
from tests.world import World


def ask(world: World, environment: Environment, release: Release | None = None, **fields: Any) -> Promotion:
    """Ask as the release engineer (the customer's operator in their environment), beyond Dev with all reports."""
    release = release or world.release
    if environment not in (world.dev, world.customer_production):
        reported(release)
    theirs = environment.workspace_id == world.cast.customer.pk
    values = {"by": world.cast.customer_operator if theirs else world.cast.release_engineer, "now": NOW, **fields}
    return actions.request_promotion(release, lane=lane_of(environment, world), **values)


def lane_of(environment: Environment, world: World) -> Lane:
    return Lane.objects.get(pk=world.lane(environment).pk)


def say(
    promotion: Promotion, role: str, by: Any, *, choice: str = Choice.APPROVE, comment: str = "", **fields: Any
) -> Promotion:
    """Decide for a role on the plan that the page shows now."""
    requirement = promotion.requirements.get(role_id=role)
    values = {"plan_hash": Promotion.objects.get(pk=promotion.pk).plan_hash, "now": NOW, **fields}
    values.setdefault("confirmation", by_password(by, values["now"]))
    return actions.decide(requirement, choice=choice, comment=comment, by=by, **values)


def lend(holder: User, role: str, *, to: User, now: datetime = NOW, **fields: Any) -> Delegation:
    """Lend a role for a week."""
    held = Membership.objects.current().get(user=holder, role_id=role)
    values = {"ends_at": now + timedelta(days=7), "reason": "On holiday", "by": holder, "now": now, **fields}
    return actions.delegate(held, to=to, **values)


def approve_all(promotion: Promotion, world: World, *, now: datetime = NOW) -> Promotion:
    people: dict[str, User] = {
        "ENGINEERING_MANAGER": world.cast.engineering_manager,
        "DEVOPS": world.cast.devops,
        "CUSTOMER_OPERATOR": world.cast.customer_operator,
        "SENIOR_ENGINEER": world.cast.second_devops,
    }
    for requirement in promotion.requirements.standing():
        promotion = say(promotion, requirement.role_id, people[requirement.role_id], now=now)
    return promotion


def tick_all(promotion: Promotion, world: World, *, now: datetime = NOW, note: str = "Seen to") -> Promotion:
    """Tick every open line that a role ticks: before the start, or what is owed once it was deployed."""
    people: dict[str, User] = {
        "RELEASE_ENGINEER": world.cast.release_engineer,
        "ENGINEERING_MANAGER": world.cast.engineering_manager,
        "DEVOPS": world.cast.devops,
        "SECURITY": world.cast.security,
        "CUSTOMER_OPERATOR": world.cast.customer_operator,
    }
    for line in promotion.checklist_lines.open().filter(follows="").order_by("clause", "position"):
        promotion = tick(line, people[str(line.role_id)], note=note, now=now)
    return promotion


def tick(line: ChecklistLine, by: Any, *, note: str = "", now: datetime = NOW, **fields: Any) -> Promotion:
    """Tick a line on the plan that the page shows now."""
    values = {"plan_hash": Promotion.objects.get(pk=line.promotion_id).plan_hash, **fields}
    return actions.tick(line, note=note, by=by, now=now, **values)


def deploy(promotion: Promotion, *, now: datetime = NOW) -> Promotion:
    """Do what the engine does with a ready promotion, up to the end."""
    actions.mark(promotion, PromotionState.DEPLOYING, by=SYSTEM, now=now)
    store(promotion.release)
    move(promotion.lane, promotion.release, now=now, configuration=promotion.configuration)
    return actions.mark(promotion, PromotionState.COMPLETED, by=SYSTEM, now=now, outcome="Deployed.")


def move(lane: Lane, release: Release | None, *, now: datetime = NOW, **columns: Any) -> None:
    """Let another release run there; in the product only the engine writes this."""
    lane = Lane.objects.get(pk=lane.pk)
    lane.previous_release, lane.live_release = lane.live_release, release
    lane.live_configuration = columns.get("configuration", lane.live_configuration)
    lane.live_since = now if release else None
    lane.save()


def store(release: Release) -> None:
    """Put the files of a release into the artifact store: their content is what `make_manifest` digested."""
    wheel = release.artifact.manifest["wheels"][0]
    content = f"{wheel['name']} {wheel['version']} ".encode()
    ArtifactStore(settings.ARTIFACT_DIR).put([content], sha256=wheel["sha256"])


def bring(world: World, environment: Environment, release: Release | None = None) -> Promotion:
    """Let a release succeed in an environment and in all before it."""
    promotion: Promotion | None = None
    for step in (world.dev, world.qa, world.staging, world.production):
        promotion = ask(world, step, release)
        promotion = deploy(approve_all(promotion, world))
        if step == environment:
            break
    assert promotion is not None
    return promotion


def ask_for_production(world: World, release: Release | None = None, **fields: Any) -> Promotion:
    """Bring a release up to Staging, and ask for Production."""
    bring(world, world.staging, release)
    return ask(world, world.production, release, **fields)


def beside(promotion: Promotion, release: Release) -> Promotion:
    """Let another release wait for the same lane and the same people: asked for by an action, it would replace it."""
    left_out = ("id", "number", "release_id")
    fields = {field.attname: getattr(promotion, field.attname) for field in Promotion._meta.concrete_fields}
    other = Promotion.objects.create(
        **{name: value for name, value in fields.items() if name not in left_out}, release=release
    )
    for asked in promotion.requirements.standing():
        Requirement.objects.create(
            workspace_id=other.workspace_id, promotion=other, role_id=asked.role_id, position=asked.position,
            reason=asked.reason, clause=asked.clause,
        )  # fmt: skip
    return other


def outcome_of(promotion: Promotion, gate: str) -> str:
    return next(row["outcome"] for row in promotion.gates if row["name"] == gate)


def sentence_of(promotion: Promotion, gate: str) -> str:
    return next(row["sentence"] for row in promotion.gates if row["name"] == gate)


def put_in_force(tier: str, *gates: str, roles: tuple[str, ...] = (), **fields: Any) -> PolicyVersion:
    """Let another version of the tier's policy be in force."""
    now_in_force = PolicyVersion.objects.in_force(tier)
    number = now_in_force.get().number + 1
    now_in_force.update(is_active=False)
    document = make_document(*gates, roles=roles, tier=tier, **fields)
    return PolicyVersion.objects.create(
        workspace_id=PLATFORM_WORKSPACE_ID,
        tier=tier,
        number=number,
        document=document,
        digest=sha256_of(document),
        reason="For a test",
        created_at=NOW,
        is_active=True,
    )
