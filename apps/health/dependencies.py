"""What the portal leans on beside its database: whether it answers, and what to know while it does not.

Any worker looks, one at a time by the database's clock; pages read what it found. That nobody has looked for a while
is a finding too: then no worker runs.
"""

import socket
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Any
from urllib.parse import urlsplit

import redis
from django.conf import settings
from django.db import connection

from apps.audit import actions as audit
from apps.audit import seals
from apps.audit.actors import SYSTEM
from apps.core.platform import PLATFORM_WORKSPACE_ID
from apps.health.models import Dependency
from apps.integrations import prometheus
from apps.integrations.package_index import index_url
from apps.workspaces.scope import workspace_scope

PATIENCE_SECONDS = 3.0
# One lost answer is an accident.
FAILURES = 2
# Who seals looks every few seconds; an entry is to be in a signed tree within a minute.
SEAL_SILENCE = timedelta(seconds=60)


@dataclass(frozen=True)
class Leaning:
    """How to ask for an answer (raises OSError when there is none), and what it means that there is none."""

    label: str
    ask: Callable[[], None]
    meanwhile: str
    is_used: Callable[[], bool] = lambda: True


def _ask_broker() -> None:
    wait = {"socket_timeout": PATIENCE_SECONDS, "socket_connect_timeout": PATIENCE_SECONDS}
    try:
        with redis.Redis.from_url(settings.REDIS_URL, **wait) as broker:
            broker.ping()
    except redis.RedisError as error:
        raise OSError(str(error)) from error


def _ask_index() -> None:
    _ask_head(index_url())


def _ask_alertmanager() -> None:
    _ask_head(settings.ALERTMANAGER_URL.rstrip("/") + "/-/ready")


@lru_cache
def _certificates() -> ssl.SSLContext:
    # Reading the machine's takes as long as all the rest of a look.
    return ssl.create_default_context()


def _ask_head(url: str) -> None:
    """Any answer is an answer: the beginning of an index is megabytes long, so none of it is read."""
    address = urlsplit(url)
    where: dict[str, Any] = {"host": address.hostname or "", "port": address.port, "timeout": PATIENCE_SECONDS}
    is_https = address.scheme == "https"
    opened = HTTPSConnection(**where, context=_certificates()) if is_https else HTTPConnection(**where)
    try:
        opened.request("HEAD", address.path or "/")
        if opened.getresponse().status >= 500:
            raise OSError("it answers with an error of its own")
    except (HTTPException, ssl.SSLError, socket.gaierror) as error:
        raise OSError(str(error)) from error
    finally:
        opened.close()


def _ask_prometheus() -> None:
    try:
        prometheus.ask(settings.PROMETHEUS_URL, "vector(1)")
    except prometheus.PrometheusProblem as error:
        raise OSError(str(error)) from error


def _ask_seal() -> None:
    if problem := seals.problem(silence=SEAL_SILENCE):
        raise OSError(problem)


LEANINGS: Mapping[str, Leaning] = {
    "broker": Leaning(
        "message broker",
        _ask_broker,
        "Nothing is lost: deployments start some seconds later, and pages ask again instead of being told.",
    ),
    "package-index": Leaning(
        "package index",
        _ask_index,
        "What is installed can be deployed and rolled back; a release that is new to its target has to wait.",
    ),
    "seal": Leaning(
        "seal of the audit trail",
        _ask_seal,
        "Every entry is written as before and none is lost; until it is sealed, a change of it could not be proved.",
        is_used=lambda: settings.AUDIT_IS_SEALED,
    ),
    "prometheus": Leaning(
        "Prometheus",
        _ask_prometheus,
        "Deployments go on, judged by their health; for traffic that is not known, the environment's own rule applies.",
        is_used=lambda: bool(settings.PROMETHEUS_URL),
    ),
    "alertmanager": Leaning(
        "Alertmanager",
        _ask_alertmanager,
        "Deployments go on; an alert that it would send rolls nothing back, health checks and traffic still do.",
        is_used=lambda: bool(settings.ALERTMANAGER_URL),
    ),
}


def leanings() -> Mapping[str, Leaning]:
    """This function will return what is configured here, by name."""
    return {name: leaning for name, leaning in LEANINGS.items() if leaning.is_used()}


def look_at_dependencies() -> None:
    """This function will ask whatever is due for an answer, and record what was lost and what came back."""
    for name, leaning in leanings().items():
        if not _take(name):
            continue
        try:
            leaning.ask()
        except OSError as error:
            _failed(name, leaning, str(error)[:300])
        else:
            _answered(name, leaning)


def _take(name: str) -> bool:
    """Claim the look at a dependency for one interval; False when another worker has it."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO health_dependency AS known (name, looked_at, failures, detail)
            VALUES (%(name)s, clock_timestamp(), 0, '')
            ON CONFLICT (name) DO UPDATE SET looked_at = EXCLUDED.looked_at
            WHERE known.looked_at <= clock_timestamp() - make_interval(secs => %(seconds)s)
            RETURNING true
            """,
            {"name": name, "seconds": settings.DEPENDENCY_INTERVAL.total_seconds() * 0.9},
        )
        return cursor.fetchone() is not None


def _failed(name: str, leaning: Leaning, detail: str) -> None:
    with workspace_scope([PLATFORM_WORKSPACE_ID]):
        known = Dependency.objects.select_for_update().get(pk=name)
        known.failures, known.detail = min(known.failures + 1, FAILURES), detail
        if known.failures == FAILURES and known.down_since is None:
            known.down_since = known.looked_at
            audit.record(
                "dependency.lost", by=SYSTEM, target=known, outcome="FAILED",
                summary=f"The {leaning.label} can't be reached. {leaning.meanwhile}", reason=detail,
            )  # fmt: skip
        known.save(update_fields=["failures", "detail", "down_since"])


def _answered(name: str, leaning: Leaning) -> None:
    with workspace_scope([PLATFORM_WORKSPACE_ID]):
        known = Dependency.objects.select_for_update().get(pk=name)
        if not known.failures:
            return
        if known.down_since is not None:
            audit.record(
                "dependency.returned", by=SYSTEM, target=known, summary=f"The {leaning.label} answers again",
                before={"down_since": known.down_since.isoformat()},
            )  # fmt: skip
        known.failures, known.detail, known.down_since = 0, "", None
        known.save(update_fields=["failures", "detail", "down_since"])
