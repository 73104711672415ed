"""The live parts of the page of an export: how far its worker is."""

from collections.abc import Callable

from django.template.loader import render_to_string

from apps.compliance.models import AuditExport
from apps.compliance.querysets import AuditExportQuerySet
from apps.core import live


def _progress(ask: live.Ask) -> Callable[[live.Viewer], live.Answer]:
    export = _exports(ask).select_related("asked_by", "token").get(pk=ask.subject)
    drawn = render_to_string("compliance/_export.html", {"export": export})
    return lambda viewer: drawn if viewer.user_id == export.asked_by_id else ""


def _exports(ask: live.Ask) -> AuditExportQuerySet:
    found: AuditExportQuerySet = AuditExport.objects.visible_in(ask.workspaces)
    return found


def _may_watch(ask: live.Ask) -> bool:
    return _exports(ask).filter(pk=ask.subject).exists()


def _is_moving(ask: live.Ask) -> bool:
    return _exports(ask).filter(pk=ask.subject, state="RUNNING").exists()


live.page(
    "export",
    live.region("export", topics=("auditexport:{subject}",), render=_progress, is_moving=_is_moving),
    may_watch=_may_watch,
)
