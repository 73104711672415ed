"""Loads the demonstration's world and brings its programs up; safe to run again, and after being killed."""

import hashlib
import os
import time
from argparse import ArgumentParser
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand
from django.db import InterfaceError, OperationalError, connection
from django.utils import timezone

from apps.audit import actions as audit
from apps.audit.actors import SYSTEM
from apps.audit.models import AuditEvent
from apps.core.platform import PLATFORM_WORKSPACE_ID
from apps.dashboards.demonstration import backups, catalogue, people, pipeline, places, policies, visits
from apps.dashboards.demonstration.journey import Journey
from apps.environments.models import Lane
from apps.releases.enums import PushState
from apps.releases.models import Service
from apps.workspaces.models import Workspace
from apps.workspaces.scope import workspace_scope

LOOK_SECONDS = 0.5
PATIENCE_SECONDS = 20 * 60
QUIET_SECONDS = 20
REPORT_SECONDS = 2
BACKUPS_SECONDS = 60 * 60
# Any number, the same for all: one load at a time.
LOCK = 4_107_202_611


class Command(BaseCommand):
    backups_at = 0.0
    help = "Loads the demonstration: accounts, environments, services with their true releases, and running programs."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--accounts", action="store_true", help="only show the accounts")
        parser.add_argument("--no-wait", action="store_false", dest="wait", help="ask for the promotions and return")
        parser.add_argument("--stay", action="store_true", help="then report of what comes to Dev, as pipelines do")
        parser.add_argument("--wait", action="store_true", default=True, help="stay until all runs (default)")

    def handle(self, *, accounts: bool, wait: bool, stay: bool, **options: Any) -> None:
        if accounts:
            self._show_accounts()
            return
        self._load(wait)
        while stay:
            try:
                self._report()
            except (OperationalError, InterfaceError):
                connection.close()  # the database may be starting again
            time.sleep(REPORT_SECONDS)

    def _load(self, wait: bool) -> None:
        if self._is_loaded():
            self._keep_up()
            self._show_accounts()
            return
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_try_advisory_lock(%s)", [LOCK])
            if not cursor.fetchone()[0]:
                self._say("The demonstration is being loaded already.")
                return
        try:
            self._bring_up(wait)
        finally:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_unlock(%s)", [LOCK])

    def _bring_up(self, wait: bool) -> None:
        self._say("Loading the demonstration: accounts, environments, services and their releases")
        journey = self._world()
        self._show_accounts()  # people may sign in while the programs come up
        with _everything():
            greeter = Service.objects.get(slug=catalogue.GREETER)
        catalogue.tell_repository(greeter, port=_port())
        until = time.monotonic() + PATIENCE_SECONDS
        told = time.monotonic()
        building = True
        while True:
            with _everything():
                under_way = journey.step(timezone.now())
                visits.write_lanes(_visits_file(), _lanes())
            self._report()
            if building:
                building = self._release_greeter(greeter)
            if not (under_way or building):
                break
            if not wait and not building:
                self._say("The promotions are asked for; run this command again to go on.")
                return
            if time.monotonic() > until:
                self._say("The demonstration is not complete after 20 minutes; run this command again to go on.")
                return
            if time.monotonic() - told > QUIET_SECONDS:
                told = time.monotonic()
                self._say("Still bringing programs up ...")
            time.sleep(LOOK_SECONDS)
        with _everything():
            audit.record(
                "demonstration.loaded",
                by=SYSTEM,
                target=None,
                summary="The demonstration is complete",
                after={"edition": _edition()},
            )
        self._say("The demonstration is complete.")

    def _world(self) -> Journey:
        now = timezone.now()
        with _everything():
            platform = Workspace.objects.get(pk=PLATFORM_WORKSPACE_ID)
            customer = places.customer(now)
        with _everything():
            accounts = people.load(platform, customer, now=now)
            environments = places.load(platform, customer, now=now)
            policies.shorten_soak(accounts, now=now)
            services = catalogue.load_services(platform, now=now)
        with _everything():
            theirs = environments[places.CUSTOMER_PRODUCTION]
            ours = [environment for environment in environments.values() if environment != theirs]
            lanes = catalogue.load_lanes(ours, services.values(), now=now)
            lanes |= catalogue.load_lanes([theirs], [services["package-index"], services["greeter"]], now=now)
        with _everything():
            for row in catalogue.described():
                catalogue.load_releases(services[row["slug"]], by=accounts["release-engineer"], now=now)
        return Journey(lanes, accounts, self._say)

    def _release_greeter(self, greeter: Service) -> bool:
        """Have one more version of the greeter built; return whether there are more."""
        pushed = catalogue.release_next_greeter(greeter, now=timezone.now())
        if pushed is not None and pushed.state == PushState.BUILT:
            self._say(f"Greeter {pushed.name}: built")
        elif pushed is not None and pushed.state == PushState.REFUSED:
            self._say(f"Greeter {pushed.name}: {pushed.outcome}")
        return pushed is not None

    def _report(self) -> None:
        """Report of one release that came to Dev, if there is one that nobody has reported of, and of backups."""
        if time.monotonic() >= self.backups_at:
            with _everything():
                backups.report(timezone.now())
            self.backups_at = time.monotonic() + BACKUPS_SECONDS
        with _everything():
            trial = pipeline.next_trial()
        if trial is None:
            return
        reports = pipeline.reports_of(trial)
        with _everything():
            pipeline.keep(trial, reports, now=timezone.now())
        release = trial.deployment.release
        self._say(f"{release.service} {release.version}: {len(reports)} reports")

    def _is_loaded(self) -> bool:
        with _everything():
            return AuditEvent.objects.filter(kind="demonstration.loaded", change__edition__after=_edition()).exists()

    def _keep_up(self) -> None:
        """The port may be another one than at the last start, and what runs may have changed."""
        with _everything():
            catalogue.tell_repository(Service.objects.get(slug=catalogue.GREETER), port=_port())
            visits.write_lanes(_visits_file(), _lanes())
        self._say("The demonstration is loaded.")

    def _show_accounts(self) -> None:
        self._say(f"Accounts of the demonstration, all with the password {people.PASSWORD}:")
        for account in people.ACCOUNTS:
            self._say(f"  {account.username:<20} {account.told}")

    def _say(self, line: str) -> None:
        self.stdout.write(line)
        self.stdout.flush()


def _everything() -> AbstractContextManager[None]:
    return workspace_scope([PLATFORM_WORKSPACE_ID, places.CUSTOMER_ID])


def _lanes() -> list[Lane]:
    return list(Lane.objects.standing().select_related("service").order_by("target_key"))


def _visits_file() -> Path:
    return Path(settings.TARGET_DIR) / "lanes.json"


def _port() -> int:
    return int(os.environ.get("PORT", "8000"))


def _edition() -> str:
    """Return what tells this demonstration from an older one: its own modules and the catalogue."""
    digest = hashlib.sha256(catalogue.CATALOGUE.read_bytes())
    for module in sorted(Path(catalogue.__file__).parent.glob("*.py")):
        digest.update(module.read_bytes())
    return digest.hexdigest()
