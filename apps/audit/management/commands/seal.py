"""Seals the audit trail until it is told to stop; `--once` looks once."""

import signal
import threading
from argparse import ArgumentParser
from typing import Any

import psycopg
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from apps.audit.keys import KeyProblem
from apps.audit.sealer import Clocks, Sealer


class Command(BaseCommand):
    help = "Seals the audit trail: leaves, checkpoints, rotation of the key. One process does so at a time."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--once", action="store_true", help="look once, say what was done, and end")

    def handle(self, *, once: bool, **options: Any) -> None:
        clocks = Clocks(settings.AUDIT_LOOK, settings.AUDIT_CHECKPOINT, settings.AUDIT_CHECKPOINT_AT_LEAST)
        sealer = Sealer(settings.DATABASE_SEALER_URL, settings.AUDIT_KEY_FILE, clocks)
        if once:
            self._once(sealer)
            return
        over = threading.Event()
        for signum in (signal.SIGTERM, signal.SIGINT):
            signal.signal(signum, lambda *_: over.set())
        sealer.run(over)

    def _once(self, sealer: Sealer) -> None:
        try:
            with psycopg.connect(sealer.url, autocommit=True) as own:
                done = sealer.look(own)
        except (KeyProblem, psycopg.Error) as problem:
            raise CommandError(str(problem).strip()) from problem
        if done.was_held:
            raise CommandError("Another sealer is at work; nothing was done.")
        self.stdout.write(f"{sum(done.leaves.values())} entries sealed, {len(done.signed)} checkpoints signed.")
        for workspace_id, why in done.refused.items():
            self.stderr.write(f"Refused for {workspace_id}: {why}")
