import os
import time
from typing import Any

from celery import Celery, bootsteps
from celery.signals import task_postrun, task_prerun
from kombu.transport.redis import Channel

from apps.core import tracing as core_tracing
from apps.core.timings import timings

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "eaip.settings")

# A worker that loses its broker does not give hints back: the sweeper finds what is due, and a channel that tries it
# through a connection that is closed already brings the whole worker down.
Channel.do_restore = False


class Sweep(bootsteps.StartStopStep):
    """The sweeper lives in every worker, from before the broker is asked for: it needs none."""

    requires = ("celery.worker.components:Pool",)

    def start(self, worker: Any) -> None:
        from django.conf import settings

        from apps.api.runner import see_to_pushes
        from apps.api.timings import Writer
        from apps.approvals.jobs import see_to_approvals
        from apps.compliance.anchors import see_to_anchors
        from apps.compliance.exports.run import see_to_exports
        from apps.compliance.jobs import remind_owners, see_to_retention
        from apps.compliance.streams.run import see_to_streams
        from apps.deployments.sweeper import Sweeper
        from apps.health.dependencies import look_at_dependencies
        from apps.health.watcher import Watcher
        from apps.incidents.jobs import see_to_calls
        from apps.policies.jobs import remind_of_records
        from apps.releases.runner import see_to_comparisons, see_to_event_checks

        if settings.TRACES:
            from eaip import tracing  # its packages are there only where they are wanted

            tracing.start()
        self.sweeper = Sweeper(
            see_to_pushes,
            look_at_dependencies,
            see_to_approvals,
            see_to_comparisons,
            see_to_event_checks,
            remind_owners,
            remind_of_records,
            see_to_exports,
            see_to_streams,
            see_to_retention,
            see_to_anchors,
            see_to_calls,
        )
        self.sweeper.start()
        self.watcher = Watcher()
        self.watcher.start()
        self.writer = Writer()
        self.writer.start()

    def stop(self, worker: Any) -> None:
        self.watcher.stop()
        self.sweeper.stop()
        self.writer.stop()
        core_tracing.stop()


@task_prerun.connect
def _renew_connections(**_: Any) -> None:
    """Each thread keeps its connection from task to task while it is good and young, as it does between requests."""
    from django.db import close_old_connections

    close_old_connections()


@task_prerun.connect
def _begin(task: Any, **_: Any) -> None:
    task.request.began = time.monotonic()


@task_postrun.connect
def _count(task: Any, state: str, **_: Any) -> None:
    outcome = "done" if state == "SUCCESS" else "failed"
    timings.count("task", task.name, outcome, seconds=time.monotonic() - task.request.began)


app = Celery("eaip")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
app.steps["worker"].add(Sweep)
