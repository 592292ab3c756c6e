"""JSON schemas for kubeconform, of all kinds that the chart may install."""

import json
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml

from tests.system.helm.chart import run, tool


def write_schemas(directory: Path, version: str) -> str:
    """Write the schemas of Kubernetes and of custom resources, and return the pattern of their paths."""
    for name, schema in (*_kubernetes(version), *_custom()):
        (directory / name).write_text(json.dumps(schema), encoding="utf-8")
    return f"{directory}/{{{{ .ResourceKind }}}}{{{{ .KindSuffix }}}}.json"


def validate(manifests: Path, schemas: str) -> str:
    """Return the problems of the manifests in a folder, empty if there are none; a missing schema is a problem."""
    result = run("kubeconform", "-strict", "-summary", "-schema-location", schemas, str(manifests))
    return "" if result.returncode == 0 and "Skipped: 0" in result.stdout else result.stdout + result.stderr


def _kubernetes(version: str) -> Iterator[tuple[str, Any]]:
    packaged = files("kubernetes_validate") / "kubernetes-json-schema" / f"v{version}-local-strict"
    for file in packaged.iterdir():
        schema = json.loads(file.read_text(encoding="utf-8").replace('"/api/_definitions.json#', '"_definitions.json#'))
        # Remove the id: kubeconform would resolve it on the web, although all schemas are in one folder here.
        schema.pop("$id", None)
        yield file.name, schema


def _custom() -> Iterator[tuple[str, Any]]:
    for file in tool("crds").iterdir():
        definition = yaml.safe_load(file.read_text(encoding="utf-8"))["spec"]
        kind, group = definition["names"]["kind"].lower(), definition["group"].split(".")[0]
        for version in definition["versions"]:
            schema = _strict(version["schema"]["openAPIV3Schema"])
            # Accept any metadata, because Kubernetes itself validates it.
            schema["properties"]["metadata"] = {"type": "object"}
            yield f"{kind}-{group}-{version['name']}.json", schema


def _strict(schema: Any) -> Any:
    """Return a schema that refuses unknown fields of a custom resource: Kubernetes would drop them silently."""
    if isinstance(schema, list):
        return [_strict(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    strict = {name: _strict(part) for name, part in schema.items()}
    if "properties" in schema and isinstance(schema["properties"], dict) and schema.get("type") == "object":
        open_ended = schema.get("x-kubernetes-preserve-unknown-fields")
        strict.setdefault("additionalProperties", bool(open_ended))
    if schema.get("x-kubernetes-int-or-string"):
        strict.pop("type", None)
    return strict
