from collections.abc import Mapping
from uuid import UUID

from apps.accounts.models import User
from apps.audit import actions as audit

WORDS = {
    "compliance.exported": "the state of controls",
    "access.exported": "who could do what",
    "population.exported": "what runs",
}


def record_export(
    kind: str, *, form: str, asked: Mapping[str, object], rows: int, workspaces: tuple[UUID, ...], by: User
) -> None:
    """This function will write down that somebody takes this out, once in each workspace that it is about."""
    said = ", ".join(f"{name} = {value}" for name, value in asked.items() if value) or "everything"
    for workspace_id in workspaces:
        audit.record(
            kind,
            by=by,
            target=None,
            workspace_id=workspace_id,
            summary=f"Exported {WORDS[kind]} as {form.upper()}: {said}",
            after={"format": form, "rows": rows, **{name: str(value) for name, value in asked.items() if value}},
        )
