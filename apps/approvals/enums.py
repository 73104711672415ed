from django.db import models


class PromotionState(models.TextChoices):
    PENDING = "PENDING", "Waiting"
    READY = "READY", "Ready"
    DEPLOYING = "DEPLOYING", "Deploying"
    COMPLETED = "COMPLETED", "Completed"
    FAILED = "FAILED", "Failed"
    REJECTED = "REJECTED", "Rejected"
    EXPIRED = "EXPIRED", "Expired"
    SUPERSEDED = "SUPERSEDED", "Superseded"
    WITHDRAWN = "WITHDRAWN", "Withdrawn"

    @property
    def tone(self) -> str:
        return {
            PromotionState.PENDING: "wait",
            PromotionState.READY: "run",
            PromotionState.DEPLOYING: "run",
            PromotionState.COMPLETED: "ok",
            PromotionState.FAILED: "bad",
            PromotionState.REJECTED: "bad",
        }.get(self, "idle")


# Nothing was started yet: people and time may still change what becomes of it.
WAITING = (PromotionState.PENDING, PromotionState.READY)
OPEN_PROMOTION = (PromotionState.PENDING, PromotionState.READY, PromotionState.DEPLOYING)


class Choice(models.TextChoices):
    APPROVE = "APPROVE", "Approve"
    REJECT = "REJECT", "Reject"
