# ruff: noqa: S608
"""What must be true all the time, asked of the database and of the target's own ledger (reliability: I1 to I6)."""

import json
import threading
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import psycopg

# Longer than a lease, a sweep, a frozen worker and an outage of the database together.
OVERDUE_SECONDS = 60
# What a look asks goes back so far, so that a long history costs nothing; at the end all of it is asked.
RECENT_SECONDS = 60
TERMINAL = "'SUCCEEDED','FAILED','ERRORED','CANCELLED','SUPERSEDED','EXPIRED','ABANDONED'"
ACTIVE = "'STARTING','MIGRATING','APPLYING','VERIFYING','CANCELLING','UNKNOWN'"

QUESTIONS = {
    "I1 two open deployments of one target": f"""
        SELECT target_key FROM deployments_deployment WHERE state IN ('QUEUED',{ACTIVE})
        GROUP BY target_key HAVING count(*) > 1""",
    "I3 a change of what had ended": f"""
        SELECT deployment_id FROM deployments_transition WHERE from_state IN ({TERMINAL}) AND at > %(since)s""",
    "I4 nobody looks at it": f"""
        SELECT id || ' ' || state FROM deployments_deployment WHERE state IN ({ACTIVE}) AND greatest(
            coalesce(lease_until, '-infinity'), coalesce(probe_after, '-infinity'), requested_at
        ) < clock_timestamp() - interval '{OVERDUE_SECONDS} s'
        UNION ALL SELECT id || ' QUEUED' FROM deployments_deployment
        WHERE state = 'QUEUED' AND requested_at < clock_timestamp() - interval '{OVERDUE_SECONDS} s'""",
    "I6 another plan than the one that was asked for": """
        SELECT d.id FROM deployments_deployment d JOIN approvals_promotion p ON p.id = d.promotion_id
        JOIN deployments_transition t ON t.deployment_id = d.id AND t.to_state = 'STARTING' AND t.from_state = 'QUEUED'
        -- Given back, a promotion gets a new plan for its next attempt.
        WHERE t.at > %(since)s AND d.plan_hash <> p.plan_hash
            AND p.state IN ('DEPLOYING', 'COMPLETED', 'FAILED') AND d.number =
            (SELECT max(number) FROM deployments_deployment WHERE promotion_id = p.id)""",
}
# Asked at the end, and of everything.
LAST = {
    "I5 changes and events differ": f"""
        SELECT deployment_id FROM (
            SELECT deployment_id::text, to_state AS state, count(*) AS n FROM deployments_transition GROUP BY 1, 2
        ) t FULL JOIN (
            SELECT target_id AS deployment_id, upper(split_part(kind, '.', 2)) AS state, count(*) AS n
            FROM audit_event WHERE kind LIKE 'deployment.%%'
                AND upper(split_part(kind, '.', 2)) IN ('QUEUED',{ACTIVE},{TERMINAL}) GROUP BY 1, 2
        ) e USING (deployment_id, state, n) WHERE t IS NULL OR e IS NULL""",
    "I5 a gap in the history": """
        SELECT deployment_id FROM deployments_transition GROUP BY 1 HAVING max(n) <> count(*)""",
    "still open": f"SELECT id FROM deployments_deployment WHERE state IN ('QUEUED',{ACTIVE})",
}


@dataclass
class Judgement:
    url: str
    target: Path
    violations: list[str] = field(default_factory=list)
    looks: int = 0
    read: dict[Path, int] = field(default_factory=dict)
    fences: dict[Path, int] = field(default_factory=lambda: defaultdict(int))
    owners: dict[tuple[Path, int], tuple[str, int]] = field(default_factory=dict)
    effects: Counter[tuple[str, str]] = field(default_factory=Counter)
    live: dict[Path, str | None] = field(default_factory=dict)
    slots: dict[Path, dict[str, str]] = field(default_factory=lambda: defaultdict(dict))
    ended: dict[str, str] = field(default_factory=dict)

    def watch(self, over: threading.Event) -> None:
        while not over.wait(1):
            self.read_ledgers()
            try:
                self.ask(QUESTIONS)
                self.looks += 1
            except psycopg.OperationalError:
                continue  # it was stopped by the soak

    def ask(self, questions: dict[str, str], *, of_all: bool = False) -> None:
        with psycopg.connect(self.url, connect_timeout=5) as connection:
            row = connection.execute(f"SELECT clock_timestamp() - interval '{RECENT_SECONDS} s'").fetchone()
            since = {"since": "-infinity" if of_all or row is None else row[0]}
            for name, question in questions.items():
                self._found(name, [str(row[0]) for row in connection.execute(question, since).fetchall()])
            rows = connection.execute(
                f"SELECT id, state FROM deployments_deployment WHERE state IN ({TERMINAL}) AND ended_at > %(since)s",
                since,
            )
            for id, state in rows:
                if self.ended.setdefault(str(id), state) != state:
                    self._found("I3 ended anew", [str(id)])

    def read_ledgers(self) -> None:
        for ledger in self.target.glob("*/ledger.jsonl"):
            with ledger.open("rb") as file:
                file.seek(self.read.get(ledger, 0))
                whole, _newline, _rest = file.read().rpartition(b"\n")
            self.read[ledger] = self.read.get(ledger, 0) + len(whole) + bool(whole)
            for line in whole.splitlines():
                self._judge(ledger, json.loads(line))

    def finish(self) -> None:
        """Hold the whole ledger against all rows."""
        self.read_ledgers()
        self.ask(QUESTIONS | LAST, of_all=True)
        with psycopg.connect(self.url) as connection:
            succeeded = connection.execute(
                "SELECT id, rolls_back_id FROM deployments_deployment WHERE state = 'SUCCEEDED'"
            )
            for id, undone in succeeded:
                # What never had the traffic is undone without an effect.
                if not self.effects[str(id), "switch"] and (undone is None or self.effects[str(undone), "switch"]):
                    self._found("a success without its effect", [str(id)])
            lanes = connection.execute(
                """SELECT l.target_key, last.id, last.state, last.kind, r.version FROM environments_lane l
                JOIN releases_release r ON r.id = l.live_release_id
                JOIN LATERAL (SELECT * FROM deployments_deployment d WHERE d.lane_id = l.id
                              ORDER BY number DESC LIMIT 1) last ON true"""
            )
            for key, id, state, kind, version in lanes:
                ledger = self.target / key / "ledger.jsonl"
                serves = self.slots[ledger].get(self.live.get(ledger) or "")
                if serves != version and not (state == "ABANDONED" or (state == "FAILED" and kind == "ROLLBACK")):
                    self._found(f"{key} says {version}, {serves} serves", [str(id)])

    def _judge(self, ledger: Path, line: dict[str, object]) -> None:
        fence, deployment, effect = int(str(line["fence"])), str(line["deployment"]), str(line["effect"])
        if fence < self.fences[ledger]:
            self._found(f"I2 fence {fence} after {self.fences[ledger]}", [deployment])
        self.fences[ledger] = max(fence, self.fences[ledger])
        if deployment:
            owner = deployment, int(str(line["pid"]))
            if self.owners.setdefault((ledger, fence), owner) != owner:
                self._found(f"I1 two owners of fence {fence}", [deployment])
            if effect in ("start", "switch"):
                self.effects[deployment, effect] += 1
                if self.effects[deployment, effect] > 1:
                    self._found(f"{effect} more than once", [deployment])
            if effect == "stop":  # taken back, so the one retry may do it again
                self.effects[deployment, "start"] = 0
        slot = str(line["slot"])
        if effect in ("start", "keep"):
            self.slots[ledger][slot] = str(line["version"])
        elif effect == "switch":
            self.live[ledger] = slot
        elif effect == "stop":
            self.slots[ledger].pop(slot, None)
            self.live[ledger] = None if self.live.get(ledger) == slot else self.live.get(ledger)

    def _found(self, name: str, ids: Iterable[str]) -> None:
        for id in ids:
            if (words := f"{name}: {id}") not in self.violations:
                self.violations.append(words)
                print(f"  !! {words}", flush=True)
