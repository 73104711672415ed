"""Provenance is read bare or in an envelope; signatures are verified; what is of another artifact is refused."""

import json
from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from django.core.exceptions import ImproperlyConfigured

from apps.approvals.actions.facts import report_facts
from apps.releases import actions, reports, signatures
from apps.releases.actions.evidence import DigestDiffers
from apps.releases.enums import EvidenceKind as K
from apps.releases.models import Evidence
from apps.releases.reports import Unreadable
from apps.releases.wording import sentence_of
from tests.cast import NOW
from tests.world import World

COMMIT, DIGEST = "c0ffee" * 6 + "c0ff", "a" * 64
REPOSITORY = "git+https://github.com/eaip/greeter@refs/tags/v1.0.0"
V1 = {
    "buildDefinition": {"resolvedDependencies": [{"uri": REPOSITORY, "digest": {"gitCommit": COMMIT}}]},
    "runDetails": {"builder": {"id": "https://github.com/actions/runner"}},
}
V02 = {
    "builder": {"id": "https://github.com/actions/runner"},
    "invocation": {"configSource": {"uri": REPOSITORY, "digest": {"sha1": COMMIT}}},
    "materials": [
        {"uri": REPOSITORY, "digest": {"sha1": COMMIT}},
        {"uri": "pkg:docker/base", "digest": {"sha256": "b"}},
    ],
}
KEYS: dict[str, Any] = {
    "ed25519": ed25519.Ed25519PrivateKey.from_private_bytes(b"1" * 32),
    "ecdsa": ec.derive_private_key(7, ec.SECP256R1()),
}


def statement(predicate: dict[str, Any] = V1, *, version: str = "v1", digest: str = DIGEST, **more: Any) -> bytes:
    subject = [{"name": "greeter", "digest": {"sha256": digest}}]
    told = {"_type": "https://in-toto.io/Statement/v1", "subject": subject, "predicate": predicate}
    return json.dumps({**told, "predicateType": f"https://slsa.dev/provenance/{version}", **more}).encode()


def envelope(payload: bytes, /, *signed: bytes, **more: Any) -> bytes:
    rows = [{"keyid": "", "sig": b64encode(signature).decode()} for signature in signed]
    told = {"payloadType": "application/vnd.in-toto+json", "payload": b64encode(payload).decode(), "signatures": rows}
    return json.dumps({**told, **more}).encode()


def sign(key: Any, payload: bytes) -> bytes:
    encoded = b"DSSEv1 28 application/vnd.in-toto+json %d %s" % (len(payload), payload)
    if isinstance(key, rsa.RSAPrivateKey):
        return bytes(key.sign(encoded, padding.PKCS1v15(), hashes.SHA256()))
    return bytes(
        key.sign(encoded, *([ec.ECDSA(hashes.SHA256())] if isinstance(key, ec.EllipticCurvePrivateKey) else []))
    )


@pytest.fixture
def known(settings: Any, tmp_path: Path) -> Path:
    """The keys of two builders, which the installation knows."""
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    pem = [key.public_key().public_bytes(serialization.Encoding.PEM, form) for key in KEYS.values()]
    settings.PROVENANCE_KEYS = tmp_path / "builders.pem"
    settings.PROVENANCE_KEYS.write_bytes(b"builders of ours\n" + b"".join(pem))
    return tmp_path


@pytest.mark.parametrize(("predicate", "version"), [(V1, "v1"), (V02, "v0.2")])
def test_who_built_it_of_what_is_read_from_both_versions(predicate: dict[str, Any], version: str) -> None:
    told = reports.read(K.PROVENANCE, statement(predicate, version=version))

    assert told == {
        "tool": "https://github.com/actions/runner",
        "builder": "https://github.com/actions/runner",
        "sources": [{"repository": REPOSITORY, "commit": COMMIT}],
        "subjects": [DIGEST],
        "has_signature": False,
        "signed_by": "",
    }
    assert sentence_of(K.PROVENANCE, told) == "built by https://github.com/actions/runner, not signed"


@pytest.mark.parametrize("kind", KEYS)
def test_a_signature_is_verified_by_a_key_of_ours_alone(kind: str, known: Path) -> None:
    payload = statement()
    key = KEYS[kind]
    good, bad = sign(key, payload), sign(key, payload + b" ")

    told = reports.read(K.PROVENANCE, envelope(payload, b"\x00", good))

    assert told["signed_by"] in signatures.known_keys()
    assert told["tool"].endswith("runner (signed)")
    assert sentence_of(K.PROVENANCE, told).endswith(f"signature verified (key {told['signed_by']})")
    bundle = json.dumps({"mediaType": "x", "dsseEnvelope": json.loads(envelope(payload, good))}).encode()
    assert reports.read(K.PROVENANCE, bundle) == told
    other = reports.read(K.PROVENANCE, envelope(payload, bad))
    assert (other["signed_by"], other["has_signature"]) == ("", True)
    assert sentence_of(K.PROVENANCE, other).endswith("signature not verified: no key of it is known")


def test_keys_that_can_not_be_read_are_told_at_the_start(settings: Any, tmp_path: Path) -> None:
    assert signatures.check() == []
    settings.PROVENANCE_KEYS = tmp_path / "none.pem"
    assert "none.pem holds no public keys" in signatures.check()[0].msg
    settings.PROVENANCE_KEYS = tmp_path / "empty.pem"
    settings.PROVENANCE_KEYS.write_bytes(b"")
    with pytest.raises(ImproperlyConfigured, match="each once"):
        signatures.known_keys()


@pytest.mark.parametrize(
    ("report", "why"),
    [
        (b"{}", "not an in-toto statement"),
        (statement(predicateType="https://spdx.dev/Document"), "not SLSA provenance"),
        (statement({"runDetails": {}}), "names no builder"),
        (statement(digest="a"), "names 0 subjects"),
        (statement(subject={}), "subject: expected a list"),
        (statement({**V1, "buildDefinition": {"resolvedDependencies": 7}}), "resolvedDependencies: expected a list"),
        (envelope(b"{"), "not JSON"),
        (envelope(b"[]"), "not an object"),
        (envelope(statement(), payload="%"), "not base64"),
        (envelope(statement(), payload=7), "not JSON|not base64"),
        (envelope(statement(), payloadType="text/plain"), "holds 'text/plain'"),
        (envelope(statement(), signatures=[1]), "signatures: expected a list"),
        (envelope(statement())[:-9], "not JSON"),
        (envelope(statement()) + b"\n" + envelope(statement()), "not JSON"),
        (b"\xff\xfe", "not JSON in UTF-8"),
        (b'{"a":' * 100_000, "nested too deeply"),
    ],
)
def test_what_is_no_provenance_is_told_with_its_reason(report: bytes, why: str) -> None:
    with pytest.raises(Unreadable, match=why):
        reports.read(K.PROVENANCE, report)


@pytest.mark.django_db
def test_provenance_of_another_artifact_is_refused_and_leaves_nothing(world: World, known: Path) -> None:
    def send(digest: str) -> Evidence:
        payload = statement(digest=digest)
        report, by = envelope(payload, sign(KEYS["ecdsa"], payload)), world.cast.release_engineer
        return actions.keep_evidence(world.release, kind="PROVENANCE", report=report, by=by, now=NOW)[0]

    with pytest.raises(DigestDiffers, match=f"It is of sha256:{DIGEST}; the release was sealed with sha256:"):
        send(DIGEST)
    assert not Evidence.objects.exists()

    kept = send(world.release.artifact_digest.removeprefix("sha256:"))

    assert kept.figures["signed_by"] == report_facts(kept).figures["signed_by"] != ""
    assert "subjects" not in kept.figures
    wheel = next(row for row in world.release.artifact.manifest["wheels"] if row["name"] == "greeter")
    assert send(wheel["sha256"]).pk != kept.pk, "it is the program's own file"


@pytest.mark.django_db
def test_a_signature_counts_while_its_key_is_known(world: World, known: Path, settings: Any) -> None:
    payload = statement(digest=world.release.artifact_digest.removeprefix("sha256:"))
    report, by = envelope(payload, sign(KEYS["ed25519"], payload)), world.cast.release_engineer
    kept = actions.keep_evidence(world.release, kind="PROVENANCE", report=report, by=by, now=NOW)[0]

    settings.PROVENANCE_KEYS = None

    assert kept.figures["signed_by"]
    assert report_facts(kept).figures["signed_by"] == ""
