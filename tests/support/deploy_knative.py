"""The manifests of deploy/knative/ as kubectl builds them, and whether each is valid."""

from __future__ import annotations

import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from jsonschema import Draft202012Validator

Manifest = dict[str, Any]

FOLDER = Path("deploy/knative")
KINDS: dict[str, Any] = yaml.safe_load(Path("tests/deploy/knative.schema.yaml").read_text("utf-8"))

_OF_KNATIVE = {"containerConcurrency", "timeoutSeconds"}
"""What a Service adds to the fields of a pod."""


def read(name: str) -> Manifest:
    """Return the manifest of a file."""
    return dict(yaml.safe_load((FOLDER / name).read_text("utf-8")))


@cache
def build(name: str) -> list[Manifest]:
    """Return the manifests of a folder, an overlay's or the base; skip the test where there is no kubectl."""
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        pytest.skip("no kubectl")
    built = subprocess.run([kubectl, "kustomize", FOLDER / name], capture_output=True, check=True)  # noqa: S603 - ours
    return list(yaml.safe_load_all(built.stdout))


def is_knatives(manifest: Manifest) -> bool:
    """Tell whether Knative defines the kind."""
    return ".knative.dev/" in manifest["apiVersion"]


def check(manifest: Manifest) -> None:
    """Raise unless the manifest has only fields that exist, with values that are allowed."""
    if is_knatives(manifest):
        spec = KINDS[f"{manifest['apiVersion']} {manifest['kind']}"]
        parts = {"apiVersion": {}, "kind": {}, "metadata": {"$ref": "#/$defs/metadata"}, "spec": spec}
        Draft202012Validator(_strict({"properties": parts, "$defs": KINDS["$defs"]})).validate(manifest)
    if manifest["kind"] == "Service":
        pod = manifest["spec"]["template"]["spec"]
        spec = {name: value for name, value in pod.items() if name not in _OF_KNATIVE}
        spec["containers"] = [{"name": "user-container", **each} for each in pod["containers"]]
        manifest = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "unmirror"}, "spec": spec}
    if not is_knatives(manifest):
        kubernetes_validate.validate(manifest, kubernetes_validate.latest_version(), strict=True)


def _strict(schema: Any) -> Any:
    """Let whatever has properties be an object with no others, unless it says so itself."""
    if not isinstance(schema, dict):
        return schema
    strict = {"type": "object", "additionalProperties": False} if isinstance(schema.get("properties"), dict) else {}
    return {**strict, **{name: _strict(each) for name, each in schema.items()}}
