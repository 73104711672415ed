from datetime import datetime

from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction

from apps.accounts.models import User
from apps.audit import actions as audit
from apps.audit.actors import Actor
from apps.core.texts import one_line
from apps.core.verdict import Conflict, Invalid
from apps.releases import permissions
from apps.releases.enums import ArtifactKind, Plane
from apps.releases.models import Service
from apps.workspaces.models import Workspace


class ServiceInvalid(Invalid):
    code = "service_invalid"


class ServiceExists(Conflict):
    code = "service_exists"
    next_step = "Choose another short name."


@transaction.atomic
def register_service(
    workspace: Workspace,
    *,
    slug: str,
    name: str,
    owner_team: str,
    program: str,
    plane: str = Plane.CONTROL,
    summary: str = "",
    repository: str = "",
    artifact_kind: str = ArtifactKind.WHEELS,
    health_path: str = "/",
    is_published: bool = False,
    is_pinned: bool = False,
    by: User | Actor,
    now: datetime,
) -> Service:
    """This function will add a service to the catalogue; a published one can be read by every workspace.

    Raises ServiceInvalid: a malformed short name, an unknown word, a health path that is none.
    Raises ServiceExists: the short name is taken.
    """
    permissions.may_register(by, workspace).require()
    if not health_path.startswith("/") or health_path.startswith("//"):
        raise ServiceInvalid("The health path begins with one slash, such as /health.")
    service = Service(
        workspace=workspace,
        slug=one_line(slug, name="The short name", limit=60),
        name=one_line(name, name="The name", limit=80),
        summary=one_line(summary, name="The summary", limit=200, required=False),
        plane=plane,
        owner_team=one_line(owner_team, name="The owner team", limit=80),
        repository=one_line(repository, name="The repository", limit=300, required=False),
        artifact_kind=artifact_kind,
        program=one_line(program, name="The program", limit=80),
        health_path=one_line(health_path, name="The health path", limit=200),
        is_published=is_published,
        is_pinned=is_pinned,
        created_at=now,
        created_by=by if isinstance(by, User) else None,
    )
    try:
        service.clean_fields(exclude=["workspace", "created_by", "retired_by"])
        with transaction.atomic():
            service.save(force_insert=True)
    except ValidationError as error:
        told = "; ".join(f"{field}: {' '.join(texts)}" for field, texts in error.message_dict.items())
        raise ServiceInvalid(told) from error
    except IntegrityError as error:
        raise ServiceExists(f"There is a service {service.slug} already.") from error
    audit.record(
        "service.registered",
        by=by,
        target=service,
        service_id=service.pk,
        summary=f"Registered the service {service.name}",
        after={"slug": service.slug, "program": program, "plane": plane, "owner_team": owner_team},
    )
    return service
