"""Writes the JSON Schema of policy documents, which editors read."""

import json
from typing import Any

from django.core.management.base import BaseCommand

from apps.policies.schema import policy_schema


class Command(BaseCommand):
    help = "Prints the JSON Schema of a policy document; static/schemas/policy-1.json is what it prints."
    requires_system_checks: list[str] = []

    def handle(self, **options: Any) -> None:
        self.stdout.write(json.dumps(policy_schema(), indent=2))
