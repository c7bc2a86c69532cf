"""The Terraform of FunctionGraph: read, and applied by real Terraform to a provider with the real one's schemas."""

from __future__ import annotations

import json
import logging
import re
import shutil
import subprocess
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from handler.events.cts import OPERATIONS
from handler.observability import logs
from handler.observability.settings import NAMES as SIGNAL_NAMES
from handler.settings import NAMES as SETTING_NAMES
from handler.vpc.credentials import NAMES as CREDENTIAL_NAMES
from tests.support.deploy_terraform import MODULE, Terraform, find_terraform, install_stand_in

REGION = {"region": "eu-west-101"}
REGIONS = {"eu-west-101": {}, "ap-southeast-3": {"failure_bucket": "failed"}}
ACCOUNTS = {"accounts": {name: {"domain_name": name, "regions": REGIONS} for name in ("network", "workloads")}}

PLATFORM_NAMES = {
    *("RUNTIME_PROJECT_ID", "HUAWEICLOUD_SDK_CREDENTIALS_FILE"),
    *("HC_CONTAINER_CREDENTIALS_FULL_URI", "HC_CONTAINER_AUTHORIZATION_TOKEN_FILE"),
}
"""Variables that a platform or a machine sets, and no operator of FunctionGraph."""

EVERYTHING = """
  depends_on        = [terraform_data.first]
  project_name      = "eu-west-101_network"
  further_projects  = ["eu-west-101"]
  enterprise_project_id = "0"
  vpc = {
    vpc_id    = "00000000-0000-4000-8000-000000000001"
    subnet_id = "00000000-0000-4000-8000-000000000002"
  }
  package           = "image"
  image             = "swr.eu-west-101.myhuaweicloud.eu/example/unmirror@sha256:00"
  settings          = { UNMIRROR_PROTECT = "forensics-*", OTEL_EXPORTER_OTLP_ENDPOINT = "https://otel.example.com" }
  secrets           = { OTEL_EXPORTER_OTLP_HEADERS = "authorization=example" }
  policy_version    = "5.0"
  removal_condition = { StringEquals = { "vpc:TrafficMirrorTargetId" = ["00000000-0000-4000-8000-000000000003"] } }
  eventgrid         = true
  webhook           = { instance_id = "i", group_id = "g", domain = "g.apic.eu-west-101.huaweicloudapis.com" }
  failure_bucket    = "failed"
  log_stream        = { group_id = "g", group_name = "group", stream_id = "s", stream_name = "stream" }
  alarm             = { action_rule = "on-call" }
  tags              = { team = "network" }
"""

Open = Callable[..., Terraform]


@pytest.fixture(scope="session")
def configuration(tmp_path_factory: pytest.TempPathFactory) -> Path:
    find_terraform()
    return install_stand_in(tmp_path_factory.mktemp("terraform"))


@pytest.fixture
def terraform(configuration: Path, tmp_path: Path) -> Open:
    """Return what opens an example, or a root module with these arguments of the module, in a copy of all files."""
    copy = tmp_path / "functiongraph"
    shutil.copytree(MODULE, copy, ignore=shutil.ignore_patterns(".terraform*", "*.tfstate*", "unmirror.zip"))
    (copy / "unmirror.zip").write_bytes(b"zip")
    recorded = [
        {"service_type": row.service, "resource_type": row.resource_type, "operation_list": [row.name]}
        for row in OPERATIONS
    ]

    def open_(root: str = "root", arguments: str = "", provider: str = "", recorded: object = recorded) -> Terraform:
        if root == "root":
            (copy / root).mkdir(exist_ok=True)
            (copy / root / "main.tf").write_text(
                f'provider "huaweicloud" {{\n  region = "eu-west-101"\n  {provider}\n}}\n'
                'resource "terraform_data" "first" {}\n'
                f'module "unmirror" {{\n  source = "../"\n  region = "eu-west-101"\n{arguments}}}\n'
                'output "module" {\n  value = module.unmirror\n}\n',
                "utf-8",
            )
            (copy / root / "versions.tf").write_text((MODULE / "versions.tf").read_text("utf-8"), "utf-8")
        return Terraform(copy, root, configuration, recorded)

    return open_


# --- what the files say ---------------------------------------------------------------------------------------


def test_the_trigger_asks_for_exactly_the_operations_that_are_acted_upon() -> None:
    """A trigger takes ten services with ten operations each."""
    table = re.findall(r'"(\w+):(\w+)" += \[(.*?)\]', (MODULE / "triggers.tf").read_text("utf-8"), re.DOTALL)
    asked = [(service, kind, name) for service, kind, names in table for name in re.findall(r'"(\w+)"', names)]
    assert set(asked) == {(row.service, row.resource_type, row.name) for row in OPERATIONS}
    by_service = Counter(service for service, _, _ in asked)
    assert len(by_service) <= 10
    assert max(by_service.values()) <= 10


def test_every_setting_of_the_function_can_be_set_once_and_nothing_else() -> None:
    text = "\n".join(path.read_text("utf-8") for path in MODULE.glob("*.tf"))
    from_variables = re.findall(r"((?:UNMIRROR|HUAWEICLOUD)_\w+) += ", (MODULE / "function.tf").read_text("utf-8"))
    by_name = re.findall(r'"((?:UNMIRROR|HUAWEICLOUD|OTEL)_\w+)"', text)
    assert sorted({*from_variables, *by_name}) == sorted([*from_variables, *by_name])
    assert {*from_variables, *by_name} == {*SETTING_NAMES, *CREDENTIAL_NAMES, *SIGNAL_NAMES} - PLATFORM_NAMES


def test_every_variable_and_output_is_described() -> None:
    for path in (*MODULE.rglob("variables.tf"), *MODULE.rglob("outputs.tf"), *MODULE.rglob("main.tf")):
        blocks = re.findall(r'(?ms)^(?:variable|output) "\w+" \{\n(.*?)^\}', path.read_text("utf-8"))
        assert all("description" in block for block in blocks), path


def test_the_alarm_rings_for_lines_of_level_error_and_critical_alone(capsys: pytest.CaptureFixture[str]) -> None:
    (keywords,) = re.findall(r'keywords += optional\(string, (".*")\)', (MODULE / "variables.tf").read_text("utf-8"))
    phrases = [json.loads(f'"{phrase}"') for phrase in re.findall(r'#"((?:[^"\\]|\\.)*)"', json.loads(keywords))]
    logs.configure()
    for level in (logging.INFO, logging.WARNING, logging.ERROR, logging.CRITICAL):
        logs.log_event(level, "delivery.failed", "error")
    rings = [any(phrase in line for phrase in phrases) for line in capsys.readouterr().out.splitlines()]
    assert rings == [False, False, True, True]


def test_the_files_are_formatted() -> None:
    command = [find_terraform(), "fmt", "-check", "-recursive", "-diff", str(MODULE)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our own words
    assert done.returncode == 0, done.stdout


# --- applied --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("example", "variables"), [("one-account", REGION), ("organisation", ACCOUNTS), ("agency-only", REGION)]
)
def test_an_example_can_be_applied_and_leaves_nothing_to_change(
    terraform: Open, example: str, variables: dict[str, Any]
) -> None:
    root = terraform(f"examples/{example}")
    said = root.run("validate") + root.apply(**variables)
    assert "Warning" not in said
    assert root.has_no_change(**variables)


def test_what_is_global_in_an_account_has_another_name_in_each_region(terraform: Open) -> None:
    root = terraform("examples/organisation")
    root.apply(**ACCOUNTS)
    named = [
        (address.partition("[")[0], kind[0], values["name"])
        for address, values in root.resources().items()
        if (kind := re.findall(r"huaweicloud_identity\w+", address))
    ]
    assert len(named) == len(set(named)) == 2 * (4 + 5)  # accounts, agencies and policies: one more where OBS is used
    assert all("eu-west-101" in name or "ap-southeast-3" in name for *_, name in named)


def test_everything_can_be_asked_for_at_once_in_a_sub_project(terraform: Open) -> None:
    root = terraform(arguments=EVERYTHING, provider='project_name = "eu-west-101_network"')
    root.apply()
    assert root.has_no_change()
    function = root.resources()["module.unmirror.huaweicloud_fgs_function.unmirror"]
    told = root.state()["outputs"]["module"]["value"]
    settings = json.loads(function["user_data"])
    assert settings["UNMIRROR_PROJECTS"].split(",") == told["projects"]
    assert len(told["projects"]) == 2
    assert f":{settings['HUAWEICLOUD_SDK_PROJECT_ID']}:" in told["function_urn"]
    assert settings["THREADS"] == str(function["concurrency_num"]), "they decide how many deletions share a batch"


def test_a_change_of_the_schedule_makes_another_trigger_and_what_the_api_adds_does_not(terraform: Open) -> None:
    root = terraform()
    root.apply()
    root.run("apply", "-refresh-only", "-auto-approve")
    assert "sync_execution" in root.run("show"), "what the API adds"
    assert root.has_no_change()
    said = terraform(arguments='sweep_every = "2h"\n').apply()
    assert "1 added, 1 changed, 1 destroyed" in said, "the trigger, and what it is replaced by"
    sweep = root.resources()['module.unmirror.huaweicloud_fgs_function_trigger.unmirror["sweep"]']
    assert json.loads(sweep["event_data"])["schedule"] == "2h"


def test_a_region_that_lacks_an_operation_or_the_runtime_is_a_warning(terraform: Open) -> None:
    said = terraform(arguments='runtime = "Python3.13"\n', recorded=[]).apply()
    assert "VPC:ports:deletePort" in said
    assert "does not list the runtime Python3.13" in said


def test_the_own_policies_name_only_actions_that_iam_knows(terraform: Open) -> None:
    """The stand-in refuses a policy of version 1.1 with any other, as IAM does."""
    root = terraform(arguments='failure_bucket = "failed"\n')
    policy = root.folder.parent / "modules/agency/main.tf"
    policy.write_text(policy.read_text("utf-8").replace('"vpc:ports:get", ', '"vpc:ports:list", '), "utf-8")
    assert "IAM knows no vpc:ports:list" in root.apply(expect=1)


REFUSED = {
    'project_name = "eu-west-101"\n  project_id = "0123456789abcdef0123456789abcdef"\n': ["not both"],
    'project_id = "0123456789abcdef0123456789abcdef"\n': ["The account has no such project"],
    'project_name = "ap-southeast-3"\n': ["another region"],
    'project_name = "eu-west-101_network"\n': ["The provider works in another project"],
    f'package = "image"\n  settings = {{ UNMIRROR_PROTECT = "{"x" * 4096}" }}\n': ["image needs image.", "4 KB"],
    """
      runtime  = "Python3.10"
      retries  = 4
      settings = { UNMIRROR_DRY_RUN = "1" }
      webhook  = { instance_id = "i", group_id = "g", domain = "d", auth = "NONE" }
    """: ["Python3.12, or a newer one", "0 to 3.", "neither secret nor set from a variable", "has to know its callers"],
}


@pytest.mark.parametrize("arguments", REFUSED, ids=range(len(REFUSED)))
def test_what_cannot_work_is_refused_with_a_reason(terraform: Open, arguments: str) -> None:
    said = terraform(arguments=arguments).apply(expect=1)
    assert [reason for reason in REFUSED[arguments] if reason not in said] == []


def test_the_stand_in_sees_what_it_is_there_for(terraform: Open) -> None:
    root = terraform()
    for old, new in (
        ("function_urn = huaweicloud_fgs_function.unmirror.urn\n  type ", "type "),
        ('alarm_level            = "MAJOR"', 'alarm_level            = "LOUD"'),
        ("  tags = var.tags\n\n  lifecycle", "  tag = var.tags\n\n  lifecycle"),
    ):
        (path,) = (each for each in root.folder.parent.glob("*.tf") if old in each.read_text("utf-8"))
        path.write_text(path.read_text("utf-8").replace(old, new), "utf-8")
    said = root.run("validate", expect=1)
    assert 'argument "function_urn" is required' in said
    assert 'argument named "tag" is not expected' in said
    assert "expected one of INFO, MINOR, MAJOR, CRITICAL" in said
