"""A security key in software: makes ES256 passkeys and signs with them as WebAuthn level 3 describes."""

import hashlib
import json
from dataclasses import dataclass, field
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from fido2.cose import ES256
from fido2.utils import websafe_encode
from fido2.webauthn import AttestationObject, AttestedCredentialData, AuthenticatorData

FLAG = AuthenticatorData.FLAG


@dataclass
class Authenticator:
    """`verifies`: it asks for a finger or a PIN. `count` is what it signed last; None: it does not count."""

    origin: str
    verifies: bool = True
    count: int | None = 0
    key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))
    credential_id: bytes = b"a passkey of the tests"

    def create(self, options: dict[str, Any]) -> str:
        public = ES256.from_cryptography_key(self.key.public_key())
        credential = AttestedCredentialData.create(b"\0" * 16, self.credential_id, public)
        data = self._data(options["publicKey"]["rp"]["id"], FLAG.AT, credential)
        attested = AttestationObject.create("none", data, {})
        return self._answer({"attestationObject": attested}, self._client("webauthn.create", options))

    def get(self, options: dict[str, Any]) -> str:
        if self.count is not None:
            self.count += 1
        data = self._data(options["publicKey"]["rpId"], FLAG(0))
        client = self._client("webauthn.get", options)
        signature = self.key.sign(bytes(data) + hashlib.sha256(client).digest(), ec.ECDSA(SHA256()))
        return self._answer({"authenticatorData": data, "signature": signature}, client)

    def _data(self, host: str, flags: FLAG, credential: AttestedCredentialData | None = None) -> AuthenticatorData:
        flags |= FLAG.UP | (FLAG.UV if self.verifies else FLAG(0))
        return AuthenticatorData.create(
            hashlib.sha256(host.encode()).digest(), flags, self.count or 0, credential or b""
        )

    def _client(self, kind: str, options: dict[str, Any]) -> bytes:
        challenge = options["publicKey"]["challenge"]
        return json.dumps({"type": kind, "challenge": challenge, "origin": self.origin}).encode()

    def _answer(self, response: dict[str, bytes], client: bytes) -> str:
        parts = {"clientDataJSON": client, **response}
        identity = websafe_encode(self.credential_id)
        return json.dumps(
            {
                "id": identity,
                "rawId": identity,
                "type": "public-key",
                "response": {name: websafe_encode(bytes(part)) for name, part in parts.items()},
            }
        )
