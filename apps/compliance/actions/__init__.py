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
from apps.compliance.actions.streams import (
    NothingRefused,
    StreamExists,
    StreamInvalid,
    create_stream,
    pause_stream,
    read_secret,
    remove_stream,
    replay_letters,
    resume_stream,
    rewind_stream,
)
from apps.compliance.actions.trail_exports import (
    ExportInvalid,
    NotReady,
    TooManyExports,
    ask_export,
    cancel_export,
    downloaded,
    require_ready,
)

__all__ = [
    "AlreadyCompleted", "ExportInvalid", "NotAnswered", "NotReady", "NothingRefused", "ReviewEnded", "ReviewExists",
    "StreamExists", "StreamInvalid", "TooManyExports", "ask_export", "cancel_export", "complete", "complete_access",
    "create_stream", "downloaded", "end_review", "pause_stream", "read_secret", "remove_stream", "replay_letters",
    "require_ready", "resume_stream", "rewind_stream", "set_review", "set_usual",
]  # fmt: skip
