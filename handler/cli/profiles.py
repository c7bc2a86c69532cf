"""The profile file of the official SDK: `~/.huaweicloud/credentials`, or HUAWEICLOUD_SDK_CREDENTIALS_FILE."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import click
from click.shell_completion import CompletionItem

from handler.errors import NotConfigured
from handler.vpc.credentials import AccessKey, NoKeyHere, profiles

_VARIABLES = {
    "ak": "HUAWEICLOUD_SDK_AK",
    "sk": "HUAWEICLOUD_SDK_SK",
    "security_token": "HUAWEICLOUD_SDK_SECURITY_TOKEN",
    "project_id": "HUAWEICLOUD_SDK_PROJECT_ID",
}
_PROJECTS = "UNMIRROR_PROJECTS"


def variables(name: str, environ: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that a section of the file stands for; raise NotConfigured where it has no key.

    They leave no part of another key in its place; a section with a project stands for that project alone.
    """
    try:
        file = profiles(environ, Path.home())
    except NoKeyHere as error:
        raise NotConfigured(f"the profile file: {error}") from error
    if not file.has_section(name):
        raise NotConfigured(f"the profile file has no such section; it has {', '.join(file.sections()) or 'none'}")
    section = file[name]
    if AccessKey.of(section.get("ak"), section.get("sk")) is None:
        raise NotConfigured("this section of the profile file has no ak and sk")
    said = {variable: section.get(key, "").strip() for key, variable in _VARIABLES.items()}
    project = said.pop("HUAWEICLOUD_SDK_PROJECT_ID")
    return {**said, "HUAWEICLOUD_SDK_PROJECT_ID": project, _PROJECTS: project} if project else said


def complete(_: click.Context, __: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Return the sections that begin so, for the shell."""
    import os

    try:
        names = profiles(os.environ, Path.home()).sections()
    except NoKeyHere:
        return []
    return [CompletionItem(name) for name in names if name.startswith(incomplete)]
