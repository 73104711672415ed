"""Reads the few bodies that Go clients send as protobuf: Secret, ConfigMap and Namespace."""

import base64
from collections.abc import Iterator
from typing import Any

MAGIC = b"k8s\0"
_METADATA = {1: "name", 2: "generateName", 3: "namespace", 5: "uid", 6: "resourceVersion"}
_METADATA_MAPS = {11: "labels", 12: "annotations"}


def decoded(raw: bytes) -> dict[str, Any]:
    if not raw.startswith(MAGIC):
        raise ValueError("not a protobuf body of Kubernetes")
    envelope = dict(_fields(raw[len(MAGIC) :]))
    api_version, kind = (dict(_fields(envelope[1])).get(number, b"").decode() for number in (1, 2))
    found: dict[str, Any] = {"apiVersion": api_version, "kind": kind}
    for number, value in _fields(envelope[2]):
        if number == 1:
            found["metadata"] = _metadata(value)
        elif number == 2 and kind in ("Secret", "ConfigMap"):
            name, content = _entry(value)
            text = base64.b64encode(content).decode() if kind == "Secret" else content.decode()
            found.setdefault("data", {})[name] = text
        elif number == 3 and kind == "Secret":
            found["type"] = value.decode()
    return found


def _metadata(raw: bytes) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for number, value in _fields(raw):
        if number in _METADATA and value:
            found[_METADATA[number]] = value.decode()
        elif number in _METADATA_MAPS:
            name, content = _entry(value)
            found.setdefault(_METADATA_MAPS[number], {})[name] = content.decode()
    return found


def _entry(raw: bytes) -> tuple[str, bytes]:
    pair = dict(_fields(raw))
    return pair.get(1, b"").decode(), pair.get(2, b"")


def _fields(raw: bytes) -> Iterator[tuple[int, Any]]:
    at = 0
    while at < len(raw):
        tag, at = _varint(raw, at)
        match tag & 7:
            case 0:
                value, at = _varint(raw, at)
            case 1 | 5 as width:
                size = 8 if width == 1 else 4
                value, at = raw[at : at + size], at + size
            case 2:
                size, at = _varint(raw, at)
                value, at = raw[at : at + size], at + size
            case other:
                raise ValueError(f"no such wire type: {other}")
        yield tag >> 3, value


def _varint(raw: bytes, at: int) -> tuple[int, int]:
    result = shift = 0
    while True:
        byte = raw[at]
        result |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return result, at
