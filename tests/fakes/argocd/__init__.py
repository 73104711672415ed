"""A FAKE of the REST API of Argo CD. Not Argo CD: nothing is synced to any cluster.

Why a fake: Argo CD needs a cluster, and no package index carries it. It is built from the published description,
argoproj/argo-cd `assets/swagger.json` at commit fbe63dd (paths and fields under /api/v1/applications/{name}), and from
what the server does there (`server/application/application.go` at 9232177: how a patch, a sync and a termination are
refused, with which gRPC codes). All that is said here is held to `tests/descriptions/argocd.json`, of Argo CD 2. Never
compared with a running one.

What an Application becomes is steered by the revision: `broken` in it gets Degraded, `failing` can't be applied, `slow`
goes on until `finish()`; what is not among `revisions` can't be rendered.
Known gaps: one project, one namespace; no RBAC beyond the token; no hooks, waves, windows; a sync takes one look.
"""

from tests.fakes.argocd.server import FakeArgocd

__all__ = ["FakeArgocd"]
