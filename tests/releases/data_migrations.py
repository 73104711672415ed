"""Manifests that declare data migrations."""

from typing import Any

from tests.world import make_manifest

SHA = "a" * 64


def migration(**fields: Any) -> dict[str, Any]:
    """Return the row of a reversible migration, but for what is said otherwise."""
    return {"id": "0042", "class": "REVERSIBLE", "sha256": SHA, "rollback": "Run downgrade 0041.", **fields}


def forward_only(**fields: Any) -> dict[str, Any]:
    told = {
        "class": "FORWARD_ONLY",
        "reason": "Totals are merged.",
        "rollback": "Restore the snapshot.",
        "critical": True,
    }
    return migration(**{**told, **fields})


def with_migrations(version: str, *rows: dict[str, Any]) -> dict[str, Any]:
    return make_manifest(version=version) | {"migrations": list(rows)}
