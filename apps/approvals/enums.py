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


class NoticeKind(models.TextChoices):
    """What people are told of a requirement that nobody answers."""

    REMINDER = "REMINDER", "Reminder"
    ESCALATION = "ESCALATION", "Escalation"
    ALARM = "ALARM", "Alarm"

    @property
    def column(self) -> str:
        """Where a requirement keeps when it was told."""
        return {
            NoticeKind.REMINDER: "reminded_at",
            NoticeKind.ESCALATION: "escalated_at",
            NoticeKind.ALARM: "stuck_since",
        }[self]

    @property
    def event(self) -> str:
        return {
            NoticeKind.REMINDER: "requirement.reminded",
            NoticeKind.ESCALATION: "requirement.escalated",
            NoticeKind.ALARM: "requirement.stuck",
        }[self]

    @property
    def clause(self) -> str:
        """What completes "promotion #12 ..." in the trail; `role` is what is asked for."""
        return {
            NoticeKind.REMINDER: "still waits for {role}",
            NoticeKind.ESCALATION: "waits for {role} and nobody answers",
            NoticeKind.ALARM: "can't be approved: nobody is left who could decide as {role}",
        }[self]


class Choice(models.TextChoices):
    APPROVE = "APPROVE", "Approve"
    REJECT = "REJECT", "Reject"
