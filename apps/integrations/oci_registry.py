"""Is what a digest names still in its registry, and is it that? Asked by the Distribution API, read only.

The manifest itself is fetched and digested here: what a registry writes into a header is only its word. Everything goes
by `outbound`, since people enter these addresses. A name and a password go to the registry's own host, or to the very
realm that their file names, wherever else a registry says that tokens are to be had.

Source: opencontainers/distribution-spec 1.1, "Pulling manifests"; distribution, "Token Authentication Specification".
"""

import asyncio
import base64
import json
import re
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from apps.integrations import outbound, outbound_addresses
from apps.integrations.apart import run_apart
from apps.integrations.outbound import Answer, NoAnswer, Resolver, system_resolver
from apps.integrations.outbound_addresses import Destination, NotAllowed, Policy

MANIFESTS = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
# The name that people write for Docker's registry is not where its API is.
DOCKER = {"docker.io": "registry-1.docker.io", "index.docker.io": "registry-1.docker.io"}
AT_ONCE = 8
WORDS = 300
_CHALLENGE = re.compile(r'(\w+)="([^"]*)"')


class RegistryProblem(Exception):
    """It can't be said that the registry has what the digest names."""


class Differs(RegistryProblem):
    """The registry gives something else for it."""


class Gone(RegistryProblem):
    """The registry doesn't have it."""


class Away(RegistryProblem):
    """Nobody can tell now: no answer, no right to read, or an address that may not be asked."""


@dataclass(frozen=True, slots=True)
class Reference:
    """What is asked for: by its tag where it has one, so that a tag that was moved is seen; else by its digest."""

    registry: str
    repository: str
    digest: str
    tag: str = ""

    def __str__(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        return f"{self.registry}/{self.repository}{tag}@{self.digest}"


@dataclass(frozen=True, slots=True)
class Registries:
    """`credentials` names a file for a registry: `{"username", "password", "realm"}`, read anew each time."""

    policy: Policy
    credentials: Mapping[str, Path] = field(default_factory=dict)
    resolver: Resolver = system_resolver
    trust: ssl.SSLContext | None = None

    def verify(self, references: Sequence[Reference]) -> None:
        """This function will ask for each of them, a few at once, and say what is wrong with the first.

        Raises Differs, Gone: whatever else could not be asked. Raises Away: otherwise.
        """
        problems = run_apart(self._problems(references))
        if problems:
            raise min(problems, key=lambda problem: isinstance(problem, Away))

    async def _problems(self, references: Sequence[Reference]) -> list[RegistryProblem]:
        turn = asyncio.Semaphore(AT_ONCE)

        async def problem_with(reference: Reference) -> RegistryProblem | None:
            async with turn:
                try:
                    await self._verify(reference)
                except RegistryProblem as problem:
                    return problem
                except NotAllowed as error:
                    return Away(f"{reference.registry} is not asked: {error}")
                except NoAnswer as error:
                    return Away(f"{reference.registry} does not answer: {error}")
            return None

        found = await asyncio.gather(*(problem_with(reference) for reference in references))
        return [problem for problem in found if problem is not None]

    async def _verify(self, reference: Reference) -> None:
        base, repository = _base(reference.registry), _repository(reference)
        url = f"{base}/v2/{repository}/manifests/{reference.tag or reference.digest}"
        answer = await self._get(url, "")
        if answer.status == 401:
            challenge = answer.headers.get("www-authenticate", "")
            answer = await self._get(url, await self._authorization(reference, base, challenge))
        if answer.status == 404:
            raise Gone(f"{reference} is not in its registry any more.")
        if answer.status != 200:
            raise Away(f"{reference.registry} answered {answer.status} for {reference.repository}."[:WORDS])
        found = f"sha256:{sha256(answer.body).hexdigest()}"
        if found != reference.digest:
            raise Differs(f"{reference.registry} gives {found} for {reference}.")

    async def _get(self, url: str, authorization: str) -> Answer:
        headers = {"Accept": ", ".join(MANIFESTS)} | ({"Authorization": authorization} if authorization else {})
        return await outbound.get(
            _destination(url), self.policy, headers=headers, resolver=self.resolver, trust=self.trust
        )

    async def _authorization(self, reference: Reference, base: str, challenge: str) -> str:
        scheme, _, rest = challenge.partition(" ")
        told, known = dict(_CHALLENGE.findall(rest)), self._known(reference.registry)
        if scheme.lower() == "basic" and known:
            return _basic(known)
        if scheme.lower() != "bearer" or not (realm := told.get("realm", "")):
            raise Away(f"{reference.registry} does not let the portal read {reference.repository}.")
        asked = {"scope": f"repository:{_repository(reference)}:pull"}
        if told.get("service"):
            asked["service"] = told["service"]
        place = _destination(realm)
        is_theirs = (place.scheme, place.host) == (_destination(base).scheme, _destination(base).host)
        trusted = known and (is_theirs or realm == known.get("realm"))
        url = f"{realm}{'&' if '?' in realm else '?'}{urlencode(asked)}"
        answer = await self._get(url, _basic(known) if trusted else "")
        token = _token(answer)
        if not token:
            raise Away(f"{reference.registry} gives no token for {reference.repository} ({answer.status}).")
        return f"Bearer {token}"

    def _known(self, registry: str) -> dict[str, str]:
        path = self.credentials.get(registry)
        if path is None:
            return {}
        try:
            row = json.loads(path.read_text())
            return {"username": str(row["username"]), "password": str(row["password"])} | (
                {"realm": str(row["realm"])} if row.get("realm") else {}
            )
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise Away(f"{path} is not a readable file of JSON with username and password.") from error


def _base(registry: str) -> str:
    host = DOCKER.get(registry, registry)
    plain = outbound_addresses.read(f"http://{host}/", schemes=["http"]).address
    scheme = "http" if plain is not None and plain.is_loopback else "https"
    return f"{scheme}://{host}"


def _repository(reference: Reference) -> str:
    is_short = reference.registry in DOCKER and "/" not in reference.repository
    return f"library/{reference.repository}" if is_short else reference.repository


def _destination(url: str) -> Destination:
    """Read an address. Raises NotAllowed: also for one without TLS that is not on this machine."""
    destination = outbound_addresses.read(url, schemes=["https", "http"])
    address = destination.address
    if destination.scheme == "http" and not (address is not None and address.is_loopback):
        raise NotAllowed(f"{destination.host} is asked by https only.")
    return destination


def _basic(known: Mapping[str, str]) -> str:
    return "Basic " + base64.b64encode(f"{known['username']}:{known['password']}".encode()).decode()


def _token(answer: Answer) -> str:
    try:
        said: Any = json.loads(answer.body) if answer.status == 200 else {}
    except ValueError:
        return ""
    found = (said.get("token") or said.get("access_token")) if isinstance(said, dict) else None
    # As it goes into a header: nothing that would end a line.
    return found if isinstance(found, str) and found.isascii() and found.isprintable() else ""
