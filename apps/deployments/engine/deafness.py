"""A step is waited for only as long as somebody may still wait for it: one that does not end when asked is given up.

The effect runs in a thread of its own. Where it doesn't end within ENGINE_STEP_GRACE after the limit, a cancellation,
the end of the worker or the loss of the lease, nobody waits any more: the attempt becomes UNKNOWN, its children get no
renewal and are killed by their guards, and what the thread does later carries a fence that the next look at the target
has overtaken (ADR 0050, ADR 0052).
"""

import threading
from collections.abc import Callable
from concurrent.futures import Future, wait

from django.conf import settings
from django.db import connection

from apps.core.durations import in_words
from apps.deployments.engine.lease import TICK_SECONDS, Lease
from apps.deployments.executors.contract import Log, OutcomeUnknown, StepResult


def listen(lease: Lease, effect: Callable[[Log], StepResult], *, log: Log) -> StepResult:
    """This function will run an effect and return what it returns, or raise what it raises.

    Raises OutcomeUnknown: it did not end when asked to. Raises StaleFence: likewise, and the attempt is not ours.
    """
    ended: Future[StepResult] = Future()
    given_up = threading.Event()

    def say(line: str) -> None:
        if not given_up.is_set():
            log(line)

    def work() -> None:
        try:
            ended.set_result(effect(say))
        except BaseException as error:  # noqa: BLE001  it belongs to whoever waits
            ended.set_exception(error)
        finally:
            connection.close()  # the log may have been stored from here

    threading.Thread(target=work, name="effect", daemon=True).start()
    while not wait([ended], timeout=TICK_SECONDS / 4).done and not lease.wants_the_end:
        pass
    if wait([ended], timeout=settings.ENGINE_STEP_GRACE.total_seconds()).done:
        return ended.result()
    given_up.set()
    lease.require()
    grace = in_words(settings.ENGINE_STEP_GRACE)
    raise OutcomeUnknown(f"It did not end within {grace} of being asked to and was given up; it may still be at work.")
