"""A FAKE of the Kubernetes API, for the real helm to talk to. Not a cluster: nothing runs here.

Why a fake: no package index and no distribution carries a kube-apiserver that the tests could start. It is a real HTTP
server all the same, and helm 3 and 4 are the real programs. What it must answer was read from the log of their
requests; what it answers was compared once with a real kube-apiserver 1.36: the same revisions and states.

All that is said of objects, discovery and watches apart, is held to `tests/descriptions` (kubernetes, flux, tekton).

Whether a workload gets ready is steered by the tag of its image: `broken` never does, everything else at once.
Objects of Flux and Tekton are carried as any other, and `operators` says what their controllers would (built from the
published descriptions, never compared with them).
Known gaps: strategic merge and server-side apply are approximations, and field ownership is not kept, so no conflict is
ever found; the words of messages differ from those of a real cluster, so nothing may match on them.
"""

from tests.fakes.kubernetes.server import FakeKubernetes, Request

__all__ = ["FakeKubernetes", "Request"]
