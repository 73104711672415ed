"""A small chart, made anew for each version: a Deployment whose image has the chart's version for its tag."""

import gzip
import io
import tarfile
from hashlib import sha256
from typing import Any

from apps.deployments.executors.contract import ReleaseRef
from apps.integrations.artifact_store import ArtifactStore
from apps.releases import manifests

NAME = "greeter"
WORKLOAD = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: "{{ .Release.Name }}", labels: {app: "{{ .Release.Name }}"}}
spec:
  replicas: {{ .Values.replicas }}
  selector: {matchLabels: {app: "{{ .Release.Name }}"}}
  template:
    metadata: {labels: {app: "{{ .Release.Name }}"}}
    spec:
      containers:
        - name: main
          image: "greeter:{{ .Values.image.tag }}"
          env: [{name: GREETING, value: "{{ .Values.GREETING }}"}]
---
apiVersion: v1
kind: Service
metadata: {name: "{{ .Release.Name }}"}
spec: {selector: {app: "{{ .Release.Name }}"}, ports: [{port: 80}]}
"""


def archive(version: str, *, tag: str = "", template: str = WORKLOAD) -> bytes:
    files = {
        "Chart.yaml": f"apiVersion: v2\nname: {NAME}\nversion: {version}\n",
        "values.yaml": f'replicas: 2\nGREETING: Hello\nimage: {{tag: "{tag or version}"}}\n',
        "templates/all.yaml": template,
    }
    buffer = io.BytesIO()
    # Without the time in gzip's head: the same chart is the same bytes.
    with gzip.GzipFile(fileobj=buffer, mode="wb", mtime=0) as packed, tarfile.open(fileobj=packed, mode="w") as bundle:
        for name, text in files.items():
            member = tarfile.TarInfo(f"{NAME}/{name}")
            member.size = len(text.encode())
            bundle.addfile(member, io.BytesIO(text.encode()))
    return buffer.getvalue()


def manifest_of(version: str, content: bytes, *, source: str = manifests.STORE) -> dict[str, Any]:
    filename = f"{NAME}-{version}.tgz"
    row = {"name": NAME, "version": version, "filename": filename, "size": len(content), "source": source}
    return {"program": NAME, "chart": row | {"sha256": sha256(content).hexdigest()}}


def stored(store: ArtifactStore, version: str, **more: str) -> ReleaseRef:
    """Make a chart, keep it in the store, and return the release of it."""
    content = archive(version, **more)
    manifest = manifest_of(version, content)
    store.put([content], sha256=manifest["chart"]["sha256"])
    return ReleaseRef(version, manifests.digest_of(manifest), manifest)
