"""The rule of data migrations: each is known by its class and checksum, and ran in the tier before. Pure."""

from apps.policies.clauses import Clause, TierPolicy
from apps.policies.enums import Outcome
from apps.policies.facts import Facts, MigrationFacts
from apps.policies.judgement import ENGINEERS, Judgement, listed, moment, not_asked

CLASSES = {
    "REVERSIBLE": "reversible",
    "FORWARD_COMPATIBLE": "forward-compatible",
    "FORWARD_ONLY": "forward-only",
}


def migrations(policy: TierPolicy, clause: Clause | None, facts: Facts) -> Judgement:
    """This function will judge the data migrations between what runs there and what would."""
    if clause is None:
        return not_asked(policy, "how data is migrated")
    if not facts.migrations:
        return Judgement(Outcome.NOT_REQUIRED, f"{facts.release.version} migrates no data in {facts.environment}.")
    evidence = tuple(_said(each) for each in facts.migrations)
    if unknown := [each.name for each in facts.migrations if each.migration_class not in CLASSES or not each.sha256]:
        return Judgement(
            Outcome.FAILED, f"{listed(unknown)} has no known class or no checksum.", evidence, who=ENGINEERS
        )
    told = f"{_counted(facts.migrations)}, each with its checksum and a written way back"
    if not clause.settings.get("tested") or not facts.path:
        return Judgement(Outcome.PASSED, f"{told}.", evidence)
    before = facts.path[-1]
    if before.at is None:
        return Judgement(
            Outcome.FAILED,
            f"{_counted(facts.migrations)}; no deployment of {facts.release.version} that ran them has succeeded in "
            f"{before.tier} yet.",
            evidence,
            who=ENGINEERS,
        )
    ran = f"{before.promotion} ran them in {before.where}, completed at {moment(before.at)}"
    return Judgement(Outcome.PASSED, f"{told}; tried out in {before.where} ({before.tier}).", (*evidence, ran))


def way_back(facts: Facts) -> str:
    """This function will say what the migrations mean for the way back; empty where there are none."""
    barred = [each.name for each in facts.migrations if each.is_forward_only]
    if barred:
        return f"Only a person can go back, after restoring the data: {listed(barred)} is forward-only."
    undone = [each.name for each in facts.migrations if each.migration_class == "REVERSIBLE"]
    return f"A person then has to run the rollback of {listed(undone)}." if undone else ""


def _counted(found: tuple[MigrationFacts, ...]) -> str:
    kinds = [(word, sum(each.migration_class == name for each in found)) for name, word in CLASSES.items()]
    total = f"{len(found)} data migration{'' if len(found) == 1 else 's'}"
    return f"{total} ({listed([f'{count} {word}' for word, count in kinds if count])})"


def _said(migration: MigrationFacts) -> str:
    word = CLASSES.get(migration.migration_class, "of no known class")
    return f"{migration.name}: {word}, sha256 {migration.sha256[:12]}, with {migration.version}"
