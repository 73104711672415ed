"""Checks policy documents before they are pushed."""

from typing import Any

from apps.policies import sources
from apps.policies.management.file_check import CODES, FileCheck


class Command(FileCheck):
    help = f"Checks policy documents (YAML). {CODES}"
    limit = sources.LARGEST_BYTES

    def said(self, source: bytes, options: dict[str, Any]) -> str:
        _, policy = sources.read(source)
        return f"{len(policy.clauses)} clauses for {policy.label}"
