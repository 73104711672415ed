"""OpenTelemetry's own SDK and instrumentations, imported where OTEL_EXPORTER_OTLP_ENDPOINT is set (ADR 0122).

The SDK reads its own variables (docs/runbooks/tracing.md). What leaves is what is listed here: an attribute that is
not, such as an address with its query, a header or the words of an exception, stays.
"""

import os
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any

import django
from celery.signals import task_postrun
from django.apps import apps
from django.utils.module_loading import autodiscover_modules
from opentelemetry import propagate, trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.instrumentation.celery import CeleryInstrumentor
from opentelemetry.instrumentation.django import DjangoInstrumentor
from opentelemetry.instrumentation.psycopg import PsycopgInstrumentor
from opentelemetry.instrumentation.redis import RedisInstrumentor
from opentelemetry.instrumentation.wsgi import wsgi_getter
from opentelemetry.propagators.textmap import CarrierT, Getter, default_getter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import Decision, ParentBased, Sampler, SamplingResult, TraceIdRatioBased
from opentelemetry.trace import Link, SpanKind, Status, get_current_span
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from apps.core import tracing
from eaip import env
from eaip.proxies import is_from_ours

KEPT = frozenset({
    "http.request.method", "http.response.status_code", "http.route", "error.type",
    "db.system", "db.system.name", "db.namespace", "db.operation.name", "db.query.text", "db.statement",
    "celery.action", "celery.state", "celery.task_name", "messaging.message.id",
    "messaging.destination", "messaging.destination.name",
})  # fmt: skip
OWN = "eaip."
# Behind what serves static files, and outside of all else.
POSITION = 2


class Sober(SpanExporter):
    """Passes on what is listed of each span: no events, since exceptions say what people wrote, and no descriptions."""

    def __init__(self, exporter: SpanExporter) -> None:
        self._exporter = exporter

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        return self._exporter.export([_sober(span) for span in spans])

    def shutdown(self) -> None:
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return self._exporter.force_flush(timeout_millis)


def _sober(span: ReadableSpan) -> ReadableSpan:
    attributes = span.attributes or {}
    return ReadableSpan(
        name=span.name,
        context=span.context,
        parent=span.parent,
        resource=span.resource,
        attributes={name: value for name, value in attributes.items() if name in KEPT or name.startswith(OWN)},
        links=span.links,
        kind=span.kind,
        status=Status(span.status.status_code),
        start_time=span.start_time,
        end_time=span.end_time,
        instrumentation_scope=span.instrumentation_scope,
    )


class Begun(Sampler):
    """Of what begins a trace: a query or a command outside of any request, task or attempt begins none.

    Sweepers look many times a second, and a worker waits for its next hint all the time.
    """

    def __init__(self, share: float) -> None:
        self._share = TraceIdRatioBased(share)

    def should_sample(
        self,
        parent_context: Context | None,
        trace_id: int,
        name: str,
        kind: SpanKind | None = None,
        *more: Any,
        **also: Any,
    ) -> SamplingResult:
        if kind == SpanKind.CLIENT:
            return SamplingResult(Decision.DROP)
        return self._share.should_sample(parent_context, trace_id, name, kind, *more, **also)

    def get_description(self) -> str:
        return f"Begun({self._share.get_description()})"


class Believed(TraceContextTextMapPropagator):
    """What strangers say of the trace that they are part of is ignored, as their request ids are (eaip/proxies.py)."""

    def extract(
        self, carrier: CarrierT, context: Context | None = None, getter: Getter[CarrierT] = default_getter
    ) -> Context:
        if getter is wsgi_getter and not is_from_ours(carrier):  # type: ignore[arg-type]  # a request's META
            return Context() if context is None else context
        return super().extract(carrier, context, getter)


class OpenTelemetry:
    """What apps.core.tracing asks."""

    def __init__(self, provider: TracerProvider) -> None:
        self._provider = provider
        self._tracer = provider.get_tracer("eaip")
        self._propagator = TraceContextTextMapPropagator()

    def span(self, name: str, asked_by: str, attributes: dict[str, str | int]) -> AbstractContextManager[object]:
        asked = get_current_span(self._propagator.extract({"traceparent": asked_by})).get_span_context()
        is_other = asked.is_valid and asked.trace_id != get_current_span().get_span_context().trace_id
        return self._tracer.start_as_current_span(
            name,
            links=[Link(asked)] if is_other else [],
            attributes={OWN + key: value for key, value in attributes.items()},
            record_exception=False,
        )

    def traceparent(self) -> str:
        if not get_current_span().get_span_context().trace_flags.sampled:
            return ""
        carrier: dict[str, str] = {}
        self._propagator.inject(carrier)
        return carrier["traceparent"]

    def stop(self) -> None:
        self._provider.shutdown()


def start() -> None:
    """Trace this process: before its first request or task, once for each process that serves or works."""
    os.environ.setdefault("OTEL_SERVICE_NAME", "eaip-operations")
    os.environ.setdefault("OTEL_SEMCONV_STABILITY_OPT_IN", "http,database")
    if not apps.ready:
        django.setup()
    share = env.number("OTEL_TRACES_SAMPLER_ARG", 1)
    provider = TracerProvider(sampler=ParentBased(Begun(share)), resource=Resource.create())
    provider.add_span_processor(BatchSpanProcessor(Sober(OTLPSpanExporter())))
    trace.set_tracer_provider(provider)
    propagate.set_global_textmap(Believed())
    celery = CeleryInstrumentor()  # type: ignore[no-untyped-call]
    for instrumentor in (celery, PsycopgInstrumentor(), RedisInstrumentor()):
        instrumentor.instrument()
    DjangoInstrumentor().instrument(middleware_position=POSITION, excluded_urls="/metrics")
    # Of a task that it can't find, the instrumentation would never end the span with which it is sent. Celery's own way
    # to import them sets Django up anew, and a worker's log would be lost.
    autodiscover_modules("tasks")
    # It keeps when each task began, and never forgets it.
    task_postrun.connect(lambda task_id, **_: celery.task_id_to_start_time.pop(task_id, None), weak=False)
    tracing.use(OpenTelemetry(provider))
