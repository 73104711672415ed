from importlib import import_module

from django.apps import AppConfig


class ComplianceConfig(AppConfig):
    name = "apps.compliance"
    label = "compliance"

    def ready(self) -> None:
        import_module("apps.compliance.regions")  # puts the page's live region into the register
