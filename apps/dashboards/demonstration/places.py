"""The environments of the strategy's tables, each with resources of its own, and a customer's own cloud."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, time
from uuid import UUID

from apps.audit.actors import SYSTEM
from apps.environments import actions
from apps.environments.enums import DataClass, ResourceKind, Tier, WindowKind
from apps.environments.models import Environment
from apps.workspaces import actions as workspace_actions
from apps.workspaces.enums import DeploymentModel
from apps.workspaces.models import Workspace

# Fixed, because nobody can look for a workspace whose id they do not know.
CUSTOMER_ID = UUID("00000000-0000-7000-8000-00000000c105")
CUSTOMER_PRODUCTION = "customer-production"


@dataclass(frozen=True)
class Place:
    slug: str
    name: str
    tier: Tier
    purpose: str
    data_class: DataClass
    url_pattern: str
    resources: tuple[tuple[ResourceKind, str], ...]


def _resources(name: str, namespace: str) -> tuple[tuple[ResourceKind, str], ...]:
    return (
        (ResourceKind.DATA_STORE, f"postgresql://database.{name}/eaip"),
        (ResourceKind.EVENT_CHANNEL, f"nats://events.{name}/eaip"),
        (ResourceKind.NAMESPACE, f"kubernetes://cluster.{name}/{namespace}"),
    )


PLATFORM_PLACES = (
    Place(
        "dev", "Dev", Tier.DEV, "Active development", DataClass.SYNTHETIC, "*.dev.hexabase.ai",
        _resources("dev.hexabase.ai", "hexabase-dev"),
    ),
    Place(
        "qa", "QA", Tier.QA, "Integration and validation", DataClass.MASKED, "*.qa.hexabase.ai",
        _resources("qa.hexabase.ai", "hexabase-qa"),
    ),
    Place(
        "staging", "Staging", Tier.STAGING, "Pre-production validation", DataClass.PRODUCTION_LIKE,
        "*.staging.hexabase.ai", _resources("staging.hexabase.ai", "hexabase-staging"),
    ),
    Place(
        "production", "Production", Tier.PRODUCTION, "Live customer traffic", DataClass.REAL, "*.hexabase.ai",
        _resources("hexabase.ai", "hexabase-system"),
    ),
)  # fmt: skip
CUSTOMER_PLACE = Place(
    CUSTOMER_PRODUCTION, "Customer production", Tier.PRODUCTION, "Live traffic in the customer's own cloud",
    DataClass.REAL, "*.customer.example.com", _resources("customer.example.com", "eaip"),
)  # fmt: skip
METHOD = "Automated CI/CD, blue-green"
# So that a visitor can deploy at any hour; the policy document keeps the hours that the strategy prefers.
WINDOW = "Demonstration: all hours (policy: Tue to Thu, 10:00 to 15:00 Los Angeles)"


def customer(now: datetime) -> Workspace:
    """This function will return the customer's workspace, taken in if need be."""
    return Workspace.objects.filter(pk=CUSTOMER_ID).first() or workspace_actions.create_workspace(
        workspace_id=CUSTOMER_ID,
        slug="customer-cloud",
        name="Customer's own cloud",
        deployment_model=DeploymentModel.BYOC,
        by=SYSTEM,
        now=now,
    )


def load(platform: Workspace, theirs: Workspace, *, now: datetime) -> Mapping[str, Environment]:
    """This function will make the environments that are missing and return all by short name."""
    made = {place.slug: _environment(platform, place, now) for place in PLATFORM_PLACES}
    return made | {CUSTOMER_PLACE.slug: _environment(theirs, CUSTOMER_PLACE, now)}


def _environment(workspace: Workspace, place: Place, now: datetime) -> Environment:
    environment = Environment.objects.standing().filter(workspace=workspace, slug=place.slug).first()
    if environment is None:
        environment = actions.create_environment(
            workspace,
            slug=place.slug,
            name=place.name,
            tier=place.tier,
            purpose=place.purpose,
            data_class=place.data_class,
            url_pattern=place.url_pattern,
            deployment_method=METHOD,
            by=SYSTEM,
            now=now,
        )
    held = set(environment.resources.filter(released_at=None).values_list("uri", flat=True))
    for kind, uri in place.resources:
        if uri not in held:
            actions.claim_resource(environment, kind=kind, uri=uri, by=SYSTEM, now=now)
    if place.tier == Tier.PRODUCTION and not environment.windows.exists():
        actions.set_window(
            environment, kind=WindowKind.ALLOW, weekdays=range(1, 8), starts_at=time(0), ends_at=time(0),
            zone="America/Los_Angeles", label=WINDOW, by=SYSTEM, now=now,
        )  # fmt: skip
    return environment
