from django.db import models


class DeploymentKind(models.TextChoices):
    DEPLOY = "DEPLOY", "Deployment"
    ROLLBACK = "ROLLBACK", "Rollback"
    CONFIGURATION = "CONFIGURATION", "Configuration"


class Harm(models.TextChoices):
    """What somebody saw of what serves. The first two are undone at once."""

    CUSTOMERS = "CUSTOMERS", "Customers are affected"
    VULNERABILITY = "VULNERABILITY", "It is vulnerable"
    OTHER = "OTHER", "Something else"


class DeploymentState(models.TextChoices):
    QUEUED = "QUEUED", "Queued"
    STARTING = "STARTING", "Starting"
    MIGRATING = "MIGRATING", "Migrating"
    APPLYING = "APPLYING", "Applying"
    VERIFYING = "VERIFYING", "Verifying"
    CANCELLING = "CANCELLING", "Cancelling"
    UNKNOWN = "UNKNOWN", "Finding out"
    SUCCEEDED = "SUCCEEDED", "Succeeded"
    FAILED = "FAILED", "Failed"
    ERRORED = "ERRORED", "Did not run"
    CANCELLED = "CANCELLED", "Cancelled"
    SUPERSEDED = "SUPERSEDED", "Superseded"
    EXPIRED = "EXPIRED", "Expired"
    ABANDONED = "ABANDONED", "Abandoned"

    @property
    def tone(self) -> str:
        if self in ACTIVE or self == DeploymentState.QUEUED:
            return "warn" if self == DeploymentState.UNKNOWN else "run"
        return {DeploymentState.SUCCEEDED: "ok", DeploymentState.FAILED: "bad", DeploymentState.ABANDONED: "bad"}.get(
            self, "idle"
        )


# These hold the lane.
ACTIVE = (
    DeploymentState.STARTING,
    DeploymentState.MIGRATING,
    DeploymentState.APPLYING,
    DeploymentState.VERIFYING,
    DeploymentState.CANCELLING,
    DeploymentState.UNKNOWN,
)
OPEN = (DeploymentState.QUEUED, *ACTIVE)
# These ended before anything on the target was changed, or after it was proved to be as it was.
UNTOUCHED = (
    DeploymentState.ERRORED,
    DeploymentState.CANCELLED,
    DeploymentState.SUPERSEDED,
    DeploymentState.EXPIRED,
)
TERMINAL = tuple(state for state in DeploymentState if state not in OPEN)


class StepVerdict(models.TextChoices):
    PLANNED = "PLANNED", "Planned"
    RUNNING = "RUNNING", "Running"
    DONE = "DONE", "Done"
    FAILED = "FAILED", "Failed"
    UNKNOWN = "UNKNOWN", "Not known"
    SKIPPED = "SKIPPED", "Not reached"

    @property
    def tone(self) -> str:
        return {"RUNNING": "run", "DONE": "ok", "FAILED": "bad", "UNKNOWN": "warn"}.get(self.value, "idle")


class RolloutState(models.TextChoices):
    RUNNING = "RUNNING", "Running"
    PAUSED = "PAUSED", "Paused"
    COMPLETED = "COMPLETED", "Completed"
    STOPPED = "STOPPED", "Stopped"

    @property
    def tone(self) -> str:
        return {"RUNNING": "run", "PAUSED": "wait", "COMPLETED": "ok"}.get(self.value, "bad")


class RolloutLaneState(models.TextChoices):
    """What the workspace of an environment decided about its part in another's roll-out."""

    IN = "IN", "Takes part"
    HELD = "HELD", "Held"
    LEFT = "LEFT", "Left"


class GuestState(models.TextChoices):
    """How far the part of a guest is, as who steers the roll-out may know it: the worst of its environments."""

    FAILED = "FAILED", "Failed"
    UNDER_WAY = "UNDER_WAY", "Deploying"
    ASKED = "ASKED", "Waits for its own people"
    WAITING = "WAITING", "Waits for its wave"
    HELD = "HELD", "Held"
    DONE = "DONE", "Runs it"
    LEFT = "LEFT", "Left"

    @property
    def tone(self) -> str:
        tones = {"FAILED": "bad", "UNDER_WAY": "run", "ASKED": "wait", "HELD": "wait", "DONE": "ok"}
        return tones.get(self.value, "idle")


OPEN_ROLLOUT = (RolloutState.RUNNING, RolloutState.PAUSED)
