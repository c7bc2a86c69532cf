"""The Terraform of FunctionGraph, as far as it can be judged without an account."""

from __future__ import annotations

import re
from pathlib import Path

import hcl2
import pytest

from handler.events.cts import OPERATIONS
from handler.settings import NAMES
from handler.vpc.credentials import NAMES as CREDENTIAL_NAMES
from tests.deploy.terraform import EVENT_DATA, Configuration, constants

FOLDER = Path("deploy/functiongraph")


@pytest.fixture(scope="module")
def configuration() -> Configuration:
    return Configuration.of(FOLDER)


def test_every_argument_is_documented_and_every_reference_declared(configuration: Configuration) -> None:
    assert configuration.faults() == set()


WRONG = {
    """
    resource "huaweicloud_fgs_function_trigger" "t" {
      function_urn = "u"
      type         = "CTS"
      eventdata    = "{}"
    }
    """: {
        "huaweicloud_fgs_function_trigger.t: event_data is missing",
        "huaweicloud_fgs_function_trigger.t: eventdata is unknown",
    },
    """
    resource "huaweicloud_identity_agency" "a" {
      name = var.nam
      project_role {
        project = "p"
      }
    }
    """: {"huaweicloud_identity_agency.a.project_role: roles is missing", "var.nam: not declared"},
    """
    resource "huaweicloud_identity_agency" "a" {
      name = "n"
      dynamic "project_role" {
        for_each = []
        content {
          project = "p"
          role    = []
        }
      }
    }
    """: {
        "huaweicloud_identity_agency.a.project_role: roles is missing",
        "huaweicloud_identity_agency.a.project_role: role is unknown",
    },
    """
    resource "huaweicloud_fgs_trigger" "old" {
    }
    """: {"huaweicloud_fgs_trigger: not in the table"},
    """
    variable "x" {
    }
    """: {"var.x: not used"},
    """
    data "huaweicloud_fgs_runtime_types" "d" {
      typ = "x"
    }
    """: {"huaweicloud_fgs_runtime_types.d: typ is unknown"},
}


@pytest.mark.parametrize("text", WRONG)
def test_the_check_sees_what_it_is_there_for(text: str) -> None:
    assert Configuration(text).faults() == WRONG[text]


def test_the_triggers_ask_for_exactly_the_operations_that_are_acted_upon(configuration: Configuration) -> None:
    watched = {
        (service, operation["resource"], name)
        for service, operation in configuration.locals["operations"].items()
        for name in operation["names"]
    }
    assert watched == {(row.service, row.resource_type, row.name) for row in OPERATIONS}
    assert all(len(operation["names"]) <= 10 for operation in configuration.locals["operations"].values())


def test_each_trigger_has_the_members_of_its_type(configuration: Configuration) -> None:
    triggers = {
        name: body
        for type_, name, body in configuration.typed("resource")
        if type_ == "huaweicloud_fgs_function_trigger"
    }
    assert {body["type"] for body in triggers.values()} == set(EVENT_DATA)
    for body in triggers.values():
        assert set(constants(body["event_data"])) == EVENT_DATA[body["type"]]


def test_the_function_gets_only_settings_that_it_reads(configuration: Configuration) -> None:
    given = set(re.findall(r"^ +(UNMIRROR_\w+|HUAWEICLOUD_\w+) += ", configuration.text, re.MULTILINE))
    allowed = set(re.findall(r'"((?:UNMIRROR|HUAWEICLOUD)_\w+)"', configuration.text))
    assert given
    assert given | allowed <= {*NAMES, *CREDENTIAL_NAMES}
    assert given.isdisjoint(allowed), "what a variable sets must not be set a second way"


def test_the_example_sets_what_has_no_default_and_nothing_unknown(configuration: Configuration) -> None:
    text = (FOLDER / "terraform.tfvars.example").read_text("utf-8")
    variables = configuration.named("variable")
    with_commented = re.findall(r"^(?:# )?(\w+) += ", text, re.MULTILINE)
    assert set(with_commented) <= set(variables)
    assert {name for name, body in variables.items() if "default" not in body} == set(hcl2.loads(text)) - {
        "__comments__"
    }


def test_every_variable_and_output_is_described_and_free_text_is_validated(configuration: Configuration) -> None:
    variables = configuration.named("variable")
    assert all(body["description"] for body in (*variables.values(), *configuration.named("output").values()))
    free = {"zip", "failure_bucket", "eventgrid_agency", "tags", "dry_run", "eventgrid"}
    assert {name for name, body in variables.items() if "validation" not in body} == free


def test_it_starts_dry_and_the_gateway_knows_its_callers(configuration: Configuration) -> None:
    variables = configuration.named("variable")
    assert variables["dry_run"]["default"] is True
    assert "NONE" not in configuration.text


def test_only_what_must_be_is_secret_in_the_state(configuration: Configuration) -> None:
    assert {name for name, body in configuration.named("variable").items() if body.get("sensitive")} == {"secrets"}
    used_by = [
        f"{type_}.{name}.{argument}"
        for type_, name, body in configuration.typed("resource")
        for argument, value in body.items()
        if "var.secrets" in str(value)
    ]
    assert used_by == ["huaweicloud_fgs_function.unmirror.encrypted_user_data"]
