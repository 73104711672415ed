from importlib import import_module

from django.apps import AppConfig


class DashboardsConfig(AppConfig):
    name = "apps.dashboards"
    label = "dashboards"

    def ready(self) -> None:
        import_module("apps.dashboards.regions")  # puts the page's live regions into the register
