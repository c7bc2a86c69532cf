"""What the provider huaweicloud says of the blocks that deploy/functiongraph uses: a table, and no more than is used.

Sources: docs/json and the Go schemas of terraform-provider-huaweicloud 1.97.1, `delegated_service_name` from the Go
schema alone; values that only the documents name are marked by their page's words in `values`. Standard library only:
`deploy_provider.py` reads it where nothing of the project is installed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Argument:
    """One argument or attribute. A line of the table: its name, its type, then its marks."""

    type: str
    marks: frozenset[str]
    """Of `required`, `optional`, `computed`, `replaces` (a change makes another resource), `sensitive`, `json`."""
    values: tuple[str, ...] = ()
    """All that it may be; empty: anything."""


@dataclass(frozen=True)
class Block:
    """A resource, a data source, or a block within one."""

    arguments: Mapping[str, Argument]
    blocks: Mapping[str, Block] = field(default_factory=dict)
    nesting: str = "list"


def _block(lines: str, nesting: str = "list", **blocks: Block) -> Block:
    arguments = {}
    for line in filter(None, map(str.strip, lines.splitlines())):
        name, type_, *marks = line.split()
        values = next((mark.split("|") for mark in marks if "|" in mark), [])
        arguments[name] = Argument(type_, frozenset(mark for mark in marks if "|" not in mark), tuple(values))
    return Block(arguments, blocks, nesting)


_REGION = "region string optional computed replaces\nid string computed\n"

PROVIDER = _block(
    """
    region       string optional
    project_name string optional
    """,
    assume_role=_block("agency_name string required\ndomain_name string required"),
)

RESOURCES = {
    "huaweicloud_identity_role": _block(
        """
        id          string computed
        name        string required
        description string required
        type        string required AX|XA
        policy      string required json
        """
    ),
    "huaweicloud_identity_agency": _block(
        """
        id                     string computed
        name                   string required replaces
        description            string optional
        delegated_domain_name  string optional
        delegated_service_name string optional
        all_resources_roles    set(string) optional
        """,
        project_role=_block("project string required\nroles set(string) required", "set"),
    ),
    "huaweicloud_identityv5_policy": _block(
        """
        id              string computed
        name            string required replaces
        description     string optional replaces
        policy_document string required json
        """
    ),
    "huaweicloud_identityv5_policy_agency_attach": _block(
        """
        id        string computed
        agency_id string required replaces
        policy_id string required replaces
        """
    ),
    "huaweicloud_fgs_function": _block(
        _REGION
        + """
        name                  string required replaces
        runtime               string required replaces
        app                   string optional
        code_type             string optional computed inline|zip|jar|obs|Custom-Image-Swr
        handler               string optional computed
        memory_size           number required
        timeout               number required
        agency                string optional
        app_agency            string optional computed
        code_filename         string optional computed
        concurrency_num       number optional computed
        description           string optional
        enable_auth_in_header bool optional computed
        enable_lts_log        bool optional computed
        encrypted_user_data   string optional sensitive
        enterprise_project_id string optional computed
        func_code             string optional
        functiongraph_version string optional computed replaces v1|v2
        initializer_handler   string optional computed
        initializer_timeout   number optional computed
        log_group_id          string optional computed
        log_group_name        string optional computed
        log_stream_id         string optional computed
        log_stream_name       string optional computed
        max_instance_num      string optional computed
        network_id            string optional
        tags                  map(string) optional computed
        urn                   string computed
        user_data             string optional
        version               string computed
        vpc_id                string optional
        """,
        custom_image=_block("url string required"),
    ),
    "huaweicloud_fgs_function_trigger": _block(
        _REGION
        + """
        function_urn string required replaces
        type         string required replaces
        event_data   string required json
        status       string optional computed ACTIVE|DISABLED
        """
    ),
    "huaweicloud_fgs_async_invoke_configuration": _block(
        _REGION
        + """
        function_urn                   string required replaces
        max_async_event_age_in_seconds number required
        max_async_retry_attempts       number required
        enable_async_status_log        bool optional
        """,
        on_failure=_block("destination string required OBS|SMN|DIS|FunctionGraph\nparam string required json"),
    ),
    "huaweicloud_smn_topic": _block(
        _REGION
        + """
        name                  string required replaces
        display_name          string optional
        enterprise_project_id string optional computed replaces
        tags                  map(string) optional computed
        topic_urn             string computed
        """
    ),
    "huaweicloud_smn_subscription": _block(
        _REGION
        + """
        topic_urn string required replaces
        protocol  string required replaces email|sms|http|https|functionstage|functiongraph
        endpoint  string required replaces
        remark    string optional
        """
    ),
    "huaweicloud_lts_group": _block(
        _REGION
        + """
        group_name            string required replaces
        ttl_in_days           number required
        enterprise_project_id string optional computed replaces
        tags                  map(string) optional computed
        """
    ),
    "huaweicloud_lts_stream": _block(
        _REGION
        + """
        group_id              string required replaces
        stream_name           string required replaces
        ttl_in_days           number optional computed
        enterprise_project_id string optional computed replaces
        tags                  map(string) optional computed
        """
    ),
    "huaweicloud_lts_keywords_alarm_rule": _block(
        _REGION
        + """
        name                   string required replaces
        description            string optional
        alarm_level            string required INFO|MINOR|MAJOR|CRITICAL
        send_notifications     bool optional
        alarm_action_rule_name string optional
        """,
        keywords_requests=_block(
            """
            keywords               string required
            condition              string required >=|<=|<|>
            number                 number required
            log_group_id           string required
            log_stream_id          string required
            search_time_range      number required
            search_time_range_unit string required minute|hour
            """
        ),
        frequency=_block(
            """
            type            string required CRON|HOURLY|DAILY|WEEKLY|FIXED_RATE
            fixed_rate      number optional
            fixed_rate_unit string optional minute|hour
            """
        ),
    ),
    "huaweicloud_eg_event_subscription": _block(
        _REGION
        + """
        channel_id  string required replaces
        name        string required replaces
        description string optional
        """,
        sources=_block(
            """
            id            string required
            provider_type string required CUSTOM|OFFICIAL
            name          string required
            filter_rule   string required json
            created_at    string computed
            """,
            "set",
        ),
        targets=_block(
            """
            id            string required
            provider_type string required CUSTOM|OFFICIAL
            name          string required
            detail_name   string required detail|smn_detail|kafka_detail|eg_detail
            detail        string required json
            transform     string required json
            created_at    string computed
            """,
            "set",
        ),
    ),
}

DATA = {
    "huaweicloud_identity_projects": _block(
        """
        id         string computed
        name       string optional
        project_id string optional
        projects   list(id:string,name:string,enabled:bool) computed
        """
    ),
    "huaweicloud_fgs_runtime_types": _block(_REGION + "types list(type:string,display_name:string) computed"),
    "huaweicloud_cts_operations": _block(
        _REGION
        + """
        operations list(service_type:string,resource_type:string,operation_list:strings) computed
        """
    ),
    "huaweicloud_eg_event_channels": _block(
        _REGION
        + """
        name          string optional
        provider_type string optional CUSTOM|OFFICIAL
        channels      list(id:string,name:string) computed
        """
    ),
}

TOGETHER = {
    "huaweicloud_fgs_function": (
        {"vpc_id", "network_id"},
        {"log_group_id", "log_group_name", "log_stream_id", "log_stream_name"},
    ),
}
"""Arguments of which all are set or none."""

ACTIONS_1_1 = frozenset(
    """
    vpc:ports:create vpc:ports:delete vpc:ports:get vpc:ports:update vpc:securityGroups:get vpc:subnets:get vpc:vpcs:get
    vpc:trafficMirrorSessions:addSource vpc:trafficMirrorSessions:create vpc:trafficMirrorSessions:delete
    vpc:trafficMirrorSessions:get vpc:trafficMirrorSessions:list vpc:trafficMirrorSessions:removeSource
    vpc:trafficMirrorSessions:update
    cts:notification:create cts:notification:delete cts:notification:list cts:notification:update cts:operation:list
    cts:trace:list cts:tracker:list
    smn:topic:list smn:topic:publish smn:topic:update
    obs:bucket:CreateBucket obs:bucket:HeadBucket obs:object:PutObject
    """.split()  # noqa: SIM905 - as a list it would be three times as long
)
"""What a policy of version 1.1 may name; IAM refuses all else. Sources: "Permissions and supported actions" of the
services' API references (vpc_permission_0004 and _0037, cts_api_1005), FunctionGraph's permissions_management."""
