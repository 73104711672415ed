from django.apps import AppConfig
from django.core import checks


class HealthConfig(AppConfig):
    name = "apps.health"
    label = "health"

    def ready(self) -> None:
        from apps.health import links

        checks.register(links.check)
