from importlib import import_module

from django.apps import AppConfig


class DeploymentsConfig(AppConfig):
    name = "apps.deployments"
    label = "deployments"

    def ready(self) -> None:
        import_module("apps.deployments.regions")  # puts the pages' live regions into the register
        import_module("apps.deployments.release_regions")
        import_module("apps.deployments.rollout_regions")
