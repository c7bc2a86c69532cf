"""A stand-in for the provider huaweicloud that speaks Terraform's plugin protocol and keeps to `deploy_provider.toml`.

Terraform starts it, with the package `tf` and nothing of this project. It knows two accounts, asks no cloud, and gives
back what the cloud adds: of a trigger's `event_data`, what the API is known to return.
"""

from __future__ import annotations

import hashlib
import json
import os
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tf import iface, types
from tf.blocks import SetNestedBlock
from tf.runner import run_provider
from tf.schema import Attribute, Schema
from tf.schema import Block as TfBlock
from tf.utils import Diagnostics

Block = dict[str, Any]
"""A table of the file: a resource, a data source, or a block within one."""

TABLE: dict[str, Any] = tomllib.loads(Path(__file__).with_suffix(".toml").read_text("utf-8"))
TYPES = {
    "number": types.Number(),
    "bool": types.Bool(),
    "set": types.Set(types.String()),
    "map": types.Map(types.String()),
}
PROJECTS = ("eu-west-101", "eu-west-101_network", "ap-southeast-3")

ADDED = {
    "TIMER": {"sync_execution": False},
    "DEDICATEDGATEWAY": {"trigger_id": "0123456789abcdef", "func_info": {"function_urn": "urn", "timeout": 60000}},
}
"""What the API adds to a trigger's `event_data`. Sources: the provider's commit 8117dab5; the SDK's class
TriggerEventDataResponseBody."""


class Records(types.String):
    """A list of objects with those members; the package has no such type."""

    def __init__(self, members: dict[str, Any]) -> None:
        self.members = members

    def tf_type(self) -> bytes:
        return json.dumps(["list", ["object", self.members]]).encode()


def arguments(block: Block) -> Iterator[tuple[str, str, set[str]]]:
    """Yield what a table says of arguments: the name, the type or all that it may be, and the marks."""
    for marks, entries in block.items():
        for entry in entries.split() if isinstance(entries, str) else ():
            name, _, kind = entry.partition(":")
            yield name, kind, set(marks.split())


def schema(block: Block, *more: Attribute) -> dict[str, Any]:
    """Return what the package makes a schema or a block from."""
    own = [
        Attribute(
            *(name, TYPES.get(kind, types.String())),
            **{mark: mark in marks for mark in ("required", "optional", "computed", "sensitive")},
            requires_replace="replaces" in marks,
        )
        for name, kind, marks in arguments(block)
    ]
    records = [Attribute(name, Records(each), computed=True) for name, each in block.get("records", {}).items()]
    nested = [SetNestedBlock(name, TfBlock(**schema(inner))) for name, inner in block.get("blocks", {}).items()]
    return {"attributes": [*more, *own, *records], "block_types": nested}


def faults(block: Block, config: dict[str, Any]) -> Iterator[str]:
    """Yield what is wrong with values of a resource, a data source or a block within one."""
    for name, kind, _ in arguments(block):
        value = config.get(name)
        if "|" in kind and isinstance(value, str) and value not in kind.split("|"):
            yield f"{name}: expected one of {kind.replace('|', ', ')}"
    for together in block.get("together", ()):
        if len({config.get(name) is None for name in together}) > 1:
            yield f"{', '.join(together)} go together"
    for name, inner in block.get("blocks", {}).items():
        contents = config.get(name)
        for content in contents if isinstance(contents, list) else ():
            yield from faults(inner, content)


def project_id(account: str, name: str) -> str:
    return hashlib.md5(f"{account}/{name}".encode(), usedforsecurity=False).hexdigest()


class StandIn:
    """What resources and data sources have in common."""

    NAME: str
    BLOCK: Block

    def __init__(self, provider: Provider) -> None:
        self.provider = provider

    @classmethod
    def get_name(cls) -> str:
        return cls.NAME

    @classmethod
    def get_schema(cls) -> Schema:
        return Schema(**schema(cls.BLOCK, Attribute("id", types.String(), computed=True)))

    def validate(self, diags: Diagnostics, type_name: str, config: dict[str, Any]) -> None:
        for fault in faults(self.BLOCK, config):
            diags.add_error(f"{type_name}: {fault}")


class StandInResource(StandIn, iface.Resource):
    def create(self, ctx: iface.CreateContext, planned: dict[str, Any]) -> dict[str, Any]:
        for fault in self._refusals(planned):
            ctx.diagnostics.add_error(f"{self.NAME}: {fault}")
        known = {name: None if value is types.Unknown else value for name, value in planned.items()}
        return {**known, **self._computed(known)}

    def _refusals(self, planned: dict[str, Any]) -> Iterator[str]:
        """Yield what the cloud would answer an error to."""
        if self.NAME == "identity_role":
            actions = {each for statement in json.loads(planned["policy"])["Statement"] for each in statement["Action"]}
            for action in sorted(actions - {*TABLE["actions_1_1"].split()}):
                yield f"IAM knows no {action} in policies of version 1.1"
        if self.NAME.startswith("identity") and len(planned.get("name") or "") > 64:
            yield "the name is longer than 64"

    def _computed(self, state: dict[str, Any]) -> dict[str, Any]:
        region = state.get("region") or self.provider.region
        own = project_id(self.provider.account, self.provider.project_in(region))
        name = str(state.get("name") or state.get("group_name") or state.get("stream_name") or state.get("type"))
        values = {
            "id": hashlib.md5(f"{own}/{self.NAME}/{name}".encode(), usedforsecurity=False).hexdigest(),
            "region": region,
            "status": "ACTIVE",
            "urn": f"urn:fss:{region}:{own}:function:default:{name}:latest",
            "topic_urn": f"urn:smn:{region}:{own}:{name}",
        }
        mine = {"id", *(name for name, _, marks in arguments(self.BLOCK) if "computed" in marks)}
        return {name: value for name, value in values.items() if name in mine}

    def read(self, ctx: iface.ReadContext, current: dict[str, Any]) -> dict[str, Any]:
        if self.NAME == "fgs_function_trigger":
            data = {**json.loads(current["event_data"]), **ADDED.get(current["type"], {})}
            return {**current, "event_data": json.dumps(data, separators=(",", ":"), sort_keys=True)}
        if self.NAME == "eg_event_subscription":
            stamped = {
                name: [{**each, "created_at": "2026-01-01T00:00:00Z"} for each in current[name]]
                for name in ("sources", "targets")
            }
            return {**current, **stamped}
        return current

    def update(self, ctx: iface.UpdateContext, current: dict[str, Any], planned: dict[str, Any]) -> dict[str, Any]:
        return {name: current.get(name) if value is types.Unknown else value for name, value in planned.items()}

    def delete(self, ctx: iface.DeleteContext, current: dict[str, Any]) -> None:
        """Forget it: the state is Terraform's."""


class StandInData(StandIn, iface.DataSource):
    def read(self, ctx: iface.ReadDataContext, config: dict[str, Any]) -> dict[str, Any]:
        account = self.provider.account
        projects = [{"id": project_id(account, name), "name": name, "enabled": True} for name in PROJECTS]
        wanted = config.get("name"), config.get("project_id")
        found = {
            "projects": [project for project in projects if project["name"] == wanted[0] or project["id"] == wanted[1]],
            "types": [{"type": type_, "display_name": type_} for type_ in ("Python3.10", "Python3.12", "Custom Image")],
            "operations": json.loads(os.environ["STAND_IN_OPERATIONS"]),
            "channels": [{"id": "channel", "name": "default"}],
        }
        own = {name: value for name, value in found.items() if name in self.BLOCK["records"]}
        region = {"region": config["region"] or self.provider.region} if "region" in config else {}
        return {**config, "id": "id", **region, **own}


class Provider(iface.Provider):
    def __init__(self) -> None:
        self.region = self.project_name = self.account = ""

    def project_in(self, region: str) -> str:
        """Return the project that a call for that region is about, as the provider's own config.go has it."""
        return (self.project_name or region) if region == self.region else region

    def get_model_prefix(self) -> str:
        return "huaweicloud_"

    def full_name(self) -> str:
        return "registry.terraform.io/huaweicloud/huaweicloud"

    def get_provider_schema(self, diags: Diagnostics) -> Schema:
        return Schema(**schema(TABLE["provider"]))

    def validate_config(self, diags: Diagnostics, config: dict[str, Any]) -> None:
        """Take any."""

    def configure_provider(self, diags: Diagnostics, config: dict[str, Any]) -> None:
        roles = config.get("assume_role") or [{}]
        self.region, self.project_name = config.get("region") or "", config.get("project_name") or ""
        self.account = roles[0].get("domain_name") or "own"

    def get_resources(self) -> list[type[iface.Resource]]:
        return [type(name, (StandInResource,), {"NAME": name, "BLOCK": it}) for name, it in TABLE["resources"].items()]

    def get_data_sources(self) -> list[type[iface.DataSource]]:
        return [type(name, (StandInData,), {"NAME": name, "BLOCK": it}) for name, it in TABLE["data"].items()]


if __name__ == "__main__":
    run_provider(Provider())
