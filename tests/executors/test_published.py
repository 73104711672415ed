"""Whether what the executors send and what the fakes answer agrees with what the services publish of themselves.

Each fake asks this of all that was said to it when it closes, in whichever test; here it is shown to bite.
"""

import dataclasses
from pathlib import Path

import pytest

from apps.integrations.json_api import JsonApi
from tests.fakes.argocd import FakeArgocd
from tests.fakes.github import EXAMPLE, FakeGithub
from tests.fakes.gitlab import FakeGitlab
from tests.fakes.kubernetes import FakeKubernetes
from tests.published import Description, Exchange

RUNS = "/repos/acme/greeter/actions/workflows/deploy.yml"
APPLICATION = "/api/v1/applications/greeter"
RELEASE = "/apis/helm.toolkit.fluxcd.io/v2/namespaces/demo/helmreleases/greeter"
KUSTOMIZATION = "/apis/kustomize.toolkit.fluxcd.io/v1/namespaces/demo/kustomizations/greeter"
PIPELINE_RUNS = "/apis/tekton.dev/v1/namespaces/demo/pipelineruns"
SECRETS = "/api/v1/namespaces/demo/secrets"
PIPELINES = "/api/v4/projects/acme%2Fgreeter/pipeline"
GITLAB = FakeGitlab.description
GITHUB, ARGOCD, KUBERNETES = FakeGithub.description, FakeArgocd.description, FakeKubernetes.description

LISTED = Exchange("GET", f"{RUNS}/runs", (("page", "1"),), None, 200, {"total_count": 1, "workflow_runs": [EXAMPLE]})
BEGUN = Exchange("POST", f"{RUNS}/dispatches", (), {"ref": "v1.0.0", "inputs": {"eaip_run": "x"}}, 204, None)
PIPED = Exchange("POST", PIPELINES, (), {"ref": "v1.0.0"}, 400, {"message": {"base": ["Reference not found"]}})
SYNCED = Exchange("POST", f"{APPLICATION}/sync", (), {"name": "greeter", "infos": []}, 200, {"metadata": {}})
READ = Exchange("GET", APPLICATION, (("refresh", "normal"),), None, 200, {"status": {"sync": {"status": "Synced"}}})
RELEASED = {"apiVersion": "helm.toolkit.fluxcd.io/v2", "kind": "HelmRelease", "spec": {"interval": "1h"}}
WISHED = Exchange("PUT", RELEASE, (), RELEASED, 200, RELEASED)
RUN = {"apiVersion": "tekton.dev/v1", "kind": "PipelineRun", "spec": {"params": [{"name": "a", "value": "b"}]}}
ASKED = Exchange("POST", PIPELINE_RUNS, (), RUN, 201, RUN)
STOPPED = Exchange(
    "PATCH", f"{PIPELINE_RUNS}/a", (), {"spec": {"status": "Cancelled"}}, 200, RUN, "application/merge-patch+json"
)
SECRET = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "a"}, "data": {"a": "YQ=="}}
KEPT = Exchange("POST", SECRETS, (("fieldManager", "helm"),), SECRET, 201, SECRET)
PODS = {"$setElementOrder/containers": [{"name": "a"}], "containers": [{"name": "a", "image": "a:1"}]}
MERGED = Exchange(
    "PATCH",
    "/apis/apps/v1/namespaces/demo/deployments/a",
    (),
    {"spec": {"template": {"spec": PODS}}},
    200,
    {"kind": "Deployment", "spec": {"selector": {}, "template": {}}},
    "application/strategic-merge-patch+json",
)
GOOD = [
    (GITHUB, LISTED), (GITHUB, BEGUN), (GITLAB, PIPED), (ARGOCD, SYNCED), (ARGOCD, READ),
    (KUBERNETES, WISHED), (KUBERNETES, ASKED), (KUBERNETES, STOPPED), (KUBERNETES, KEPT), (KUBERNETES, MERGED),
]  # fmt: skip
BAD = [
    (GITHUB, LISTED, {"query": (("evnt", "push"),)}, "evnt is unknown in the query"),
    (GITHUB, LISTED, {"query": (("per_page", "all"),)}, "'all' is not of type 'integer'"),
    (GITHUB, LISTED, {"content": {"workflow_runs": []}}, "'total_count' is a required property"),
    (GITHUB, LISTED, {"content": {"total_count": 0, "workflow_runs": [], "runs": []}}, "'runs' was unexpected"),
    (GITHUB, LISTED, {"path": "/repos/acme/greeter/workflows"}, "there is no such operation"),
    (GITHUB, BEGUN, {"body": {"inputs": {}}}, "'ref' is a required property"),
    (GITHUB, BEGUN, {"body": {"ref": "v1.0.0", "input": {}}}, "'input' was unexpected"),
    (GITHUB, BEGUN, {"body": None}, "the body is missing"),
    (GITHUB, BEGUN, {"status": 202}, "this status is never answered"),
    (GITHUB, BEGUN, {"content": {"id": 1}}, "an answer where there is none"),
    (GITLAB, PIPED, {"body": {"ref": "v1.0.0", "variables": [{"name": "A"}]}}, "'name' was unexpected"),
    (ARGOCD, SYNCED, {"body": {"name": "greeter", "info": []}}, "'info' was unexpected"),
    (ARGOCD, READ, {"content": {"status": {"sync": "Synced"}}}, "at status/sync: 'Synced' is not of type 'object'"),
    (ARGOCD, READ, {"body": {}}, "a body is sent where none is read"),
    (ARGOCD, READ, {"status": 404, "content": {"reason": "gone"}}, "'reason' was unexpected"),
    (KUBERNETES, WISHED, {"body": RELEASED | {"spec": {"interval": "1h", "paused": True}}}, "'paused' was unexpected"),
    (KUBERNETES, WISHED, {"content": RELEASED | {"spec": {}}}, "'interval' is a required property"),
    (KUBERNETES, ASKED, {"body": RUN | {"spec": {"params": [{"key": "a"}]}}}, "'key' was unexpected"),
    (KUBERNETES, STOPPED, {"body": {"spec": {"state": "Cancelled"}}}, "'state' was unexpected"),
    (KUBERNETES, KEPT, {"body": SECRET | {"data": {"a": 1}}}, "at data/a: 1 is not of type 'string'"),
]


@pytest.mark.parametrize(("description", "exchange"), GOOD, ids=[str(row[1]) for row in GOOD])
def test_what_is_as_published_passes(description: Description, exchange: Exchange) -> None:
    assert description.faults(exchange) == []


@pytest.mark.parametrize(("description", "exchange", "change", "said"), BAD, ids=[row[3] for row in BAD])
def test_what_is_not_as_published_is_found(
    description: Description, exchange: Exchange, change: dict[str, object], said: str
) -> None:
    (fault,) = description.faults(dataclasses.replace(exchange, **change))

    assert said in fault


def test_a_fake_that_was_told_something_else_says_so_when_it_closes(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="infos is unknown in the query"), FakeArgocd() as argocd:  # noqa: PT012
        argocd.application("greeter")
        api = JsonApi(argocd.connection(tmp_path / "connection"))
        api.ask("GET", APPLICATION, query={"infos": "all"})
