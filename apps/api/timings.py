"""What all processes counted, added up in one table: whichever of them is scraped tells the same (ADR 0122)."""

import logging
import threading

from django.conf import settings
from django.db import Error, close_old_connections, connection, transaction

from apps.core.timings import timings

log = logging.getLogger(__name__)

ADD = """
INSERT INTO api_timing AS known (family, labels, counts, seconds) VALUES (%s, %s, %s, %s)
ON CONFLICT (family, labels) DO UPDATE SET seconds = known.seconds + EXCLUDED.seconds, counts = ARRAY(
    SELECT before + more FROM unnest(known.counts, EXCLUDED.counts) WITH ORDINALITY AS band (before, more, number)
    ORDER BY number)
"""


def write() -> None:
    """This function will add what this process counted to what is known; without the database, it is kept."""
    taken = timings.take()
    if not taken:
        return
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            # In one order, or two processes would wait for each other.
            rows = [(family, list(labels), tally.counts, tally.seconds) for (family, labels), tally in taken.items()]
            cursor.executemany(ADD, sorted(rows))
    except Error as error:
        timings.put_back(taken)
        log.warning("times are kept until the database takes them: %s", error)


class Writer:
    """One thread of each process that serves or works. A process that is killed loses what it counted last."""

    def __init__(self) -> None:
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._every_few_seconds, name="timings", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._over.set()
        self._thread.join(timeout=2)

    def _every_few_seconds(self) -> None:
        while not self._over.wait(settings.TIMINGS_EVERY.total_seconds()):
            close_old_connections()
            write()
        write()
        connection.close()
