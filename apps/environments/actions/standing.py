from apps.core.verdict import Conflict
from apps.environments.models import Environment


class EnvironmentGone(Conflict):
    code = "environment_gone"


def standing(environment: Environment) -> Environment:
    """This function will return the environment, locked. Raises EnvironmentGone: it was destroyed."""
    environment = Environment.objects.locked().select_related("workspace").get(pk=environment.pk)
    if environment.destroyed_at is not None:
        raise EnvironmentGone(f"{environment} was destroyed on {environment.destroyed_at:%d %B %Y at %H:%M} UTC.")
    return environment
