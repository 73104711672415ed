"""The use cases of promotions."""

from apps.approvals.actions.acceptances import (
    AcceptanceInvalid,
    AcceptanceOver,
    AlreadyAccepted,
    accept_finding,
    longest_acceptance,
    withdraw_acceptance,
)
from apps.approvals.actions.checklists import (
    AlreadyTicked,
    TickGone,
    TickInvalid,
    report_lines,
    take_back,
    tick,
    tick_owed,
)
from apps.approvals.actions.decisions import AlreadyDecided, NotWaiting, StalePlan, UnknownChoice, decide
from apps.approvals.actions.delegations import (
    AlreadyDelegated,
    DelegationEnded,
    SpanInvalid,
    delegate,
    end_delegation,
    void_delegations,
)
from apps.approvals.actions.emergencies import approve_afterwards, may_approve_afterwards
from apps.approvals.actions.endings import mark, withdraw
from apps.approvals.actions.facts import NoPolicy
from apps.approvals.actions.requests import (
    AlreadyOpen,
    AlreadyRuns,
    LaneGone,
    NoConfiguration,
    NoEmergency,
    NotDeployable,
    TierSkipped,
    VersionTooLow,
    WrongLane,
    request_promotion,
)
from apps.approvals.actions.requirements import UnknownRole
from apps.approvals.actions.settling import recheck, settle, settle_for_lane, settle_for_service, settle_waiting
from apps.approvals.actions.traits import declare_trait
from apps.approvals.actions.waivers import (
    NothingToWaive,
    NotWaivable,
    WaiverInvalid,
    WaiverOver,
    waivable_clause,
    waive,
    withdraw_waiver,
)

__all__ = [
    "AcceptanceInvalid",
    "AcceptanceOver",
    "AlreadyAccepted",
    "AlreadyDecided",
    "AlreadyDelegated",
    "AlreadyOpen",
    "AlreadyRuns",
    "AlreadyTicked",
    "DelegationEnded",
    "LaneGone",
    "NoConfiguration",
    "NoEmergency",
    "NoPolicy",
    "NotDeployable",
    "NotWaiting",
    "NotWaivable",
    "NothingToWaive",
    "SpanInvalid",
    "StalePlan",
    "TickGone",
    "TickInvalid",
    "TierSkipped",
    "UnknownChoice",
    "UnknownRole",
    "VersionTooLow",
    "WaiverInvalid",
    "WaiverOver",
    "WrongLane",
    "accept_finding",
    "approve_afterwards",
    "decide",
    "declare_trait",
    "delegate",
    "end_delegation",
    "longest_acceptance",
    "mark",
    "may_approve_afterwards",
    "recheck",
    "report_lines",
    "request_promotion",
    "settle",
    "settle_for_lane",
    "settle_for_service",
    "settle_waiting",
    "take_back",
    "tick",
    "tick_owed",
    "void_delegations",
    "waivable_clause",
    "waive",
    "withdraw",
    "withdraw_acceptance",
    "withdraw_waiver",
]
