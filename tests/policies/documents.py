"""Documents and policies to judge by, without a database."""

from collections.abc import Mapping
from typing import Any

from apps.policies.clauses import Owner, TierPolicy
from apps.policies.documents import parse

ALWAYS = ("artifact", "version_order", "quarantine", "freeze", "hold")
SETTINGS: Mapping[str, Mapping[str, Any]] = {
    "version_order": {"prereleases": True},
    "window": {"lasting_minutes": 15},
    "checklist": {
        "checklist": "before",
        "title": "Before the start",
        "phase": "PRE",
        "lines": [
            {"id": "artifact", "text": "The artifact is there", "clause": "PROD-1"},
            {"id": "notes", "text": "Release notes prepared", "role": "RELEASE_ENGINEER"},
        ],
    },
    "rollback_readiness": {"limit_minutes": 15},
    "recovery": {
        "backup_hours": 26,
        "point_in_time": True,
        "kept_daily": 30,
        "kept_monthly": 12,
        "restore_test_days": 92,
        "recovery_test_days": 92,
        "rpo_minutes": 60,
        "rto_minutes": 240,
    },
    "migrations": {"tested": True},
    "tests": {"suites": ["UNIT", "INTEGRATION"]},
    "coverage": {"least_percent": 70},
    "security_scan": {"tolerated": "medium"},
    "performance": {"limit_percent": 20},
}

AFTERWARDS: Mapping[str, Any] = {
    "checklist": "after",
    "title": "After the deployment",
    "phase": "POST",
    "hours": 4,
    "lines": [
        {"id": "state", "text": "The release is well", "clause": "PROD-3"},
        {"id": "reports", "text": "Customer reports verified", "role": "DEVOPS"},
    ],
}


# One requirement for each rule by which a value is judged.
REQUIREMENTS: list[dict[str, Any]] = [
    {"id": name.replace("_", "-"), "text": f"The rule {name}.", "source": "The strategy", name: limit, **more}
    for name, limit, more in (
        ("least", 3, {"key": "REPLICAS", "each": True}),
        ("most", 10, {"key": "AUTOSCALING_MAX"}),
        ("is", "enabled", {"key": "WAF"}),
        ("among", ["development", "qa"], {"key": "ACCESS"}),
        ("least_days", 90, {"key": "RETENTION"}),
        ("every", "daily", {"key": "BACKUPS"}),
        ("least_percent_of_production", 50, {"key": "CAPACITY"}),
        ("as_in_production", True, {"key": "STACK"}),
        ("below_production", True, {"key": "ALERT_PERCENT"}),
        ("least_tls", "1.2", {}),
    )
]


def clause(number: int, gate: str, **fields: Any) -> dict[str, Any]:
    row = {"id": f"PROD-{number}", "gate": gate, "text": f"The rule of {gate}.", "source": "The strategy"}
    return {**row, "settings": dict(SETTINGS.get(gate, {})), **fields}


def make_document(*gates: str, roles: tuple[str, ...] = (), **fields: Any) -> dict[str, Any]:
    """Return a document with the gates that every tier has, these gates, and an approval by each of the roles."""
    clauses = [clause(number, gate) for number, gate in enumerate((*ALWAYS, *gates), start=1)]
    clauses += [
        clause(number, "approvals", settings={"role": role})
        for number, role in enumerate(roles, start=len(clauses) + 1)
    ]
    limits = {"request_days": 30, "decision_days": 7, "ready_hours": None}
    return {"schema": 1, "tier": "PRODUCTION", "strategy": "BLUE_GREEN", "limits": limits, "clauses": clauses, **fields}


def make_policy(*gates: str, roles: tuple[str, ...] = (), sunset: bool = False, **fields: Any) -> TierPolicy:
    document = make_document(*gates, roles=roles, **fields)
    for row in document["clauses"]:
        if row["gate"] == "api_compatibility":
            row["settings"] = {"sunset": sunset}
    return parse(document).for_owner(Owner.PLATFORM)
