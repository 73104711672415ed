from django.apps import AppConfig
from django.core import checks

from apps.audit.offers import offer


class ReleasesConfig(AppConfig):
    name = "apps.releases"
    label = "releases"

    def ready(self) -> None:
        from apps.releases import signatures
        from apps.releases.models import Service

        checks.register(signatures.check)
        offer("service", lambda scope: Service.objects.readable_in(scope).values_list("id", "name"))
