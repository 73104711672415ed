"""The report of a soak, in Markdown."""

from collections import Counter
from collections.abc import Sequence
from datetime import date
from pathlib import Path

import psycopg
from django.conf import settings

from tests.soak.judgement import Judgement

LOSSES = ("worker killed", "worker frozen", "database restarted at once")
# What is lost later than this after a fault has another cause: a machine short of time, which beats no lease.
NEAR_SECONDS = 20


def write_report(
    path: Path,
    judge: Judgement,
    faults: Counter[str],
    asked: Counter[str],
    when: Sequence[tuple[str, float]],
    *,
    seconds: float,
    lanes: int,
    workers: int,
    seed: int,
) -> int:
    """Return how many deployments there were."""
    with psycopg.connect(judge.url) as connection:
        ends = connection.execute("SELECT state, count(*) FROM deployments_deployment GROUP BY 1 ORDER BY 2 DESC")
        states = {str(state): int(count) for state, count in ends}
        lost = connection.execute(
            """SELECT extract(epoch FROM t.at), extract(epoch FROM d.ended_at - t.at) FROM deployments_transition t
            JOIN deployments_deployment d ON d.id = t.deployment_id
            WHERE t.to_state = 'UNKNOWN' AND t.why LIKE 'Its worker has not%' AND d.ended_at IS NOT NULL"""
        ).fetchall()
    losses = [at for name, at in when if name in LOSSES]
    since = [float(at) - max((fault for fault in losses if fault <= at), default=float("-inf")) for at, _took in lost]
    detected = [seconds for seconds in since if seconds <= NEAR_SECONDS]
    resolved = [float(took) for _at, took in lost]
    total = sum(states.values())
    lines = [
        "# Soak",
        "",
        f"What `make soak` saw on {date.today():%-d %B %Y}: {seconds / 60:.0f} minutes, {workers} workers,",
        f"{lanes} lanes on the target made of files, lease of {settings.ENGINE_LEASE.total_seconds():g}s, SEED={seed}.",
        "",
        f"**{len(judge.violations)} violations** of I1 to I6 in {judge.looks} looks "
        "(one a second, and all of it at the end); "
        f"{total:,} deployments, "
        f"{total / seconds * 60:.0f} a minute, {sum(judge.effects.values()):,} effects.",
        "",
        *(f"- {words}" for words in judge.violations[:50]),
        *([""] if judge.violations else []),
        "| how they ended | count |",
        "| --- | ---: |",
        *(f"| {state.lower()} | {count:,} |" for state, count in states.items()),
        "",
        "| fault | times |",
        "| --- | ---: |",
        *(f"| {name} | {count} |" for name, count in faults.items()),
        "",
        "| what people asked, and were told | count |",
        "| --- | ---: |",
        *(f"| {name} | {count:,} |" for name, count in sorted(asked.items())),
        "",
        "| seconds | deployments | p50 | p99 |",
        "| --- | ---: | ---: | ---: |",
        _row("from the loss of a worker, or of its database, to UNKNOWN", detected),
        _row("from UNKNOWN to its end", resolved),
        "",
        f"{len(since) - len(detected)} more were UNKNOWN without such a fault in the {NEAR_SECONDS} s before: the "
        "machine had no time for their beats.",
        "",
        "I1 is judged by the ledger (one owner for each fence, fences only grow, so no two attempts ever took",
        "turns) and by the database; I6 by the plan's hash, since these lanes are of tier Dev and need no approval.",
        "",
    ]
    path.write_text("\n".join(lines))
    return total


def _row(name: str, values: list[float]) -> str:
    if not values:
        return f"| {name} | 0 | - | - |"
    ordered = sorted(values)
    return f"| {name} | {len(ordered)} | {ordered[len(ordered) // 2]:.1f} | {ordered[int(len(ordered) * 0.99)]:.1f} |"
