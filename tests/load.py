"""Users of a service that ask without a pause, and remember each answer."""

import http.client
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager


class Visitor(threading.Thread):
    """Counts the answers by the release that gave them, and what went wrong by what it was."""

    def __init__(self, port: int, stop: threading.Event, *, keeps: bool, pause: float = 0.002) -> None:
        super().__init__()
        self.port, self.stop, self.keeps, self.pause = port, stop, keeps, pause
        self.answers: Counter[str] = Counter()

    def run(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        while not self.stop.wait(self.pause):
            try:
                connection.request("GET", "/")
                answer = connection.getresponse()
                answer.read()
                good = answer.status == 200
                self.answers[answer.headers["X-Release"] if good else f"status {answer.status}"] += 1
            except (OSError, http.client.HTTPException) as error:
                self.answers[f"failed: {error!r}"] += 1
                connection.close()
            if not self.keeps:
                connection.close()
        connection.close()


@contextmanager
def visiting(port: int, *, number: int, pause: float = 0.002) -> Iterator[Counter[str]]:
    """Have users at a port, half of them on connections that are kept; their count is complete after the block."""
    stop = threading.Event()
    visitors = [Visitor(port, stop, keeps=index % 2 == 0, pause=pause) for index in range(number)]
    answers: Counter[str] = Counter()
    for visitor in visitors:
        visitor.start()
    try:
        yield answers
    finally:
        stop.set()
        for visitor in visitors:
            visitor.join()
            answers.update(visitor.answers)
