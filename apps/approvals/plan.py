"""What exactly an approver agrees to. Any change of it voids the agreement."""

from collections.abc import Iterable, Iterator, Sequence
from typing import NotRequired, TypedDict

from apps.approvals.models import Promotion
from apps.configuration.models import ConfigurationVersion
from apps.core.canonical import sha256_of
from apps.policies.clauses import TierPolicy
from apps.releases.models import DataMigration, Release
from apps.releases.traits import HeldTrait, Trait


class PlannedRelease(TypedDict):
    version: str
    content_hash: str


class PlannedConfiguration(TypedDict):
    number: int
    values: str


PlannedMigration = TypedDict("PlannedMigration", {"id": str, "class": str, "sha256": str})


class PlannedPolicy(TypedDict):
    tier: str
    clauses: dict[str, str]


class Plan(TypedDict):
    """Digests are SHA-256 in hex; `values` is that of the configuration's values, `clauses` one for each clause id.

    `traits` is left out where there is none, so that plans of before keep their hashes.
    """

    schema: int
    release: PlannedRelease
    configuration: PlannedConfiguration
    target: str
    strategy: str
    migrations: list[PlannedMigration]
    live_release: PlannedRelease | None
    live_configuration: PlannedConfiguration | None
    policy: PlannedPolicy
    traits: NotRequired[list[str]]


def plan_of(
    promotion: Promotion,
    policy: TierPolicy,
    migrations: Sequence[DataMigration] = (),
    traits: Iterable[HeldTrait] = (),
) -> Plan:
    """This function will plan a promotion as the lane, the migrations up to its release, its traits, and the clauses
    that apply to it, are now.
    """
    lane = promotion.lane
    plan = Plan(
        schema=1,
        release=_release(promotion.release),
        configuration=_configuration(promotion.configuration),
        target=lane.target_key,
        strategy=policy.strategy,
        migrations=[{"id": row.name, "class": row.migration_class, "sha256": row.sha256} for row in migrations],
        live_release=_release(lane.live_release) if lane.live_release else None,
        live_configuration=_configuration(lane.live_configuration) if lane.live_configuration else None,
        policy=PlannedPolicy(tier=policy.tier, clauses={clause.id: clause.digest for clause in policy.clauses}),
    )
    if held := [each.trait.value for each in traits]:
        plan["traits"] = held
    return plan


def hash_of(plan: Plan) -> str:
    """This function will return the SHA-256 (hex) over the canonical JSON of a plan."""
    return sha256_of(plan)


def plan_difference(old: Plan, new: Plan) -> tuple[str, ...]:
    """This function will say what changed from one plan to the other, a sentence for each; empty when nothing did."""
    return tuple(_differences(old, new))


def _differences(old: Plan, new: Plan) -> Iterator[str]:
    if old["release"] != new["release"]:
        yield f"The release changed from {_version(old['release'])} to {_version(new['release'])}."
    if old["configuration"] != new["configuration"]:
        yield f"The configuration changed from {_number(old['configuration'])} to {_number(new['configuration'])}."
    if old["live_release"] != new["live_release"]:
        yield f"What runs there changed from {_version(old['live_release'])} to {_version(new['live_release'])}."
    if old["live_configuration"] != new["live_configuration"]:
        before, after = _number(old["live_configuration"]), _number(new["live_configuration"])
        yield f"The configuration that runs there changed from {before} to {after}."
    if old["target"] != new["target"]:
        yield f"The target changed from {old['target']} to {new['target']}."
    if old["strategy"] != new["strategy"]:
        yield f"The strategy changed from {old['strategy']} to {new['strategy']}."
    if old["migrations"] != new["migrations"]:
        yield "The data migrations changed."
    yield from _differences_of_traits(old.get("traits", []), new.get("traits", []))
    yield from _differences_of_policy(old["policy"], new["policy"])
    if old["schema"] != new["schema"]:
        yield "The portal writes plans in another form now."


def _differences_of_traits(old: list[str], new: list[str]) -> Iterator[str]:
    for trait in Trait:
        if (trait in old) != (trait in new):
            yield f"It is {trait.phrase} now." if trait in new else f"It is no longer {trait.phrase}."


def _differences_of_policy(old: PlannedPolicy, new: PlannedPolicy) -> Iterator[str]:
    if old["tier"] != new["tier"]:
        yield f"The tier changed from {old['tier']} to {new['tier']}."
    for clause in sorted(old["clauses"].keys() | new["clauses"].keys()):
        before, after = old["clauses"].get(clause), new["clauses"].get(clause)
        if before != after:
            yield f"The policy's clause {clause} {_fate(before, after)}."


def _fate(before: str | None, after: str | None) -> str:
    if before is None:
        return "is new"
    return "was changed" if after is not None else "no longer applies"


def _release(release: Release) -> PlannedRelease:
    return PlannedRelease(version=release.version, content_hash=release.content_hash)


def _configuration(configuration: ConfigurationVersion) -> PlannedConfiguration:
    return PlannedConfiguration(number=configuration.number, values=sha256_of(configuration.values))


def _version(release: PlannedRelease | None) -> str:
    return release["version"] if release else "nothing"


def _number(configuration: PlannedConfiguration | None) -> str:
    return f"version {configuration['number']}" if configuration else "none"
