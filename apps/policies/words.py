"""What gates, settings and terms mean, in the words of people: for the pages of policies and the strategy document."""

from collections.abc import Iterator, Mapping
from datetime import timedelta

from apps.environments.data_rules import days
from apps.environments.enums import Tier
from apps.policies.checklists import asked_in_words
from apps.policies.clauses import Clause, Gate, Owner, StepUp, TierPolicy, When
from apps.policies.evidence import SUITES
from apps.policies.judgement import either, listed
from apps.policies.needs import Need
from apps.policies.verification import Terms, WithoutTraffic
from apps.releases.traits import Trait

OWNERS = {Owner.ALL: "Everybody", Owner.PLATFORM: "The platform's environments", Owner.CUSTOMER: "Customers' own"}
CASES = {When.ORDINARY: ", not in an emergency", When.EMERGENCY: ", in an emergency only"}
STRATEGIES = {
    "BLUE_GREEN": "Blue-green: the new release starts beside the one that runs, and users are brought over once it is "
    "healthy. What ran before stands ready until then.",
}
# What docs/reference/gates.md says of each, too; a test holds both together.
LETS_PASS: Mapping[Gate, str] = {
    Gate.PREVIOUS_TIER: "it succeeded in the tier before, and soaked there",
    Gate.ARTIFACT: "the artifact is the one that was sealed, and is to be had",
    Gate.TESTS: "the newest report of each says that none failed and some passed",
    Gate.COVERAGE: "as much of the lines was run, by the newest Cobertura and LCOV reports together",
    Gate.SECURITY_SCAN: "no scanner's newest report has a finding above that, but for what security accepted",
    Gate.PARTS_LIST: "there is a CycloneDX or an SPDX document",
    Gate.PROVENANCE: "one of these has built the artifact from the release's commit in the service's repository",
    Gate.PERFORMANCE: "no benchmark is slower by more than its target, or than what runs in Production",
    Gate.API_COMPATIBILITY: "no change of the API breaks callers of what runs in Production, or the release is major",
    Gate.MIGRATIONS: "each data migration has a class, a checksum and a way back, and ran in the tier before",
    Gate.EVENT_COMPATIBILITY: "its event schemas fit the lower ones of their version, and it leaves out only versions "
    "that were dropped",
    Gate.VERSION_ORDER: "it is not lower than what runs; in an emergency, a patch of what Production runs",
    Gate.QUARANTINE: "it is sealed, and neither in quarantine nor retired",
    Gate.ROLLBACK_READINESS: "what runs can be brought back",
    Gate.RECOVERY: "what is recorded of backups, restores and disaster recovery tests is young and good enough",
    Gate.FREEZE: "nothing is frozen there, or it is an emergency",
    Gate.HOLD: "no hold is on the lane",
    Gate.EMERGENCY_PATH: "a hotfix was cut from what Production runs; otherwise nothing is overdue after an emergency",
    Gate.WINDOW: "a window is open for as long, or it is an emergency",
    Gate.ENVIRONMENT: "the environment, with what the promotion brings, meets every requirement of its tier",
    Gate.CHECKLIST: "every line for before the start is ticked on this plan; those for afterwards hold nothing back",
    Gate.APPROVALS: "distinct people have approved this plan, in time, and hold their roles",
}
_WHERE = {Owner.ALL: "", Owner.PLATFORM: " (platform)", Owner.CUSTOMER: " (customers' own)"}
_SETTINGS: Mapping[str, str] = {
    "role": "{}",
    "least_percent": "at least {} % of the lines",
    "limit_minutes": "within {} min",
    "fresh_minutes": "an answer from elsewhere counts for {} min",
    "limit_percent": "slower by {} % at most",
    "builders": "built by {}",
    "tolerated": "no finding above {}",
    "accepted_days": "accepted ones are not counted for {} days at most",
    "waived_by": "{} may waive it",
    "suites": "{}",
    "traits": "only for {}",
    "backup_hours": "the newest backup is {} h old at most",
    "kept_daily": "{} daily ones are kept",
    "kept_monthly": "{} monthly ones are kept",
    "restore_test_days": "a restore was tested within {} days",
    "recovery_test_days": "disaster recovery was tested within {} days",
    "rpo_minutes": "RPO {} min at most",
    "rto_minutes": "RTO {} min at most",
    "lasting_minutes": "open for {} min more",
    "soak_minutes": "{} min of soak there",
    "close_watch_soak_percent": "{} % of that after a close watch",
}
_WHOLE: Mapping[tuple[str, object], str] = {
    ("tolerated", "none"): "no finding",
    ("prereleases", True): "pre-releases may come",
    ("prereleases", False): "no pre-release",
    ("sunset", True): "a major release takes away only what was announced to end (x-sunset), and is over",
    ("sunset", False): "a major release may take away anything",
    ("tested", True): "each ran in the tier before, in a deployment of the same release that succeeded",
    ("tested", False): "none has to have run before",
    ("point_in_time", True): "point-in-time recovery is on",
    ("point_in_time", False): "point-in-time recovery is on or off",
    ("reported", True): "there must be a report",
    ("reported", False): "no report is needed while nothing is measured",
    ("dynamic", True): "one of them tried the running release out (DAST)",
    ("dynamic", False): "of whatever kind they are",
    ("signed", True): "with a signature that is verified",
    ("signed", False): "signed or not",
    ("unknown", "passes"): "where nobody can say so, it passes",
    ("unknown", "waits"): "where nobody can say so, it waits",
    ("step_up", StepUp.SECOND_FACTOR): "confirmed with a second factor",
    ("step_up", StepUp.SECOND_FACTOR_OR_PASSWORD): "confirmed with a second factor, or the password of who has none",
}
_WITHOUT_TRAFFIC = {
    WithoutTraffic.PASS: "a healthy release stays",
    WithoutTraffic.FAIL: "a healthy release is rolled back",
    WithoutTraffic.HOLD: "a healthy release stays, with a hold until a person has looked",
}


def asked(clause: Clause, roles: Mapping[str, str]) -> str:
    """This function will say in words what the settings of a clause ask; empty where it has none.

    Shapes: `roles` holds the label of each role's code; a setting without words of its own is named.
    """
    if clause.gate == Gate.CHECKLIST:
        return asked_in_words(clause)
    return "; ".join(_setting(name, value, roles) for name, value in clause.settings.items())


def holds_for(clause: Clause) -> str:
    """This function will say whose environments a clause is about, and in which cases."""
    return OWNERS[clause.owner] + CASES.get(clause.when, "")


def limits_of(policy: TierPolicy) -> tuple[tuple[str, str], ...]:
    """This function will say how long requests and decisions count, and when people hear of a missing one."""
    ready, told = policy.ready_lasts, policy.reminders
    silence = (
        ("Nobody answers", f"reminded after {told.remind_hours} h, the role above told after {told.escalate_hours} h"),
    )
    return (
        ("A request lasts", _span(policy.request_lasts)),
        ("A decision counts", _span(policy.decision_lasts)),
        ("Once ready, it starts within", _span(ready) if ready else "as long as its decisions count"),
        *(silence if policy.clauses_of(Gate.APPROVALS) else ()),
    )


def needs_of(policy: TierPolicy) -> tuple[tuple[str, str], ...]:
    """This function will say what the tier asks of its environments: each with its limit and who says it."""
    return tuple((need.text, f"{need.limit_words} ({_said_by(need)}; {need.source})") for need in policy.needs)


def data_of(policy: TierPolicy) -> tuple[tuple[str, str], ...]:
    """This function will say what data the tier's environments may hold, and for how long."""
    rules = policy.data
    if not rules.kinds:
        real = "what its users enter; " if policy.tier == Tier.PRODUCTION else ""
        return (("Data", f"{real}no data set is brought there"),)
    asked = (
        ("Refreshed", f"every {days(rules.refreshed_days)} at the latest" if rules.refreshed_days else ""),
        ("Kept", f"for {days(rules.kept_days)} at most, then removed or replaced" if rules.kept_days else ""),
    )
    return (
        ("Data", f"{either([kind.lower() for kind in rules.kinds])} alone"),
        ("From Production", "only with a report that proves what was done to them"),
        *((name, said) for name, said in asked if said),
    )


def _said_by(need: Need) -> str:
    if not need.key:
        return "probed"
    return f"{need.key} of each service" if need.each else need.key


def traits_of(policy: TierPolicy) -> tuple[tuple[str, str], ...]:
    """This function will say by which changed files a release has a trait; the version says which one is major."""
    named = policy.trait_paths.items()
    return tuple((Trait(trait).label, f"when it changes {either(paths)}") for trait, paths in named)


def terms_of(terms: Terms) -> tuple[tuple[str, str], ...]:
    """This function will say how a release is watched right after the switch, and what rolls it back."""
    often = f"in {terms.breaches} of {terms.samples} samples"
    return (
        ("Watched for at most", f"{terms.limit_seconds} seconds"),
        ("Health", f"rolled back when the check fails {often}, or is not good by then"),
        ("Errors", f"rolled back when over {terms.most_error_percent} % of the requests fail {often}"),
        (
            "Response time",
            f"rolled back when p95 is over {terms.most_p95_percent} % of what it was before, and over "
            f"{terms.least_p95_ms} ms, {often}",
        ),
        (
            "Little traffic",
            f"under {terms.least_requests} requests a sample says nothing; when none does, "
            f"{_WITHOUT_TRAFFIC[terms.without_traffic]}",
        ),
    )


def way_here(policy: TierPolicy, before: str, roles: Mapping[str, str]) -> str:
    """This function will say in one sentence how a release comes to a tier; `before` is empty where releases start."""
    said = "; ".join(_ways(policy, before, roles))
    return f"{said[0].upper()}{said[1:]}."


def _ways(policy: TierPolicy, before: str, roles: Mapping[str, str]) -> Iterator[str]:
    if not before:
        yield "releases start here"
    else:
        yield f"after {before}" if policy.clause_of(Gate.PREVIOUS_TIER) else f"{before} is not asked for"
    for owner, where in _WHERE.items():
        of_owner = [clause for clause in policy.clauses_of(Gate.APPROVALS) if clause.owner == owner]
        if usual := [asked(clause, roles) for clause in of_owner if clause.holds(in_emergency=False)]:
            yield f"approved by {listed(usual)}{where}"
        if any(clause.when != When.ALWAYS for clause in of_owner):
            then = [asked(clause, roles) for clause in of_owner if clause.holds(in_emergency=True)]
            yield f"in an emergency by {listed(then)}{where}"
    if policy.clause_of(Gate.WINDOW):
        yield "inside the windows of the environment"


def _setting(name: str, value: object, roles: Mapping[str, str]) -> str:
    if isinstance(value, str | bool) and (name, value) in _WHOLE:
        return _WHOLE[name, value]
    said = _said(name, value, roles)
    return _SETTINGS[name].format(said) if name in _SETTINGS else f"{name.replace('_', ' ')}: {said}"


def _said(name: str, value: object, roles: Mapping[str, str]) -> str:
    if isinstance(value, list | tuple) and name == "traits":
        return either([Trait(word).phrase for word in value])
    if isinstance(value, list | tuple):
        return listed([SUITES.get(str(word), str(word)) for word in value])
    if isinstance(value, bool):
        return "yes" if value else "no"
    return roles.get(str(value), str(value)) if name in ("role", "waived_by") else str(value)


def _span(span: timedelta) -> str:
    hours = int(span.total_seconds()) // 3600
    count, unit = (hours // 24, "day") if hours % 24 == 0 and hours > 24 else (hours, "hour")
    return f"{count} {unit}{'' if count == 1 else 's'}"
