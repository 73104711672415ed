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
    "set_review", "set_usual",
]  # fmt: skip
