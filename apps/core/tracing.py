"""Spans of what the portal does by itself, and the trace that a line, an entry or an attempt belongs to (ADR 0122).

Where OTEL_EXPORTER_OTLP_ENDPOINT is not set nothing of OpenTelemetry is imported, and all of this does nothing;
eaip/tracing.py, which alone knows it, puts itself behind `use`.
"""

from contextlib import AbstractContextManager, nullcontext
from typing import Protocol


class Tracer(Protocol):
    def span(self, name: str, asked_by: str, attributes: dict[str, str | int]) -> AbstractContextManager[object]:
        """Return a span of what is done inside, linked to the one of `asked_by` where that is of another trace."""

    def traceparent(self) -> str:
        """Return the current span as W3C writes it; empty where there is none, or where it is not kept."""

    def stop(self) -> None:
        """Send what was not sent yet."""


_tracer: Tracer | None = None


def use(tracer: Tracer) -> None:
    global _tracer
    _tracer = tracer


def span(name: str, *, asked_by: str = "", **attributes: str | int) -> AbstractContextManager[object]:
    """This function will trace what is done inside.

    Shapes: `asked_by` is what `traceparent` said where it was asked for. Attributes name the portal's own things by
    number or kind, nothing that anybody wrote.
    """
    return nullcontext() if _tracer is None else _tracer.span(name, asked_by, attributes)


def traceparent() -> str:
    """This function will name the current span, so that another process may refer to it; empty where none is kept."""
    return "" if _tracer is None else _tracer.traceparent()


def trace_id() -> str:
    """This function will name the current trace, for people who look for it; empty where none is kept."""
    return traceparent()[3:35]


def stop() -> None:
    if _tracer is not None:
        _tracer.stop()
