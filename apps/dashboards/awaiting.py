"""What awaits people's decisions, in SQL of its own: the frame of every page and all open pages ask it.

It says the same as `approvals.inbox`; tests/dashboards/test_navigation.py holds one to the other.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db import connection

from apps.accounts.models import User
from apps.approvals.enums import PromotionState
from apps.approvals.inbox import inbox
from apps.approvals.models import Promotion
from apps.releases.enums import ReleaseSource

# It is counted no further than it is shown, or everything would take longer the more waits.
MOST_COUNTED = 100
# Of so many, those that wait longest are listed on the dashboard.
MOST_LISTED = 10

# Whether `promotion`, of `release`, awaits a decision of `{me}`.
AWAITS = """
promotion.state = '{pending}' AND promotion.requested_by_id IS DISTINCT FROM {me}
AND COALESCE(release.author_id, release.created_by_id) IS DISTINCT FROM {me}
AND release.committer_id IS DISTINCT FROM {me}
AND NOT (release.source = '{api}' AND release.created_by_id IS NOT DISTINCT FROM {me})
AND EXISTS (
    SELECT FROM approvals_requirement requirement
    JOIN workspaces_membership membership ON membership.workspace_id = requirement.workspace_id
        AND membership.role_id = requirement.role_id AND membership.ended_at IS NULL
    WHERE requirement.promotion_id = promotion.id AND requirement.ended_at IS NULL
        AND (membership.user_id = {me} OR EXISTS (
            SELECT FROM approvals_delegation lent
            JOIN accounts_user holder ON holder.id = membership.user_id AND holder.is_active
            WHERE lent.membership_id = membership.id AND lent.delegate_id = {me}
                AND lent.ended_at IS NULL AND lent.begins_at <= %(now)s::timestamptz
                AND lent.ends_at > %(now)s::timestamptz
                AND EXISTS (SELECT FROM workspaces_membership mine
                            WHERE mine.workspace_id = lent.workspace_id AND mine.user_id = {me}
                                AND mine.ended_at IS NULL)
                AND promotion.requested_by_id IS DISTINCT FROM holder.id
                AND COALESCE(release.author_id, release.created_by_id) IS DISTINCT FROM holder.id
                AND release.committer_id IS DISTINCT FROM holder.id
                AND NOT (release.source = '{api}' AND release.created_by_id IS NOT DISTINCT FROM holder.id)
                AND NOT EXISTS (SELECT FROM approvals_decision decision
                                WHERE decision.promotion_id = promotion.id AND decision.voided_at IS NULL
                                    AND holder.id IN (decision.decided_by_id, decision.on_behalf_of_id))))
        AND NOT EXISTS (SELECT FROM approvals_decision decision
                        WHERE decision.requirement_id = requirement.id AND decision.voided_at IS NULL))
AND NOT EXISTS (SELECT FROM approvals_decision decision
                WHERE decision.promotion_id = promotion.id AND decision.voided_at IS NULL
                    AND {me} IN (decision.decided_by_id, decision.on_behalf_of_id))
"""


def awaits(me: str) -> str:
    """Return the condition of SQL that `promotion`, of `release`, awaits a decision of whom `me` says, at `%(now)s`."""
    return AWAITS.format(me=me, pending=PromotionState.PENDING, api=ReleaseSource.API)


# Roles that nobody waits for are left out first: whoever has no other would be looked for among all that waits.
EVERYBODYS = """
WITH asked AS MATERIALIZED (
    SELECT DISTINCT requirement.workspace_id, requirement.role_id
    FROM approvals_promotion promotion JOIN approvals_requirement requirement ON requirement.promotion_id = promotion.id
    WHERE promotion.workspace_id = ANY (%(workspaces)s::uuid[]) AND promotion.state = '{pending}'
        AND requirement.ended_at IS NULL
        AND NOT EXISTS (SELECT FROM approvals_decision decision
                        WHERE decision.requirement_id = requirement.id AND decision.voided_at IS NULL)
), membership AS (
    SELECT membership.id, membership.user_id FROM asked
    JOIN workspaces_membership membership USING (workspace_id, role_id) WHERE membership.ended_at IS NULL
), person AS (
    SELECT user_id AS id FROM membership
    UNION SELECT lent.delegate_id FROM membership JOIN approvals_delegation lent ON lent.membership_id = membership.id
        WHERE lent.ended_at IS NULL
)
SELECT person.id, awaiting.ids
FROM person JOIN accounts_user account ON account.id = person.id AND account.is_active
CROSS JOIN LATERAL (
    SELECT array_agg(first.id ORDER BY first.requested_at, first.id) FROM (
        SELECT promotion.id, promotion.requested_at FROM approvals_promotion promotion
        JOIN releases_release release ON release.id = promotion.release_id
        WHERE promotion.workspace_id = ANY (%(workspaces)s::uuid[]) AND {awaits}
        ORDER BY promotion.requested_at, promotion.id LIMIT {most}
    ) first
) awaiting (ids)
WHERE awaiting.ids IS NOT NULL
""".format(  # noqa: S608  constants of the code
    pending=PromotionState.PENDING, awaits=awaits("person.id"), most=MOST_COUNTED + 1
)  # fmt: skip


def counted(count: int) -> int | str:
    """Return what is shown of a count that goes no further than one above the most."""
    return count if count <= MOST_COUNTED else f"{MOST_COUNTED}+"


def awaiting_everybody(workspaces: tuple[UUID, ...], *, now: datetime) -> dict[UUID, list[UUID]]:
    """Return the ids of promotions that await each person who may decide on any, those that wait longest first, one
    more than is counted at most. Queries: one.
    """
    with connection.cursor() as cursor:
        cursor.execute(EVERYBODYS, {"workspaces": list(workspaces), "now": now})
        return dict(cursor.fetchall())


@dataclass(frozen=True)
class Awaiting:
    """What awaits one person: as many as are listed, and how many there are, as it is shown."""

    listed: list[Promotion]
    count: int | str

    @property
    def is_cut(self) -> bool:
        return self.count != len(self.listed)


NOTHING = Awaiting([], 0)


def listed_for(user: User, workspaces: tuple[UUID, ...], count: int, *, now: datetime) -> Awaiting:
    """Return what awaits somebody, of whom the frame has counted it already. Queries: one, none where there is none."""
    if not count:
        return NOTHING
    longest = inbox(user, workspaces, now=now).order_by("requested_at", "pk")[:MOST_LISTED]
    return Awaiting(list(longest), counted(count))


def listed_for_everybody(workspaces: tuple[UUID, ...], *, now: datetime) -> Mapping[UUID, Awaiting]:
    """Return what awaits each person who may decide on something. Queries: two."""
    found = awaiting_everybody(workspaces, now=now)
    shown = {pk for ids in found.values() for pk in ids[:MOST_LISTED]}
    named = Promotion.objects.visible_in(workspaces).named().in_bulk(shown)
    return {
        person: Awaiting([named[pk] for pk in ids[:MOST_LISTED]], counted(len(ids))) for person, ids in found.items()
    }
