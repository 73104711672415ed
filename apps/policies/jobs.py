"""What the sweeper of every worker sees to: who manages an environment is told what its records lack."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import connection
from django.urls import reverse
from django.utils import timezone

from apps.accounts.enums import Capability
from apps.accounts.letters import is_sent, letter_to
from apps.audit import actions as audit
from apps.audit.actors import SYSTEM
from apps.audit.source import coming_from, task_source
from apps.core.platform import PLATFORM_WORKSPACE_ID
from apps.environments.enums import Tier
from apps.environments.models import Environment, RecordReminder
from apps.policies.models import PolicyVersion
from apps.policies.records import Document, asks_for_records, backups_of, data_of, with_records
from apps.workspaces import rights
from apps.workspaces.scope import workspace_scope

LOOKED_EVERY = timedelta(minutes=5)
# Until a mail that was not taken, or whose worker died, is tried again.
PAUSE = timedelta(hours=1)


@dataclass(frozen=True)
class Lack:
    """What the records of an environment lack, of one kind: `names` are what an occasion is told by."""

    kind: str
    page: str
    words: str
    names: tuple[str, ...]
    sentences: tuple[str, ...]


def remind_of_records() -> None:
    """This function will mail who manages an environment whose data became overdue or expired, or whose backups came
    to fall short: once for each of these, and again only after it was mended.
    """
    with workspace_scope([PLATFORM_WORKSPACE_ID]):
        documents = dict(PolicyVersion.objects.filter(is_active=True).values_list("tier", "document"))
    tiers = [tier for tier in Tier.values if asks_for_records(tier, documents.get(tier))]
    with connection.cursor() as cursor:
        cursor.execute("SELECT workspace_id, environment_id FROM records_unseen(%s)", [tiers])
        unseen = cursor.fetchall()
    for workspace_id, environment_id in unseen:
        with workspace_scope([workspace_id]):
            environment, untold = _claim(environment_id, documents, now=timezone.now())
        told = [_tell(environment, lack) for lack in untold]
        if told and all(told):
            with workspace_scope([workspace_id]):
                _seen(environment, timezone.now() + LOOKED_EVERY)


def lacks_of(environment: Any, document: Document, now: datetime) -> Iterator[Lack]:
    """This function will say what the records of an environment `with_records` lack now."""
    data = data_of(environment, document, now)
    if data and data.at_fault_since:
        since = f"{data.word} since {data.at_fault_since:%Y-%m-%d %H:%M} UTC. {data.sentence}"
        yield Lack("data.reminded", "data-list", f"data are {data.word.lower()}", data.faults, (since,))
    short = [measure for measure in backups_of(environment, document, now) if not measure.is_met]
    if short:
        names, sentences = tuple(each.name for each in short), tuple(f"{each}. {each.remedy}" for each in short)
        yield Lack("recovery.reminded", "recovery-list", "backups fall short", names, sentences)


def _claim(environment_id: UUID, documents: dict[str, Any], *, now: datetime) -> tuple[Environment, list[Lack]]:
    """Look at it, and take the next try to tell of what is new, so that whoever comes meanwhile leaves it alone."""
    Environment.objects.locked().get(pk=environment_id)
    environment = with_records(Environment.objects.select_related("workspace")).get(pk=environment_id)
    reminder = RecordReminder.objects.filter(environment=environment).first()
    if environment.destroyed_at or (reminder and reminder.look_after > now):
        return environment, []
    lacks = list(lacks_of(environment, documents.get(environment.tier), now))
    lacking = [name for lack in lacks for name in lack.names]
    told = [name for name in (reminder.told if reminder else ()) if name in lacking]
    untold = [lack for lack in lacks if not {*lack.names} <= {*told}]
    _seen(environment, now + (PAUSE if untold else LOOKED_EVERY), told=told)
    return environment, untold


def _seen(environment: Environment, look_after: datetime, **fields: Any) -> None:
    values = {"look_after": look_after, **fields}
    new = {"workspace_id": environment.workspace_id, **values}
    RecordReminder.objects.update_or_create(environment=environment, defaults=values, create_defaults=new)


def _tell(environment: Environment, lack: Lack) -> bool:
    with workspace_scope([environment.workspace_id]):
        owners = rights.capable(Capability.ENVIRONMENT_MANAGE, environment.workspace_id)
    page = reverse(f"environments:{lack.page}", args=[environment.workspace.slug, environment.slug])
    subject = f"{environment}: {lack.words}"
    letter = letter_to(owners, subject, "emails/lack.txt", page=page, environment=environment, lack=lack)
    if not is_sent(letter):
        return False
    with coming_from(task_source()), workspace_scope([environment.workspace_id]):
        reminder = RecordReminder.objects.locked().get(environment=environment)
        RecordReminder.objects.filter(pk=reminder.pk).update(told=_joined(reminder.told, lack.names))
        names = ", ".join(map(str, owners)) or "nobody, since nobody may manage it now,"
        audit.record(
            lack.kind, by=SYSTEM, target=environment, environment_id=environment.pk,
            summary=f"Told {names} of {environment}: {lack.words}",
            after={"mailed": len(letter.to), "lacks": list(lack.names)}, people=owners,
        )  # fmt: skip
    return True


def _joined(told: Iterable[str], names: Iterable[str]) -> list[str]:
    return list(dict.fromkeys([*told, *names]))
