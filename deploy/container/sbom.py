"""Writes the bill of materials of the image's Python packages: CycloneDX 1.6 as JSON, the same for the same lock.

    python deploy/container/sbom.py unmirror.cdx.json [requirements-extras.txt]

Needs the extra `dev`. A package has one component for each version that the lock holds, with the hashes of its files.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from cyclonedx.model import ExternalReference, ExternalReferenceType, HashAlgorithm, HashType, Property, XsUri
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL
from packaging.requirements import Requirement

HERE = Path(__file__).resolve().parent
PROJECT = HERE.parents[1] / "pyproject.toml"


def components(lock: str) -> Iterator[Component]:
    """Yield what a lock with hashes holds."""
    for entry in re.split(r"\n(?=\S)", lock):
        if entry.startswith("#"):
            continue
        requirement = Requirement(entry.partition(" \\\n")[0])
        version = str(requirement.specifier).removeprefix("==")
        purl = PackageURL("pypi", None, requirement.name, version)
        hashes = [HashType(alg=HashAlgorithm.SHA_256, content=each) for each in re.findall(r"sha256:(\w{64})", entry)]
        files = ExternalReference(type=ExternalReferenceType.DISTRIBUTION, url=XsUri(purl.to_string()), hashes=hashes)
        where = [Property(name="unmirror:marker", value=str(requirement.marker))] if requirement.marker else []
        yield Component(
            type=ComponentType.LIBRARY,
            name=requirement.name,
            version=version,
            bom_ref=purl.to_string(),
            purl=purl,
            external_references=[files],
            properties=where,
        )


def bill(lock: Path) -> str:
    """Return the bill of what a lock holds, without the time and the number that would make each one another."""
    version = re.findall(r'^version = "(.+)"$', PROJECT.read_text("utf-8"), re.MULTILINE)[0]
    bom = Bom(components=components(lock.read_text("utf-8")))
    bom.metadata.component = root = Component(
        type=ComponentType.APPLICATION, name="unmirror", version=version, bom_ref="unmirror"
    )
    bom.register_dependency(root, bom.components)
    written = json.loads(JsonV1Dot6(bom).output_as_string())
    del written["serialNumber"], written["metadata"]["timestamp"]
    return f"{json.dumps(written, indent=2)}\n"


if __name__ == "__main__":
    file, lock = [*sys.argv[1:], "requirements.txt"][:2]
    Path(file).write_text(bill(HERE / lock), "utf-8")
