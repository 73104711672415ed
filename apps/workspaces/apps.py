from django.apps import AppConfig

from apps.audit.offers import offer


class WorkspacesConfig(AppConfig):
    name = "apps.workspaces"
    label = "workspaces"

    def ready(self) -> None:
        from apps.workspaces.models import Workspace

        offer("workspace", lambda scope: Workspace.objects.visible_in(scope).values_list("id", "name"))
