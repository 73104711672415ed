from django.apps import AppConfig

from apps.audit.offers import offer


class WorkspacesConfig(AppConfig):
    name = "apps.workspaces"
    label = "workspaces"

    def ready(self) -> None:
        from apps.workspaces.models import Workspace
        from apps.workspaces.rights import capable

        offer("workspace", lambda scope: Workspace.objects.visible_in(scope).values_list("id", "name"))
        offer(
            "reader",
            lambda scope: ((person.pk, str(person)) for pk in scope for person in capable("AUDIT_READ", pk)),
        )
