"""Where an artifact comes from: SLSA provenance 0.2 and 1 (slsa.dev) in an in-toto statement (in-toto.io).

The statement stands for itself, in a DSSE envelope, in the bundle of Sigstore around that, or in an attestation of PyPI
(PEP 740), which writes the same in other words.
"""

import binascii
import re
from base64 import b64decode
from collections.abc import Iterator, Mapping
from typing import Any

from apps.releases import signatures as keys
from apps.releases.reports import Unreadable, documents
from apps.releases.reports.documents import nested, text

STATEMENTS = ("https://in-toto.io/Statement/v0.1", "https://in-toto.io/Statement/v1")
PAYLOAD_TYPE = "application/vnd.in-toto+json"
V02, V1 = "https://slsa.dev/provenance/v0.2", "https://slsa.dev/provenance/v1"
SOURCES = 20
SUBJECTS = 1000

_SHA256 = re.compile(r"[0-9a-f]{64}")


def read_provenance(report: bytes) -> dict[str, Any]:
    """This function will say who built what of which sources, and by which key of ours that is signed, if any.

    `sources` are repositories with the commit that was taken of each, the one that was asked to be built first.
    """
    document = documents.json_object(report)
    document = nested(document, "dsseEnvelope") or _of_pypi(document) or document
    signed, key, has_signature = document, "", False
    if "payload" in document:
        payload = _payload(document)
        signed, has_signature = documents.json_object(payload), bool(document.get("signatures"))
        key = keys.key_of(payload, PAYLOAD_TYPE, list(_signatures(document)))
    if signed.get("_type") not in STATEMENTS:
        raise Unreadable("It is not an in-toto statement: _type is missing or another.")
    if signed.get("predicateType") not in (V02, V1):
        raise Unreadable(f"It is not SLSA provenance 0.2 or 1, but {text(signed.get('predicateType'))[:60]!r}.")
    predicate = nested(signed, "predicate")
    builder = _builder(predicate)
    return {
        # Reports by a builder that are signed and others don't take each other's place.
        "tool": f"{builder[:180]} (signed)" if key else builder,
        "builder": builder,
        "sources": list(_once(_sources(predicate))),
        "subjects": _subjects(signed),
        "has_signature": has_signature,
        "signed_by": key,
    }


def _of_pypi(attestation: dict[str, Any]) -> dict[str, Any]:
    envelope = nested(attestation, "envelope")
    if "statement" not in envelope:
        return {}
    signatures = [{"sig": envelope.get("signature")}]
    return {"payload": envelope["statement"], "payloadType": PAYLOAD_TYPE, "signatures": signatures}


def _payload(envelope: dict[str, Any]) -> bytes:
    if envelope.get("payloadType") != PAYLOAD_TYPE:
        raise Unreadable(f"The envelope holds {text(envelope.get('payloadType'))[:60]!r}, not an in-toto statement.")
    return _decoded(envelope.get("payload"), "The envelope's payload")


def _signatures(envelope: dict[str, Any]) -> Iterator[bytes]:
    for row in documents.rows(envelope, "signatures")[:10]:
        yield _decoded(row.get("sig"), "A signature")


def _decoded(value: object, what: str) -> bytes:
    try:
        return b64decode(text(value), validate=True)
    except (binascii.Error, ValueError) as error:
        raise Unreadable(f"{what} is not base64.") from error


def _builder(predicate: dict[str, Any]) -> str:
    builder = nested(predicate, "runDetails", "builder") or nested(predicate, "builder")
    if not (found := documents.short(text(builder.get("id")))):
        raise Unreadable("It names no builder.")
    return found


def _subjects(statement: dict[str, Any]) -> list[str]:
    digests = [text(nested(row, "digest").get("sha256")) for row in documents.rows(statement, "subject")]
    found = sorted({digest for digest in digests if _SHA256.fullmatch(digest)})
    if not found or len(found) > SUBJECTS:
        raise Unreadable(f"It names {len(found):,} subjects by SHA-256; 1 to {SUBJECTS:,} are read.")
    return found


def _sources(predicate: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield repositories and commits, as the builders write them whose words are published."""
    asked = nested(predicate, "buildDefinition", "externalParameters")
    yield from map(_source, (nested(predicate, "invocation", "configSource"), nested(asked, "source")))
    inputs = documents.rows(nested(predicate, "buildDefinition"), "resolvedDependencies")
    yield from map(_source, [*inputs, *documents.rows(predicate, "materials")][:1000])


def _source(row: Mapping[str, Any]) -> tuple[str, str]:
    digest = nested(dict(row), "digest")
    commit = text(digest.get("gitCommit")) or text(digest.get("sha1"))
    return text(row.get("uri")), commit.lower() if re.fullmatch(r"[0-9A-Fa-f]{40,64}", commit) else ""


def _once(sources: Iterator[tuple[str, str]]) -> Iterator[dict[str, str]]:
    found = dict.fromkeys((documents.short(uri, 300), commit) for uri, commit in sources if commit)
    yield from ({"repository": uri, "commit": commit} for uri, commit in list(found)[:SOURCES])
