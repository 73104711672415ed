from apps.compliance.actions.holds import put_hold
from apps.compliance.actions.proposals import confirm as confirm_proposal
from apps.compliance.actions.proposals import (
    propose_cut,
    propose_erasure,
    propose_lift,
    propose_retention,
    step_up,
)
from apps.compliance.actions.proposals import turn_down as turn_down_proposal
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
    "create_stream", "downloaded",
    "confirm_proposal", "end_review", "pause_stream", "read_secret", "remove_stream", "replay_letters", "propose_cut", "propose_erasure", "propose_lift", "propose_retention",
    "require_ready", "resume_stream", "rewind_stream", "put_hold", "set_review", "set_usual", "step_up", "turn_down_proposal",
]  # fmt: skip
