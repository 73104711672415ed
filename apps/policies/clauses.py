"""What a tier's policy says, once its document was read. Free of Django: gates are judged with it."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from enum import StrEnum

from apps.environments.data_rules import DataRules
from apps.policies.needs import Need
from apps.policies.reminders import Reminders
from apps.policies.verification import Terms
from apps.releases.traits import Trait


class Gate(StrEnum):
    """The names of the gates, in the order in which they are judged and stored."""

    PREVIOUS_TIER = "previous_tier"
    ARTIFACT = "artifact"
    TESTS = "tests"
    COVERAGE = "coverage"
    SECURITY_SCAN = "security_scan"
    PARTS_LIST = "parts_list"
    PROVENANCE = "provenance"
    PERFORMANCE = "performance"
    API_COMPATIBILITY = "api_compatibility"
    MIGRATIONS = "migrations"
    EVENT_COMPATIBILITY = "event_compatibility"
    VERSION_ORDER = "version_order"
    QUARANTINE = "quarantine"
    ROLLBACK_READINESS = "rollback_readiness"
    RECOVERY = "recovery"
    FREEZE = "freeze"
    HOLD = "hold"
    EMERGENCY_PATH = "emergency_path"
    WINDOW = "window"
    ENVIRONMENT = "environment"
    CHECKLIST = "checklist"
    APPROVALS = "approvals"


# These go by reports of the release.
REPORTED = (
    Gate.TESTS, Gate.COVERAGE, Gate.SECURITY_SCAN, Gate.PARTS_LIST, Gate.PROVENANCE, Gate.PERFORMANCE,
)  # fmt: skip

# A clause of these may name who can let one promotion pass without it (`waived_by`). The others are lifted where they
# were set, or are what nobody may go without: people, the sealed artifact, the way through the tiers.
WAIVABLE = (*REPORTED, Gate.API_COMPATIBILITY, Gate.ROLLBACK_READINESS, Gate.WINDOW, Gate.ENVIRONMENT)


class Owner(StrEnum):
    """Whose environments a clause is about: the platform's own, a customer's, or all."""

    ALL = "ALL"
    PLATFORM = "PLATFORM"
    CUSTOMER = "CUSTOMER"


class When(StrEnum):
    """In which cases a clause holds: in an emergency, in every other case, or in both."""

    ALWAYS = "ALWAYS"
    ORDINARY = "ORDINARY"
    EMERGENCY = "EMERGENCY"


class StepUp(StrEnum):
    """With what somebody confirms that it is them before they decide. A password counts for who has no factor."""

    SECOND_FACTOR = "second_factor"
    SECOND_FACTOR_OR_PASSWORD = "second_factor_or_password"  # noqa: S105  a word of policies


@dataclass(frozen=True)
class Clause:
    """One rule with the id by which people cite it, such as PROD-3. `digest` covers all but its wording."""

    id: str
    gate: Gate
    text: str
    source: str
    owner: Owner
    settings: Mapping[str, object] = field(default_factory=dict)
    digest: str = ""
    when: When = When.ALWAYS

    def number(self, name: str) -> int:
        """Return a setting that the document must have as a whole number."""
        return int(str(self.settings[name]))

    def number_or(self, name: str, default: int) -> int:
        """Return a setting that the document may leave out."""
        return self.number(name) if name in self.settings else default

    def word(self, name: str) -> str:
        return str(self.settings[name])

    def words(self, name: str) -> tuple[str, ...]:
        """Return a setting that the document must have as a list of words."""
        found = self.settings[name]
        return tuple(map(str, found)) if isinstance(found, list | tuple) else ()

    @property
    def traits(self) -> tuple[Trait, ...]:
        """Return which traits of a change it is about, any of them; empty where it is about every change."""
        return tuple(map(Trait, self.words("traits"))) if "traits" in self.settings else ()

    def applies_to(self, owner: Owner) -> bool:
        return self.owner in {Owner.ALL, owner}

    def holds(self, *, in_emergency: bool) -> bool:
        return self.when in {When.ALWAYS, When.EMERGENCY if in_emergency else When.ORDINARY}


@dataclass(frozen=True)
class TierPolicy:
    """The rules of one tier. `request_lasts` counts from asking, `decision_lasts` from the decision,
    `ready_lasts` from becoming ready (None: as long as the decision). `verification` is how a release is watched
    right after the switch, `reminders` when people hear of an approval that nobody gives. `trait_paths` say by which
    changed files a release has a trait; `spared` are the clauses that ask nothing of a change without their traits.
    `needs` are the requirements of the environments themselves, `data` what they may hold.
    """

    tier: str
    label: str
    strategy: str
    clauses: tuple[Clause, ...]
    request_lasts: timedelta
    decision_lasts: timedelta
    ready_lasts: timedelta | None = None
    verification: Terms = field(default_factory=Terms)
    reminders: Reminders = field(default_factory=Reminders)
    trait_paths: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    spared: tuple[Clause, ...] = ()
    needs: tuple[Need, ...] = ()
    data: DataRules = field(default_factory=DataRules)

    def for_owner(self, owner: Owner, *, in_emergency: bool = False) -> "TierPolicy":
        """Return the policy with only the clauses that apply to environments of this owner, as usual or then."""
        of_owner = (clause for clause in self.clauses if clause.applies_to(owner))
        return replace(self, clauses=tuple(each for each in of_owner if each.holds(in_emergency=in_emergency)))

    def for_traits(self, traits: Collection[Trait]) -> "TierPolicy":
        """Return the policy with only the clauses that a change with these traits asks for."""
        spared = tuple(each for each in self.clauses if each.traits and not {*each.traits} & {*traits})
        return replace(self, clauses=tuple(each for each in self.clauses if each not in spared), spared=spared)

    def clauses_of(self, gate: Gate) -> tuple[Clause, ...]:
        return tuple(clause for clause in self.clauses if clause.gate == gate)

    def step_up(self, *roles: str) -> StepUp | None:
        """Return how somebody who decides for one of the roles confirms that it is them, the strictest way."""
        asked = {
            clause.settings.get("step_up") for clause in self.clauses_of(Gate.APPROVALS) if clause.word("role") in roles
        }
        return next((step_up for step_up in StepUp if step_up in asked), None)

    @property
    def strictest_step_up(self) -> StepUp | None:
        """How somebody confirms that it is them where they decide on more than one approval."""
        approvals = (*self.clauses_of(Gate.APPROVALS), *(each for each in self.spared if each.gate == Gate.APPROVALS))
        asked = {clause.settings.get("step_up") for clause in approvals}
        return next((step_up for step_up in StepUp if step_up in asked), None)

    def clause_of(self, gate: Gate) -> Clause | None:
        return next(iter(self.clauses_of(gate)), None)
