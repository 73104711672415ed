"""deploy/admission: what a cluster is given asks the portal about every place where it can run an image."""

import datetime
import subprocess
from pathlib import Path
from typing import Any

import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from apps.api.admissions import PLACES
from deploy.launcher.engines import HAProxy
from deploy.launcher.paths import ROOT

FILES = ROOT / "deploy" / "admission"


def read(name: str) -> Any:
    return yaml.safe_load((FILES / name).read_text())


def test_the_webhook_asks_about_every_workload_that_the_portal_reads() -> None:
    (webhook,) = read("webhook.yaml")["webhooks"]

    asked = {(group, name) for rule in webhook["rules"] for group in rule["apiGroups"] for name in rule["resources"]}
    assert asked == {(group, f"{kind.lower()}s") for group, kind in PLACES} | {("", "pods/ephemeralcontainers")}
    assert all(set(rule["operations"]) == {"CREATE", "UPDATE"} for rule in webhook["rules"])
    assert (webhook["failurePolicy"], webhook["sideEffects"]) == ("Fail", "NoneOnDryRun")
    assert webhook["admissionReviewVersions"] == ["v1"]


def test_the_patch_of_a_cluster_finds_what_it_replaces() -> None:
    webhook = read("webhook.yaml")
    kustomization = read("kustomization.yaml")

    assert kustomization["patches"][0]["target"]["name"] == webhook["metadata"]["name"]
    for change in read("namespaces.yaml"):
        place: Any = webhook
        for step in change["path"].strip("/").split("/"):
            place = place[int(step) if step.isdecimal() else step]
        assert type(place) is type(change["value"])


def test_the_files_of_the_api_server_name_one_another() -> None:
    (plugin,) = read("apiserver.yaml")["plugins"]
    (user,) = read("webhooks.example.yaml")["users"]

    assert plugin["configuration"]["kubeConfigFile"] in (FILES / "webhooks.example.yaml").read_text()
    assert user["name"] in read("webhook.yaml")["webhooks"][0]["clientConfig"]["url"]


def test_haproxy_takes_the_relay(tmp_path: Path) -> None:
    key, name, now = ec.generate_private_key(ec.SECP256R1()), x509.Name([]), datetime.datetime.now(datetime.UTC)
    unsigned = x509.CertificateBuilder(name, name, key.public_key(), 1)
    made = unsigned.not_valid_before(now).not_valid_after(now + datetime.timedelta(days=1)).sign(key, hashes.SHA256())
    pem = tmp_path / "relay.pem"
    pem.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + made.public_bytes(serialization.Encoding.PEM)
    )
    told = {
        "CERTIFICATE": str(pem),
        "AUTHORITY": str(pem),
        "CLUSTER": "production",
        "PORTAL": "127.0.0.1:443",
        "EAIP_TOKEN": "eaip_x",
    }

    command = [HAProxy(tmp_path, sockets=tmp_path).binary, "-c", "-f", FILES / "relay.cfg"]
    ran = subprocess.run(command, env=told, capture_output=True, text=True, check=False)

    assert ran.returncode == 0, ran.stderr
