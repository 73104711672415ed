"""Rows are locked in one order by everybody: lane, promotion, deployment."""

from uuid import UUID

from apps.approvals.models import Promotion
from apps.deployments.models import Deployment
from apps.environments.models import Lane


def lane(pk: UUID) -> Lane:
    """Lock a lane and return it with its cell.

    Two questions: one that waited for the lock would join what stood beside the row before it waited.
    """
    Lane.objects.locked().only("pk").get(pk=pk)
    return Lane.objects.with_cell().get(pk=pk)


def deployment(pk: UUID) -> Deployment:
    """Lock an attempt with its lane and its promotion. Raises Deployment.DoesNotExist: there is none in the scope."""
    known = Deployment.objects.only("promotion_id", "lane_id").get(pk=pk)
    Lane.objects.locked().only("pk").get(pk=known.lane_id)
    if known.promotion_id:
        Promotion.objects.locked().only("pk").get(pk=known.promotion_id)
    Deployment.objects.locked().only("pk").get(pk=pk)
    return Deployment.objects.with_subject().get(pk=pk)
