"""Terraform without Terraform: the files read, and held against what the provider documents.

Source: the provider's documentation of each resource and data source, versions 1.78 to 1.97
(https://registry.terraform.io/providers/huaweicloud/huaweicloud/latest/docs), `delegated_service_name` from its code.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import hcl2


@dataclass(frozen=True)
class Arguments:
    """What a block takes: arguments that it must have, that it may have, and blocks within it."""

    required: frozenset[str]
    optional: frozenset[str] = frozenset()
    blocks: Mapping[str, Arguments] = field(default_factory=dict)


def _takes(required: str, optional: str = "", **blocks: Arguments) -> Arguments:
    return Arguments(frozenset(required.split()), frozenset(optional.split()), blocks)


RESOURCES = {
    "huaweicloud_identity_role": _takes("name description type policy"),
    "huaweicloud_identity_agency": _takes(
        "name",
        "description delegated_domain_name delegated_service_name duration domain_roles all_resources_roles",
        project_role=_takes("project roles"),
        enterprise_project_roles=_takes("enterprise_project roles"),
    ),
    "huaweicloud_fgs_function": _takes(
        "name app code_type handler memory_size runtime timeout",
        "agency app_agency code_filename code_url concurrency_num depend_list description dns_list "
        "enable_auth_in_header enable_class_isolation enable_dynamic_memory enable_lts_log encrypted_user_data "
        "enterprise_project_id ephemeral_storage func_code functiongraph_version gpu_memory gpu_type "
        "initializer_handler initializer_timeout is_stateful_function log_group_id log_group_name log_stream_id "
        "log_stream_name max_instance_num mount_user_group_id mount_user_id network_id peering_cidr "
        "region tags user_data user_data_encrypt_kms_key_id vpc_id",
        custom_image=_takes("url", "args command working_dir"),
    ),
    "huaweicloud_fgs_function_trigger": _takes(
        "event_data function_urn type", "cascade_delete_eg_subscription region status"
    ),
    "huaweicloud_fgs_async_invoke_configuration": _takes(
        "function_urn max_async_event_age_in_seconds max_async_retry_attempts",
        "enable_async_status_log region",
        on_failure=_takes("destination param"),
        on_success=_takes("destination param"),
    ),
    "huaweicloud_smn_topic": _takes(
        "name",
        "display_name enterprise_project_id introduction region services_publish_allowed tags users_publish_allowed",
    ),
    "huaweicloud_smn_subscription": _takes("endpoint protocol topic_urn", "extension filter_policies region remark"),
    "huaweicloud_eg_event_subscription": _takes(
        "channel_id name",
        "description region",
        sources=_takes("filter_rule id name provider_type", "detail detail_name"),
        targets=_takes("detail detail_name id name provider_type transform", "connection_id dead_letter_queue"),
    ),
}

DATA = {
    "huaweicloud_cts_operations": _takes("", "region resource_type service_type"),
    "huaweicloud_eg_event_channels": _takes("", "enterprise_project_id name provider_type region"),
    "huaweicloud_fgs_runtime_types": _takes("", "region"),
}

_GATEWAY = "auth env_id env_name func_info group_id instance_id match_mode name path protocol req_method sl_domain type"

EVENT_DATA = {
    "CTS": frozenset({"name", "operations"}),
    "TIMER": frozenset({"name", "schedule", "schedule_type", "user_event"}),
    "DEDICATEDGATEWAY": frozenset(_GATEWAY.split()),
}
"""The members of a trigger's `event_data`, by its type. Source: FunctionGraph API, creating a trigger."""

_META = frozenset({"count", "depends_on", "for_each", "provider"})
_META_BLOCKS = frozenset({"lifecycle"})


class Configuration:
    """All blocks of some Terraform files."""

    def __init__(self, text: str) -> None:
        self.text = re.sub(r"(?m)(?:^|\s)#.*$", "", text)
        self.blocks: dict[str, list[dict[str, Any]]] = {}
        for kind, blocks in _plain(hcl2.load(io.StringIO(text))).items():
            self.blocks[kind] = blocks

    @classmethod
    def of(cls, folder: Path) -> Configuration:
        """Read a folder as Terraform does: all its files as one."""
        return cls("\n".join(path.read_text("utf-8") for path in sorted(folder.glob("*.tf"))))

    def named(self, kind: str) -> dict[str, dict[str, Any]]:
        """Return blocks with one label by it: variables, outputs, checks."""
        return {name: body for block in self.blocks.get(kind, []) for name, body in block.items()}

    def typed(self, kind: str) -> Iterator[tuple[str, str, dict[str, Any]]]:
        """Yield type, name and body of blocks with two labels: resources, and data also from checks."""
        checks = [block for check in self.named("check").values() for block in check.get(kind, [])]
        for block in [*self.blocks.get(kind, []), *checks]:
            for type_, named in block.items():
                for name, body in named.items():
                    yield type_, name, body

    def resource(self, address: str) -> dict[str, Any]:
        """Return the body of a resource, by `type.name`."""
        return {f"{type_}.{name}": body for type_, name, body in self.typed("resource")}[address]

    @property
    def locals(self) -> dict[str, Any]:
        return {name: value for block in self.blocks.get("locals", []) for name, value in block.items()}

    def faults(self) -> set[str]:
        """Return what is missing, unknown, undeclared or unused, each in a line."""
        return set(self._argument_faults()) | set(self._reference_faults())

    def _argument_faults(self) -> Iterator[str]:
        for kind, table in (("resource", RESOURCES), ("data", DATA)):
            for type_, name, body in self.typed(kind):
                if type_ not in table:
                    yield f"{type_}: not in the table"
                else:
                    yield from _faults(f"{type_}.{name}", body, table[type_], top=True)

    def _reference_faults(self) -> Iterator[str]:
        declared = {f"var.{name}" for name in self.named("variable")} | {f"local.{name}" for name in self.locals}
        declared |= {f"{type_}.{name}" for type_, name, _ in self.typed("resource")}
        declared |= {f"data.{type_}.{name}" for type_, name, _ in self.typed("data")}
        used = set(re.findall(r"(?<![\w.])(?:var|local)\.\w+|(?<![\w.])(?:data\.)?huaweicloud_\w+\.\w+", self.text))
        yield from (f"{name}: not declared" for name in used - declared)
        yield from (f"{name}: not used" for name in declared - used if name.startswith(("var.", "local.")))


def constants(expression: str) -> Any:
    """Return the value of `jsonencode(...)`, with each expression in it as its text."""
    inner = re.fullmatch(r"\$\{jsonencode\((.*)\)\}", expression, re.DOTALL)
    assert inner, expression
    return _plain(hcl2.load(io.StringIO(f"value = {inner[1]}\n")))["value"]


def _faults(where: str, body: Mapping[str, Any], takes: Arguments, *, top: bool = False) -> Iterator[str]:
    blocks = {name: value for name, value in body.items() if _is_blocks(value) and name != "dynamic"}
    for dynamic in body.get("dynamic", []):
        blocks |= {name: content["content"] for name, content in dynamic.items()}
    names = body.keys() - blocks.keys() - {"dynamic"} - (_META if top else set())
    yield from (f"{where}: {name} is missing" for name in takes.required - names)
    yield from (f"{where}: {name} is unknown" for name in names - takes.required - takes.optional)
    for name, bodies in blocks.items():
        if name in takes.blocks:
            for inner in bodies:
                yield from _faults(f"{where}.{name}", inner, takes.blocks[name])
        elif not (top and name in _META_BLOCKS):
            yield f"{where}: {name} is unknown"


def _is_blocks(value: object) -> bool:
    return isinstance(value, _Blocks)


class _Blocks(list[Any]):
    """The blocks of one name, told from an argument that is a list."""


def _plain(value: Any) -> Any:
    """Return what the parser gives without its quotes and marks."""
    if isinstance(value, dict):
        return {_text(key): _plain(item) for key, item in value.items() if not key.startswith("__")}
    if isinstance(value, list):
        items = [_plain(item) for item in value]
        is_blocks = any(isinstance(item, dict) and _marked(item) for item in value)
        return _Blocks(items) if is_blocks else items
    return _text(value) if isinstance(value, str) else value


def _marked(item: dict[str, Any]) -> bool:
    return "__is_block__" in item or any(isinstance(inner, dict) and _marked(inner) for inner in item.values())


def _text(text: str) -> str:
    return json.loads(text) if re.fullmatch(r'"(?:[^"\\]|\\.)*"', text) else text
