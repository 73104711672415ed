"""One trace goes from the click through the hint to the steps, as a receiver of OTLP gets it from real processes."""

import logging
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import httpx2
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from apps.audit.models import AuditEvent
from apps.audit.source import Source, coming_from
from apps.deployments.enums import DeploymentState as S
from apps.deployments.models import Deployment
from apps.releases.models import Release
from deploy.launcher.paths import ROOT
from eaip.log import Whence
from tests.deployments.conftest import Stage, signed_in
from tests.monitoring import serving
from tests.processes import eventually, start_web, start_worker

STRANGER = "0af7651916cd43dd8448eb211c80319c"
OURS = ("eaip.tracing", "opentelemetry.instrumentation", "opentelemetry.exporter", "opentelemetry.sdk.trace")
SECRETS = ("token-in-the-address", "token-in-a-header")


@dataclass
class Receiver:
    """What takes OTLP over HTTP, as a collector does, and keeps it."""

    bodies: list[bytes] = field(default_factory=list)

    @contextmanager
    def running(self) -> Iterator[dict[str, str]]:
        """Start it, and give what a process needs to send its traces there."""
        bodies = self.bodies

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
                self.send_response(200 if self.path == "/v1/traces" else 404)
                self.end_headers()

            def log_message(self, *arguments: object) -> None:
                """Say nothing."""

        with serving(Handler) as port:
            yield {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{port}", "OTEL_BSP_SCHEDULE_DELAY": "100"}

    @property
    def spans(self) -> list[Span]:
        return [
            span
            for body in self.bodies
            for resource in ExportTraceServiceRequest.FromString(body).resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]

    def named(self, name: str, trace: bytes) -> Span | None:
        return next((span for span in self.spans if (span.name, span.trace_id) == (name, trace)), None)

    def clicks(self) -> list[Span]:
        name = "POST deployments/promotions/<uuid:promotion_id>/start/"
        return sorted((s for s in self.spans if s.name == name), key=lambda span: span.start_time_unix_nano)


def start(stage: Stage, client: httpx2.Client, release: Release) -> Deployment:
    promotion = stage.promotion(release)
    client.get(f"/approvals/promotions/{promotion.number}/")
    answer = client.post(
        f"/deployments/promotions/{promotion.pk}/start/?key={SECRETS[0]}",
        headers={
            "X-CSRFToken": client.cookies["csrftoken"],
            "X-Key": SECRETS[1],
            "traceparent": f"00-{STRANGER}-00f067aa0ba902b7-00",
        },
    )
    assert answer.status_code == 302, answer.text
    with stage.everything():
        return Deployment.objects.get(promotion=promotion)


def test_a_trace_goes_from_the_click_to_the_steps_and_over_a_crash(
    stage: Stage, redis_url: str, tmp_path: Path
) -> None:
    receiver = Receiver()
    with ExitStack() as stack:
        environment = stack.enter_context(receiver.running())
        web = stack.enter_context(start_web(tmp_path, environment=environment, limit_seconds=180))
        client = stack.enter_context(signed_in(web, stage.world.cast.devops))
        crash = {"EAIP_CRASHPOINT": "after_effect:SWITCH"}
        with start_worker(tmp_path, environment=environment | crash, name="first", limit_seconds=180) as worker:
            crashed = start(stage, client, stage.world.release)
            assert worker.process.wait(60) == -signal.SIGKILL
        with start_worker(tmp_path, environment=environment, name="second", limit_seconds=180):
            assert eventually(stage.ended(crashed), within_seconds=60).state == S.SUCCEEDED
            whole = start(stage, client, stage.release("1.1.0"))
            assert eventually(stage.ended(whole), within_seconds=60).state == S.SUCCEEDED
            first, second = eventually(lambda: receiver.clicks()[1:] and receiver.clicks())
            told = eventually(lambda: receiver.named("run/deployments.run", second.trace_id), within_seconds=30)

    # From the click to the steps, each begun by the one before.
    hint = receiver.named("apply_async/deployments.run", second.trace_id)
    attempt = receiver.named("deployment", second.trace_id)
    step = receiver.named("step switch", second.trace_id)
    assert (hint.parent_span_id, told.parent_span_id) == (second.span_id, hint.span_id)
    assert (attempt.parent_span_id, step.parent_span_id) == (told.span_id, attempt.span_id)
    assert not attempt.links
    # Who took the other one up says which trace asked for it.
    [taken_up] = [
        s for s in receiver.spans if s.name == "deployment" and s.trace_id not in (first.trace_id, second.trace_id)
    ]
    assert [(link.trace_id, link.span_id) for link in taken_up.links] == [(first.trace_id, first.span_id)]
    # The trail names the trace.
    with stage.everything():
        event = AuditEvent.objects.get(kind="deployment.queued", target_id=str(whole.pk))
    assert event.source["trace_id"] == second.trace_id.hex()
    # Nothing secret left: queries without their values, no header, no address. What a worker looks for begins no trace,
    # and what a stranger says of one is ignored.
    sent = b"".join(receiver.bodies)
    assert not [secret for secret in (*SECRETS, *client.cookies.values()) if secret.encode() in sent]
    names = {attribute.key for span in receiver.spans for attribute in span.attributes}
    assert "db.query.text" in names
    assert not {name for name in names if name.startswith(("url.", "client.", "http.target", "http.url"))}
    assert STRANGER not in {span.trace_id.hex() for span in receiver.spans}
    assert not [s for s in receiver.spans if not s.parent_span_id and s.kind == Span.SPAN_KIND_CLIENT]


def test_off_nothing_of_it_is_imported() -> None:
    # Where it is installed, redis itself imports what it has of metrics; `make run` installs nothing of it then.
    code = f"import sys, eaip.asgi, eaip.celery; print([name for name in sys.modules if name.startswith({OURS})])"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    told = subprocess.run([sys.executable, "-c", code], env=environment, cwd=ROOT, capture_output=True, text=True)

    assert told.stdout == "[]\n", told.stderr


def test_lines_of_the_log_name_the_request() -> None:
    record = logging.makeLogRecord({})
    with coming_from(Source(via="page", request_id="a-request")):
        Whence().filter(record)
    outside = logging.makeLogRecord({})
    Whence().filter(outside)

    assert (record.whence, outside.whence) == (" request=a-request", "")
