"""The ids in each line of the log by which it is found again: in the trail, and in the traces."""

import logging

from apps.audit.source import known_source
from apps.core import tracing


class Whence(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        source = known_source()
        ids = {"request": source.request_id if source else "", "trace": tracing.trace_id()}
        record.whence = "".join(f" {name}={id}" for name, id in ids.items() if id)
        return True
