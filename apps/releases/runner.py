"""Compares API descriptions and event schemas beside everything else: no gate waits in its transaction for that."""

import logging
from uuid import UUID

from django.conf import settings
from django.utils import timezone

from apps.audit.source import coming_from, task_source
from apps.integrations.artifact_store import ArtifactStore, StoreError
from apps.releases import comparisons, events
from apps.releases.contracts.apart import compare_apart, compare_schemas_apart
from apps.workspaces.scope import workspace_scope

log = logging.getLogger(__name__)


def see_to_comparisons(release_id: UUID | None = None) -> int:
    """This function will compare what is due, of one release or of all, and return how much there was.

    The sweeper of every worker calls it; whoever claims a pair first compares it.
    """
    wanted = comparisons.due(release_id)
    for pair in wanted:
        try:
            with coming_from(task_source(release_id=pair.new_release)):
                _compare(pair)
        except StoreError as error:
            log.warning("API descriptions of release %s are compared later: %s", pair.new_release, error)
        except Exception:
            log.exception("API descriptions of release %s could not be compared; they stay due", pair.new_release)
    return len(wanted)


def _compare(pair: comparisons.Due) -> None:
    with workspace_scope([pair.workspace_id]):
        claimed = comparisons.claim(pair)
    if claimed is None:
        return
    # Outside of any transaction: it may take a minute.
    store = ArtifactStore(settings.ARTIFACT_DIR)
    found = compare_apart(store.verify(pair.old_sha256), store.verify(pair.new_sha256))
    with workspace_scope([pair.workspace_id]):
        comparisons.finish(claimed, found, pair, now=timezone.now())


def see_to_event_checks() -> int:
    """This function will check the event schemas that are due, and return how many there were; as above."""
    wanted = events.due()
    for one in wanted:
        try:
            with coming_from(task_source(schema_id=one.schema_id)):
                _check(one)
        except Exception:
            log.exception("The event schema %s could not be checked; it stays due", one.schema_id)
    return len(wanted)


def _check(wanted: events.Due) -> None:
    with workspace_scope([wanted.workspace_id]):
        schema = events.claim(wanted)
        lower = events.lower(schema) if schema else {}
    if schema is None:
        return
    version = schema.version
    # Outside of any transaction: it may take a minute.
    found = compare_schemas_apart(lower, schema.source, mode=version.mode, is_closed=version.is_closed)
    with workspace_scope([wanted.workspace_id]):
        events.finish(schema, found, now=timezone.now())
