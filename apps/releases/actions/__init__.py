"""What can be done with services and releases; one module for each part of their life."""

from apps.releases.actions.creation import (
    ReleaseInvalid,
    ServiceRetired,
    VersionExists,
    VersionInvalid,
    VersionLower,
    VersionTaken,
    create_release,
)
from apps.releases.actions.ends import (
    AlreadyAnnounced,
    EndTooSoon,
    EndWithdrawn,
    LineUnknown,
    announce_end,
    withdraw_end,
)
from apps.releases.actions.events import (
    ConsumerEnded,
    SchemaPublished,
    SubjectOfAnother,
    VersionClosed,
    VersionConsumed,
    VersionDropped,
    drop_version,
    opt_in,
    opt_out,
)
from apps.releases.actions.evidence import keep_evidence
from apps.releases.actions.migrations import MigrationChanged
from apps.releases.actions.pushes import PushInvalid, PushKnown, receive_push, refuse_push, settle_push
from apps.releases.actions.services import ServiceExists, ServiceInvalid, register_service
from apps.releases.actions.states import (
    ReleaseRuns,
    content_hash_of,
    lift_quarantine,
    quarantine_release,
    retire_release,
    seal_release,
)
from apps.releases.actions.traits import AlreadyDeclared, TraitUnknown, known_trait, write_trait

__all__ = [
    "AlreadyAnnounced",
    "AlreadyDeclared",
    "ConsumerEnded",
    "EndTooSoon",
    "EndWithdrawn",
    "LineUnknown",
    "MigrationChanged",
    "PushInvalid",
    "PushKnown",
    "ReleaseInvalid",
    "ReleaseRuns",
    "SchemaPublished",
    "ServiceExists",
    "ServiceInvalid",
    "ServiceRetired",
    "SubjectOfAnother",
    "TraitUnknown",
    "VersionClosed",
    "VersionConsumed",
    "VersionDropped",
    "VersionExists",
    "VersionInvalid",
    "VersionLower",
    "VersionTaken",
    "announce_end",
    "content_hash_of",
    "create_release",
    "drop_version",
    "keep_evidence",
    "known_trait",
    "lift_quarantine",
    "opt_in",
    "opt_out",
    "quarantine_release",
    "receive_push",
    "refuse_push",
    "register_service",
    "retire_release",
    "seal_release",
    "settle_push",
    "withdraw_end",
    "write_trait",
]  # fmt: skip
