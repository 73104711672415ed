"""What proves the entries of a dossier without the portal: `clients/verify_audit.py dossier` checks it."""

from collections import defaultdict
from typing import Any
from uuid import UUID

from apps.audit import seals
from apps.audit.bundle import openings_of, subjects_of
from apps.audit.models import AuditEvent
from apps.compliance.dossiers.document import Dossier, Entry


def proofs_of(dossier: Dossier) -> dict[str, Any]:
    """This function will return the entries as they were sealed, each with its proof of inclusion (RFC 6962).

    Shapes: as static/schemas/dossier-1.json says. Of each workspace five queries, however many entries there are.
    """
    entries: dict[str, Any] = {}
    openings: list[dict[str, str]] = []
    keys: list[str] = []
    sizes = {seal.workspace_id: seal.tree_size for seal in dossier.seals}
    known = seals.public_keys()
    for workspace, cited in _by_workspace(dossier).items():
        owner, leaves = UUID(workspace), {entry.leaf for entry in cited if entry.leaf is not None}
        paths = seals.paths_of(owner, leaves, sizes.get(workspace, 0))
        subjects: set[bytes] = set()
        events = AuditEvent.objects.visible_in((owner,)).filter(
            pk__in=[entry.id for entry in cited], recorded_at__range=(cited[0].at, cited[-1].at)
        )
        sealed = {str(key): bytes(canonical) for key, canonical in events.values_list("pk", "canonical")}
        for entry in cited:
            if line := sealed.get(entry.id):
                subjects |= subjects_of(line)
                path = None if entry.leaf is None else paths[entry.leaf]
                entries[entry.id] = {"entry": line.decode(errors="replace"), "path": path}
        openings += openings_of(owner, subjects)
        keys += [str(key.vkey(owner)) for key in known]
    return {"entries": entries, "openings": openings, "keys": keys}


def _by_workspace(dossier: Dossier) -> dict[str, list[Entry]]:
    """Return the entries of each workspace, oldest first as they come."""
    found: dict[str, list[Entry]] = defaultdict(list)
    for entry in dossier.entries:
        found[entry.workspace_id].append(entry)
    return found
