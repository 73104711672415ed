"""The live parts of the page of a release: drawn once for all who watch it."""

from datetime import timedelta

from django.template.loader import render_to_string

from apps.approvals.models import Promotion
from apps.approvals.regions import gate_parts
from apps.core import live
from apps.deployments.release_page import focus_of, stops_of
from apps.releases.models import Release

JUST_ENDED = timedelta(minutes=1)


def _release(ask: live.Ask) -> Release:
    return Release.objects.readable_in(ask.workspaces).select_related("service").get(pk=ask.subject)


def _path(ask: live.Ask) -> str:
    release = _release(ask)
    stops = stops_of(release, workspaces=ask.workspaces, now=ask.now)
    return render_to_string("releases/_path.html", {"release": release, "stops": stops})


def _gates(ask: live.Ask) -> live.Answer:
    """Draw the gates of the promotion that the page shows; of one that has just ended, so that nobody waits for it."""
    release = _release(ask)
    focus = focus_of(stops_of(release, workspaces=ask.workspaces, now=ask.now))
    if focus and focus.promotion:
        return gate_parts(focus.promotion, now=ask.now)
    of_release = Promotion.objects.visible_in(ask.workspaces).filter(release=release, ended_at__gt=ask.now - JUST_ENDED)
    ended = of_release.with_subject().order_by("-ended_at").first()
    return gate_parts(ended, now=ask.now) if ended else ()


def _may_watch(ask: live.Ask) -> bool:
    return Release.objects.readable_in(ask.workspaces).filter(pk=ask.subject).exists()


live.page(
    "release",
    live.region("path", topics=("release:{subject}", "lane:*", "deployment:*"), render=_path),
    live.region("gates", topics=("release:{subject}",), render=_gates),
    may_watch=_may_watch,
)
