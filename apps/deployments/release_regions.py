"""The live parts of the page of a release: drawn once for all who watch it."""

from django.template.loader import render_to_string

from apps.approvals.regions import gate_parts
from apps.core import live
from apps.deployments.release_page import focus_of, stops_of
from apps.releases.models import Release


def _release(ask: live.Ask) -> Release:
    return Release.objects.readable_in(ask.workspaces).select_related("service").get(pk=ask.subject)


def _path(ask: live.Ask) -> str:
    release = _release(ask)
    stops = stops_of(release, workspaces=ask.workspaces, now=ask.now)
    return render_to_string("releases/_path.html", {"release": release, "stops": stops})


def _gates(ask: live.Ask) -> live.Answer:
    focus = focus_of(stops_of(_release(ask), workspaces=ask.workspaces, now=ask.now))
    return gate_parts(focus.promotion) if focus and focus.promotion else ()


def _may_watch(ask: live.Ask) -> bool:
    return Release.objects.readable_in(ask.workspaces).filter(pk=ask.subject).exists()


live.page(
    "release",
    live.region("path", topics=("release:{subject}", "lane:*", "deployment:*"), render=_path),
    live.region("gates", topics=("release:{subject}",), render=_gates),
    may_watch=_may_watch,
)
