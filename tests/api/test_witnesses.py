"""The portal's side of witnesses: the customer's own program asks over HTTP, signs, and bundle and page tell of it."""

import base64
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.db import DatabaseError, connection, transaction
from django.test import Client
from django.utils import timezone
from psycopg import Connection

from apps.audit import seals, witnesses
from apps.audit.bundle import Bundle
from apps.audit.models import Checkpoint, Cosignature
from apps.audit.notes import WITNESS_KEY, Note, VerifierKey, public_of
from apps.audit.sealer import Sealer
from apps.core.platform import PLATFORM_WORKSPACE_ID
from apps.workspaces import actions as workspace_actions
from apps.workspaces.scope import workspace_scope
from clients.verify_audit import main
from tests.audit.test_seal import all_sealed, own, sealer, url, write  # noqa: F401  fixtures
from tests.cast import Cast
from tests.processes import start_web

pytestmark = pytest.mark.django_db(transaction=True)
ADDRESS = "/api/v1/audit"


@pytest.fixture
def sealed(cast: Cast, sealer: Sealer, own: Connection) -> Callable[[], None]:  # noqa: F811
    def seal() -> None:
        write(3)
        all_sealed(sealer, own)

    seal()
    return seal


def token(cast: Cast, scope: str = "audit:export") -> str:
    with workspace_scope([cast.platform.pk]):
        _, text = workspace_actions.create_token(
            cast.platform, name="Witness", scopes=[scope], days=30, now=timezone.now(), by=cast.administrator
        )
    return str(text)


def cosigned(note: str, key: Ed25519PrivateKey, name: str = "witness.example", moment: int = 1_800_000_000) -> str:
    body = Note.read(note).body
    signature = key.sign(f"cosignature/v1\ntime {moment}\n{body}".encode())
    blob = VerifierKey(name, public_of(key), WITNESS_KEY).id + moment.to_bytes(8, "big") + signature
    return f"{body}\n\u2014 {name} {base64.b64encode(blob).decode()}\n"


def newest() -> Checkpoint:
    with workspace_scope([PLATFORM_WORKSPACE_ID]):
        return witnesses.newest(PLATFORM_WORKSPACE_ID)


def test_the_customers_witness_signs_while_the_log_grows_and_the_bundle_tells_of_it(
    cast: Cast, sealed: Callable[[], None], tmp_path: Path, capsys: Any, settings: Any
) -> None:
    main(["witness", "--new-key", str(tmp_path / "witness.pem"), "--name", "witness.example"])
    vkey = next(word for word in capsys.readouterr().out.split() if word.startswith("witness.example+"))
    settings.AUDIT_WITNESSES = (vkey,)
    (tmp_path / "token").write_text(token(cast))
    log_key = str(seals.public_keys()[-1].vkey(PLATFORM_WORKSPACE_ID))
    with start_web(tmp_path, environment={"AUDIT_WITNESSES": vkey}) as server:
        asked = [
            "witness", "--url", f"{server.url}{ADDRESS}", "--token-file", str(tmp_path / "token"), "--key", log_key,
            "--key-file", str(tmp_path / "witness.pem"), "--name", "witness.example",
            "--state", str(tmp_path / "last.note"),
        ]  # fmt: skip
        assert main(asked) == 0, capsys.readouterr()
        sealed()
        assert main(asked) == 0, capsys.readouterr()

    with workspace_scope([PLATFORM_WORKSPACE_ID]):
        sizes = list(Cosignature.objects.values_list("tree_size", flat=True))
    assert len(set(sizes)) == 2
    bundle = tmp_path / "bundle.zip"
    made = Bundle(PLATFORM_WORKSPACE_ID, asked_by={"id": "", "label": ""}, now=timezone.now())
    bundle.write_bytes(b"".join(made.blocks()))
    assert main(["verify", str(bundle), "--key", log_key, "--key", vkey]) == 0
    assert "the witness witness.example signed 2 of them" in capsys.readouterr().out
    page = Client()
    page.force_login(cast.auditor)
    assert "seen by witness.example" in page.get("/audit/seals/").content.decode()


def test_only_a_known_witness_of_a_checkpoint_of_this_log_is_kept_once(
    cast: Cast, sealed: Callable[[], None], settings: Any
) -> None:
    key, stranger = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
    settings.AUDIT_WITNESSES = (str(VerifierKey("witness.example", public_of(key), WITNESS_KEY)),)
    client, note = Client(headers={"Authorization": f"Bearer {token(cast)}"}), newest().note
    good = cosigned(note, key)

    def send(text: str | bytes) -> int:
        return client.post(f"{ADDRESS}/cosignatures", text, content_type="text/plain").status_code

    size = f"\n{newest().tree_size}\n"
    of_another_tree = note.replace(size, "\n1\n", 1)
    refused = [
        cosigned(note, stranger), cosigned(of_another_tree, key), cosigned(note, key, name="else.example"),
        good + cosigned(note, stranger).rpartition("\n\n")[2], note, Note.read(note).body, "",
        "a\nb", b"\xff",
    ]  # fmt: skip
    assert [send(text) for text in refused] == [422] * 8 + [400]
    with workspace_scope([PLATFORM_WORKSPACE_ID]):
        assert not Cosignature.objects.exists()
    assert [send(good), send(good), send(good.rstrip("\n"))] == [201, 200, 200]

    with workspace_scope([PLATFORM_WORKSPACE_ID]):
        kept = Cosignature.objects.get()
        for statement in ("UPDATE audit_cosignature SET witness = 'x'", "DELETE FROM audit_cosignature"):
            with pytest.raises(DatabaseError), transaction.atomic(), connection.cursor() as cursor:
                cursor.execute(statement)
    assert (kept.witness, kept.tree_size) == ("witness.example", newest().tree_size)
    with workspace_scope([cast.customer.pk]):
        assert not Cosignature.objects.exists()


def test_a_proof_is_of_trees_that_were_signed(cast: Cast, sealed: Callable[[], None]) -> None:
    client = Client(headers={"Authorization": f"Bearer {token(cast)}"})
    size = newest().tree_size

    def asked(old: object, new: object) -> int:
        return client.get(f"{ADDRESS}/consistency", {"old": old, "new": new}).status_code

    assert client.get(f"{ADDRESS}/checkpoint").content.decode() == newest().note
    assert asked(1, size) == 200
    wrong = [(0, size), (2, 1), (1, size + 1), ("x", 1), ("", ""), ("1" * 30, 2)]
    assert [asked(*pair) for pair in wrong] == [422] * len(wrong)


def test_it_wants_a_token_of_its_own_scope_and_a_checkpoint(cast: Cast) -> None:
    other, own_scope = (
        Client(headers={"Authorization": f"Bearer {token(cast, scope)}"})
        for scope in ("release:create", "audit:export")
    )
    assert Client().get(f"{ADDRESS}/checkpoint").status_code == 401
    assert other.get(f"{ADDRESS}/checkpoint").status_code == 403
    assert other.post(f"{ADDRESS}/cosignatures", "x", content_type="text/plain").status_code == 403
    assert own_scope.post(f"{ADDRESS}/checkpoint").status_code == 405
    missing = own_scope.get(f"{ADDRESS}/checkpoint")
    assert (missing.status_code, missing.json()["code"]) == (404, "no_checkpoint")
