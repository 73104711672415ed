from django.apps import AppConfig

from apps.audit.offers import offer


class EnvironmentsConfig(AppConfig):
    name = "apps.environments"
    label = "environments"

    def ready(self) -> None:
        from apps.environments.models import Environment

        offer("environment", lambda scope: Environment.objects.visible_in(scope).values_list("id", "name"))
