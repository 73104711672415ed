"""What GitLab says of the four operations that are asked for, WRITTEN BY HAND: its description comes in no package.

Read in gitlab-org/gitlab as mirrored at gitlabhq: `doc/api/openapi/openapi_v3.yaml` (version 19.5) and what it is made
from, `lib/api/ci/pipelines.rb` at 002718a with the entities PipelineBasicWithMetadata, Pipeline and Tag.
"""

from typing import Any

TEXT, NUMBER, TRUTH = {"type": "string"}, {"type": "integer"}, {"type": "boolean"}
PROJECT = "/api/v4/projects/{id}"
BASIC = dict.fromkeys(("id", "iid", "project_id"), NUMBER) | dict.fromkeys(
    ("sha", "ref", "status", "source", "created_at", "updated_at", "web_url"), TEXT
)
LISTED = BASIC | {"name": TEXT | {"nullable": True}}
WHOLE = BASIC | {"before_sha": TEXT, "tag": TRUTH, "user": {"type": "object"}, "detailed_status": {"type": "object"}}
TAG = {"name": TEXT, "message": TEXT | {"nullable": True}, "target": TEXT, "protected": TRUTH}
VARIABLE = {"key": TEXT, "value": TEXT, "variable_type": {"enum": ["env_var", "file"]}}
RUN = {"ref": TEXT, "variables": {"type": "array", "items": {"type": "object", "properties": VARIABLE}}}


def _json(schema: dict[str, Any]) -> dict[str, Any]:
    return {"content": {"application/json": {"schema": schema}}}


def _object(properties: dict[str, Any], *required: str) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(required)}


def _operation(status: str, answer: dict[str, Any], *asked: str, **more: Any) -> dict[str, Any]:
    refused = _json({"type": "object", "properties": {"message": {}, "error": TEXT}})
    parameters = [{"in": "query", "name": name, "schema": NUMBER if "page" in name else TEXT} for name in asked]
    return {"parameters": parameters, "responses": {status: _json(answer), "default": refused}} | more


DESCRIPTION = {
    "paths": {
        f"{PROJECT}/repository/tags/{{tag_name}}": {"get": _operation("200", _object(TAG, "name", "target"))},
        f"{PROJECT}/pipelines": {
            "get": _operation(
                "200", {"type": "array", "items": _object(LISTED, *LISTED)}, "source", "ref", "page", "per_page"
            )
        },
        f"{PROJECT}/pipeline": {
            "post": _operation(
                "201", _object(WHOLE, *BASIC), requestBody=_json(_object(RUN, "ref")) | {"required": True}
            )
        },
        f"{PROJECT}/pipelines/{{pipeline_id}}/cancel": {"post": _operation("200", _object(WHOLE, *BASIC))},
    },
    "components": {"schemas": {}},
}
