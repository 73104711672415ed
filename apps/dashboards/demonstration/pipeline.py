"""What pipelines do elsewhere: tries a release out once it runs in Dev, and reports what it saw.

All of it really ran: the unit tests of what is built here, and for the programs of other projects, whose tests are not
in their wheels, that each module is one for this Python; the steps of the deployment to Dev; requests to what runs
there; the content of each wheel beside what the wheel says of itself. Nothing is made up, so a report can be missing.
"""

import base64
import csv
import hashlib
import io
import json
import re
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
import warnings
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple
from xml.etree import ElementTree

from django.conf import settings

from apps.approvals.enums import PromotionState
from apps.approvals.models import Promotion
from apps.audit.actors import Actor
from apps.dashboards.demonstration.catalogue import GREETER, greeter_repository
from apps.deployments.enums import DeploymentState, StepVerdict
from apps.deployments.models import Deployment
from apps.environments.enums import Tier
from apps.integrations.artifact_store import ArtifactStore, StoreError, unpack
from apps.releases import actions
from apps.releases.enums import ReleaseState
from apps.releases.models import Release

UNIT_TESTS = settings.BASE_DIR / "deploy" / "local" / "unit_tests.py"
PIPELINE = Actor("SYSTEM", "demonstration-pipeline", "Pipeline of the demonstration")
LIMIT_SECONDS = 60
RULES = {"other-content": "A file is not the one that the wheel was made with.", "unlisted": "A file is not listed."}


class Case(NamedTuple):
    name: str
    seconds: float = 0.0
    failure: str = ""


class Report(NamedTuple):
    kind: str
    content: bytes
    suite: str = ""
    ran_there: bool = False
    """Whether it is of what ran in Dev."""


class Answer(NamedTuple):
    path: str
    status: int
    content_type: str
    version: str


@dataclass(frozen=True)
class Trial:
    """A release that came to Dev, with the attempt that brought it there."""

    deployment: Deployment
    manifest: Mapping[str, Any]
    steps: tuple[Case, ...]

    @property
    def is_built_here(self) -> bool:
        return self.deployment.lane.service.slug == GREETER


def next_trial() -> Trial | None:
    """This function will find a release that runs in Dev and that nobody has reported of, the one that came first."""
    arrived = Promotion.objects.filter(
        state=PromotionState.COMPLETED,
        lane__environment__tier=Tier.DEV,
        release__state=ReleaseState.SEALED,
        release__evidence=None,
    ).order_by("number")
    promotion = arrived.first()
    if promotion is None:
        return None
    attempts = promotion.deployments.filter(state=DeploymentState.SUCCEEDED).order_by("-number")
    deployment = attempts.with_subject().first()
    if deployment is None:
        return None
    steps = tuple(
        Case(
            f"{step.seq}. {step.label}",
            step.took.total_seconds() if step.took else 0.0,
            "" if step.verdict == StepVerdict.DONE else step.detail or step.get_verdict_display(),
        )
        for step in deployment.steps.exclude(verdict=StepVerdict.SKIPPED)
    )
    return Trial(deployment, deployment.release.artifact.manifest, steps)


def reports_of(trial: Trial) -> list[Report]:
    """This function will try a release out and return the reports. It takes seconds, so stands in no transaction."""
    release, wheels = trial.deployment.release, list(_wheels(trial.manifest))
    answers = list(_answers(trial))
    return [
        *(_own_tests(release.commit) if trial.is_built_here else _modules(trial.manifest["program"], wheels)),
        Report("JUNIT", junit("deployment to Dev", trial.steps), "INTEGRATION", ran_there=True),
        *_visits(answers, release),
        Report("SARIF", sarif("wheel-contents", [found for name, path in wheels for found in _tampered(name, path)])),
        Report("CYCLONEDX", cyclonedx(release.service.name, release.version, trial.manifest["wheels"])),
    ]


def keep(trial: Trial, reports: Iterable[Report], *, now: datetime) -> None:
    """This function will hand the reports in, as a pipeline does."""
    deployment = trial.deployment
    for report in reports:
        actions.keep_evidence(
            deployment.release,
            kind=report.kind,
            suite=report.suite,
            report=report.content,
            environment=deployment.lane.environment if report.ran_there else None,
            by=PIPELINE,
            now=now,
        )


def junit(name: str, cases: Sequence[Case]) -> bytes:
    """This function will write test cases as JUnit's XML."""
    suite = ElementTree.Element("testsuite", name=name, tests=str(len(cases)))
    for case in cases:
        row = ElementTree.SubElement(suite, "testcase", classname=name, name=case.name, time=f"{case.seconds:.3f}")
        if case.failure:
            ElementTree.SubElement(row, "failure", message=case.failure[:300])
    return bytes(ElementTree.tostring(suite, encoding="utf-8", xml_declaration=True))


def lcov(lines: Mapping[str, Mapping[str, int]]) -> bytes:
    """This function will write how often each line ran as an LCOV tracefile; `lines` by file and number."""
    records = []
    for file, hits in lines.items():
        records += [f"SF:{file}", *(f"DA:{line},{count}" for line, count in hits.items()), "end_of_record"]
    return "\n".join([*records, ""]).encode()


def sarif(tool: str, found: Iterable[tuple[str, str]]) -> bytes:
    """This function will write findings, each a rule and a place, as SARIF 2.1.0."""
    rules = [{"id": rule, "shortDescription": {"text": text}} for rule, text in RULES.items()]
    results = [
        {
            "ruleId": rule,
            "level": "error",
            "message": {"text": RULES[rule]},
            "locations": [{"physicalLocation": {"artifactLocation": {"uri": place}}}],
        }
        for rule, place in found
    ]
    run = {"tool": {"driver": {"name": tool, "rules": rules}}, "results": results}
    return json.dumps({"version": "2.1.0", "runs": [run]}).encode()


def cyclonedx(name: str, version: str, wheels: Iterable[Mapping[str, Any]]) -> bytes:
    """This function will write the wheels of a release as a CycloneDX document."""
    components = [
        {
            "type": "library",
            "name": wheel["name"],
            "version": wheel["version"],
            "purl": f"pkg:pypi/{wheel['name']}@{wheel['version']}",
            "hashes": [{"alg": "SHA-256", "content": wheel["sha256"]}],
        }
        for wheel in wheels
    ]
    about = {"component": {"type": "application", "name": name, "version": version}}
    document = {"bomFormat": "CycloneDX", "specVersion": "1.6", "metadata": about, "components": components}
    return json.dumps(document).encode()


def openapi(title: str, answers: Iterable[Answer]) -> bytes:
    """This function will describe the operations that were asked, by what they answered."""
    paths = {
        answer.path: {
            "get": {
                "responses": {
                    str(answer.status): {"description": "As it was seen in Dev.", "content": {answer.content_type: {}}}
                }
            }
        }
        for answer in answers
    }
    return json.dumps({"openapi": "3.1.0", "info": {"title": title, "version": "seen in Dev"}, "paths": paths}).encode()


def _own_tests(commit: str) -> Iterator[Report]:
    with tempfile.TemporaryDirectory(prefix="eaip-pipeline-") as name:
        folder = Path(name)
        source = folder / "source"
        source.mkdir()
        greeter_repository().archive(commit, folder / "source.tar")
        try:
            unpack(folder / "source.tar", source)
            ran = subprocess.run(
                [sys.executable, "-I", "-B", str(UNIT_TESTS), str(source)],
                cwd=folder, env={"HOME": name}, capture_output=True, text=True, timeout=LIMIT_SECONDS, check=True,
            )  # fmt: skip
        except (StoreError, subprocess.SubprocessError):
            return  # a report that nobody could make is missing, and the gate says so
    said = json.loads(ran.stdout.splitlines()[-1])
    if said["cases"]:
        yield Report("JUNIT", junit("unit tests", [Case(*case) for case in said["cases"]]), "UNIT")
        yield Report("LCOV", lcov(said["lines"]))


def _wheels(manifest: Mapping[str, Any]) -> Iterator[tuple[str, Path]]:
    store = ArtifactStore(settings.ARTIFACT_DIR)
    for wheel in manifest["wheels"]:
        if store.has(wheel["sha256"]):  # those for other machines are not fetched
            yield wheel["filename"], store.path(wheel["sha256"])


def _modules(program: str, wheels: Iterable[tuple[str, Path]]) -> Iterator[Report]:
    own = program.replace("-", "_").lower()
    for filename, path in wheels:
        if filename.partition("-")[0].replace("-", "_").lower() == own:
            with zipfile.ZipFile(path) as wheel:
                modules = [name for name in wheel.namelist() if name.endswith(".py")]
                cases = [Case(name, failure=_unfit(name, wheel.read(name))) for name in modules]
            yield Report("JUNIT", junit("modules for this Python", cases), "UNIT")


def _unfit(name: str, code: bytes) -> str:
    try:
        with warnings.catch_warnings(action="ignore"):
            compile(code, name, "exec")
    except (SyntaxError, ValueError) as error:
        return str(error)
    return ""


def _answers(trial: Trial) -> Iterator[Answer]:
    lane = trial.deployment.lane
    for path in dict.fromkeys(("/" if trial.is_built_here else lane.service.health_path, lane.service.health_path)):
        request = urllib.request.Request(f"http://127.0.0.1:{lane.port}{path}")
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310  our own address
                version = answer.headers.get("X-Release", "")
                yield Answer(path, answer.status, answer.headers.get_content_type(), version)
        except urllib.error.HTTPError as error:
            yield Answer(path, error.code, error.headers.get_content_type(), error.headers.get("X-Release", ""))
        except OSError:
            return


def _visits(answers: Sequence[Answer], release: Release) -> Iterator[Report]:
    """Report of visits that this release answered; somebody may have brought another one to Dev meanwhile."""
    if not answers or any(answer.version != release.version for answer in answers):
        return
    cases = [
        Case(f"GET {answer.path}", failure="" if answer.status < 400 else f"It answered {answer.status}.")
        for answer in answers
    ]
    yield Report("JUNIT", junit("visits in Dev", cases), "END_TO_END", ran_there=True)
    yield Report("OPENAPI", openapi(release.service.name, answers), ran_there=True)


def _tampered(filename: str, path: Path) -> Iterator[tuple[str, str]]:
    """Compare the files of a wheel with its own list of them (RECORD)."""
    with zipfile.ZipFile(path) as wheel:
        names = [name for name in wheel.namelist() if not name.endswith("/")]
        # At the top: what a wheel brings of others has lists of its own, deeper down.
        record = next((name for name in names if re.fullmatch(r"[^/]+\.dist-info/RECORD", name)), "")
        text = wheel.read(record).decode() if record else ""
        listed = {row[0]: row[1] for row in csv.reader(io.StringIO(text)) if len(row) > 1}
        for name in names:
            kind, _, expected = listed.get(name, "").partition("=")
            if name not in listed:
                yield "unlisted", f"{filename}/{name}"
            elif kind in hashlib.algorithms_guaranteed:
                digest = hashlib.new(kind, wheel.read(name)).digest()
                if base64.urlsafe_b64encode(digest).decode().rstrip("=") != expected:
                    yield "other-content", f"{filename}/{name}"
