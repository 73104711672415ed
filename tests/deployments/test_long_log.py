"""A log of 100,000 lines and one at its limit: written as a worker writes it, read by the pages that people open."""

from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from apps.deployments.log import LAST_LINES, LIMIT_BYTES, LogWriter
from apps.deployments.log_window import SHOWN
from apps.deployments.models import Deployment
from apps.deployments.views.deployments import RAW_BATCH
from tests.deployments.conftest import Stage
from tests.drill import get, signed_in, text_of

LINES = 100_000
MANY, LONG = 45_000, 400


def _told(number: int) -> str:
    return f" item {number:06} was handled in 12.3 ms"


def _write(stage: Stage, deployment: Deployment, first: int, last: int) -> None:
    log = LogWriter(stage.fresh(deployment), deployment.fence)
    for number in range(first, last + 1):
        log.write(f"\x1b[32mok\x1b[0m{_told(number)}")
    log.flush()


def _opened(person: Client, url: str) -> tuple[str, int]:
    """Return a page, and how many queries it took."""
    with CaptureQueriesContext(connection) as asked:
        page = text_of(person.get(url))
    return page, len(asked)


def test_a_log_of_100_000_lines_is_opened_as_one_of_2_000(stage: Stage) -> None:
    deployment = stage.start()
    url = reverse("deployments:deployment-detail", args=[deployment.number])
    person = signed_in(stage.world.cast.devops)
    person.get(url)
    _write(stage, deployment, 1, SHOWN)
    little, queries = _opened(person, url)

    _write(stage, deployment, SHOWN + 1, LINES)

    end, queries_at_end = _opened(person, url)
    middle, queries_in_middle = _opened(person, f"{url}?from=50000&to=50010")
    found, queries_of_search = _opened(person, f"{url}?q=ITEM+050000+was")
    assert (end.count('<li id="L'), queries_at_end) == (SHOWN, queries)
    assert f'id="L{LINES}"' in end
    assert f'id="L{LINES - SHOWN}"' not in end
    assert len(end) < 1.1 * len(little)
    assert 'id="L50000" class="hl"' in middle
    assert len(middle) < len(little)
    assert "1 line found" in found
    assert 'id="L50000"' in found
    assert max(queries_in_middle, queries_of_search) <= queries

    raw = person.get(reverse("deployments:log-raw", args=[deployment.number]))
    with CaptureQueriesContext(connection) as asked:
        lines = b"".join(raw.streaming_content).splitlines()
    assert lines == [f"ok{_told(number)}".encode() for number in range(1, LINES + 1)]
    assert len(asked) <= 4 * -(-LINES // RAW_BATCH)  # a batch begins, sets its scope, reads and ends


def test_past_16_mb_the_page_says_so_and_shows_the_last_lines(stage: Stage) -> None:
    deployment = stage.start()
    log = LogWriter(deployment, deployment.fence)

    for number in range(1, MANY + 1):
        log.write(f"{number:06} " + "y" * LONG)
    log.flush()

    written = stage.fresh(deployment)
    assert LIMIT_BYTES < written.log_bytes < LIMIT_BYTES + (LAST_LINES + 3) * 2 * LONG
    kept = written.log_lines - LAST_LINES - 2  # and two notices
    page = text_of(get(stage.world.cast.devops, reverse("deployments:deployment-detail", args=[deployment.number])))
    assert "The log has reached 16 MB." in page
    assert f"{MANY - LAST_LINES - kept} lines are left out here." in page
    assert f"{kept:06} y" in page
    assert f"{kept + 1:06} y" not in page
    assert f"{MANY - LAST_LINES + 1:06} y" in page
    assert f"{MANY:06} y" in page
