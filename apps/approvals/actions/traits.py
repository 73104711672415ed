"""A person says what a release is, so that those who know such changes approve it."""

from datetime import datetime

from django.db import transaction

from apps.accounts.models import User
from apps.approvals.actions.settling import settle_for_service
from apps.core.texts import one_line
from apps.releases import actions as release_actions
from apps.releases import permissions
from apps.releases.models import Release, ReleaseTrait, Service


@transaction.atomic
def declare_trait(release: Release, *, trait: str, reason: str, by: User, now: datetime) -> ReleaseTrait:
    """This function will declare a trait of a release; what waits of its service is planned anew at once.

    It can't be taken back: whoever would benefit from that must not be able to (ADR 0096).
    Raises Denied: `by` neither makes releases of the service nor may keep one back. Raises TraitUnknown,
    AlreadyDeclared. Raises TextInvalid: for the reason.
    """
    service = Service.objects.locked().get(pk=release.service_id)
    release = Release.objects.select_related("service").get(pk=release.pk)
    permissions.may_declare(by, release).require()
    reason = one_line(reason, name="The reason", limit=300)
    declared = release_actions.write_trait(release, release_actions.known_trait(trait), reason=reason, by=by, now=now)
    settle_for_service(service, now=now)
    return declared
