"""The executors of this installation, from the settings: the only place here that knows them."""

from functools import cache
from pathlib import Path
from typing import TypeVar

from django.conf import settings

from apps.deployments.executors.argocd import ArgocdExecutor
from apps.deployments.executors.flux import FluxExecutor
from apps.deployments.executors.helm import Clocks as HelmClocks
from apps.deployments.executors.helm import HelmExecutor
from apps.deployments.executors.installation import Installation
from apps.deployments.executors.local import Clocks, LocalExecutor
from apps.deployments.executors.remote import Clocks as RemoteClocks
from apps.deployments.executors.remote import RemoteExecutor
from apps.deployments.executors.slots import Slots
from apps.deployments.executors.tekton import TektonExecutor
from apps.deployments.executors.workflow import GithubExecutor, GitlabExecutor
from apps.integrations.artifact_store import ArtifactStore
from apps.integrations.haproxy import Haproxy
from apps.integrations.package_index import PackageIndex, index_url
from apps.integrations.supervisord import Supervisor

Remote = TypeVar("Remote", bound=RemoteExecutor)
# What a service writes down before it answers is seen at once; a queue may take its time.
AT_ONCE, IN_A_QUEUE = 5.0, 60.0


def artifact_store() -> ArtifactStore:
    return ArtifactStore(settings.ARTIFACT_DIR)


@cache
def local_executor() -> LocalExecutor:
    runtime = Path(settings.HAPROXY_SOCKET)
    silence = settings.ENGINE_GUARD_SILENCE.total_seconds()
    slots = Slots(
        target_dir=settings.TARGET_DIR,
        socket_dir=runtime.parent,
        launcher=settings.BASE_DIR / "deploy" / "local" / "serve.py",
        installation=Installation(
            artifact_store(),
            PackageIndex(index_url()),
            silence=silence,
            limit=settings.ENGINE_APPLY_LIMIT.total_seconds(),
        ),
        proxy=Haproxy(
            runtime=runtime,
            master=Path(settings.HAPROXY_MASTER_SOCKET),
            config_dir=settings.HAPROXY_CONFIG_DIR,
        ),
        supervisor=Supervisor(socket_path=Path(settings.SUPERVISOR_SOCKET), config_dir=settings.SUPERVISOR_CONFIG_DIR),
    )
    return LocalExecutor(slots, Clocks(patience=silence + 5))


@cache
def helm_executor() -> HelmExecutor:
    silence, limit = settings.ENGINE_GUARD_SILENCE.total_seconds(), settings.ENGINE_APPLY_LIMIT.total_seconds()
    return HelmExecutor(
        binary=settings.HELM,
        kubeconfigs=settings.KUBECONFIGS,
        store=artifact_store(),
        target_dir=settings.TARGET_DIR,
        clocks=HelmClocks(silence=silence, patience=silence + 5, limit=limit, ready=limit / 2),
    )


@cache
def argocd_executor() -> ArgocdExecutor:
    return _remote(ArgocdExecutor, "argocd", appear=AT_ONCE)


@cache
def github_executor() -> GithubExecutor:
    return _remote(GithubExecutor, "github", appear=IN_A_QUEUE)


@cache
def gitlab_executor() -> GitlabExecutor:
    return _remote(GitlabExecutor, "gitlab", appear=IN_A_QUEUE)


@cache
def flux_executor() -> FluxExecutor:
    return _remote(FluxExecutor, "flux", appear=AT_ONCE)


@cache
def tekton_executor() -> TektonExecutor:
    return _remote(TektonExecutor, "tekton", appear=AT_ONCE)


def _remote(made_by: type[Remote], kind: str, *, appear: float) -> Remote:
    silence, limit = settings.ENGINE_GUARD_SILENCE.total_seconds(), settings.ENGINE_APPLY_LIMIT.total_seconds()
    return made_by(
        connections=settings.CONNECTIONS[kind],
        store=artifact_store(),
        target_dir=settings.TARGET_DIR,
        clocks=RemoteClocks(
            silence=silence, patience=silence + 5, appear=appear, ready=limit, hopeless=min(30.0, limit / 4)
        ),
    )
