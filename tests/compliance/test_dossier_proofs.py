"""A dossier proves its entries without the portal: the client that auditors hold finds whatever is wrong, by number."""

import io
import json
import subprocess
import sys
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from pypdf import PdfReader
from pytest_django import DjangoDbBlocker

from apps.audit import actions as audit
from apps.audit.actors import SYSTEM
from apps.audit.models import AuditEvent
from apps.core.platform import PLATFORM_WORKSPACE_ID
from clients import verify_audit as client
from tests.audit.real_ledger import CLIENT, Ledger
from tests.compliance.test_dossiers import SCHEMA, copied, start
from tests.engines import Engines
from tests.world import World

Copy = dict[str, Any]


def entry(copy: Copy, number: int) -> Copy:
    """What is given to prove an entry, by its number in the dossier."""
    found: Copy = copy["proofs"]["entries"][copy["facts"]["entries"][number - 1]["id"]]
    return found


def edit(copy: Copy) -> None:
    entry(copy, 2)["entry"] = entry(copy, 2)["entry"].replace('"outcome": "SUCCESS"', '"outcome": "REFUSED"')


def exchange_proofs(copy: Copy) -> None:
    entry(copy, 2)["path"] = entry(copy, 3)["path"]


def exchange_entries(copy: Copy) -> None:
    entry(copy, 2)["entry"] = entry(copy, 3)["entry"]


def say_unsealed(copy: Copy) -> None:
    """What somebody does who edits an entry, and says that it was not sealed yet, as of long ago."""
    at = copy["facts"]["entries"][1]["at"]
    for name in ("facts", "proofs"):
        copy[name] = json.loads(json.dumps(copy[name]).replace(at, LONG_AGO))
    edit(copy)
    entry(copy, 2)["path"] = None


def tell_otherwise(copy: Copy) -> None:
    copy["facts"]["entries"][1]["actor"] = "Somebody Else"


def leave_out(copy: Copy) -> None:
    copy["proofs"]["entries"].pop(copy["facts"]["entries"][1]["id"])


def cite_unlisted(copy: Copy) -> None:
    copy["facts"]["entries"].pop(1)


def change_facts(copy: Copy) -> None:
    copy["facts"]["title"] = "Another"


def forge_root(copy: Copy) -> None:
    seal = copy["seal"]["checkpoints"][0]
    seal["note"] = seal["note"].replace(f"\n{seal['tree_size']}\n", f"\n{seal['tree_size'] + 1}\n")


def salt_otherwise(copy: Copy) -> None:
    opening = copy["proofs"]["openings"][0]
    opening["salt"] = opening["salt"][::-1]


def lose_a_part(copy: Copy) -> None:
    del copy["seal"]["leaves"]


LONG_AGO = "2020-01-01T00:00:00.000000Z"
SPOILED: list[tuple[Callable[[Copy], None], str, bool]] = [
    (edit, "edited", True), (exchange_proofs, "edited", True), (exchange_entries, "edited", True),
    (say_unsealed, "inserted", True), (tell_otherwise, "edited", True), (leave_out, "missing", True),
    (cite_unlisted, "missing", True), (change_facts, "edited", False), (forge_root, "bad-signature", False),
    (salt_otherwise, "opening-altered", False), (lose_a_part, "damaged", False),
]  # fmt: skip


def check(copy: Copy, folder: Path, *keys: str) -> client.Outcome:
    (folder / "copy.json").write_text(json.dumps(copy))
    given = client.read_keys(list(keys))
    return client.DossierCheck(folder / "copy.json", keys=given).run().outcome()


@pytest.mark.django_db(transaction=True)
def test_client_of_auditors_proves_a_dossier_and_names_what_is_wrong(
    world: World, engines: Engines, database: str, django_db_blocker: DjangoDbBlocker, tmp_path: Path
) -> None:
    ledger = Ledger(engines, django_db_blocker, database)
    with ledger.superuser() as admin:
        ledger.know_key(admin)
    with world.everything():
        deployment = start(world, world.dev)
    ledger.seal()
    key = ledger.vkey(PLATFORM_WORKSPACE_ID)

    pdf = copied(world, world.cast.auditor, "deployment", deployment.number, format="pdf").content
    (tmp_path / "dossier.json").write_bytes(PdfReader(io.BytesIO(pdf)).attachments["dossier.json"][0])
    copy = json.loads((tmp_path / "dossier.json").read_text())
    command = [sys.executable, "-I", "-S", str(CLIENT), "dossier", "dossier.json", "--key", key]
    told = subprocess.run(command, cwd=tmp_path, env={}, capture_output=True, text=True, check=False)

    jsonschema.validate(copy, SCHEMA)
    number = len(copy["facts"]["entries"])
    assert told.returncode == 0, told.stdout + told.stderr
    assert f"{number} of {number} entries are held by the checkpoint of" in told.stdout
    assert check(copy, tmp_path).notices == [
        f"No --key was given, so the dossier's own was believed. Compare it: {key}"
    ]
    for spoil, kind, is_named in SPOILED:
        bad = deepcopy(copy)
        spoil(bad)
        found = check(bad, tmp_path, key).findings
        named = [each for each in found if each.event == copy["facts"]["entries"][1]["id"]]
        assert kind in {each.kind for each in (named if is_named else found)}, (spoil.__name__, found)
    other = Ledger(engines, django_db_blocker, "").vkey(PLATFORM_WORKSPACE_ID)
    assert [each.kind for each in check(copy, tmp_path, other).findings] == ["wrong-key"]

    with world.everything():
        audit.record("deployment.succeeded", by=SYSTEM, target=deployment, summary="It succeeded")
        late = AuditEvent.objects.get(kind="deployment.succeeded", summary="It succeeded")
    copy = json.loads(copied(world, world.cast.auditor, "deployment", deployment.number, format="json").content)
    outcome = check(copy, tmp_path, key)

    assert (outcome.code, outcome.findings, len(outcome.unsealed)) == (client.UNSEALED, [], 1)
    assert str(late.pk) in outcome.unsealed[0]
