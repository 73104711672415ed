"""The portal's own figures: who may read them, what they say, and that a real Prometheus does so."""

import contextlib
import json
import re
import shutil
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from prometheus_client.parser import text_string_to_metric_families

from apps.api.metrics import WAITING
from apps.api.problems import ScraperRefused
from apps.api.timings import write as write_times
from apps.audit.models import AuditEvent
from apps.compliance import actions
from apps.compliance.models import AuditStream
from apps.core.timings import timings
from apps.deployments import actions as deployment_actions
from apps.incidents import actions as incident_actions
from apps.workspaces.scope import workspace_scope
from deploy.launcher.paths import ROOT
from tests import debian, monitoring
from tests.approvals.promotions import ask
from tests.audit.test_seal import administrator, all_sealed, own, sealer, url, write
from tests.cast import NOW, Cast
from tests.processes import eventually, start_web
from tests.world import World

__all__ = ["own", "sealer", "url"]
TOKEN = "a token of thirty-two characters"
RULES = ROOT / "deploy" / "monitoring" / "rules.yaml"
Labels = frozenset[tuple[str, str]]


@pytest.fixture(autouse=True)
def _is_on(settings: Any) -> None:
    settings.METRICS_TOKEN = TOKEN


def scrape(token: str | None = TOKEN, client: Client | None = None) -> Any:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return (client or Client()).get("/metrics", headers=headers)


def read() -> dict[str, dict[Labels, float]]:
    answer = scrape()
    assert answer.status_code == 200
    families = text_string_to_metric_families(answer.content.decode())
    return {
        family.name.removeprefix("eaip_"): {frozenset(sample.labels.items()): sample.value for sample in family.samples}
        for family in families
    }


def visit(address: str) -> None:
    with contextlib.suppress(urllib.error.HTTPError), urllib.request.urlopen(address, timeout=30):
        pass


def of(**labels: str) -> Labels:
    return frozenset(labels.items())


PLATFORM = of(workspace="platform")


@pytest.mark.django_db
def test_nobody_reads_them_without_the_token_nor_where_none_is_set(cast: Cast, settings: Any) -> None:
    signed_in = Client()
    signed_in.force_login(cast.administrator)

    refused = (scrape(None), scrape("another"), scrape(TOKEN + "x"), scrape("é"), scrape(None, signed_in))
    for answer in refused:
        assert (answer.status_code, answer["WWW-Authenticate"]) == (401, "Bearer")
        assert b"METRICS_TOKEN" in answer.content
    settings.METRICS_TOKEN = ""
    assert {scrape(None).status_code, scrape("").status_code, scrape(TOKEN).status_code} == {404}


@pytest.mark.django_db
def test_the_trail_has_a_refused_scrape_once_a_minute_from_each_address(cast: Cast, monkeypatch: Any) -> None:
    def told() -> list[str]:
        with workspace_scope([cast.platform.pk]):
            events = AuditEvent.objects.filter(kind="access.refused", summary__startswith="GET /metrics")
            return sorted(event.source["ip"] for event in events)

    timings.take()
    for address in ("10.0.0.1", "10.0.0.2", "10.0.0.1", "10.0.0.1"):
        scrape("another", Client(REMOTE_ADDR=address))
    in_a_minute = told()
    monkeypatch.setattr(ScraperRefused, "told_every", timedelta(0))
    scrape("another", Client(REMOTE_ADDR="10.0.0.1"))

    assert in_a_minute == ["10.0.0.1", "10.0.0.2"]
    assert told() == ["10.0.0.1", "10.0.0.1", "10.0.0.2"]
    [tally] = timings.take().values()
    assert sum(tally.counts) == 5


@pytest.mark.django_db
def test_times_are_histograms(cast: Cast) -> None:
    timings.take()
    timings.count("http_request", "dashboards:dashboard", "GET", "2xx", seconds=0.2)
    timings.count("http_request", "dashboards:dashboard", "GET", "2xx", seconds=99)
    write_times()

    told = text_string_to_metric_families(scrape().content.decode())
    [family] = [family for family in told if family.name == "eaip_http_request_duration_seconds"]
    values = {(sample.name.rpartition("_")[2], sample.labels.get("le")): sample.value for sample in family.samples}

    assert (values["bucket", "0.1"], values["bucket", "0.25"], values["bucket", "+Inf"]) == (0, 1, 2)
    assert (values["count", None], values["sum", None]) == (2, pytest.approx(99.2))


@pytest.mark.django_db(transaction=True)
def test_they_tell_how_the_seal_and_what_follows_it_stand(cast: Cast, sealer, own, engines, database) -> None:
    assert not read()["audit_seal_look_age_seconds"]
    write(3)
    unsealed = read()
    all_sealed(sealer, own)
    with workspace_scope([cast.platform.pk]):
        stream = actions.create_stream(
            cast.platform, kind="WEBHOOK", name="SIEM", url="https://siem.example/in", by=cast.administrator, now=NOW
        )
        AuditStream.objects.filter(pk=stream.pk).update(next_leaf=0, failing_since=NOW)
    with administrator(engines, database) as connected:
        connected.execute("UPDATE audit_tree SET refused = 'It is not what was signed'")
    told = read()

    assert unsealed["audit_unsealed_entries"][PLATFORM] >= 3
    assert unsealed["audit_unsealed_age_seconds"][PLATFORM] > 0
    assert told["audit_unsealed_entries"][of(workspace=cast.customer.slug)] == 0
    assert 0 < told["audit_checkpoint_age_seconds"][PLATFORM] < 60
    assert 0 < told["audit_seal_look_age_seconds"][of()] < 60
    assert told["audit_seal_refused"][PLATFORM] == 1
    siem = of(workspace="platform", stream="SIEM")
    assert told["audit_stream_lag_entries"][siem] >= 3
    assert told["audit_stream_lag_seconds"][siem] > 0
    assert told["audit_stream_failing"][siem] == 1


@pytest.mark.django_db
def test_they_tell_what_is_under_way_of_all_workspaces_by_as_many_queries(world: World) -> None:
    read()
    with CaptureQueriesContext(connection) as few:
        before = read()
    with world.everything():
        promotion = ask(world, world.dev, now=timezone.now(), starts_by_itself=False)
        deployment_actions.start_deployment(promotion, by=world.cast.devops, now=timezone.now())
        for title in ("It hurts", "It hurts more"):
            incident_actions.declare(
                world.cast.platform, title=title, severity="SEV2", environment=None, by=world.cast.devops, now=NOW
            )
    with CaptureQueriesContext(connection) as many:
        after = read()

    assert (before["deployments"][of(state="queued")], after["deployments"][of(state="queued")]) == (0, 1)
    assert (before["waiting"][of(what="incidents")], after["waiting"][of(what="incidents")]) == (0, 2)
    assert after["waiting"].keys() == {of(what=what) for what in WAITING}
    assert after["audit_exports"][of(state="failed")] == 0
    assert len(many) == len(few)


def test_rules_are_sound() -> None:
    promtool = shutil.which("promtool") or pytest.skip(f"promtool is missing: {debian.command('prometheus')}")
    told = subprocess.run([promtool, "check", "rules", RULES], capture_output=True, text=True)

    assert "11 rules found" in told.stdout, told.stderr


@pytest.mark.django_db(transaction=True)
def test_a_real_prometheus_reads_them_and_judges_by_the_rules(
    cast: Cast, sealer, own, redis_url, tmp_path: Path
) -> None:
    write()
    all_sealed(sealer, own)
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    environment = {"METRICS_TOKEN": TOKEN, "TIMINGS_EVERY_SECONDS": "0.2"}
    with start_web(tmp_path, environment=environment, workers=2) as portal:
        for address in ["/account/", "/poll/dashboard/"] * 10:
            visit(portal.url + address)
        config = yaml.safe_load((ROOT / "deploy" / "monitoring" / "prometheus.yaml").read_text())
        job = config["scrape_configs"][0] | {"scheme": "http", "scrape_interval": "1s"}
        job["static_configs"] = [{"targets": [urllib.parse.urlsplit(portal.url).netloc]}]
        job["authorization"] = {"credentials_file": str(tmp_path / "token")}
        config |= {
            "global": {"evaluation_interval": "1s"}, "scrape_configs": [job], "rule_files": [str(RULES)],
        }  # fmt: skip
        (tmp_path / "prometheus.yml").write_text(yaml.safe_dump(config))
        arguments = (f"--config.file={tmp_path / 'prometheus.yml'}", f"--storage.tsdb.path={tmp_path / 'prometheus'}")
        with monitoring.started("prometheus", tmp_path, *arguments) as prometheus:

            def ask(path: str, **query: str) -> Any:
                address = f"{prometheus}/api/v1/{path}?{urllib.parse.urlencode(query)}"
                with urllib.request.urlopen(address, timeout=5) as answer:
                    return json.load(answer)["data"]

            def value(expression: str) -> list[str]:
                return [row["value"][1] for row in ask("query", query=expression)["result"]]

            known = 'eaip_audit_checkpoint_age_seconds{workspace="platform"}'
            eventually(lambda: value(known), within_seconds=30)
            assert value('up{job="eaip-operations"}') == ["1"]
            asked = 'eaip_http_request_duration_seconds_count{route="accounts:preferences"}'
            eventually(lambda: value(asked) == ["10"], within_seconds=30)
            assert value('eaip_http_request_duration_seconds_count{route="none"}') == []  # what is live is not there
            rules = eventually(
                lambda: [
                    rule for group in ask("rules")["groups"] for rule in group["rules"] if rule["health"] != "unknown"
                ],
                within_seconds=30,
            )

    assert {rule["health"] for rule in rules} == {"ok"}
    named = {re.sub("_(bucket|count)$", "", name) for name in re.findall(r"eaip_(\w+)", RULES.read_text())}
    assert named <= read().keys()
