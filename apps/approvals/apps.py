from importlib import import_module

from django.apps import AppConfig


class ApprovalsConfig(AppConfig):
    name = "apps.approvals"
    label = "approvals"

    def ready(self) -> None:
        import_module("apps.approvals.regions")  # puts the page's live regions into the register
