"""What can be done with environments; one module for each thing that changes."""

from apps.environments.actions.close_watches import (
    CloseWatchInvalid,
    CloseWatchOver,
    end_close_watch,
    set_close_watch,
)
from apps.environments.actions.denials import prune_denials, tell_denial
from apps.environments.actions.environments import (
    EnvironmentBusy,
    EnvironmentExists,
    EnvironmentInvalid,
    create_environment,
    destroy_environment,
    recreate_environment,
)
from apps.environments.actions.feeds import FeedEnded, end_feed, open_feed, reader_of
from apps.environments.actions.freezes import FreezeInvalid, FreezeOver, freeze, lift_freeze
from apps.environments.actions.holds import HoldLifted, lift_hold, set_hold
from apps.environments.actions.lanes import (
    LaneExists,
    LaneGone,
    LaneInvalid,
    LaneOccupied,
    NoPortLeft,
    PortTaken,
    create_lane,
    remove_lane,
)
from apps.environments.actions.records import (
    DataNotAllowed,
    Evidence,
    EvidenceMissing,
    EvidenceStoreFull,
    NothingToRemove,
    RecordDiffers,
    RecordInvalid,
    record_recovery,
    record_refresh,
    record_removal,
)
from apps.environments.actions.resources import (
    ResourceInvalid,
    ResourceReleased,
    ResourceTaken,
    TooManyClaims,
    claim_resource,
    release_resource,
)
from apps.environments.actions.standing import EnvironmentGone
from apps.environments.actions.windows import WindowInvalid, remove_window, set_window

__all__ = [
    "CloseWatchInvalid", "CloseWatchOver", "DataNotAllowed", "EnvironmentBusy", "EnvironmentExists", "EnvironmentGone",
    "EnvironmentInvalid", "Evidence", "EvidenceMissing", "EvidenceStoreFull", "FeedEnded", "FreezeInvalid",
    "FreezeOver", "HoldLifted", "LaneExists", "LaneGone", "LaneInvalid", "LaneOccupied", "NoPortLeft",
    "NothingToRemove", "PortTaken", "RecordDiffers", "RecordInvalid", "ResourceInvalid", "ResourceReleased",
    "ResourceTaken", "TooManyClaims", "WindowInvalid", "claim_resource", "create_environment",
    "create_lane", "destroy_environment", "end_close_watch", "end_feed", "freeze", "lift_freeze", "lift_hold",
    "open_feed", "prune_denials", "reader_of",  "record_recovery", "record_refresh", "record_removal",
    "recreate_environment", "release_resource", "remove_lane", "remove_window", "set_close_watch",
    "set_hold", "set_window", "tell_denial",
]  # fmt: skip
