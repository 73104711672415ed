"""What the frame of every page needs from all apps: counts beside the entries, workspaces, a freeze that holds."""

from django.http import HttpRequest


def navigation(request: HttpRequest) -> dict[str, object]:
    return {"counts": {}, "workspaces": []}
