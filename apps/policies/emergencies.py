"""The rule of the emergency path: where a hotfix was cut, and that what an emergency left owed is done. Pure."""

from apps.policies.clauses import Clause, TierPolicy
from apps.policies.enums import Outcome
from apps.policies.facts import EmergencyFacts, Facts, Origin
from apps.policies.judgement import ENGINEERS, Judgement, listed, moment, not_asked


def emergency_path(policy: TierPolicy, clause: Clause | None, facts: Facts) -> Judgement:
    """This function will judge a hotfix by where it was cut, and any other release by what emergencies left owed."""
    if clause is None:
        return not_asked(policy, "where a hotfix was cut, or for what emergencies leave owed")
    if facts.emergency is not None:
        return _hotfix(facts.release.version, facts.emergency)
    if not facts.overdue:
        return Judgement(Outcome.NOT_REQUIRED, f"No emergency, and nothing is overdue after one of {facts.service}.")
    incidents = listed(list(dict.fromkeys(owed.incident for owed in facts.overdue)))
    return Judgement(
        Outcome.WAITING,
        f"Overdue after an emergency of {facts.service}: {listed([owed.what for owed in facts.overdue])}. "
        f"Only another emergency goes on before that is done.",
        tuple(f"{owed.what}, incident {owed.incident}: due {moment(owed.due_at)}" for owed in facts.overdue),
        who=f"Whoever handles incident {incidents}",
    )


def _hotfix(version: str, emergency: EmergencyFacts) -> Judgement:
    runs = emergency.production.version if emergency.production else "nothing"
    match emergency.origin:
        case None:
            return Judgement(
                Outcome.RUNNING, f"The repository is being asked whether {version} was cut from {runs}, which runs."
            )
        case Origin.PRODUCTION:
            return Judgement(
                Outcome.PASSED, f"{version} was cut from {runs}, which Production runs.", _told(emergency.commits)
            )
        case Origin.ELSEWHERE:
            return Judgement(
                Outcome.FAILED,
                f"{version} was not cut from {runs}, which Production runs: it is more, or less, than a patch.",
                _told(emergency.commits),
                who=ENGINEERS,
            )
        case Origin.UNTOLD:
            sentence = f"No repository that the portal holds can tell whether {version} was cut from {runs}."
            return Judgement(Outcome.NOT_REQUIRED, sentence)


def _told(commits: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(f"{name} {commit}" for name, commit in zip(("Production:", "Hotfix:"), commits, strict=False))
