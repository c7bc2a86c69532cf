"""A stand-in for the provider huaweicloud that speaks Terraform's plugin protocol and keeps to `deploy_schemas.py`.

Terraform starts it, in an environment that has the package `tf` and nothing of this project. It knows two accounts,
asks no cloud, and gives back what the cloud adds: of a trigger's `event_data`, what the API is known to return.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from pathlib import Path
from typing import Any, ClassVar

from tf import iface, types
from tf.blocks import SetNestedBlock
from tf.gen import tfplugin_pb2 as pb
from tf.runner import run_provider
from tf.schema import Attribute, NestMode, Schema
from tf.schema import Block as TfBlock
from tf.utils import Diagnostics

sys.path.insert(0, str(Path(__file__).parent))
from deploy_schemas import ACTIONS_1_1, DATA, PROVIDER, RESOURCES, TOGETHER, Block

PROJECTS = ("eu-west-101", "eu-west-101_network", "ap-southeast-3")

ADDED = {
    "TIMER": {"sync_execution": False},
    "CTS": {},
    "DEDICATEDGATEWAY": {"trigger_id": "0123456789abcdef", "func_info": {"function_urn": "urn", "timeout": 60000}},
}
"""What the API adds to a trigger's `event_data`. Sources: the provider's commit 8117dab5; the SDK's class
TriggerEventDataResponseBody."""


def project_id(account: str, name: str) -> str:
    return hashlib.md5(f"{account}/{name}".encode(), usedforsecurity=False).hexdigest()


class ListBlock(SetNestedBlock):
    _mode_map: ClassVar = {NestMode.Set: pb.Schema.NestedBlock.NestingMode.LIST}  # the package offers sets alone


def _type(text: str) -> Any:
    simple = {"string": types.String(), "number": types.Number(), "bool": types.Bool()}
    if text in simple:
        return simple[text]
    kind, _, inner = text.removesuffix(")").partition("(")
    if ":" not in inner:
        return {"set": types.Set, "map": types.Map, "list": types.List}[kind](simple[inner])
    members = dict(member.split(":") for member in inner.split(","))
    kinds = {name: ["list", "string"] if type_ == "strings" else type_ for name, type_ in members.items()}
    return types.List(Record(kinds))


class Record(types.String):
    """An object with those members; the package has no such type."""

    def __init__(self, members: dict[str, Any]) -> None:
        self.members = members

    def tf_type(self) -> bytes:
        return json.dumps(["object", self.members]).encode()


def _attributes(block: Block) -> list[Attribute]:
    return [
        Attribute(
            name,
            _type(argument.type),
            required="required" in argument.marks,
            optional="optional" in argument.marks,
            computed="computed" in argument.marks,
            sensitive="sensitive" in argument.marks,
            requires_replace="replaces" in argument.marks,
        )
        for name, argument in block.arguments.items()
    ]


def _nested(block: Block) -> list[SetNestedBlock]:
    return [
        (SetNestedBlock if inner.nesting == "set" else ListBlock)(name, TfBlock(_attributes(inner), _nested(inner)))
        for name, inner in block.blocks.items()
    ]


def _faults(block: Block, config: dict[str, Any], where: str) -> list[str]:
    faults = []
    for name, argument in block.arguments.items():
        value = config.get(name)
        if not isinstance(value, str):
            continue
        if argument.values and value not in argument.values:
            faults.append(f"{where}.{name}: expected one of {', '.join(argument.values)}")
        if "json" in argument.marks:
            try:
                json.loads(value)
            except ValueError:
                faults.append(f"{where}.{name}: no valid JSON")
    for name, inner in block.blocks.items():
        contents = config.get(name)
        for content in contents if isinstance(contents, list) else ():
            faults += _faults(inner, content, f"{where}.{name}") if isinstance(content, dict) else []
    return faults


class StandIn:
    """What resources and data sources have in common."""

    NAME: str
    BLOCK: Block

    def __init__(self, provider: Provider) -> None:
        self.provider = provider

    @classmethod
    def get_name(cls) -> str:
        return cls.NAME.removeprefix("huaweicloud_")

    @classmethod
    def get_schema(cls) -> Schema:
        return Schema(version=0, attributes=_attributes(cls.BLOCK), block_types=_nested(cls.BLOCK))

    def validate(self, diags: Diagnostics, type_name: str, config: dict[str, Any]) -> None:
        faults = _faults(self.BLOCK, config, type_name)
        for together in TOGETHER.get(type_name, ()):
            if len({config.get(name) is None for name in together}) > 1:
                faults.append(f"{type_name}: {', '.join(sorted(together))} go together")
        if type_name == "huaweicloud_identity_agency":
            given = [config.get(f"delegated_{kind}_name") for kind in ("domain", "service")]
            if given.count(None) != 1:
                faults.append(f"{type_name}: exactly one of delegated_domain_name, delegated_service_name")
        for fault in faults:
            diags.add_error(fault)


class StandInResource(StandIn, iface.Resource):
    def create(self, ctx: iface.CreateContext, planned: dict[str, Any]) -> dict[str, Any]:
        for fault in self._refusals(planned):
            ctx.diagnostics.add_error(f"{self.NAME}: {fault}")
        known = {name: None if value is types.Unknown else value for name, value in planned.items()}
        return {**known, **self._computed(known)}

    def _refusals(self, planned: dict[str, Any]) -> list[str]:
        """Return what the cloud would answer an error to."""
        if self.NAME == "huaweicloud_identity_role":
            actions = {each for statement in json.loads(planned["policy"])["Statement"] for each in statement["Action"]}
            return [f"IAM knows no {action} in policies of version 1.1" for action in sorted(actions - ACTIONS_1_1)]
        if self.NAME.startswith("huaweicloud_identity") and len(planned.get("name") or "") > 64:
            return ["the name is longer than 64"]
        if planned.get("type") == "CTS":
            entries = [entry.split(":") for entry in json.loads(planned["event_data"])["operations"]]
            services = {service for service, _, _ in entries}
            if len(services) > 10 or any(len(names.split(";")) > 10 for *_, names in entries):
                return ["a CTS trigger takes 10 services with 10 operations each"]
        return []

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
        mine = self.BLOCK.arguments
        return {key: value for key, value in values.items() if key in mine and "computed" in mine[key].marks}

    def read(self, ctx: iface.ReadContext, current: dict[str, Any]) -> dict[str, Any]:
        if self.NAME == "huaweicloud_fgs_function_trigger":
            data = {**json.loads(current["event_data"]), **ADDED[current["type"]]}
            return {**current, "event_data": json.dumps(data, separators=(",", ":"), sort_keys=True)}
        if self.NAME == "huaweicloud_eg_event_subscription":
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
            "id": "id",
            "region": config.get("region") or self.provider.region,
            "projects": [project for project in projects if project["name"] == wanted[0] or project["id"] == wanted[1]],
            "types": [{"type": type_, "display_name": type_} for type_ in ("Python3.10", "Python3.12", "Custom Image")],
            "operations": json.loads(os.environ["STAND_IN_OPERATIONS"]),
            "channels": [{"id": "channel", "name": "default"}],
        }
        return {**config, **{name: value for name, value in found.items() if name in self.BLOCK.arguments}}


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
        return Schema(attributes=_attributes(PROVIDER), block_types=_nested(PROVIDER))

    def validate_config(self, diags: Diagnostics, config: dict[str, Any]) -> None:
        """Take any."""

    def configure_provider(self, diags: Diagnostics, config: dict[str, Any]) -> None:
        roles = config.get("assume_role") or [{}]
        self.region, self.project_name = config.get("region") or "", config.get("project_name") or ""
        self.account = roles[0].get("domain_name") or "own"

    def get_resources(self) -> list[type[iface.Resource]]:
        return [type(name, (StandInResource,), {"NAME": name, "BLOCK": block}) for name, block in RESOURCES.items()]

    def get_data_sources(self) -> list[type[iface.DataSource]]:
        return [type(name, (StandInData,), {"NAME": name, "BLOCK": block}) for name, block in DATA.items()]


if __name__ == "__main__":
    run_provider(Provider())
