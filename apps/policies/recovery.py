"""The rule of backups: what is recorded of them beside the limits of a tier. Pure.

The pages of environments measure by the same function as the gate, so that one never says what the other does not.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from apps.policies.clauses import Clause, TierPolicy
from apps.policies.enums import Outcome
from apps.policies.facts import Facts, RecordFacts
from apps.policies.judgement import OPERATORS, Judgement, moment, not_asked

BACKUP, RESTORE_TEST, RECOVERY_TEST = "BACKUP", "RESTORE_TEST", "RECOVERY_TEST"
_TESTS: Mapping[str, tuple[str, str]] = {
    RESTORE_TEST: ("Restore test", "restore_test_days"),
    RECOVERY_TEST: ("Disaster recovery test", "recovery_test_days"),
}


@dataclass(frozen=True)
class Measure:
    """One thing that a clause asks of backups: what is recorded, what is asked, and what would satisfy it."""

    name: str
    measured: str
    limit: str
    is_met: bool
    remedy: str

    def __str__(self) -> str:
        return f"{self.name}: {self.measured}; asked: {self.limit}"


def recovery(policy: TierPolicy, clause: Clause | None, facts: Facts) -> Judgement:
    """This function will judge whether the environment could be brought back, by what is recorded of its backups."""
    if clause is None:
        return not_asked(policy, "for backups")
    found = measures(clause.settings, facts.records, facts.at)
    evidence = tuple(map(str, found))
    missing = [each for each in found if not each.is_met]
    if not missing:
        return Judgement(Outcome.PASSED, f"{facts.environment} could be brought back, by its records.", evidence)
    told = " ".join(f"{each}. {each.remedy}" for each in missing)
    return Judgement(Outcome.FAILED, told, evidence, who=OPERATORS)


def measures(asked: Mapping[str, Any], records: Sequence[RecordFacts], at: datetime) -> tuple[Measure, ...]:
    """This function will hold the records of an environment against what a clause of the gate `recovery` asks.

    Shapes: `asked` are the clause's settings; of each kind of record at most one, the one that counts.
    """
    return tuple(_measures(asked, {record.kind: record for record in records}, at))


def _measures(asked: Mapping[str, Any], records: Mapping[str, RecordFacts], at: datetime) -> Iterator[Measure]:
    backup = records.get(BACKUP)
    yield _aged("Backup", backup, timedelta(hours=asked["backup_hours"]), at, f"{asked['backup_hours']} h")
    if asked.get("point_in_time"):
        is_on = backup is not None and backup.point_in_time
        measured = f"on, {backup.reach_hours} h back" if backup and is_on else "off" if backup else "not recorded"
        yield Measure(
            "Point-in-time recovery", measured, "on", is_on, "Switch it on and record the backup that follows."
        )
    for name, field in (("Daily backups", "kept_daily"), ("Monthly backups", "kept_monthly")):
        if least := asked.get(field):
            kept = getattr(backup, field) if backup else None
            measured = "not recorded" if kept is None else f"{kept} kept"
            remedy = "Keep them for longer and record the backup that follows."
            yield Measure(name, measured, f"{least} kept", kept is not None and kept >= least, remedy)
    for kind, (name, setting) in _TESTS.items():
        if days := asked.get(setting):
            yield _aged(name, records.get(kind), timedelta(days=days), at, f"{days} days")
    told = [records[kind] for kind in _TESTS if kind in records and records[kind].succeeded]
    newest = max(told, key=lambda record: record.at, default=None)
    for name, field in (("RPO", "rpo_minutes"), ("RTO", "rto_minutes")):
        if most := asked.get(field):
            value = getattr(newest, field) if newest else None
            measured = "not measured" if value is None else f"{value} min"
            remedy = "Make it shorter, and record the test that shows it."
            yield Measure(name, measured, f"{most} min at most", value is not None and value <= most, remedy)


def _aged(name: str, record: RecordFacts | None, most: timedelta, at: datetime, span: str) -> Measure:
    """Measure an age, told as a moment: a sentence that counted hours would be another one each hour."""
    limit, remedy = f"{span} old at most", f"Record a {name.lower()} that succeeded."
    if record is None:
        return Measure(name, "none recorded", limit, False, remedy)
    if not record.succeeded:
        return Measure(name, f"failed on {moment(record.at)}", f"succeeded, {limit}", False, remedy)
    is_stale = at - record.at > most
    measured = f"the newest is of {moment(record.at)}"
    return Measure(name, f"{measured}, which is too old" if is_stale else measured, limit, not is_stale, remedy)
