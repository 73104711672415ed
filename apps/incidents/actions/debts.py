"""What an emergency leaves owed: who was not asked before is asked afterwards, and people learn from it."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from django.db import transaction

from apps.accounts.models import User
from apps.audit.actors import SYSTEM, Actor
from apps.core.texts import many_lines
from apps.core.verdict import Conflict, Invalid
from apps.incidents import permissions
from apps.incidents.actions.incidents import TEXT, record, write
from apps.incidents.enums import LASTS, DebtKind, EntryKind
from apps.incidents.models import Debt, Incident


class DebtPaid(Conflict):
    code = "debt_paid"


class NotADocument(Invalid):
    """It is an approval that is owed, which only somebody of the role can give."""

    code = "not_a_document"


class NotAnApproval(Invalid):
    code = "not_an_approval"


@transaction.atomic
def owe(
    incident: Incident,
    *,
    promotion_id: UUID,
    subject: str,
    roles: Sequence[str],
    now: datetime,
    merges_back: bool = False,
) -> list[Debt]:
    """This function will write down what an emergency leaves owed, from its success on.

    Shapes: an approval by each of these roles, for this promotion, and that its hotfix is merged back; one post-mortem
    and its publication for the incident, however many emergencies it sees. Units: due after `enums.LASTS`.
    """
    incident = Incident.objects.locked().select_related("workspace").get(pk=incident.pk)
    wanted = [(DebtKind.APPROVAL, {"role_id": role, "promotion_id": promotion_id}) for role in roles]
    wanted += [(DebtKind.MERGE_BACK, {"promotion_id": promotion_id})] if merges_back else []
    wanted += [(kind, {}) for kind in (DebtKind.POST_MORTEM, DebtKind.PUBLICATION)]
    made = []
    for kind, of in wanted:
        values = {"workspace_id": incident.workspace_id, "owed_at": now, "due_at": now + LASTS[kind]}
        debt, is_new = Debt.objects.get_or_create(incident=incident, kind=kind, **of, defaults=values)
        made += [debt] if is_new else []
    text = f"{subject} came in an emergency. Owed: {'; '.join(debt.what for debt in made) or 'nothing more'}."
    write(incident, EntryKind.FACT, text, by=SYSTEM, now=now)
    record(incident, "incident.owed", f"Incident {incident}: {text}"[:500], by=SYSTEM)
    return made


@transaction.atomic
def pay(debt: Debt, *, words: str, by: User, now: datetime) -> Debt:
    """This function will say where the post-mortem is, or was published, or how a hotfix was merged back.

    Raises DebtPaid: somebody was quicker. NotADocument: an approval is owed, which is given on its promotion.
    """
    incident = Incident.objects.select_related("workspace").get(pk=debt.incident_id)
    permissions.may_add(by, incident).require()
    if debt.kind == DebtKind.APPROVAL:
        raise NotADocument("An approval is owed: somebody of the role gives it.")
    return write_paid(debt, words=words, by=by, now=now)


def write_paid(debt: Debt, *, words: str, by: User | Actor, now: datetime, confirmed_with: str = "") -> Debt:
    """This function will write down that a debt is paid; the caller has asked whether `by` may.

    The portal itself says only that a hotfix was merged back. Raises DebtPaid: somebody was quicker.
    """
    text = many_lines(words, name="What you say", limit=TEXT, required=True)
    incident = Incident.objects.locked().select_related("workspace").get(pk=debt.incident_id)
    changed = Debt.objects.filter(pk=debt.pk, paid_at=None).update(
        paid_at=now, paid_by=by if isinstance(by, User) else None, words=text
    )
    if not changed:
        raise DebtPaid(f"{debt.what} of incident {incident} is done already.")
    debt.refresh_from_db()
    late = ", late" if debt.was_late else ""
    write(incident, EntryKind.FACT, f"{debt.what}{late}: {text}"[:TEXT], by=by, now=now)
    record(incident, "incident.paid", f"{debt.what} of incident {incident} done{late}", by=by, reason=text[:300],
           before={"paid_at": None},
           after={"paid_at": now, **({"confirmed_with": confirmed_with} if confirmed_with else {})})  # fmt: skip
    return debt
