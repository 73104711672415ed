"""The use cases of promotions."""

from apps.approvals.actions.decisions import AlreadyDecided, NotWaiting, StalePlan, UnknownChoice, decide
from apps.approvals.actions.endings import mark, withdraw
from apps.approvals.actions.facts import NoPolicy
from apps.approvals.actions.requests import (
    AlreadyOpen,
    AlreadyRuns,
    LaneGone,
    NoConfiguration,
    NotDeployable,
    TierSkipped,
    VersionTooLow,
    WrongLane,
    request_promotion,
)
from apps.approvals.actions.requirements import UnknownRole
from apps.approvals.actions.settling import recheck, settle, settle_for_lane, settle_waiting

__all__ = [
    "AlreadyDecided",
    "AlreadyOpen",
    "AlreadyRuns",
    "LaneGone",
    "NoConfiguration",
    "NoPolicy",
    "NotDeployable",
    "NotWaiting",
    "StalePlan",
    "TierSkipped",
    "UnknownChoice",
    "UnknownRole",
    "VersionTooLow",
    "WrongLane",
    "decide",
    "mark",
    "recheck",
    "request_promotion",
    "settle",
    "settle_for_lane",
    "settle_waiting",
    "withdraw",
]
