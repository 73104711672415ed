"""Copies that leave the portal: JSON and PDF of the same facts, each told of by an entry of the ledger.

The entry names the digest, and is written when the copy is there: a PDF that takes its time keeps no sealer waiting.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from django.db import models

from apps.accounts.models import User
from apps.audit import actions as audit
from apps.audit.actors import Actor
from apps.compliance.dossiers.document import Dossier, moment
from apps.compliance.dossiers.proofs import proofs_of
from apps.core import pdf
from apps.core.canonical import canonical
from apps.core.verdict import Invalid

PRINTER = Path(__file__).with_name("paper.py")
# Less than the silence after which the database ends a transaction (TRANSACTION_SILENCE_SECONDS).
SECONDS = 15.0


@dataclass(frozen=True)
class Made:
    """Who took a copy, and when. `site` is where its entries are read."""

    by: str
    at: datetime
    site: str


def taken(
    dossier: Dossier, made: Made, *, form: str, target: models.Model, workspaces: tuple[UUID, ...], by: User | Actor
) -> bytes:
    """This function will make a copy, PDF or JSON, and write down that somebody takes it.

    Raises Invalid: there is no such form. Raises NotPrinted: it took too long.
    """
    if form not in FORMS:
        raise Invalid("A dossier is made as PDF or JSON.", next_step="Choose one of them on its page.")
    content = FORMS[form](copy_of(dossier, made, proofs_of(dossier)))
    audit.record_export(
        {"sha256": dossier.digest}, form=form, workspaces=workspaces, by=by, kind="dossier.made", target=target,
        what=f"the dossier “{dossier.title}”", entries=len(dossier.entries),
        trees={seal.workspace: f"{seal.tree_size} entries, root {seal.root}" for seal in dossier.seals},
    )  # fmt: skip
    return content


def copy_of(dossier: Dossier, made: Made, proofs: Mapping[str, Any]) -> dict[str, Any]:
    """This function will return what static/schemas/dossier-1.json describes."""
    return {
        "facts": dossier.facts,
        "seal": dossier.seal(),
        "proofs": proofs,
        "made": {"by": made.by, "at": moment(made.at), "site": made.site, "sha256": dossier.digest},
    }


def printed(copy: Mapping[str, Any]) -> bytes:
    """This function will print a copy, and attach its JSON; the same copy makes the same bytes.

    Raises NotPrinted: it took too long, or could not be made.
    """
    return pdf.printed_by(PRINTER, canonical(copy), seconds=SECONDS)


FORMS: dict[str, Callable[[Mapping[str, Any]], bytes]] = {"pdf": printed, "json": canonical}


def file_name(dossier: Dossier) -> str:
    """This function will name the file by what it is about and the first digits of its digest."""
    subject = dossier.subject
    match subject["kind"]:
        case "deployment":
            about = f"deployment-{subject['number']}"
        case "release":
            about = f"{subject['service']}-{subject['version']}"
        case _:
            about = f"changes-{subject['since']:%Y%m%d}-{subject['until'] - timedelta(seconds=1):%Y%m%d}"
    return f"dossier-{about}-{dossier.digest[:12]}"
