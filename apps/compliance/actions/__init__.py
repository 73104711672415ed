from apps.compliance.actions.exports import record_export
from apps.compliance.actions.reviews import (
    AlreadyCompleted,
    NotAnswered,
    ReviewEnded,
    ReviewExists,
    complete,
    complete_access,
    end_review,
    set_review,
    set_usual,
)

__all__ = [
    "AlreadyCompleted", "NotAnswered", "ReviewEnded", "ReviewExists", "complete", "complete_access", "end_review",
    "record_export", "set_review", "set_usual",
]  # fmt: skip
