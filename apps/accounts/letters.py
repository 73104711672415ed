"""Letters: what people are told by mail. A link leads to the page, where they act; no mail does anything itself."""

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from smtplib import SMTPException

from django.conf import settings
from django.core.mail import EmailMessage
from django.template.loader import render_to_string

from apps.accounts.models import User

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Letter:
    """`to` are addresses, none where nobody is left who has one."""

    to: tuple[str, ...]
    subject: str
    body: str


def letter_to(people: Iterable[User], subject: str, template: str, *, page: str, **said: object) -> Letter:
    """This function will write to all of these people at once who have an address and may sign in.

    Shapes: `page` is the path of the page that it leads to, which the template gets as `address`.
    """
    to = tuple(person.email for person in people if person.email and person.is_active)
    return Letter(to, subject, render_to_string(template, {**said, "address": settings.PORTAL_URL + page}))


def is_sent(letter: Letter) -> bool:
    """This function will mail a letter and say whether the server took it; one to nobody is sent. Stands in no
    transaction: it waits for the network.
    """
    if not letter.to:
        return True
    try:
        EmailMessage(letter.subject, letter.body, to=letter.to).send()
    except (SMTPException, OSError, ValueError) as error:
        log.warning("“%s” can't be mailed: %s", letter.subject, error)
        return False
    return True
