"""The four ways to change part of an object. Strategic merge and apply are approximations, good for lists by name."""

from typing import Any

_KEYS = {
    "containers": "name", "initContainers": "name", "volumes": "name", "env": "name", "volumeMounts": "mountPath",
    "conditions": "type", "ownerReferences": "uid", "imagePullSecrets": "name",
}  # fmt: skip


def patched(old: dict[str, Any], patch: Any, content_type: str) -> dict[str, Any]:
    if content_type == "application/json-patch+json":
        return _json_patched(old, patch)
    if content_type == "application/apply-patch+yaml":
        # What the applier no longer names goes away; the rest of the object is the server's and stays.
        whole = {name: _clean(patch[name]) for name in ("spec", "data", "stringData") if name in patch}
        return _merged(old, patch, strategic=True) | whole
    return dict(_merged(old, patch, strategic=content_type == "application/strategic-merge-patch+json"))


def _merged(old: Any, new: Any, *, strategic: bool, name: str = "") -> Any:
    if isinstance(old, dict) and isinstance(new, dict):
        result = dict(old)
        for key, value in new.items():
            if key.startswith("$"):
                continue
            if value is None:
                result.pop(key, None)
            else:
                result[key] = _merged(old.get(key), value, strategic=strategic, name=key)
        return result
    key = _KEYS.get(name)
    if strategic and key and isinstance(old, list) and isinstance(new, list):
        rows = {row.get(key): row for row in old}
        for row in new:
            if row.get("$patch") == "delete":
                rows.pop(row.get(key), None)
            else:
                rows[row.get(key)] = _merged(rows.get(row.get(key)), row, strategic=True)
        return list(rows.values())
    return _clean(new)


def _clean(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _clean(each) for name, each in value.items() if each is not None and not name.startswith("$")}
    if isinstance(value, list):
        return [_clean(each) for each in value]
    return value


def _json_patched(old: dict[str, Any], operations: list[dict[str, Any]]) -> dict[str, Any]:
    for operation in operations:
        *parents, last = [part.replace("~1", "/").replace("~0", "~") for part in operation["path"].split("/")[1:]]
        place: Any = old
        for part in parents:
            place = place[int(part)] if isinstance(place, list) else place.setdefault(part, {})
        if operation["op"] == "remove":
            place.pop(int(last) if isinstance(place, list) else last)
        elif operation["op"] in ("add", "replace") and isinstance(place, dict):
            place[last] = operation["value"]
        else:
            raise ValueError(f"the fake does not know {operation}")
    return old


def json_pointed(obj: Any, pointer: str) -> Any:
    """Return what a JSON pointer (RFC 6901) names, None where there is nothing."""
    for part in pointer.split("/")[1:]:
        obj = obj.get(part.replace("~1", "/").replace("~0", "~")) if isinstance(obj, dict) else None
    return obj
