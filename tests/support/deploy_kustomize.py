"""As much of kustomize as deploy/knative/ uses: bases, resources, a namespace, and patches of kinds it does not know.

For a custom kind kustomize merges a patch as JSON merge patch (RFC 7396); all patches here are of such kinds.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

Manifest = dict[str, Any]

KNOWN = {"apiVersion", "kind", "resources", "namespace", "images", "patches"}


def build(folder: Path) -> list[Manifest]:
    """Return the manifests of a kustomization; fail for what is not there or not understood."""
    kustomization = _read(folder / "kustomization.yaml")[0]
    assert kustomization.keys() <= KNOWN, kustomization.keys() - KNOWN
    manifests: list[Manifest] = []
    for name in kustomization.get("resources", []):
        manifests += build(folder / name) if (folder / name).is_dir() else _read(folder / name)
    for patch in kustomization.get("patches", []):
        (change,) = _read(folder / patch["path"])
        (index,) = (n for n, manifest in enumerate(manifests) if identity(manifest) == identity(change))
        manifests[index] = _merged(manifests[index], change)
    if namespace := kustomization.get("namespace"):
        for manifest in manifests:
            if manifest["kind"] != "Namespace":
                manifest["metadata"]["namespace"] = namespace
    for image in kustomization.get("images", []):
        _rename(manifests, image["name"], f"{image['newName']}:{image['newTag']}")
    return manifests


def identity(manifest: Manifest) -> tuple[str, ...]:
    """Return what a patch and a reference name a manifest by."""
    return manifest["apiVersion"], manifest["kind"], manifest["metadata"]["name"]


def _read(path: Path) -> list[Manifest]:
    return list(yaml.safe_load_all(path.read_text("utf-8")))


def _merged(value: Any, change: Any) -> Any:
    if not isinstance(change, dict) or not isinstance(value, dict):
        return change
    merged = {name: _merged(value.get(name), item) for name, item in change.items()}
    return {name: item for name, item in {**value, **merged}.items() if item is not None}


def _rename(value: Any, name: str, image: str) -> None:
    for item in value if isinstance(value, list) else value.values() if isinstance(value, dict) else ():
        if isinstance(item, dict) and item.get("image") == name:
            item["image"] = image
        _rename(item, name, image)
