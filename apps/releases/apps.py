from django.apps import AppConfig

from apps.audit.offers import offer


class ReleasesConfig(AppConfig):
    name = "apps.releases"
    label = "releases"

    def ready(self) -> None:
        from apps.releases.models import Service

        offer("service", lambda scope: Service.objects.readable_in(scope).values_list("id", "name"))
