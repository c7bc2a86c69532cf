"""`--profile`: a section of the official SDK's profile file, in place of the variables."""

import os
from pathlib import Path

import click
from click.shell_completion import CompletionItem

from handler.errors import NotConfigured
from handler.vpc.credentials import KEY_NAMES, PROFILE_MEMBERS, AccessKey, CredentialsNotFound, profile_file, profiles


def path() -> Path:
    """Return where the file is looked for."""
    return profile_file(os.environ, Path.home())


def variables(name: str) -> dict[str, str]:
    """Return the variables that a section of the file stands for; raise NotConfigured where it has no key.

    They leave no part of another key in its place; a section with a project stands for that project alone.
    """
    try:
        sections = profiles(path())
    except CredentialsNotFound as error:
        raise NotConfigured(f"the profile file {path()}: {error}") from error
    if not sections.has_section(name):
        raise NotConfigured(f"{path()} has no section {name!r}; it has {', '.join(sections.sections()) or 'none'}")
    section = sections[name]
    key = [section.get(member, "").strip() for member in PROFILE_MEMBERS]
    if AccessKey.of(*key) is None:
        raise NotConfigured(f"section {name!r} of {path()} has no ak and sk")
    found = dict(zip(KEY_NAMES, key, strict=True))
    project = section.get("project_id", "").strip()
    return {**found, "HUAWEICLOUD_SDK_PROJECT_ID": project, "UNMIRROR_PROJECTS": project} if project else found


def complete(_: click.Context, __: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Return the sections that begin so, for the shell."""
    try:
        names = profiles(path()).sections()
    except CredentialsNotFound:
        return []
    return [CompletionItem(name) for name in names if name.startswith(incomplete)]
