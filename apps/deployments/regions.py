"""The live parts of the page of a deployment: drawn once for all who watch it."""

from typing import Any

from django.template.loader import render_to_string

from apps.core import live
from apps.deployments.log_window import Wanted, step_of, window_of
from apps.deployments.measured import measured_context
from apps.deployments.models import Deployment, Step
from apps.deployments.page import progress_context
from apps.deployments.querysets import DeploymentQuerySet

TOPICS = ("deployment:{subject}",)
# Nobody reads more lines in the second between two updates, and every viewer's browser has to draw them.
AT_ONCE = 500


def watched(ask: live.Ask) -> DeploymentQuerySet:
    return Deployment.objects.visible_in(ask.workspaces).filter(pk=ask.subject)


def _is_open(ask: live.Ask) -> bool:
    return watched(ask).open().exists()


def _drawn(template: str) -> live.Render:
    def draw(ask: live.Ask) -> str:
        return render_to_string(template, _context(ask))

    return draw


def _context(ask: live.Ask) -> dict[str, Any]:
    deployment = watched(ask).with_subject().get()
    return {**progress_context(deployment, now=ask.now), "is_update": True}


def _signals(ask: live.Ask) -> str:
    deployment = watched(ask).with_subject().get()
    return render_to_string("deployments/_measured.html", measured_context(deployment, now=ask.now))


def _log(ask: live.Ask) -> live.Marked:
    """Append what came after the last line that the page has; of more than AT_ONCE lines the newest, and what lacks."""
    deployment = watched(ask).with_subject().get()
    steps = {step.seq: step for step in deployment.steps.order_by("seq", "attempt")}
    if not ask.mark:
        return _whole_log(deployment, steps)
    last = int(ask.mark)
    first = max(last, deployment.log_lines - AT_ONCE)
    log = window_of(deployment, Wanted(after=first))
    parts = [] if deployment.is_open else [live.Part("#log-state", "The log is complete.", "innerHTML")]
    if not log.sections:
        return live.Marked(parts, str(last))
    sections, gap = list(log.sections), ""
    if first > last:
        gap = render_to_string("deployments/_log_earlier.html", {"before": first + 1, "floor": last, "is_gap": True})
    elif last and step_of(deployment, last) == sections[0].step_seq:
        # The first lines belong to the section at the end of the page.
        lines = render_to_string("deployments/_log_lines.html", {"lines": sections.pop(0).lines})
        parts.append(live.Part("#log-lines > section:last-of-type > ol", lines, "beforeend"))
    rest = render_to_string("deployments/_log_sections.html", {"log": {"sections": sections}, "step_of": steps})
    parts += [
        live.Part("#log-lines", gap + rest, "beforeend"),
        live.Part("#log-extent", f"{deployment.log_lines} lines", "innerHTML"),
    ]
    return live.Marked(parts, str(log.last))


def _whole_log(deployment: Deployment, steps: dict[int, Step]) -> live.Marked:
    """For a page that polls: nobody remembers how far it is, so what it shows is replaced."""
    log = window_of(deployment, Wanted())
    html = render_to_string("deployments/deployment_detail.html#log-lines", {"log": log, "step_of": steps})
    parts = [live.Part("#log-lines", html), live.Part("#log-extent", f"{deployment.log_lines} lines", "innerHTML")]
    return live.Marked(parts, str(log.last))


HERO = live.region("hero", topics=TOPICS, render=_drawn("deployments/_hero.html"), is_moving=_is_open)
OUTCOME = live.region("outcome", topics=TOPICS, render=_drawn("deployments/_outcome.html"), is_moving=_is_open)
STEPS = live.region("steps", topics=TOPICS, render=_drawn("deployments/_steps.html"), is_moving=_is_open)
SIGNALS = live.region("signals", topics=TOPICS, render=_signals, is_moving=_is_open)
# New lines come every second, so they have a topic of their own, and redraw nothing else; the end is told by TOPICS.
LOG = live.region("log", topics=(*TOPICS, "log:{subject}"), render=_log)


def _may_watch(ask: live.Ask) -> bool:
    return watched(ask).exists()


# Whoever looks at an earlier part of the log, or searches it, gets no new lines put below it.
live.page("deployment", HERO, OUTCOME, STEPS, SIGNALS, LOG, may_watch=_may_watch)
live.page("deployment-progress", HERO, OUTCOME, STEPS, SIGNALS, may_watch=_may_watch)
